//! The parent's side of a child: it starts it, reads its journal, and ends it at a moment of its choice.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::config::{CONFIG, JOURNAL, ProcessConfig, STORE};
use super::journal::{Event, Tail};
use super::program::Program;
use crate::random::Random;
use crate::watchdog::Watchdog;

/// A child that tells nothing in this time hangs. The time of a stopped machine does not count.
const HANGING: Duration = Duration::from_mins(2);

/// How often the parent looks into the journal.
const PAUSE: Duration = Duration::from_micros(100);

/// When to end a child.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// So long after it began to open the store.
    After(Duration),
    /// When it has been acknowledged so many writes.
    Acknowledged(usize),
}

impl Moment {
    /// Any moment: in the opening, among the first writes, or some sessions later.
    pub(super) fn any(random: &Random) -> Self {
        if !random.one_in(3) {
            return Self::Acknowledged(1 + random.below(250));
        }
        let most_us = 400_usize << random.below(8);
        Self::After(Duration::from_micros(random.below(most_us) as u64))
    }
}

/// A child that is alive. It ends with its owner.
pub(super) struct Running {
    child: Child,
    tail: Tail,
    events: Vec<Event>,
}

impl Running {
    /// Starts `program` with the subject that `word` means. `under` is a program that the child is started under, with its
    /// arguments; none for the child alone.
    pub(super) fn start(
        program: &Program,
        word: &str,
        config: &ProcessConfig,
        journal: &Path,
        under: &[String],
    ) -> Result<Self, String> {
        let tail = Tail::create(journal)?;
        let failed = |error: std::io::Error| format!("no child: {error}");
        let itself = std::env::current_exe().map_err(failed)?;
        let words: Vec<PathBuf> = under.iter().map(PathBuf::from).chain([itself]).collect();
        let child = Command::new(&words[0])
            .args(&words[1..])
            .args([program.test, "--exact", "--nocapture", "--test-threads=1"])
            .env(CONFIG, config.line(word).to_string())
            .env(STORE, &config.store)
            .env(JOURNAL, journal)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Ok(Self { child: child.map_err(failed)?, tail, events: Vec::new() })
    }

    /// Waits until `moment` has come. `Err`: the child has ended, or hangs.
    pub(super) fn wait_until(&mut self, moment: Moment) -> Result<(), String> {
        let mut watchdog = Watchdog::new(HANGING);
        let mut begun = None;
        loop {
            if self.read()? {
                watchdog.note_progress();
            }
            if begun.is_none() && !self.events.is_empty() {
                begun = Some(Instant::now());
            }
            let has_come = match moment {
                Moment::After(delay) => begun.is_some_and(|begun| begun.elapsed() >= delay),
                Moment::Acknowledged(count) => self.acknowledged() >= count,
            };
            if has_come {
                return Ok(());
            }
            if let Some(status) = self.status()? {
                self.read()?;
                return Err(self.epitaph(status));
            }
            if watchdog.is_over() {
                return Err(self.hanging());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until the child has ended, however it did.
    pub(super) fn wait(&mut self) -> Result<ExitStatus, String> {
        let mut watchdog = Watchdog::new(HANGING);
        loop {
            if let Some(status) = self.status()? {
                self.read()?;
                return Ok(status);
            }
            if self.read()? {
                watchdog.note_progress();
            }
            if watchdog.is_over() {
                return Err(self.hanging());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until the child has done all its work, and returns its events.
    pub(super) fn finish(mut self) -> Result<Vec<Event>, String> {
        let status = self.wait()?;
        if self.events.last() == Some(&Event::End) {
            return Ok(std::mem::take(&mut self.events));
        }
        Err(self.epitaph(status))
    }

    /// Kills the child with `SIGKILL` and returns its events.
    pub(super) fn kill(mut self) -> Result<Vec<Event>, String> {
        self.end();
        self.read()?;
        Ok(std::mem::take(&mut self.events))
    }

    /// The events of the child so far.
    pub(super) fn told(&mut self) -> Result<&[Event], String> {
        self.read()?;
        Ok(&self.events)
    }

    /// How many writes were acknowledged to the child.
    fn acknowledged(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Done { .. })).count()
    }

    /// Reads the events since the last call. Whether there are any.
    fn read(&mut self) -> Result<bool, String> {
        let events = self.tail.read()?;
        let has_told = !events.is_empty();
        assert!(
            !has_told || self.events.last() != Some(&Event::End),
            "nothing comes after the end"
        );
        self.events.extend(events);
        Ok(has_told)
    }

    fn status(&mut self) -> Result<Option<ExitStatus>, String> {
        self.child.try_wait().map_err(|error| format!("the child cannot be waited for: {error}"))
    }

    /// The message for a child that does nothing any more.
    fn hanging(&self) -> String {
        format!("the child hangs; its last event: {:?}", self.events.last())
    }

    /// The message for a child that ended too early.
    fn epitaph(&self, status: ExitStatus) -> String {
        match self.events.last() {
            Some(Event::Failed(what)) => what.clone(),
            Some(last) => format!("the child ended by itself ({status}) after \"{last}\""),
            None => format!("the child told nothing ({status}): is its test named rightly?"),
        }
    }

    fn end(&mut self) {
        // Both fail only when the process has ended already.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
