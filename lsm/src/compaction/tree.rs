//! The tree as strategies see it: levels of sorted runs of files, as metadata.

use super::file::{File, Key};
use super::overlap;
use super::run::{Level, Place, Rank, Run};

/// All levels of a store.
#[derive(Clone, Debug)]
pub struct Tree<K> {
    levels: Vec<Level<K>>,
    next_rank: u64,
    now: u64,
    horizon: u64,
    expiry_horizon: u64,
}

impl<K: Key> Tree<K> {
    /// An empty tree with so many levels.
    ///
    /// # Panics
    /// There are fewer than two levels.
    pub fn new(levels: usize) -> Self {
        assert!(levels >= 2, "a tree has level 0 and a last level");
        let levels = (0..levels).map(|_| Level::new()).collect();
        Self { levels, next_rank: 1, now: 0, horizon: u64::MAX, expiry_horizon: 0 }
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

    /// The moment up to which entries have expired for every reader: the least time that a snapshot has fixed, or now.
    pub fn expiry_horizon(&self) -> u64 {
        self.expiry_horizon
    }

    /// Sets the moment up to which entries have expired for every reader; a new tree has 0.
    pub fn set_expiry_horizon(&mut self, time: u64) {
        self.expiry_horizon = time;
    }

    /// A rank above all ranks that were given out.
    pub fn next_rank(&self) -> Rank {
        Rank(self.next_rank)
    }

    /// All runs with their places, the newest first.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = (Place, &Run<K>)> {
        self.levels.iter().enumerate().flat_map(|(level, content)| {
            content.runs().iter().map(move |run| (Place { level, rank: run.rank() }, run))
        })
    }

    /// The run at `place`.
    pub fn run(&self, place: Place) -> Option<&Run<K>> {
        debug_assert!(place.level < self.levels.len(), "the tree has this level");
        self.levels[place.level].run(place.rank)
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
        self.load(0, files)
    }

    /// Adds a run that is newer than all others of its level.
    ///
    /// The caller guarantees that no older entry of the same keys lies above the level: a flush, or data that are loaded
    /// into an empty store.
    ///
    /// # Panics
    /// There is no file, or files overlap.
    pub fn load(&mut self, level: usize, files: Vec<File<K>>) -> Place {
        assert!(!files.is_empty() && overlap::is_sorted(&files), "the files make one run");
        let place = Place { level, rank: self.next_rank() };
        debug_assert!(self.run(place).is_none(), "a rank is given out once");
        self.next_rank += 1;
        self.levels[level].run_mut(place.rank).insert(files);
        place
    }

    /// Adds files at their place when a tree is built again from a manifest, in any order.
    ///
    /// # Errors
    /// The tree has no such level, facts about a file contradict each other, or the file overlaps another one of its run.
    pub fn restore(&mut self, place: Place, file: File<K>) -> Result<(), String> {
        let (id, last) = (file.id, self.last_level());
        if place.level > last || place.rank.0 == u64::MAX {
            return Err(format!("file {id} is at {place:?}; the last level is {last}"));
        }
        if !file.is_sound() {
            return Err(format!("the facts about file {id} contradict each other"));
        }
        if let Some(run) = self.run(place) {
            let overlapped = &run.files()[run.overlapping(&file.smallest, &file.largest)];
            if let Some(other) = overlapped.first() {
                return Err(format!("files {id} and {} of {place:?} overlap", other.id));
            }
        }
        self.levels[place.level].run_mut(place.rank).insert(vec![file]);
        self.next_rank = self.next_rank.max(place.rank.0 + 1);
        Ok(())
    }

    /// Has the next rank be at least `rank`: compactions in flight may have the ranks below it, which no file shows.
    pub fn raise_next_rank(&mut self, rank: Rank) {
        self.next_rank = self.next_rank.max(rank.0);
    }

    /// Replaces `inputs`, files with their places, by `outputs` at `place`.
    ///
    /// # Panics
    /// An input is not where it should be.
    pub(super) fn replace<'i>(
        &mut self,
        inputs: impl Iterator<Item = (Place, &'i [File<K>])>,
        place: Place,
        outputs: Vec<File<K>>,
    ) where
        K: 'i,
    {
        debug_assert!(overlap::is_sorted(&outputs), "outputs do not overlap");
        for (from, files) in inputs {
            assert!(from <= place, "entries only move to older places");
            self.levels[from.level].run_mut(from.rank).remove(files);
        }
        self.levels[place.level].run_mut(place.rank).insert(outputs);
        self.next_rank = self.next_rank.max(place.rank.0 + 1);
        for level in &mut self.levels {
            level.remove_empty();
        }
        debug_assert!(self.next_rank > place.rank.0, "the next run is newer than all of them");
    }

    /// Whether the files of each run are sorted without overlap and the runs of each level have falling ranks.
    ///
    /// # Errors
    /// The first place where this does not hold.
    pub fn check(&self) -> Result<(), String> {
        for (level, content) in self.levels.iter().enumerate() {
            if !content.is_in_order() {
                return Err(format!("the runs of level {level} are not in order"));
            }
            for run in content.runs() {
                if run.files().is_empty() || !overlap::is_sorted(run.files()) {
                    return Err(format!(
                        "level {level}: run {:?} overlaps or is empty",
                        run.rank()
                    ));
                }
            }
        }
        Ok(())
    }
}
