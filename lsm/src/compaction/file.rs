//! The metadata of one file.

use std::fmt;

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
    /// When it was written, on the clock of [`Tree::now`].
    pub created: u64,
}

impl<K: Key> File<K> {
    /// Whether the facts agree with each other: the file has an entry, a first key that is not above the last, and no more
    /// tombstones than entries.
    pub fn is_sound(&self) -> bool {
        self.smallest <= self.largest && self.entries > 0 && self.tombstones <= self.entries
    }
}
