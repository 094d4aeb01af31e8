//! Memtables: the newest writes in memory, in the order of their internal keys.
//!
//! One thread inserts at a time, inside the commit section. Any number of threads read meanwhile, and none of them waits. A
//! memtable that was sealed gets no more inserts. When the last reader lets go of it, its memory serves the next one.
//!
//! The entries lie in a tree ([`crate::entry_tree`]), and range tombstones beside it ([`crate::range_tombstones`]).

mod ranges;

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use durable::sync::atomic::AtomicU64;
use kv::Result;

use crate::entry_tree::spare::SpareMemory;
use crate::entry_tree::{EntryCursor, EntryTree, Visit};
use crate::expiring::ReadTime;
use crate::internal_key::{Kind, Trailer};
use crate::range_tombstones::{DeletedRange, Fragments};
use ranges::MemtableRanges;

/// What an entry takes besides key and value, about: the words in front of them, the padding behind them, and its share of
/// the nodes of the tree, those that were replaced included.
const OVERHEAD_BYTES: u64 = 88;

/// Entries in order, and range tombstones. See the [module](self).
#[derive(Default)]
pub(crate) struct Memtable {
    entries: Arc<EntryTree>,
    ranges: MemtableRanges,
    range_bytes: AtomicU64,
}

impl Memtable {
    /// An empty memtable, in the memory that `spare` has. It goes back there.
    pub(crate) fn in_memory_of(spare: &Arc<SpareMemory>) -> Self {
        let (ranges, range_bytes) = (MemtableRanges::default(), AtomicU64::new(0));
        Self { entries: Arc::new(EntryTree::in_memory_of(spare)), ranges, range_bytes }
    }

    /// Adds an entry. One thread at a time. No entry has the same key and trailer.
    pub(crate) fn insert(&self, user: &[u8], trailer: Trailer, value: &[u8]) {
        debug_assert!(trailer.kind().is_some(), "an entry has a kind");
        self.entries.insert(user, trailer, value);
        if !self.ranges.is_empty() {
            self.ranges.note_entry(user, trailer.sequence());
        }
    }

    /// Adds the range tombstones of batch `sequence`, before the entries of that batch. A range may be empty. One thread at
    /// a time.
    pub(crate) fn insert_ranges(&self, ranges: Vec<DeletedRange>, sequence: u64) {
        let key_bytes =
            |range: &DeletedRange| range.start.len() + range.end.as_ref().map_or(0, Vec::len);
        let bytes: u64 = ranges.iter().map(|range| entry_bytes(key_bytes(range))).sum();
        self.ranges.insert(ranges, sequence);
        self.range_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Looks up the newest version of `user` that a reader at `sequence` may see. Calls `found` with the value of a put.
    /// Returns the trailer, that of a tombstone if a range tombstone is the newest or the put has expired at `time`; `None`:
    /// there is no such version here.
    #[inline]
    pub(crate) fn get(
        &self,
        user: &[u8],
        sequence: u64,
        time: ReadTime<'_>,
        found: &mut dyn FnMut(&[u8]),
    ) -> Option<Trailer> {
        let covering =
            if self.ranges.is_empty() { None } else { self.ranges.covering(user, sequence) };
        let entry = self.get_above(covering.unwrap_or(0), (user, sequence), time, found);
        if entry.is_some() || covering.is_none() {
            return entry;
        }
        covering.map(|covering| Trailer::new(covering, Kind::Tombstone))
    }

    /// The same for the entries with numbers from `least` on.
    #[inline]
    fn get_above(
        &self,
        least: u64,
        (user, sequence): (&[u8], u64),
        time: ReadTime<'_>,
        found: &mut dyn FnMut(&[u8]),
    ) -> Option<Trailer> {
        let entry = self.entries.find(user, Trailer::seen_at(sequence))?;
        let trailer = entry.trailer();
        debug_assert!(trailer.sequence() <= sequence, "the reader may see the version");
        if trailer.sequence() < least {
            return None;
        }
        match trailer.kind() {
            Some(Kind::Put) => entry.with_value(found),
            Some(Kind::Expiring) => {
                let mut is_live = false;
                entry.with_value(&mut |stored| {
                    if let Some(value) = time.value_in(stored) {
                        is_live = true;
                        found(value);
                    }
                });
                if !is_live {
                    return Some(trailer.as_tombstone());
                }
            }
            _ => {}
        }
        Some(trailer)
    }

    /// Whether it has the version `trailer` of `user`.
    pub(crate) fn has(&self, user: &[u8], trailer: Trailer) -> bool {
        self.entries.find(user, trailer).is_some_and(|entry| entry.trailer() == trailer)
    }

    /// A walk over the entries whose internal keys lie in `bounds`.
    pub(crate) fn cursor(&self, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> EntryCursor {
        EntryCursor::new(Arc::clone(&self.entries), bounds)
    }

    /// Calls `visit` with the internal key and the value of each entry, in order, until it fails.
    ///
    /// # Errors
    /// Those of `visit`.
    pub(crate) fn for_each(&self, visit: Visit<'_>) -> Result<()> {
        self.entries.for_each(visit)
    }

    /// The memory of entries and range tombstones in bytes.
    #[inline]
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.bytes() + self.range_bytes.load(Ordering::Relaxed)
    }

    /// How many entries there are, tombstones included.
    #[inline]
    pub(crate) fn entries(&self) -> u64 {
        self.entries.len()
    }

    /// The range tombstones that batches have inserted so far. `None`: there are none.
    #[inline]
    pub(crate) fn ranges(&self) -> Option<Arc<Fragments>> {
        (!self.ranges.is_empty()).then(|| self.ranges.load())
    }

    /// Whether no batch was inserted. One that deletes nothing but empty ranges counts, too.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries() == 0 && self.range_bytes.load(Ordering::Relaxed) == 0
    }

    /// Whether a batch that deletes `added` ranges may follow, or the memtable is to be sealed because of its range
    /// tombstones. An empty one has room for all.
    #[inline]
    pub(crate) fn has_room_for_ranges(&self, added: usize) -> bool {
        self.ranges.is_empty() || self.ranges.has_room(added)
    }
}

/// How much memory an entry takes with `user_bytes` bytes of key and value, about.
#[inline]
pub(crate) fn entry_bytes(user_bytes: usize) -> u64 {
    user_bytes as u64 + OVERHEAD_BYTES
}

impl fmt::Debug for Memtable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memtable")
            .field("entries", &self.entries())
            .field("bytes", &self.bytes())
            .field("ranges", &self.ranges)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
