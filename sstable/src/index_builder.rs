//! Building the index: blocks that say which data block has which keys, and one block above them.
//!
//! An entry of an index block stands for a data block. Its key is a *separator*: it is not greater than any key of that
//! data block, and greater than every key of the data blocks before. Its value is the handle of the data block. The one
//! block above has an entry for each index block, with the separator of its first entry.
//!
//! The finished index blocks wait in memory until all data is written: about 20 bytes for each data block.

use crate::block::{BlockBuilder, Restarts};
use crate::handle::BlockHandle;
use crate::key_layout::KeyLayout;

/// Collects the handles of data blocks.
#[derive(Debug)]
pub(crate) struct IndexBuilder {
    block_bytes: usize,
    current: BlockBuilder,
    /// The separator of the first entry of the current block.
    first: Vec<u8>,
    finished: Vec<IndexBlock>,
}

/// A finished index block.
#[derive(Debug)]
pub(crate) struct IndexBlock {
    /// The separator of its first entry.
    pub(crate) separator: Vec<u8>,
    pub(crate) block: Vec<u8>,
}

impl IndexBuilder {
    pub(crate) fn new(layout: KeyLayout, block_bytes: usize) -> Self {
        Self {
            block_bytes,
            current: BlockBuilder::new(layout, Restarts::Every(1)),
            first: Vec::new(),
            finished: Vec::new(),
        }
    }

    /// Adds the next data block, whose first key `separator` tells from all keys before.
    pub(crate) fn add(&mut self, separator: &[u8], handle: BlockHandle) {
        debug_assert!(handle.len > 0, "a stored block has bytes");
        let added = self.current.estimated_len() + separator.len() + BlockHandle::LEN;
        if !self.current.is_empty() && added > self.block_bytes {
            self.finish_block();
        }
        if self.current.is_empty() {
            self.first.clear();
            self.first.extend_from_slice(separator);
        }
        self.current.add(separator, &handle.encode());
    }

    fn finish_block(&mut self) {
        assert!(!self.current.is_empty(), "an index block has entries");
        let mut block = Vec::new();
        self.current.finish(&mut block);
        self.finished.push(IndexBlock { separator: self.first.clone(), block });
    }

    /// All index blocks, in order.
    pub(crate) fn finish(mut self) -> Vec<IndexBlock> {
        if !self.current.is_empty() {
            self.finish_block();
        }
        debug_assert!(self.finished.iter().all(|index| !index.block.is_empty()));
        self.finished
    }
}
