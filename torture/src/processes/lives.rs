//! The loops that `kill` and `power` share: over stores, over the lives of a store, and from child to child.
//!
//! 1. Each store begins empty. Its children run one after the other, and each is ended at some moment: a *life*.
//! 2. After the last life the store is opened once more, and closed.
//! 3. The next store begins. Stores are independent, so a part of a soak consists of whole stores.

use std::path::{Path, PathBuf};

use super::config::{BACKGROUND, ProcessConfig, UNTIL_KILLED};
use super::parent::Running;
use super::program::Program;
use crate::line::Line;
use crate::random::{Random, sub_seed};
use crate::report::{Failure, Report};
use crate::shard::Shard;

/// A failure, and the work on that store before it.
pub(super) type Failed = (String, Report);

/// The lives of a suite.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lives {
    /// The name of the suite.
    pub(super) suite: &'static str,
    /// The key of a life in a replay line.
    pub(super) unit: &'static str,
    pub(super) seed: u64,
    pub(super) total: u32,
    /// After so many lives a new store is begun.
    pub(super) of_a_store: u16,
    pub(super) shard: Shard,
    /// Called after each store with everything visited so far.
    pub(super) progress: fn(&str),
}

impl Lives {
    /// The stores of this part: the number of the first life, and the number of lives.
    fn stores(self) -> impl Iterator<Item = (u32, u32)> {
        let most = u32::from(self.of_a_store.max(1));
        let firsts = (0..self.total).step_by(most as usize);
        let mine = firsts.filter(move |first| self.shard.takes(u64::from(first / most)));
        mine.map(move |first| {
            assert!(first < self.total, "each store has a life");
            (first, most.min(self.total - first))
        })
    }

    /// Calls `live` with the seed of each store and the number of its lives.
    pub(super) fn run(
        self,
        word: &str,
        mut live: impl FnMut(u64, u32) -> Result<Report, Failed>,
    ) -> Result<Report, Failure> {
        let mut report = Report::default();
        for (first, lives) in self.stores() {
            let lived = live(sub_seed(self.seed, u64::from(first)), lives);
            report += lived.map_err(|(what, before)| {
                let line = Line::new(self.suite, word).with("seed", self.seed);
                let mut report = report;
                report += before;
                Failure { what, replay: line.with(self.unit, first).to_string(), report }
            })?;
            let (suite, last) = (self.suite, first + lives - 1);
            (self.progress)(&format!("{suite}, up to {} {last}: {report}", self.unit));
        }
        Ok(report)
    }
}

/// A store whose children are ended, one after the other.
pub(super) trait MortalStore: Sized {
    /// One life: starts a child, ends it, and judges its events.
    fn end_a_child(&mut self) -> Result<(), String>;

    /// Opens the store a last time, and closes it.
    fn look(&mut self) -> Result<(), String>;

    /// The work so far.
    fn report(&self) -> Report;

    /// Keeps the files on the disk, and returns where they are.
    fn keep_files(self) -> PathBuf;

    /// Lives through `lives` lives and a last opening. After a failure the files stay if `keeps_files`.
    fn live(mut self, lives: u32, keeps_files: bool) -> Result<Report, Failed> {
        let lived = (0..lives).try_for_each(|_| self.end_a_child()).and_then(|()| self.look());
        let report = self.report();
        assert!(lived.is_err() || report.states > 0, "the last opening is judged");
        match lived {
            Ok(()) => Ok(report),
            Err(what) if keeps_files => {
                let files = self.keep_files();
                Err((format!("{what}\nthe files are in {}", files.display()), report))
            }
            Err(what) => Err((what, report)),
        }
    }
}

/// The children of one store. They are started one after the other.
pub(super) struct Children<'p> {
    program: &'p Program,
    word: &'p str,
    /// Of the child that was started last.
    config: ProcessConfig,
    /// Each child has a journal of its own here. All of them stay as long as the store.
    journals: PathBuf,
}

impl<'p> Children<'p> {
    /// No child yet. `journals` is a directory outside of `store`.
    pub(super) fn new(
        (program, word): (&'p Program, &'p str),
        (store, journals): (PathBuf, &Path),
        seed: u64,
        (writers, batches): (u8, u32),
    ) -> Self {
        assert!(!journals.starts_with(&store), "a journal is no file of the store");
        let config = ProcessConfig {
            store,
            seed,
            number: 0,
            option_set: 0,
            writers,
            batches,
            background: BACKGROUND,
            sessions: UNTIL_KILLED,
        };
        Self { program, word, config, journals: journals.to_path_buf() }
    }

    /// The same children, with all background work in the thread of the writer.
    pub(super) fn without_background_threads(mut self) -> Self {
        self.config.background = 0;
        self
    }

    /// Decides when the next child ends.
    pub(super) fn random(&self) -> Random {
        Random::new(sub_seed(!self.config.seed, u64::from(self.config.number)))
    }

    /// Starts the next child, which works until it is killed. The option sets take turns.
    pub(super) fn start(&mut self) -> Result<Running, String> {
        self.start_under(UNTIL_KILLED, self.config.number as usize, &[])
    }

    /// Starts the next child, which only opens the store and closes it.
    pub(super) fn start_to_look(&mut self) -> Result<Running, String> {
        self.start_under(0, self.config.number as usize, &[])
    }

    /// Starts the next child, under the program `under` unless that is empty. Option sets beyond the last begin again
    /// with the first.
    pub(super) fn start_under(
        &mut self,
        sessions: u16,
        option_set: usize,
        under: &[String],
    ) -> Result<Running, String> {
        let option_sets = (self.program.subject)(self.word).option_sets();
        assert!(option_sets > 0, "a subject has options");
        self.config.number += 1;
        self.config.option_set = option_set % option_sets;
        assert!(self.config.number < u16::MAX, "the children of a store are counted");
        self.config.sessions = sessions;
        let journal = self.journals.join(format!("journal-{}", self.config.number));
        Running::start(self.program, self.word, &self.config, &journal, under)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lives(total: u32, of_a_store: u16, shard: Shard) -> Lives {
        let progress = |_: &str| ();
        Lives { suite: "kill", unit: "life", seed: 1, total, of_a_store, shard, progress }
    }

    #[test]
    fn the_stores_share_all_lives_and_the_parts_share_all_stores() {
        let stores = |total, most, shard| lives(total, most, shard).stores().collect::<Vec<_>>();
        assert_eq!(stores(7, 3, Shard::ALL), [(0, 3), (3, 3), (6, 1)]);
        assert_eq!(stores(2, 0, Shard::ALL), [(0, 1), (1, 1)], "a store has a life");
        assert_eq!(stores(0, 3, Shard::ALL), []);
        assert_eq!(stores(7, 3, "1/2".parse().unwrap()), [(0, 3), (6, 1)]);
        assert_eq!(stores(7, 3, "2/2".parse().unwrap()), [(3, 3)]);
    }

    #[test]
    fn a_failure_names_its_store_and_all_work_before_it() {
        let work = |states| Report { states, steps: 0 };
        let mut number = 0;
        let failed = lives(6, 2, Shard::ALL).run("toy", |_, lives| {
            number += 1;
            assert_eq!(lives, 2);
            if number == 2 { Err(("lost".into(), work(3))) } else { Ok(work(10)) }
        });
        let failure = failed.unwrap_err();
        assert_eq!((failure.what.as_str(), failure.report), ("lost", work(13)));
        assert!(failure.replay.contains("life=2"), "{}", failure.replay);
    }
}
