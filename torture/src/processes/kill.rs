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

use super::config::{BACKGROUND, ProcessConfig, UNTIL_KILLED};
use super::judgement::Judge;
use super::parent::{Moment, Running};
use super::program::Program;
use crate::line::Line;
use crate::random::{Random, sub_seed};
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
    pub progress: fn(&Report),
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
    let mut report = Report::default();
    let mut number = 0;
    while number < options.lives {
        let lives = u32::from(options.lives_of_a_store).clamp(1, options.lives - number);
        let first = number;
        number += lives;
        if !options.shard.takes(u64::from(first / u32::from(options.lives_of_a_store.max(1)))) {
            continue;
        }
        let seed = sub_seed(options.seed, u64::from(first));
        let fail = |what: String, report: Report| {
            let line = Line::new("kill", word).with("seed", options.seed).with("life", first);
            Failure { what, replay: line.to_string(), report }
        };
        let store = Store::new(program, word, seed, options).map_err(|what| fail(what, report))?;
        report += store.live(lives).map_err(|(what, lived)| fail(what, lived))?;
        (options.progress)(&report);
    }
    Ok(report)
}

/// A store in a directory of its own, and who lives in it.
struct Store<'p> {
    program: &'p Program,
    word: &'p str,
    directory: TempDir,
    config: ProcessConfig,
    judge: Judge,
    keeps_files: bool,
}

impl<'p> Store<'p> {
    fn new(
        program: &'p Program,
        word: &'p str,
        seed: u64,
        options: &Options,
    ) -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|e| format!("no temporary directory: {e}"))?;
        let config = ProcessConfig {
            store: directory.path().join("store"),
            seed,
            number: 0,
            option_set: 0,
            writers: options.writers,
            batches: options.batches,
            background: BACKGROUND,
            sessions: UNTIL_KILLED,
        };
        let judge = Judge::new(seed, options.writers);
        Ok(Self { program, word, directory, config, judge, keeps_files: options.keeps_files })
    }

    /// Kills `lives` processes, then opens the store a last time. `Err`: the failure, and the work before it.
    fn live(mut self, lives: u32) -> Result<Report, (String, Report)> {
        let lived = (0..lives).try_for_each(|_| self.be_killed()).and_then(|()| self.look());
        let report = self.judge.report;
        let Err(mut what) = lived else { return Ok(report) };
        if self.keeps_files {
            what = format!("{what}\nthe files are in {}", self.directory.keep().display());
        }
        Err((what, report))
    }

    fn be_killed(&mut self) -> Result<(), String> {
        let random = Random::new(sub_seed(!self.config.seed, u64::from(self.config.number)));
        let mut running = self.start(UNTIL_KILLED, self.config.number as usize, &[])?;
        running.wait_until(Moment::any(&random))?;
        let told = running.kill()?;
        self.judge.observe(&told)?;
        self.judge.record_crash(Durability::Buffered);
        Ok(())
    }

    /// Opens the store a last time, and closes it.
    fn look(&mut self) -> Result<(), String> {
        let told = self.start(0, self.config.number as usize, &[])?.finish()?;
        self.judge.observe(&told)
    }

    /// The next life. Option sets beyond the last begin again with the first.
    fn start(
        &mut self,
        sessions: u16,
        option_set: usize,
        under: &[String],
    ) -> Result<Running, String> {
        let option_sets = (self.program.subject)(self.word).option_sets();
        self.config.number += 1;
        self.config.option_set = option_set % option_sets.max(1);
        self.config.sessions = sessions;
        Running::start(self.program, self.word, &self.config, &self.journal(), under)
    }

    /// Each life has a journal of its own, and all of them stay as long as the store.
    fn journal(&self) -> PathBuf {
        self.directory.path().join(format!("journal-{}", self.config.number))
    }
}
