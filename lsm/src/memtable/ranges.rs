//! The range tombstones of a memtable.
//!
//! They are one immutable value, which is replaced as a whole, so readers never wait. Each batch that deletes ranges copies a
//! list of references. [`MOST_NUMBERS`] bounds the list, about: a memtable with so many is sealed.
//!
//! A range can be cut by each range of a later batch, and each piece has the numbers of the whole. So many ranges in one batch
//! on top of many that overlap would take memory as the product of the two. They go into a memtable of their own.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use durable::sync::Published;
use durable::sync::atomic::AtomicBool;

use crate::range_tombstones::{DeletedRange, Fragments};

/// A memtable whose fragments have so many numbers together is full.
const MOST_NUMBERS: usize = 1 << 13;

/// The range tombstones of one memtable.
pub(super) struct MemtableRanges {
    fragments: Published<Fragments>,
    /// Whether there is one. Before the batch with the first one becomes visible, this says so.
    is_some: AtomicBool,
}

impl MemtableRanges {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        !self.is_some.load(Ordering::Acquire)
    }

    /// Whether the fragments have few enough numbers, and `added` ranges that cut them copy few enough.
    pub(super) fn has_room(&self, added: usize) -> bool {
        let fragments = self.fragments.load();
        let depth = || if added == 0 { 0 } else { fragments.depth() };
        // Each end of a range cuts one fragment at most.
        let copied = added.saturating_mul(2).saturating_mul(depth());
        fragments.numbers().max(copied) < MOST_NUMBERS
    }

    /// Adds those of batch `sequence`. One thread at a time.
    pub(super) fn insert(&self, ranges: Vec<DeletedRange>, sequence: u64) {
        let added = Fragments::of(ranges, sequence);
        if added.is_empty() {
            return;
        }
        self.fragments.store(Arc::new(self.fragments.load().union(&added)));
        self.is_some.store(true, Ordering::Release);
    }

    /// Notes that an entry is inserted. By the thread that inserts range tombstones.
    #[cold]
    pub(super) fn note_entry(&self, user: &[u8], sequence: u64) {
        if let Some(fragment) = self.fragments.load().at(user) {
            fragment.note_entry(sequence);
        }
    }

    /// The newest range tombstone that covers `user` and that a reader at `sequence` sees.
    #[cold]
    pub(super) fn covering(&self, user: &[u8], sequence: u64) -> Option<u64> {
        self.fragments.load().covering(user, sequence)
    }

    pub(super) fn load(&self) -> Arc<Fragments> {
        self.fragments.load_full()
    }
}

impl Default for MemtableRanges {
    fn default() -> Self {
        Self { fragments: Published::new(Arc::default()), is_some: AtomicBool::new(false) }
    }
}

impl fmt::Debug for MemtableRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemtableRanges")
            .field("count", &self.fragments.load().len())
            .finish_non_exhaustive()
    }
}
