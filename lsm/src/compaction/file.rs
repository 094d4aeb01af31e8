//! The metadata of one file.

use std::fmt;

use super::reclaimable::Reclaimable;

/// A key, or a number that stands for it in the same order.
pub trait Key: Ord + Clone + fmt::Debug {}

impl<K: Ord + Clone + fmt::Debug> Key for K {}

/// The number of a file. Numbers are not used twice.
pub type FileId = u64;

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
    /// When it was written, on the clock of [`Tree::now`](super::Tree::now).
    pub created: u64,
    /// How much space its compaction reclaims, besides the tombstones.
    pub reclaimable: Reclaimable<K>,
}

impl<K: Key> File<K> {
    /// A file whose entries are all live. The other facts can be set afterwards.
    ///
    /// # Panics
    /// It has no entry, or its first key is above its last one.
    pub fn new(id: FileId, (smallest, largest): (K, K), entries: u64, bytes: u64) -> Self {
        let (tombstones, newest, created) = (0, 0, 0);
        let reclaimable = Reclaimable::default();
        let file = Self {
            id,
            bytes,
            smallest,
            largest,
            entries,
            tombstones,
            newest,
            created,
            reclaimable,
        };
        assert!(file.is_sound(), "file {id} has an entry, and its keys are in order");
        file
    }

    /// Whether the facts agree with each other. The file has an entry, and its first key is not above its last. Tombstones,
    /// expiring and hidden entries are some of its entries, and its range tombstones lie within its keys.
    pub fn is_sound(&self) -> bool {
        let Reclaimable { hidden, expiry, range_tombstones, .. } = &self.reclaimable;
        let expiring = expiry.as_ref().map_or(0, |expiry| expiry.entries);
        let is_inside = |smallest: &K, largest: &K| {
            self.smallest <= *smallest && smallest <= largest && *largest <= self.largest
        };
        self.smallest <= self.largest
            && self.entries > 0
            && self.tombstones.saturating_add(expiring) <= self.entries
            && *hidden < self.entries
            && range_tombstones.len() as u64 <= self.tombstones
            && expiry.is_none_or(|expiry| expiry.entries > 0 && expiry.earliest <= expiry.latest)
            && range_tombstones.iter().all(|range| is_inside(&range.smallest, &range.largest))
    }

    /// How many entries are tombstones or expired at `time`: an estimate, see [`Expiry::expired`](super::Expiry::expired).
    pub fn dead(&self, time: u64) -> u64 {
        debug_assert!(self.is_sound(), "the metadata of a file agrees");
        let expired = self.reclaimable.expiry.map_or(0, |expiry| expiry.expired(time));
        self.tombstones + expired
    }

    /// Whether every entry is a tombstone or expired at `time`. This is no estimate.
    pub fn is_dead(&self, time: u64) -> bool {
        let expiry = self.reclaimable.expiry;
        let expiring = expiry.map_or(0, |expiry| expiry.entries);
        let is_past = expiry.is_none_or(|expiry| expiry.latest <= time);
        is_past && self.tombstones + expiring == self.entries
    }
}
