//! A process that is killed at any instant, on a real disk.
//!
//! The invariant: `kill -9` loses no write that was acknowledged as [`kv::Durability::Buffered`], and leaves a prefix of the
//! rest, in whole batches.
//!
//! [`run`] kills at random moments. The next process continues in the same directory, so the effects of crashes add up.
//! [`at_calls`] lets `strace` kill a process exactly at its k-th call of a kind, for one k after the other.
//!
//! The page cache survives the process, so these suites say nothing about syncs; [`crate::power`] does. They find data that
//! stays in the memory of the process for too long, torn writes, and steps in the wrong order.

use std::path::PathBuf;

use kv::Durability;
use tempfile::TempDir;

use super::judgement::Judge;
use super::lives::{Children, Failed, Lives, MortalStore};
use super::parent::Moment;
use super::program::Program;
use crate::report::{Failure, Report};
use crate::shard::Shard;

mod calls;

pub use calls::{Calls, at_calls};

/// The amount of work.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The content of the writes follows from it; their timing does not.
    pub seed: u64,
    /// Processes that are killed, with all option sets in turn.
    pub lives: u32,
    /// After so many lives a new store is begun.
    pub lives_of_a_store: u16,
    /// Threads that write.
    pub writers: u8,
    /// Batches of each writer before the store is closed, or dropped, and opened again.
    pub batches: u32,
    /// Whether the files of a failure stay on the disk.
    pub keeps_files: bool,
    /// The part of the stores to work on.
    pub shard: Shard,
    /// Called after each store with everything visited so far.
    pub progress: fn(&str),
}

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Options {
    /// The form that runs with every change.
    pub const DEFAULT: Self = Self {
        seed: 1,
        lives: 20,
        lives_of_a_store: 20,
        writers: 3,
        batches: 30,
        keeps_files: false,
        shard: Shard::ALL,
        progress: |_| (),
    };

    /// A thousand lives.
    pub fn soak() -> Self {
        Self { lives: 1000, lives_of_a_store: 50, keeps_files: true, ..Self::DEFAULT }
    }
}

/// Lives of the subject that `word` means in `program`.
///
/// # Errors
/// The first broken invariant.
pub fn run(program: &Program, word: &str, options: &Options) -> Result<Report, Failure> {
    let lives = Lives {
        suite: "kill",
        unit: "life",
        seed: options.seed,
        total: options.lives,
        of_a_store: options.lives_of_a_store,
        shard: options.shard,
        progress: options.progress,
    };
    lives.run(word, |seed, lives| {
        let store = Store::new(program, word, seed, (options.writers, options.batches))?;
        store.live(lives, options.keeps_files)
    })
}

/// A store in a directory of its own, and its children.
struct Store<'p> {
    directory: TempDir,
    children: Children<'p>,
    judge: Judge,
}

impl<'p> Store<'p> {
    /// `load`: writers, and batches of each.
    fn new(
        program: &'p Program,
        word: &'p str,
        seed: u64,
        load: (u8, u32),
    ) -> Result<Self, Failed> {
        let directory = tempfile::tempdir()
            .map_err(|error| (format!("no temporary directory: {error}"), Report::default()))?;
        let places = (directory.path().join("store"), directory.path());
        let children = Children::new((program, word), places, seed, load);
        Ok(Self { directory, children, judge: Judge::new(seed, load.0) })
    }
}

impl MortalStore for Store<'_> {
    /// Kills the child at a random moment. Everything that it handed to the kernel stays.
    fn end_a_child(&mut self) -> Result<(), String> {
        let random = self.children.random();
        let mut running = self.children.start()?;
        running.wait_until(Moment::any(&random))?;
        let told = running.kill()?;
        self.judge.observe(&told)?;
        self.judge.record_crash(Durability::Buffered);
        Ok(())
    }

    fn look(&mut self) -> Result<(), String> {
        let told = self.children.start_to_look()?.finish()?;
        self.judge.observe(&told)
    }

    fn report(&self) -> Report {
        self.judge.report
    }

    fn keep_files(self) -> PathBuf {
        self.directory.keep()
    }
}
