//! Which keys a data file holds puts of: a Bloom filter in blocks of one cache line (Putze, Sanders, Singler: Cache-,
//! Hash- and Space-Efficient Bloom Filters, 2007), part of the hint file.
//!
//! A merge asks the filters of the other files before it drops a tombstone: an older put of the key in such a file would
//! come back. So the filter covers **every put that is physically in the file, live or dead**, because it is a dead put that
//! would come back. Tombstones are not in it: an older tombstone cannot bring anything back.
//!
//! With [`BITS_PER_KEY`] bits for each put, about one foreign key in a hundred is taken for one that is there; then a
//! tombstone is kept for one more merge.

use durable::crc32;

/// Bits of the filter for each put.
const BITS_PER_KEY: usize = 10;

/// Bytes of a block. A key sets bits in one block only.
pub(crate) const BLOCK: usize = 64;

/// How many bits a key sets; nine bits of a hash choose each.
const PROBES: u32 = 7;

const _: () = assert!(PROBES * 9 <= u64::BITS && BLOCK * 8 == 1 << 9, "one hash chooses all bits");

/// Collects the keys of a filter.
#[derive(Debug, Default)]
pub(crate) struct FilterBuilder {
    hashes: Vec<u32>,
}

impl FilterBuilder {
    pub(crate) fn add(&mut self, key: &[u8]) {
        self.hashes.push(crc32(key));
    }

    /// The blocks of the filter; none where there are no keys.
    pub(crate) fn finish(&self) -> Vec<u8> {
        let mut blocks = vec![0; (self.hashes.len() * BITS_PER_KEY).div_ceil(BLOCK * 8) * BLOCK];
        for &hash in &self.hashes {
            let block = block_of(hash, blocks.len() / BLOCK) * BLOCK;
            for bit in bits_of(hash) {
                blocks[block + bit / 8] |= 1 << (bit % 8);
            }
        }
        debug_assert!(blocks.len().is_multiple_of(BLOCK), "a filter has whole blocks");
        debug_assert_eq!(blocks.is_empty(), self.hashes.is_empty(), "keys have a block");
        blocks
    }
}

/// Whether `key` may be among those that the filter `blocks` was made from; never wrong about one that is.
pub(crate) fn may_contain(blocks: &[u8], key: &[u8]) -> bool {
    if blocks.len() < BLOCK {
        return false;
    }
    debug_assert!(blocks.len().is_multiple_of(BLOCK), "a filter has whole blocks");
    let hash = crc32(key);
    let block = block_of(hash, blocks.len() / BLOCK) * BLOCK;
    bits_of(hash).all(|bit| blocks[block + bit / 8] >> (bit % 8) & 1 == 1)
}

/// The hash is a checksum, whose bits depend on each other; multiplying by an odd number spreads them.
fn spread(hash: u32, by: u64) -> u64 {
    let product = (u64::from(hash) + 1).wrapping_mul(by);
    product ^ (product >> 32)
}

fn block_of(hash: u32, blocks: usize) -> usize {
    let spread = spread(hash, 0x9e37_79b9_7f4a_7c15) & 0xffff_ffff;
    let block = ((spread * blocks as u64) >> 32) as usize;
    debug_assert!(block < blocks, "a key has a block");
    block
}

fn bits_of(hash: u32) -> impl Iterator<Item = usize> {
    let spread = spread(hash, 0xd6e8_feb8_6659_fd93);
    (0..PROBES).map(move |probe| (spread >> (9 * probe)) as usize % (BLOCK * 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_was_added_is_found_and_few_others_are() {
        for keys in [1_u32, 10, 1_000, 100_000] {
            let mut builder = FilterBuilder::default();
            (0..keys).for_each(|key| builder.add(&key.to_be_bytes()));
            let filter = builder.finish();
            assert!((0..keys).all(|key| may_contain(&filter, &key.to_be_bytes())));
            let foreign =
                (keys..keys + 100_000).filter(|key| may_contain(&filter, &key.to_be_bytes()));
            assert!(foreign.count() < 2_000, "of {keys} keys");
        }
    }

    #[test]
    fn a_filter_without_keys_contains_nothing() {
        assert!(FilterBuilder::default().finish().is_empty());
        assert!(!may_contain(&[], b"key"));
    }
}
