//! Searching the blocks of the index.

use kv::Result;

use crate::block::{Block, BlockLayout};
use crate::block_source::BlockSource;
use crate::damage::{Checked, Damage};
use crate::handle::BlockHandle;
use crate::key_layout::SplitKey;
use crate::raw_file::RawBytes;

/// An index block in memory or in the mapping, ready to be searched again and again.
#[derive(Clone, Debug)]
pub(crate) struct IndexBlock {
    found: RawBytes,
    layout: BlockLayout,
    /// Where the block is in the file.
    offset: u64,
}

/// The entry of an index block that a search leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexEntry {
    pub(crate) index: usize,
    pub(crate) handle: BlockHandle,
}

impl IndexBlock {
    /// Reads the index block at `handle`.
    pub(crate) fn read(
        source: &BlockSource,
        handle: BlockHandle,
        suffix_len: usize,
    ) -> Result<Self> {
        let found = source.read(handle)?;
        let layout = BlockLayout::parse(source.bytes(&found), suffix_len);
        let layout = layout.map_err(|damage| source.corruption(handle.offset, damage))?;
        Ok(Self { found, layout, offset: handle.offset })
    }

    pub(crate) fn count(&self) -> usize {
        self.layout.count()
    }

    /// The last entry whose separator is not greater than `key`. `None`: there is none.
    pub(crate) fn floor(
        &self,
        source: &BlockSource,
        key: SplitKey<'_>,
    ) -> Result<Option<IndexEntry>> {
        let bytes = source.bytes(&self.found);
        let floor = floor(&self.layout.block(bytes), bytes, key);
        floor.map_err(|damage| source.corruption(self.offset, damage))
    }

    /// Entry `index`, which the block has.
    pub(crate) fn entry(&self, source: &BlockSource, index: usize) -> Result<IndexEntry> {
        assert!(index < self.count(), "an entry of the block");
        let bytes = source.bytes(&self.found);
        let entry = entry(&self.layout.block(bytes), bytes, index);
        entry.map_err(|damage| source.corruption(self.offset, damage))
    }

    /// The block, for a walk over its separators.
    pub(crate) fn block<'b>(&'b self, source: &'b BlockSource) -> (Block<'b>, u64) {
        (self.layout.block(source.bytes(&self.found)), self.offset)
    }
}

/// The last entry of `block` whose separator is not greater than `key`.
#[inline]
pub(crate) fn floor(
    block: &Block<'_>,
    bytes: &[u8],
    key: SplitKey<'_>,
) -> Checked<Option<IndexEntry>> {
    let found = block.search(key)?;
    let index = if found.is_equal { Some(found.index) } else { found.index.checked_sub(1) };
    debug_assert!(index.is_none_or(|index| index < block.count()), "an entry of the block");
    index.map(|index| entry(block, bytes, index)).transpose()
}

#[inline]
fn entry(block: &Block<'_>, bytes: &[u8], index: usize) -> Checked<IndexEntry> {
    let value = block.value_of(index)?;
    let handle = BlockHandle::decode(&bytes[value.clone()]);
    let handle = handle.ok_or(Damage::new(value.start, "a handle of another length"))?;
    Ok(IndexEntry { index, handle })
}
