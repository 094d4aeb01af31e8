//! A walk over the entries of a table that lie in bounds.

use std::ops::Range;
use std::sync::Arc;

use kv::Result;

use crate::block::{Block, BlockCursor, BlockLayout};
use crate::block_walk::BlockWalk;
use crate::bounds::Bounds;
use crate::damage::Checked;
use crate::handle::BlockHandle;
use crate::key_layout::SplitKey;
use crate::raw_file::RawBytes;
use crate::readahead::Readahead;
use crate::stored_block::TRAILER_LEN;
use crate::table::Table;

/// The entries that a walk may show.
#[derive(Debug)]
pub(crate) struct TableRange {
    pub(crate) table: Arc<Table>,
    pub(crate) bounds: Bounds,
}

/// Stands on an entry of a table, or nowhere. Each move gets the same range, and returns whether it has found an entry.
#[derive(Debug, Default)]
pub(crate) struct EntryWalk {
    blocks: BlockWalk,
    /// The data block under the walk.
    data: Option<DataBlock>,
    entry: BlockCursor,
    readahead: Readahead,
}

/// A data block that a walk is in.
#[derive(Debug)]
struct DataBlock {
    found: RawBytes,
    layout: BlockLayout,
    /// Where it is in the file.
    offset: u64,
    /// Its entries that lie in the bounds.
    allowed: Range<usize>,
}

impl EntryWalk {
    /// Moves to the first entry in the bounds.
    pub(crate) fn first(&mut self, range: &TableRange) -> Result<bool> {
        self.go_forward_from(range, range.bounds.start())
    }

    /// Moves to the last entry in the bounds.
    pub(crate) fn last(&mut self, range: &TableRange) -> Result<bool> {
        // The end itself may be inside, so the search is for the end of the bounds in its block.
        let handle = match range.bounds.end() {
            Some(end) => self.blocks.seek(&range.table, end)?,
            None => self.blocks.last(&range.table)?,
        };
        let Some(handle) = handle else { return Ok(false) };
        let end = self.load(range, handle)?.allowed.end;
        self.settle_backward(range, end)
    }

    /// Moves to the first entry in the bounds whose key is not less than `key`.
    pub(crate) fn seek_ge(&mut self, range: &TableRange, key: SplitKey<'_>) -> Result<bool> {
        let start = range.bounds.start().filter(|start| *start > key);
        self.go_forward_from(range, Some(start.unwrap_or(key)))
    }

    /// Moves to the last entry in the bounds whose key is less than `key`.
    pub(crate) fn seek_lt(&mut self, range: &TableRange, key: SplitKey<'_>) -> Result<bool> {
        if range.bounds.end().is_some_and(|end| end < key) {
            return self.last(range);
        }
        let handle = self.blocks.seek(&range.table, key)?;
        let Some(handle) = handle else { return Ok(false) };
        let index = self.search(range, handle, key)?;
        let end = self.data().allowed.end;
        self.settle_backward(range, index.min(end))
    }

    /// Moves to the next entry. The walk stands on one.
    #[inline]
    pub(crate) fn next(&mut self, range: &TableRange) -> Result<bool> {
        let index = self.entry.index() + 1;
        if index < self.data().allowed.end {
            self.with_block(range, BlockCursor::next)?;
            return Ok(true);
        }
        self.settle_forward(range, index)
    }

    /// Moves to the entry before. The walk stands on one.
    #[inline]
    pub(crate) fn prev(&mut self, range: &TableRange) -> Result<bool> {
        let index = self.entry.index();
        if index > self.data().allowed.start {
            self.with_block(range, BlockCursor::prev)?;
            return Ok(true);
        }
        self.settle_backward(range, index)
    }

