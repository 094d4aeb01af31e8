//! Facts about a file that tell how much space its compaction reclaims.

use serde::Serialize;

/// A block of a file is dense from so many tombstones on, or if they have at least half of its bytes.
const DENSE_BLOCK_TOMBSTONES: u64 = 100;

/// Whether a block with so many tombstones counts to [`Reclaimable::dense_bytes`].
///
/// A cursor has to pass the tombstones of a block one by one. So a run of them costs time even in a file with few of them.
///
/// ```
/// use lsm::compaction::is_dense_block;
/// assert!(is_dense_block(3, 60, 100) && is_dense_block(100, 900, 4_000));
/// assert!(!is_dense_block(99, 900, 4_000) && !is_dense_block(0, 0, 0));
/// ```
pub fn is_dense_block(tombstones: u64, tombstone_bytes: u64, block_bytes: u64) -> bool {
    debug_assert!(tombstone_bytes <= block_bytes, "tombstones are a part of their block");
    let has_half = tombstones > 0 && tombstone_bytes.saturating_mul(2) >= block_bytes;
    tombstones >= DENSE_BLOCK_TOMBSTONES || has_half
}

/// A range tombstone, or the part of it that lies in one file.
///
/// A file is as wide as its range tombstones, and a wide file is compacted with all that it overlaps. So a flush should end
/// files where range tombstones begin and end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeTombstone<K> {
    /// The first key that it deletes.
    pub smallest: K,
    /// The last key that it deletes, inclusive. If the range ends before a key, `K` has to express the place before that key.
    pub largest: K,
    /// Its sequence number. It deletes the entries with lower ones.
    pub sequence: u64,
}

impl<K: Ord> RangeTombstone<K> {
    /// Whether it deletes every key in `smallest..=largest`.
    pub fn contains(&self, smallest: &K, largest: &K) -> bool {
        debug_assert!(self.smallest <= self.largest, "a range has a first and a last key");
        self.smallest <= *smallest && *largest <= self.largest
    }
}

/// The entries of a file that expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Expiry {
    /// How many entries expire; tombstones do not count.
    pub entries: u64,
    /// The moment at which the first of them expires, on the clock of [`Tree::now`](super::Tree::now).
    pub earliest: u64,
    /// The moment at which the last of them expires.
    pub latest: u64,
}

impl Expiry {
    /// How many entries are expired at `time`: none before `earliest`, all from `latest` on. Between the two it is an
    /// estimate that grows evenly, and at least 1.
    pub fn expired(&self, time: u64) -> u64 {
        debug_assert!(self.earliest <= self.latest, "a time span has a first and a last moment");
        if time < self.earliest {
            return 0;
        }
        if time >= self.latest {
            return self.entries;
        }
        let passed = u128::from(time - self.earliest);
        let span = u128::from(self.latest - self.earliest);
        let share = u128::from(self.entries) * passed / span;
        debug_assert!(share <= u128::from(self.entries), "a part of the entries");
        (share as u64).max(1)
    }
}

/// The facts from which compactions that reclaim space are chosen. By default a file has nothing to reclaim but its tombstones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reclaimable<K> {
    /// The bytes of blocks with many tombstones: see [`is_dense_block`].
    pub dense_bytes: u64,
    /// Entries that a newer entry of their key in the same file hides. Snapshots needed them when the file was written.
    pub hidden: u64,
    /// The entries that expire; `None` if all of them stay.
    pub expiry: Option<Expiry>,
    /// The range tombstones, within the first and the last key of the file. They count as tombstones and as entries, too.
    pub range_tombstones: Vec<RangeTombstone<K>>,
}

impl<K> Default for Reclaimable<K> {
    fn default() -> Self {
        Self { dense_bytes: 0, hidden: 0, expiry: None, range_tombstones: Vec::new() }
    }
}
