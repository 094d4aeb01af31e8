//! A range of keys that the same range tombstones cover.

use std::sync::atomic::Ordering;

use durable::sync::atomic::AtomicU64;

use super::deleted_range::DeletedRange;
use crate::internal_key::SEQUENCE_LIMIT;

/// One fragment. See the [module above](super).
#[derive(Debug)]
pub(crate) struct Fragment {
    pub(crate) range: DeletedRange,
    /// The numbers of the range tombstones, the newest first. At least one.
    numbers: Vec<u64>,
    /// No entry beside the fragment, in the same memtable or table, has a higher number. 0: there is none.
    newest_entry: AtomicU64,
}

impl Fragment {
    /// A fragment of range tombstones with `numbers`, the newest first.
    ///
    /// # Panics
    /// When the range is empty or the numbers are not in order.
    pub(crate) fn new(range: DeletedRange, numbers: Vec<u64>, newest_entry: u64) -> Self {
        let fragment = Self { range, numbers, newest_entry: AtomicU64::new(newest_entry) };
        assert!(fragment.is_sound(), "a fragment has keys, and numbers in order");
        fragment
    }

    /// Whether it has keys, and numbers of batches in order.
    fn is_sound(&self) -> bool {
        let is_number = |number: &u64| (1..SEQUENCE_LIMIT).contains(number);
        !self.range.is_empty()
            && !self.numbers.is_empty()
            && self.numbers.iter().all(is_number)
            && self.numbers.is_sorted_by(|newer, older| newer > older)
    }

    /// The same for those of its keys that lie in `range`. `None`: there are none.
    pub(crate) fn clipped(&self, range: &DeletedRange) -> Option<Self> {
        let start = (&self.range.start).max(&range.start).clone();
        let end = self.range.last().min(range.last());
        let end = match end {
            crate::boundary::Boundary::Finite { key, .. } => Some(key.to_vec()),
            crate::boundary::Boundary::End => None,
        };
        let range = DeletedRange { start, end };
        (!range.is_empty()).then(|| Self::new(range, self.numbers.clone(), self.newest_entry()))
    }

    /// The numbers of the range tombstones, the newest first.
    pub(crate) fn numbers(&self) -> &[u64] {
        &self.numbers
    }

    /// The newest range tombstone that a reader at `sequence` sees.
    pub(crate) fn newest_up_to(&self, sequence: u64) -> Option<u64> {
        let newer = self.numbers.partition_point(|number| *number > sequence);
        self.numbers.get(newer).copied()
    }

    /// The oldest range tombstone that covers an entry with the number `sequence`.
    pub(crate) fn oldest_above(&self, sequence: u64) -> Option<u64> {
        let newer = self.numbers.partition_point(|number| *number > sequence);
        newer.checked_sub(1).map(|oldest| self.numbers[oldest])
    }

    /// The highest number that an entry beside it has, or a higher one. 0: there is none.
    pub(crate) fn newest_entry(&self) -> u64 {
        self.newest_entry.load(Ordering::Relaxed)
    }

    /// An entry with this number is put beside it.
    pub(crate) fn note_entry(&self, sequence: u64) {
        debug_assert!(sequence > 0, "a number of a batch");
        self.newest_entry.fetch_max(sequence, Ordering::Relaxed);
    }
}

impl PartialEq for Fragment {
    fn eq(&self, other: &Self) -> bool {
        let parts = |fragment: &Self| fragment.newest_entry();
        (&self.range, &self.numbers, parts(self)) == (&other.range, &other.numbers, parts(other))
    }
}