    /// The key of the entry.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.entry.key()
    }

    /// The key and the value of the entry.
    #[inline]
    pub(crate) fn entry<'w>(&'w self, range: &'w TableRange) -> (&'w [u8], &'w [u8]) {
        let bytes = range.table.source().bytes(&self.data().found);
        (self.entry.key(), &bytes[self.entry.value()])
    }

    fn go_forward_from(&mut self, range: &TableRange, key: Option<SplitKey<'_>>) -> Result<bool> {
        let handle = match key {
            Some(key) => self.blocks.seek(&range.table, key)?,
            None => self.blocks.first(&range.table)?,
        };
        let Some(handle) = handle else { return Ok(false) };
        let index = match key {
            Some(key) => self.search(range, handle, key)?,
            None => self.load(range, handle).map(|_| 0)?,
        };
        let start = self.data().allowed.start;
        self.settle_forward(range, index.max(start))
    }

    /// Loads the data block at `handle`. Returns the index of its first entry that is not less than `key`.
    fn search(
        &mut self,
        range: &TableRange,
        handle: BlockHandle,
        key: SplitKey<'_>,
    ) -> Result<usize> {
        self.load(range, handle)?;
        self.with_block(range, |_, block| block.search(key).map(|found| found.index))
    }

    /// Stands on the first entry in the bounds at or behind entry `index` of the data block.
    fn settle_forward(&mut self, range: &TableRange, mut index: usize) -> Result<bool> {
        loop {
            let data = self.data();
            if index < data.allowed.end {
                return self.stand_on(range, index);
            }
            if data.allowed.end < data.layout.count() {
                // The bounds end in this block.
                return Ok(false);
            }
            let Some(handle) = self.blocks.next(&range.table)? else { return Ok(false) };
            index = self.load(range, handle)?.allowed.start;
        }
    }

    /// Stands on the last entry in the bounds before entry `index` of the data block.
    fn settle_backward(&mut self, range: &TableRange, mut index: usize) -> Result<bool> {
        loop {
            let data = self.data();
            if index > data.allowed.start {
                return self.stand_on(range, index - 1);
            }
            if data.allowed.start > 0 {
                // The bounds begin in this block.
                return Ok(false);
            }
            let Some(handle) = self.blocks.prev(&range.table)? else { return Ok(false) };
            index = self.load(range, handle)?.allowed.end;
        }
    }

    fn stand_on(&mut self, range: &TableRange, index: usize) -> Result<bool> {
        self.with_block(range, |entry, block| entry.set(block, index))?;
        Ok(true)
    }

    #[inline]
    fn data(&self) -> &DataBlock {
        self.data.as_ref().expect("a walk that has begun is in a data block")
    }

    /// Runs `act` with the data block.
    #[inline]
    fn with_block<T>(
        &mut self,
        range: &TableRange,
        act: impl FnOnce(&mut BlockCursor, &Block<'_>) -> Checked<T>,
    ) -> Result<T> {
        let data = self.data.as_ref().expect("a walk that has begun is in a data block");
        let source = range.table.source();
        let block = data.layout.block(source.bytes(&data.found));
        act(&mut self.entry, &block).map_err(|damage| source.corruption(data.offset, damage))
    }

    fn load(&mut self, range: &TableRange, handle: BlockHandle) -> Result<&DataBlock> {
        self.read_ahead(&range.table, handle);
        let source = range.table.source();
        let found = source.read(handle)?;
        let bytes = source.bytes(&found);
        let layout = BlockLayout::parse(bytes, range.table.key_layout().suffix_len());
        let checked = layout.and_then(|layout| {
            let allowed = range.bounds.entries_in(&layout.block(bytes))?;
            Ok((layout, allowed))
        });
        let checked = checked.map_err(|damage| source.corruption(handle.offset, damage))?;
        let (layout, allowed) = checked;
        Ok(self.data.insert(DataBlock { found, layout, offset: handle.offset, allowed }))
    }

    fn read_ahead(&mut self, table: &Table, handle: BlockHandle) {
        let source = table.source();
        let Some(map) = source.raw().map() else { return };
        let end = handle.offset.saturating_add(u64::from(handle.len) + TRAILER_LEN as u64);
        if end > source.limit() {
            // A forged handle; reading it reports the damage.
            return;
        }
        if let Some(ahead) = self.readahead.visit(handle.offset..end, source.limit()) {
            map.prefetch(ahead.start as usize..ahead.end as usize);
        }
    }
}
