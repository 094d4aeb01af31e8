//! The tree as strategies see it: levels of sorted runs of files, as metadata.

use std::cmp::Reverse;
use std::fmt;
use std::ops::Range;

use super::overlap;

/// A key, or a number that stands for it in the same order.
pub trait Key: Ord + Clone + fmt::Debug {}

impl<K: Ord + Clone + fmt::Debug> Key for K {}

/// The number of a file. Numbers are not used twice.
pub type FileId = u64;

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

/// The facts about a sorted file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File<K> {
    /// The number of the file.
    pub id: FileId,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its first key.
    pub smallest: K,
    /// Its last key, inclusive.
    pub largest: K,
    /// Its entries, tombstones included.
    pub entries: u64,
    /// How many of them are tombstones.
    pub tombstones: u64,
    /// The highest sequence number in it. It tells whether a snapshot still needs a tombstone, and orders nothing.
    pub newest: u64,
    /// When it was written, on the clock of [`Tree::now`].
    pub created: u64,
}

impl<K: Key> File<K> {
    /// Whether the two files have a key range in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.smallest <= other.largest && other.smallest <= self.largest
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
    fn new(rank: Rank) -> Self {
        Self { rank, files: Vec::new(), bytes: 0 }
    }

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

    fn remove(&mut self, files: &[File<K>]) {
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
    }

    fn insert(&mut self, files: Vec<File<K>>) {
        let Some(first) = files.first() else { return };
        let at = self.files.partition_point(|file| file.largest < first.smallest);
        self.bytes += files.iter().map(|file| file.bytes).sum::<u64>();
        let count = files.len();
        self.files.splice(at..at, files);
        let around = at.saturating_sub(1)..(at + count + 1).min(self.files.len());
        debug_assert!(overlap::is_sorted(&self.files[around]), "the files of a run do not overlap");
    }
}

/// The runs of a level, the newest first.
#[derive(Clone, Debug)]
pub struct Level<K> {
    runs: Vec<Run<K>>,
}

impl<K: Key> Level<K> {
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

    fn run_mut(&mut self, rank: Rank) -> &mut Run<K> {
        let at = self.runs.partition_point(|run| run.rank > rank);
        if self.runs.get(at).is_none_or(|run| run.rank != rank) {
            self.runs.insert(at, Run::new(rank));
        }
        &mut self.runs[at]
    }
}

/// All levels of a store.
#[derive(Clone, Debug)]
pub struct Tree<K> {
    levels: Vec<Level<K>>,
    next_rank: u64,
    now: u64,
    horizon: u64,
}

impl<K: Key> Tree<K> {
    /// An empty tree with so many levels.
    ///
    /// # Panics
    /// There are fewer than two levels.
    pub fn new(levels: usize) -> Self {
        assert!(levels >= 2, "a tree has level 0 and a last level");
        let levels = (0..levels).map(|_| Level { runs: Vec::new() }).collect();
        Self { levels, next_rank: 1, now: 0, horizon: u64::MAX }
    }

    /// The levels, 0 first.
    pub fn levels(&self) -> &[Level<K>] {
        &self.levels
    }

    /// The index of the deepest level that there may be.
    pub fn last_level(&self) -> usize {
        self.levels.len() - 1
    }

    /// The time that ages of files refer to, in a unit of the caller's choice.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Sets the time.
    pub fn set_now(&mut self, now: u64) {
        self.now = now;
    }

    /// The sequence number of the oldest snapshot: up to it only the newest entry of a key is needed.
    pub fn horizon(&self) -> u64 {
        self.horizon
    }

    /// Sets the sequence number of the oldest snapshot; a new tree has none, and `u64::MAX`.
    pub fn set_horizon(&mut self, horizon: u64) {
        self.horizon = horizon;
    }

    /// A rank above all ranks that were given out.
    pub fn next_rank(&self) -> Rank {
        Rank(self.next_rank)
    }

    /// All runs with their places, the newest first.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = (Place, &Run<K>)> {
        self.levels.iter().enumerate().flat_map(|(level, content)| {
            content.runs.iter().map(move |run| (Place { level, rank: run.rank }, run))
        })
    }

    /// The run at `place`.
    pub fn run(&self, place: Place) -> Option<&Run<K>> {
        self.levels[place.level].runs.iter().find(|run| run.rank == place.rank)
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.levels.iter().map(Level::bytes).sum()
    }

    /// Adds the files of a flushed memtable as the newest run.
    ///
    /// # Panics
    /// There is no file, or files overlap.
    pub fn flush(&mut self, files: Vec<File<K>>) -> Place {
        assert!(!files.is_empty() && overlap::is_sorted(&files), "a flush writes one run");
        let place = Place { level: 0, rank: self.next_rank() };
        self.next_rank += 1;
        self.levels[0].run_mut(place.rank).insert(files);
        place
    }

    /// Adds a run that is newer than all others of its level.
    ///
    /// The caller guarantees that no older entry of the same keys lies above the level.
    ///
    /// # Panics
    /// There is no file, or files overlap.
    pub fn load(&mut self, level: usize, files: Vec<File<K>>) -> Place {
        assert!(!files.is_empty() && overlap::is_sorted(&files), "the files make one run");
        let place = Place { level, rank: self.next_rank() };
        self.next_rank += 1;
        self.levels[level].run_mut(place.rank).insert(files);
        place
    }

    /// Replaces `inputs`, files with their places, by `outputs` at `place`.
    ///
    /// # Panics
    /// An input is not where it should be.
    pub fn replace<'i>(
        &mut self,
        inputs: impl Iterator<Item = (Place, &'i [File<K>])>,
        place: Place,
        outputs: Vec<File<K>>,
    ) where
        K: 'i,
    {
        debug_assert!(overlap::is_sorted(&outputs), "outputs do not overlap");
        for (from, files) in inputs {
            self.levels[from.level].run_mut(from.rank).remove(files);
        }
        self.levels[place.level].run_mut(place.rank).insert(outputs);
        self.next_rank = self.next_rank.max(place.rank.0 + 1);
        for level in &mut self.levels {
            level.runs.retain(|run| !run.files.is_empty());
        }
    }

    /// Whether the files of each run are sorted without overlap and the runs of each level have falling ranks.
    ///
    /// # Errors
    /// The first place where this does not hold.
    pub fn check(&self) -> Result<(), String> {
        for (level, content) in self.levels.iter().enumerate() {
            if !content.runs.is_sorted_by(|newer, older| newer.rank > older.rank) {
                return Err(format!("the runs of level {level} are not in order"));
            }
            for run in &content.runs {
                if run.files.is_empty() || !overlap::is_sorted(&run.files) {
                    return Err(format!("level {level}: run {:?} overlaps or is empty", run.rank));
                }
            }
        }
        Ok(())
    }
}
