//! Memtables: the newest writes in memory, in the order of their internal keys.
//!
//! One thread inserts at a time, inside the commit section. Any number of threads read meanwhile, and none of them waits. A
//! memtable that was sealed gets no more inserts. All memory is freed at once, when the last reader lets go of the memtable.
//!
//! Range tombstones lie beside the entries ([`crate::range_tombstones`]).
//!
//! The map is a skip list of `crossbeam-skiplist`. No other module knows that.

mod cursor;
mod entry;
mod ranges;

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_skiplist::SkipMap;
use durable::sync::atomic::AtomicU64;
use kv::Result;

use crate::internal_key::{self, Kind, Trailer};
use crate::range_tombstones::{DeletedRange, Fragments};
pub(crate) use cursor::MemtableCursor;
use entry::{AsParts, Entry, Probe};
use ranges::MemtableRanges;

/// What a node of the map takes besides key and value, about: its tower, the header of its bytes and their allocation.
const NODE_BYTES: u64 = 112;

/// Called with an internal key and its value.
pub(crate) type Visit<'v> = &'v mut dyn FnMut(&[u8], &[u8]) -> Result<()>;

/// Entries in order, and range tombstones. See the [module](self).
#[derive(Default)]
pub(crate) struct Memtable {
    map: SkipMap<Entry, ()>,
    bytes: AtomicU64,
    entries: AtomicU64,
    ranges: MemtableRanges,
}

impl Memtable {
    /// Adds an entry. One thread at a time. No entry has the same key and trailer.
    pub(crate) fn insert(&self, user: &[u8], trailer: Trailer, value: &[u8]) {
        debug_assert!(trailer.kind().is_some(), "an entry has a kind");
        let before = self.map.len();
        drop(self.map.insert(Entry::new(user, trailer, value), ()));
        debug_assert_eq!(self.map.len(), before + 1, "a batch names each key once");
        if !self.ranges.is_empty() {
            self.ranges.note_entry(user, trailer.sequence());
        }
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(entry_bytes(user.len() + value.len()), Ordering::Relaxed);
    }

    /// Adds the range tombstones of batch `sequence`, before the entries of that batch. A range may be empty. One thread at
    /// a time.
    pub(crate) fn insert_ranges(&self, ranges: Vec<DeletedRange>, sequence: u64) {
        let key_bytes =
            |range: &DeletedRange| range.start.len() + range.end.as_ref().map_or(0, Vec::len);
        let bytes: u64 = ranges.iter().map(|range| entry_bytes(key_bytes(range))).sum();
        self.ranges.insert(ranges, sequence);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Looks up the newest version of `user` that a reader at `sequence` may see. Calls `found` with the value of a put.
    /// Returns the trailer, that of a tombstone if a range tombstone is the newest; `None`: there is no such version here.
    #[inline]
    pub(crate) fn get(
        &self,
        user: &[u8],
        sequence: u64,
        found: &mut dyn FnMut(&[u8]),
    ) -> Option<Trailer> {
        if self.ranges.is_empty() {
            return self.get_above(0, user, sequence, found);
        }
        let covering = self.ranges.covering(user, sequence);
        let entry = self.get_above(covering.unwrap_or(0), user, sequence, found);
        entry.or(covering.map(|covering| Trailer::new(covering, Kind::Tombstone)))
    }

    /// The same for the entries with numbers from `least` on.
    #[inline]
    fn get_above(
        &self,
        least: u64,
        user: &[u8],
        sequence: u64,
        found: &mut dyn FnMut(&[u8]),
    ) -> Option<Trailer> {
        let probe = Probe { user, trailer: Trailer::seen_at(sequence) };
        let node = self.map.lower_bound(Bound::Included(&probe as &dyn AsParts))?;
        let entry = node.key();
        if entry.user() != user || entry.trailer().sequence() < least {
            return None;
        }
        debug_assert!(entry.trailer().sequence() <= sequence, "the reader may see the version");
        if entry.trailer().kind() == Some(Kind::Put) {
            found(entry.value());
        }
        Some(entry.trailer())
    }

    /// Calls `visit` with the internal key and the value of each entry, in order, until it fails.
    ///
    /// # Errors
    /// Those of `visit`.
    pub(crate) fn for_each(&self, visit: Visit<'_>) -> Result<()> {
        let mut key = Vec::new();
        self.map.iter().try_for_each(|node| {
            let entry = node.key();
            internal_key::encode(entry.user(), entry.trailer(), &mut key);
            visit(&key, entry.value())
        })
    }

    /// The memory of the entries in bytes, about.
    #[inline]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many entries there are, tombstones included.
    pub(crate) fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// The range tombstones that batches have inserted so far. `None`: there are none.
    #[inline]
    pub(crate) fn ranges(&self) -> Option<Arc<Fragments>> {
        (!self.ranges.is_empty()).then(|| self.ranges.load())
    }

    /// Whether no batch was inserted. One that deletes nothing but empty ranges counts, too.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes() == 0
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
    user_bytes as u64 + NODE_BYTES
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
