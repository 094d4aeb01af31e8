//! Stray entries in the directory of a store: files, directories, symbolic links and pipes with names like the store's
//! own.
//!
//! The invariants, for one stray entry in an intact store:
//! - Opening succeeds and everything is there, or it fails with an error that names the stray entry. A failed opening
//!   leaves no new files behind, however often it is tried.
//! - Each later call succeeds, or fails with an error that names the stray entry. No call hangs.
//! - The entry stays as it was. A regular file may be removed if its name is one of the store's own: it looks like an
//!   orphan. The target of a symbolic link is never written, truncated or removed.
//! - Once the entry is gone, the store opens and holds every acknowledged write.
//!
//! The names come from the engine itself. They are the names that it used while the store was made, and the same names
//! with other numbers. Some of these numbers do not fit into 48 or 64 bits. Links and pipes need the real disk.

use std::fmt;
use std::str::FromStr;

use crate::line::Line;
use crate::opening::without_panic;
use crate::report::{Failure, Report};
use crate::shard::Shard;
use crate::subject::Subject;
use crate::suite::{Replayed, Soak, Suite};

mod judge;
mod names;
mod place;

/// The amount of work.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// One in this many names is tried as a link and as a pipe, on the real disk.
    pub one_real_in: usize,
    /// The part of the entries to try.
    pub shard: Shard,
}

impl Default for Options {
    fn default() -> Self {
        Self { one_real_in: 16, shard: Shard::ALL }
    }
}

/// The entry of this suite in the registry.
pub const SUITE: Suite = Suite {
    name: "strays",
    run: |subject| run(subject, &Options::default()),
    soaks: &[Soak {
        name: "strays",
        budget: "every stray entry on both disks, about 1,000 states",
        run: |subject, shard| run(subject, &Options { one_real_in: 1, shard }),
    }],
    is_repeatable: true,
    replay,
};

/// The kind of a stray entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Empty,
    File,
    Dir,
    /// A symbolic link to a file outside of the store.
    Link,
    /// A named pipe that nobody writes to.
    Pipe,
}

const KINDS: [(Kind, &str); 5] = [
    (Kind::Empty, "empty"),
    (Kind::File, "file"),
    (Kind::Dir, "dir"),
    (Kind::Link, "link"),
    (Kind::Pipe, "pipe"),
];

impl Kind {
    /// Whether only the real disk can hold it.
    fn is_real(self) -> bool {
        matches!(self, Self::Link | Self::Pipe)
    }
}

/// A stray entry. The text form is `dir:000007.data`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stray {
    kind: Kind,
    name: String,
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = KINDS.iter().find(|(kind, _)| *kind == self.kind).map_or("", |(_, name)| name);
        write!(f, "{name}:{}", self.name)
    }
}

impl FromStr for Stray {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("no stray entry is called {text:?}");
        let (kind, name) = text.split_once(':').ok_or_else(unknown)?;
        let (kind, _) = KINDS.into_iter().find(|(_, known)| *known == kind).ok_or_else(unknown)?;
        Ok(Self { kind, name: name.into() })
    }
}

/// Puts each stray entry into a store of each option set, closed and not.
///
/// # Errors
/// The first broken invariant.
pub fn run(subject: &dyn Subject, options: &Options) -> Result<Report, Failure> {
    let mut report = Report::default();
    let mut number = 0;
    for option_set in 0..subject.option_sets() {
        for is_clean in [true, false] {
            let line = line(subject, option_set, is_clean);
            let fail = |what: String, line: Line, report: Report| Failure {
                what,
                replay: line.to_string(),
                report,
            };
            let store = without_panic(|| names::Store::make(subject, option_set, is_clean));
            let store = store.map_err(|what| fail(what, line.clone(), report))?;
            for stray in store.strays(options.one_real_in) {
                number += 1;
                if !options.shard.takes(number) {
                    continue;
                }
                report.states += 1;
                let judged = without_panic(|| judge::judge(subject, option_set, &store, &stray));
                judged.map_err(|what| {
                    let what = format!("with a stray {stray}: {what}");
                    fail(what, line.clone().with("stray", &stray), report)
                })?;
            }
        }
    }
    Ok(report)
}

fn line(subject: &dyn Subject, option_set: usize, is_clean: bool) -> Line {
    Line::new("strays", subject.name()).with("options", option_set).with("clean", is_clean)
}

fn replay(subject: &dyn Subject, line: &Line) -> Replayed {
    let (option_set, is_clean) = (line.get("options")?, line.get("clean")?);
    let stray: Stray = line.get("stray")?;
    let report = Report { states: 1, steps: 0 };
    let judged = without_panic(|| {
        let store = names::Store::make(subject, option_set, is_clean)?;
        judge::judge(subject, option_set, &store, &stray)
    });
    Ok(judged.map(|()| report).map_err(|what| Failure { what, replay: line.to_string(), report }))
}
