//! Sorted runs and where they lie.

use std::cmp::Reverse;
use std::ops::Range;

use super::file::{File, Key};
use super::overlap;

/// The age of a run within its level: a higher rank is newer. Leveled compactions give their runs rank 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank(pub u64);

/// Where a run lies. Places order from the newest to the oldest: by level, then by falling rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The level; 0 takes what memtables leave.
    pub level: usize,
    /// The age within the level.
    pub rank: Rank,
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.level, Reverse(self.rank)).cmp(&(other.level, Reverse(other.rank)))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Files in the order of their keys, without overlap.
#[derive(Clone, Debug)]
pub struct Run<K> {
    rank: Rank,
    files: Vec<File<K>>,
    bytes: u64,
}

impl<K: Key> Run<K> {
    /// The age within the level.
    pub fn rank(&self) -> Rank {
        self.rank
    }

    /// The files in the order of their keys.
    pub fn files(&self) -> &[File<K>] {
        &self.files
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The files that have keys in `smallest..=largest`, as indices.
    pub fn overlapping(&self, smallest: &K, largest: &K) -> Range<usize> {
        overlap::overlapping(&self.files, smallest, largest)
    }

    fn new(rank: Rank) -> Self {
        Self { rank, files: Vec::new(), bytes: 0 }
    }

    /// Takes `files`, in the order of their keys, out of the run.
    ///
    /// # Panics
    /// One of them is not there.
    pub(super) fn remove(&mut self, files: &[File<K>]) {
        debug_assert!(overlap::is_sorted(files), "inputs come in the order of their keys");
        let mut rest = files;
        while let Some(first) = rest.first() {
            let at = self.files.partition_point(|file| file.smallest < first.smallest);
            let pairs = self.files[at..].iter().zip(rest);
            let count = pairs.take_while(|(mine, gone)| mine.id == gone.id).count();
            assert!(count > 0, "file {} is in its run", first.id);
            self.files.drain(at..at + count);
            self.bytes -= rest[..count].iter().map(|file| file.bytes).sum::<u64>();
            rest = &rest[count..];
        }
        self.assert_sums();
    }

    /// Adds `files`, in the order of their keys. No file of the run lies between the first and the last of them.
    pub(super) fn insert(&mut self, files: Vec<File<K>>) {
        debug_assert!(files.iter().all(File::is_sound), "the metadata of a file agrees");
        let Some(first) = files.first() else { return };
        let at = self.files.partition_point(|file| file.largest < first.smallest);
        self.bytes += files.iter().map(|file| file.bytes).sum::<u64>();
        let count = files.len();
        self.files.splice(at..at, files);
        let around = at.saturating_sub(1)..(at + count + 1).min(self.files.len());
        debug_assert!(overlap::is_sorted(&self.files[around]), "the files of a run do not overlap");
        self.assert_sums();
    }

    fn assert_sums(&self) {
        let bytes = || self.files.iter().map(|file| file.bytes).sum::<u64>();
        debug_assert_eq!(self.bytes, bytes(), "the bytes of a run are those of its files");
    }
}

/// The runs of a level, the newest first.
#[derive(Clone, Debug)]
pub struct Level<K> {
    runs: Vec<Run<K>>,
}

impl<K: Key> Level<K> {
    pub(super) fn new() -> Self {
        Self { runs: Vec::new() }
    }

    /// The runs, the newest first.
    pub fn runs(&self) -> &[Run<K>] {
        &self.runs
    }

    /// The bytes of all runs.
    pub fn bytes(&self) -> u64 {
        self.runs.iter().map(Run::bytes).sum()
    }

    /// Whether the level has no file.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The run with this rank.
    pub(super) fn run(&self, rank: Rank) -> Option<&Run<K>> {
        debug_assert!(self.is_in_order(), "ranks fall");
        let at = self.runs.partition_point(|run| run.rank > rank);
        self.runs.get(at).filter(|run| run.rank == rank)
    }

    /// The run with this rank, which is made if it is not there.
    pub(super) fn run_mut(&mut self, rank: Rank) -> &mut Run<K> {
        debug_assert!(self.is_in_order(), "ranks fall");
        let at = self.runs.partition_point(|run| run.rank > rank);
        if self.runs.get(at).is_none_or(|run| run.rank != rank) {
            self.runs.insert(at, Run::new(rank));
        }
        &mut self.runs[at]
    }

    /// Removes the runs without files.
    pub(super) fn remove_empty(&mut self) {
        self.runs.retain(|run| !run.files.is_empty());
    }

    /// Whether each run has a lower rank than the one before it.
    pub(super) fn is_in_order(&self) -> bool {
        self.runs.is_sorted_by(|newer, older| newer.rank > older.rank)
    }
}
