//! Blocks in memory that had to be copied out of their files.

use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::FixedState;
use kv::Bytes;
use quick_cache::sync::{Cache, DefaultLifecycle};

/// A cache of blocks, shared by any number of tables and threads. A block that is used again soon stays; one that a scan
/// passes by goes first (S3-FIFO).
#[derive(Debug)]
pub struct BlockCache {
    blocks: Cache<BlockKey, Bytes, ByLength, FixedState>,
    next_table: AtomicU64,
}

/// Names a block of an opened table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BlockKey {
    /// The number that the cache gave to the table when it was opened. No two openings share one, so a file that took the
    /// name of another one never gets its blocks.
    pub(crate) table: u64,
    /// Where the block is in its file.
    pub(crate) offset: u64,
}

/// A block weighs its bytes.
#[derive(Clone, Debug)]
struct ByLength;

impl quick_cache::Weighter<BlockKey, Bytes> for ByLength {
    fn weight(&self, _: &BlockKey, block: &Bytes) -> u64 {
        BLOCK_OVERHEAD + block.len() as u64
    }
}

/// What a block takes in the cache besides its bytes, about.
const BLOCK_OVERHEAD: u64 = 96;

/// The length of blocks that the cache reserves its table for.
const EXPECTED_BLOCK_BYTES: u64 = 4 << 10;

impl BlockCache {
    /// A cache for up to `capacity_bytes` of blocks.
    pub fn new(capacity_bytes: u64) -> Self {
        let blocks = Cache::with(
            (capacity_bytes / EXPECTED_BLOCK_BYTES) as usize,
            capacity_bytes,
            ByLength,
            FixedState::default(),
            DefaultLifecycle::default(),
        );
        Self { blocks, next_table: AtomicU64::new(0) }
    }

    /// How many bytes the blocks in memory take now, with the overhead of the cache.
    pub fn used_bytes(&self) -> u64 {
        self.blocks.weight()
    }

    /// A number for a table that is opened.
    pub(crate) fn number_table(&self) -> u64 {
        self.next_table.fetch_add(1, Ordering::Relaxed)
    }

    fn has_numbered(&self, table: u64) -> bool {
        table < self.next_table.load(Ordering::Relaxed)
    }

    pub(crate) fn get(&self, key: BlockKey) -> Option<Bytes> {
        debug_assert!(self.has_numbered(key.table), "the cache numbers the tables");
        self.blocks.get(&key)
    }

    pub(crate) fn insert(&self, key: BlockKey, block: Bytes) {
        debug_assert!(self.has_numbered(key.table), "the cache numbers the tables");
        self.blocks.insert(key, block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_stays_inside_its_capacity_and_keeps_openings_apart() {
        let cache = BlockCache::new(1 << 20);
        let (one, other) = (cache.number_table(), cache.number_table());
        assert_ne!(one, other);
        for offset in 0..1_000 {
            let key = BlockKey { table: one, offset };
            cache.insert(key, Bytes::from(vec![offset as u8; 4096]));
            assert!(cache.used_bytes() <= 1 << 20);
            assert_eq!(cache.get(BlockKey { table: other, offset }), None);
        }
        let kept = (0..1_000).filter_map(|offset| cache.get(BlockKey { table: one, offset }));
        assert!(kept.count() > 200);
        cache.insert(BlockKey { table: one, offset: 7 }, Bytes::from(vec![0; 2 << 20]));
        assert!(cache.used_bytes() <= 1 << 20, "a block that does not fit is not kept");
    }
}
