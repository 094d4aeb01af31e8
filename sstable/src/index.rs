//! Index blocks of an opened table.

use kv::Result;

use crate::block_source::BlockSource;
use crate::damage::{Checked, Damage};
use crate::handle::BlockHandle;
use crate::index_block::{IndexBlock, IndexBlockLayout};
use crate::key_layout::SplitKey;
use crate::raw_file::RawBytes;

/// An index block in memory or in the mapping, ready to be searched again and again.
#[derive(Clone, Debug)]
pub(crate) struct LoadedIndexBlock {
    found: RawBytes,
    layout: IndexBlockLayout,
    /// Where the block is in the file.
    offset: u64,
}

/// The block that a search in an index block leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) index: usize,
    pub(crate) handle: BlockHandle,
}

impl LoadedIndexBlock {
    /// Reads the index block at `handle`.
    pub(crate) fn read(
        source: &BlockSource,
        handle: BlockHandle,
        suffix_len: usize,
    ) -> Result<Self> {
        let found = source.read(handle)?;
        let layout = IndexBlockLayout::parse(source.bytes(&found), suffix_len);
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
        key: &SplitKey<'_>,
    ) -> Result<Option<IndexEntry>> {
        let floor = floor(&self.block(source), key);
        floor.map_err(|damage| self.corruption(source, damage))
    }

    /// Where block `index` is that this one leads to.
    pub(crate) fn handle(&self, source: &BlockSource, index: usize) -> Result<BlockHandle> {
        assert!(index < self.count(), "a block that this one leads to");
        let handle = self.block(source).handle(index);
        handle.map_err(|damage| self.corruption(source, damage))
    }

    /// Separator `index`.
    pub(crate) fn separator(&self, source: &BlockSource, index: usize) -> Result<Vec<u8>> {
        assert!(index < self.count(), "a separator of the block");
        let mut separator = Vec::new();
        let found = self.block(source).separator(index, &mut separator);
        found.map_err(|damage| self.corruption(source, damage))?;
        Ok(separator)
    }

    /// Checks the fences, which a search believes.
    pub(crate) fn check_fences(&self, source: &BlockSource) -> Result<()> {
        if self.block(source).has_right_fences() {
            return Ok(());
        }
        Err(self.corruption(source, Damage::new(0, "a fence that is not the head behind it")))
    }

    /// Where the block is in the file.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    #[inline]
    fn block<'b>(&'b self, source: &'b BlockSource) -> IndexBlock<'b> {
        self.layout.block(source.bytes(&self.found))
    }

    #[cold]
    fn corruption(&self, source: &BlockSource, damage: Damage) -> kv::Error {
        source.corruption(self.offset, damage)
    }
}

/// The last entry of `block` whose separator is not greater than `key`.
#[inline]
pub(crate) fn floor(block: &IndexBlock<'_>, key: &SplitKey<'_>) -> Checked<Option<IndexEntry>> {
    let Some(index) = block.floor(key)? else { return Ok(None) };
    let handle = block.handle(index)?;
    Ok(Some(IndexEntry { index, handle }))
}
