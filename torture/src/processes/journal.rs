//! The journal: the events of a child, one a line, in a file that outlives it.
//!
//! A line is one `write(2)` in append mode. So lines of several threads do not mix, and every line from before a `kill -9` is
//! there afterwards. A last line without its line end does not count.

use std::fmt;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::str::FromStr;

use kv::Durability;

use super::work::Session;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A session begins to open the store.
    Open { session: Session },
    /// The opening found a key with the value of this length that this write put.
    Found { key: String, session: Session, writer: u8, count: u32, len: usize },
    /// That was all that it found. And the number that the engine says it recovered.
    All { recovered: Option<u64> },
    /// A write begins. Once acknowledged, it has the class `survives`.
    Begin { writer: u8, count: u32, survives: Durability },
    /// It was acknowledged, with this sequence number.
    Done { writer: u8, count: u32, sequence: u64 },
    /// A `sync` begins.
    Syncing,
    /// It was acknowledged.
    Synced,
    /// The engine was closed: `close` has returned.
    Closed,
    /// The engine was dropped without being closed.
    Dropped,
    /// An invariant is broken, or a call failed.
    Failed(String),
    /// The child has nothing more to do.
    End,
}

impl Event {
    /// Whether it tells of a call that failed, and not of anything worse.
    pub(super) fn tells_of_a_failed_call(&self) -> bool {
        matches!(self, Self::Failed(what) if !what.contains("panicked"))
    }

    /// Whether an opening has told all that it found.
    pub(super) fn ends_an_opening(&self) -> bool {
        matches!(self, Self::All { .. })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { session } => write!(f, "open {}.{}", session.life, session.number),
            Self::Found { key, session, writer, count, len } => {
                let Session { life, number } = session;
                write!(f, "found {key} {life}.{number} {writer} {count} {len}")
            }
            Self::All { recovered: None } => write!(f, "all"),
            Self::All { recovered: Some(recovered) } => write!(f, "all {recovered}"),
            Self::Begin { writer, count, survives } => {
                write!(f, "begin {writer} {count} {survives}")
            }
            Self::Done { writer, count, sequence } => write!(f, "done {writer} {count} {sequence}"),
            Self::Syncing => write!(f, "syncing"),
            Self::Synced => write!(f, "synced"),
            Self::Closed => write!(f, "closed"),
            Self::Dropped => write!(f, "dropped"),
            Self::Failed(what) => write!(f, "failed {}", what.replace('\n', "; ")),
            Self::End => write!(f, "end"),
        }
    }
}

impl FromStr for Event {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        if let Some(what) = line.strip_prefix("failed ") {
            return Ok(Self::Failed(what.into()));
        }
        let words: Vec<&str> = line.split(' ').collect();
        parse(&words).ok_or_else(|| format!("{line:?} is no line of a journal"))
    }
}

fn parse(words: &[&str]) -> Option<Event> {
    Some(match words {
        ["open", session] => Event::Open { session: session.parse().ok()? },
        ["found", key, session, writer, count, len] => Event::Found {
            key: (*key).into(),
            session: session.parse().ok()?,
            writer: writer.parse().ok()?,
            count: count.parse().ok()?,
            len: len.parse().ok()?,
        },
        ["all"] => Event::All { recovered: None },
        ["all", recovered] => Event::All { recovered: Some(recovered.parse().ok()?) },
        ["begin", writer, count, survives] => Event::Begin {
            writer: writer.parse().ok()?,
            count: count.parse().ok()?,
            survives: class(survives)?,
        },
        ["done", writer, count, sequence] => Event::Done {
            writer: writer.parse().ok()?,
            count: count.parse().ok()?,
            sequence: sequence.parse().ok()?,
        },
        ["syncing"] => Event::Syncing,
        ["synced"] => Event::Synced,
        ["closed"] => Event::Closed,
        ["dropped"] => Event::Dropped,
        ["end"] => Event::End,
        _ => return None,
    })
}

fn class(word: &str) -> Option<Durability> {
    let classes = [Durability::None, Durability::Buffered, Durability::Sync];
    classes.into_iter().find(|class| class.to_string() == word)
}

/// The child's end.
#[derive(Debug)]
pub(super) struct Journal(File);

impl Journal {
    pub(super) fn append_to(path: &Path) -> Result<Self, String> {
        let file = File::options().append(true).open(path);
        file.map(Self).map_err(|error| format!("no journal: {error}"))
    }

    pub(super) fn tell(&self, event: &Event) -> Result<(), String> {
        self.tell_all(std::slice::from_ref(event))
    }

    /// Several events at once, of which a killed child may have told the first ones only.
    pub(super) fn tell_all(&self, events: &[Event]) -> Result<(), String> {
        let mut lines: Vec<String> = events.iter().map(ToString::to_string).collect();
        debug_assert!(lines.iter().all(|line| !line.contains('\n')), "an event is one line");
        debug_assert!(
            lines
                .iter()
                .all(|line| line.parse::<Event>().is_ok_and(|back| back.to_string() == *line)),
            "an event reads back"
        );
        lines.push(String::new());
        let lines = lines.join("\n");
        (&self.0).write_all(lines.as_bytes()).map_err(|error| format!("no journal: {error}"))
    }
}

/// The parent's end.
#[derive(Debug)]
pub(super) struct Tail {
    file: File,
    /// The beginning of a line whose end has not been seen yet.
    rest: String,
}

impl Tail {
    /// A new journal.
    pub(super) fn create(path: &Path) -> Result<Self, String> {
        let file = File::create(path).and_then(|_| File::open(path));
        let file = file.map_err(|error| format!("no journal: {error}"))?;
        Ok(Self { file, rest: String::new() })
    }

    /// The events since the last call.
    pub(super) fn read(&mut self) -> Result<Vec<Event>, String> {
        let read = self.file.read_to_string(&mut self.rest);
        read.map_err(|error| format!("the journal cannot be read: {error}"))?;
        let end = self.rest.rfind('\n').map_or(0, |end| end + 1);
        let whole: String = self.rest.drain(..end).collect();
        assert!(!self.rest.contains('\n'), "only the beginning of a line is left");
        whole.lines().map(str::parse).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_told_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let mut tail = Tail::create(&path).unwrap();
        let journal = Journal::append_to(&path).unwrap();
        let session = Session { life: 7, number: 1 };
        let events = [
            Event::Open { session },
            Event::Found { key: "mark/0".into(), session, writer: 0, count: 2, len: 8 },
            Event::All { recovered: Some(9) },
            Event::Begin { writer: 1, count: 2, survives: Durability::Buffered },
            Event::Done { writer: 1, count: 2, sequence: 10 },
            Event::Failed("no\nspace".into()),
        ];
        journal.tell_all(&events[..5]).unwrap();
        (&journal.0).write_all(b"done 1 3 1").unwrap();
        assert_eq!(tail.read().unwrap(), events[..5]);
        (&journal.0).write_all(b"1\n").unwrap();
        assert_eq!(tail.read().unwrap(), [Event::Done { writer: 1, count: 3, sequence: 11 }]);
        journal.tell(&events[5]).unwrap();
        assert_eq!(tail.read().unwrap(), [Event::Failed("no; space".into())]);
    }
}
