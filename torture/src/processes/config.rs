//! The work of one child process, and its form in the child's environment.

use std::path::PathBuf;

use crate::line::Line;

/// The environment variable with the line of a [`ProcessConfig`].
pub(super) const CONFIG: &str = "TORTURE_PROCESS";
/// The environment variables with the two paths. A path may hold any byte, so it is not part of the line.
pub(super) const STORE: &str = "TORTURE_STORE";
pub(super) const JOURNAL: &str = "TORTURE_JOURNAL";

/// Background threads of the engine, unless a suite asks for another number.
pub(super) const BACKGROUND: usize = 2;

/// More sessions than any child completes.
pub(super) const UNTIL_KILLED: u16 = u16::MAX;

/// The work of one child process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProcessConfig {
    /// The directory of the store.
    pub(super) store: PathBuf,
    /// All batches follow from it.
    pub(super) seed: u64,
    /// The number of this child among all children of the store, from 1.
    pub(super) number: u16,
    pub(super) option_set: usize,
    /// Threads that write.
    pub(super) writers: u8,
    /// Batches of each writer in a session.
    pub(super) batches: u32,
    /// Background threads of the engine. With 0 the child does all work in one thread.
    pub(super) background: usize,
    /// Sessions. With 0 the child only opens the store, tells its content and closes it.
    pub(super) sessions: u16,
}

impl ProcessConfig {
    /// The line for the subject called `word`. [`ProcessConfig::parse`] reads it.
    pub(super) fn line(&self, word: &str) -> Line {
        let line = Line::new("process", word).with("seed", self.seed).with("number", self.number);
        let line = line.with("options", self.option_set).with("writers", self.writers);
        let line = line.with("batches", self.batches).with("background", self.background);
        let line = line.with("sessions", self.sessions);
        debug_assert!(
            Self::parse(&line, self.store.clone()).is_ok_and(|back| back == *self),
            "the child reads the configuration that its parent wrote"
        );
        line
    }

    pub(super) fn parse(line: &Line, store: PathBuf) -> Result<Self, String> {
        Ok(Self {
            store,
            seed: line.get("seed")?,
            number: line.get("number")?,
            option_set: line.get("options")?,
            writers: line.get("writers")?,
            batches: line.get("batches")?,
            background: line.get("background")?,
            sessions: line.get("sessions")?,
        })
    }
}
