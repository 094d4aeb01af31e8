//! Building the index: blocks that say which data block has which keys, and one block above them.
//!
//! An index block leads to data blocks. Each of them has a *separator*. It is not greater than any key of that data block, and
//! greater than every key of the data blocks before. The one block above leads to the index blocks, with the separator of the
//! first data block of each.
//!
//! The finished index blocks wait in memory until all data is written: about 12 bytes for each data block.

use crate::handle::BlockHandle;
use crate::index_block::IndexBlockBuilder;
use crate::key_layout::KeyLayout;

/// Collects the handles of data blocks.
#[derive(Debug)]
pub(crate) struct IndexBuilder {
    block_bytes: usize,
    current: IndexBlockBuilder,
    /// The first separator of the current block.
    first: Vec<u8>,
    finished: Vec<FinishedIndexBlock>,
}

/// A finished index block.
#[derive(Debug)]
pub(crate) struct FinishedIndexBlock {
    /// Its first separator.
    pub(crate) separator: Vec<u8>,
    pub(crate) block: Vec<u8>,
}

impl IndexBuilder {
    pub(crate) fn new(layout: KeyLayout, block_bytes: usize) -> Self {
        Self {
            block_bytes,
            current: IndexBlockBuilder::new(layout),
            first: Vec::new(),
            finished: Vec::new(),
        }
    }

    /// Adds the next data block, whose first key `separator` tells from all keys before. It lies behind the one before.
    pub(crate) fn add(&mut self, separator: &[u8], handle: BlockHandle) {
        debug_assert!(handle.len > 0, "a stored block has bytes");
        let is_full = self.current.estimated_len_with(separator.len()) > self.block_bytes;
        if !self.current.is_empty() && (is_full || !self.current.reaches(handle)) {
            self.finish_block();
        }
        if self.current.is_empty() {
            self.first.clear();
            self.first.extend_from_slice(separator);
        }
        self.current.add(separator, handle);
    }

    fn finish_block(&mut self) {
        assert!(!self.current.is_empty(), "an index block leads to a data block");
        let mut block = Vec::new();
        self.current.finish(&mut block);
        self.finished.push(FinishedIndexBlock { separator: self.first.clone(), block });
    }

    /// All index blocks, in order.
    pub(crate) fn finish(mut self) -> Vec<FinishedIndexBlock> {
        if !self.current.is_empty() {
            self.finish_block();
        }
        debug_assert!(self.finished.iter().all(|index| !index.block.is_empty()));
        self.finished
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index_block::IndexBlock;

    #[test]
    fn a_separator_longer_than_an_index_block_has_one_of_its_own() {
        let mut builder = IndexBuilder::new(KeyLayout::PLAIN, 64);
        for at in 0..3_u8 {
            let handle = BlockHandle { offset: u64::from(at) * 105, len: 100 };
            builder.add(&[at; 100], handle);
        }
        assert_eq!(builder.finish().len(), 3);
    }

    #[test]
    fn an_index_block_ends_when_it_is_full_or_the_next_data_block_is_out_of_reach() {
        for (len, expected) in [(100, [12_u8, 8]), (1 << 29, [7, 7])] {
            let mut builder = IndexBuilder::new(KeyLayout::PLAIN, 16 + 12 * 9);
            let mut offset = 0;
            for separator in 0..expected.iter().sum::<u8>() {
                builder.add(&[separator], BlockHandle { offset, len });
                offset += u64::from(len) + 5;
            }
            let mut next = 0;
            for (finished, expected) in builder.finish().iter().zip(expected) {
                let block = IndexBlock::parse(&finished.block, 0).unwrap();
                assert_eq!(
                    (block.count(), &finished.separator[..]),
                    (expected.into(), &[next][..])
                );
                next += expected;
            }
            assert_eq!(next, expected.iter().sum::<u8>());
        }
    }
}
