//! A walk over the entries of a table that lie in bounds.

use std::ops::Range;
use std::sync::Arc;

use kv::{Bytes, Result};

use crate::block::{Block, BlockCursor, BlockLayout};
use crate::block_walk::BlockWalk;
use crate::bounds::Bounds;
use crate::damage::Checked;
use crate::handle::BlockHandle;
use crate::key_layout::SplitKey;
use crate::readahead::Readahead;
use crate::stored_block::TRAILER_LEN;
use crate::table::Table;

/// How many bytes before its entry a walk backward has the processor load. Ahead of a walk forward, the processor loads memory
/// by itself. Half as far is too late; twice as far, or a whole block at once, is slower than this.
const AHEAD_BYTES: usize = 448;

/// How many bytes each step backward loads: two lines, because an entry of a hundred bytes lies in two.
const STEP_BYTES: usize = 128;

/// The bytes at the beginning of a block that a walk reads first: header, heads and ends.
const FIRST_BYTES: usize = 512;

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
    /// Its entries that lie in the bounds.
    allowed: Range<usize>,
    entry: BlockCursor,
    readahead: Readahead,
}

/// A data block that a walk is in.
#[derive(Debug)]
struct DataBlock {
    bytes: Bytes,
    layout: BlockLayout,
    /// Where it is in the file.
    offset: u64,
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
        self.load(range, handle)?;
        self.settle_backward(range, self.allowed.end)
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
        self.settle_backward(range, index.min(self.allowed.end))
    }

    /// Whether the data block has another entry in the bounds.
    #[inline]
    pub(crate) fn has_next_here(&self) -> bool {
        self.entry.index() + 1 < self.allowed.end
    }

    /// Whether the data block has an entry in the bounds before this one.
    #[inline]
    pub(crate) fn has_prev_here(&self) -> bool {
        self.entry.index() > self.allowed.start
    }

    /// Moves to the next entry, which the data block has.
    #[inline]
    pub(crate) fn next_here(&mut self, range: &TableRange) -> Result<bool> {
        debug_assert!(self.has_next_here(), "another entry");
        self.with_block(range, BlockCursor::next).map(|()| true)
    }

    /// Moves to the entry before, which the data block has.
    #[inline]
    pub(crate) fn prev_here(&mut self, range: &TableRange) -> Result<bool> {
        debug_assert!(self.has_prev_here(), "an entry before");
        self.with_block(range, |entry, block| {
            let end = entry.value().start.wrapping_sub(AHEAD_BYTES);
            block.prefetch(end.wrapping_sub(STEP_BYTES)..end);
            entry.prev(block)
        })?;
        Ok(true)
    }

    /// Moves from the last entry of the data block to the next one.
    pub(crate) fn next_block(&mut self, range: &TableRange) -> Result<bool> {
        debug_assert!(!self.has_next_here(), "the last entry of the data block");
        self.settle_forward(range, self.allowed.end)
    }

    /// Moves from the first entry of the data block to the one before.
    pub(crate) fn prev_block(&mut self, range: &TableRange) -> Result<bool> {
        debug_assert!(!self.has_prev_here(), "the first entry of the data block");
        self.settle_backward(range, self.allowed.start)
    }

    /// The key of the entry.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.entry.key()
    }

    /// The key and the value of the entry.
    #[inline]
    pub(crate) fn entry(&self) -> (&[u8], &[u8]) {
        debug_assert!(self.allowed.contains(&self.entry.index()), "an entry in the bounds");
        (self.entry.key(), &self.data().bytes[self.entry.value()])
    }

    fn go_forward_from(&mut self, range: &TableRange, key: Option<SplitKey<'_>>) -> Result<bool> {
        let handle = match key {
            Some(key) => self.blocks.seek(&range.table, key)?,
            None => self.blocks.first(&range.table)?,
        };
        let Some(handle) = handle else { return Ok(false) };
        let index = match key {
            Some(key) => self.search(range, handle, key)?,
            None => self.load(range, handle).map(|()| 0)?,
        };
        self.settle_forward(range, index.max(self.allowed.start))
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
            if index < self.allowed.end {
                return self.stand_on(range, index);
            }
            if self.allowed.end < self.data().layout.count() {
                // The bounds end in this block.
                return Ok(false);
            }
            let Some(handle) = self.blocks.next(&range.table)? else { return Ok(false) };
            self.load(range, handle)?;
            index = self.allowed.start;
        }
    }

    /// Stands on the last entry in the bounds before entry `index` of the data block.
    fn settle_backward(&mut self, range: &TableRange, mut index: usize) -> Result<bool> {
        loop {
            if index > self.allowed.start {
                return self.stand_on(range, index - 1);
            }
            if self.allowed.start > 0 {
                // The bounds begin in this block.
                return Ok(false);
            }
            let Some(handle) = self.blocks.prev(&range.table)? else { return Ok(false) };
            self.load(range, handle)?;
            self.prefetch_block_before(&range.table);
            index = self.allowed.end;
        }
    }

    fn stand_on(&mut self, range: &TableRange, index: usize) -> Result<bool> {
        debug_assert!(self.allowed.contains(&index), "an entry in the bounds");
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
        let done = act(&mut self.entry, &data.layout.block(&data.bytes));
        done.map_err(|damage| range.table.source().corruption(data.offset, damage))
    }

    fn load(&mut self, range: &TableRange, handle: BlockHandle) -> Result<()> {
        self.read_ahead(&range.table, handle);
        let source = range.table.source();
        let bytes = source.raw().share(source.read(handle)?);
        let layout = BlockLayout::parse(&bytes, range.table.key_layout().suffix_len());
        let checked = layout.and_then(|layout| {
            let allowed = range.bounds.entries_in(&layout.block(&bytes))?;
            Ok((layout, allowed))
        });
        let checked = checked.map_err(|damage| source.corruption(handle.offset, damage))?;
        let layout;
        (layout, self.allowed) = checked;
        debug_assert!(self.allowed.end <= layout.count(), "entries of the data block");
        self.data = Some(DataBlock { bytes, layout, offset: handle.offset });
        Ok(())
    }

    /// Has the processor load those lines of the data block before that a walk backward reads first there.
    fn prefetch_block_before(&self, table: &Table) {
        if !self.readahead.is_scan() {
            return;
        }
        let (Some(file), Some(block)) = (table.source().raw().mapped(), self.blocks.before(table))
        else {
            return;
        };
        let end = block.offset.saturating_add(block.len.into()) as usize;
        // A forged handle leads out of the file; reading it reports the damage.
        let Some(block) = file.get(block.offset as usize..end) else { return };
        durable::prefetch_lines(&block[..block.len().min(FIRST_BYTES)]);
        durable::prefetch_lines(&block[block.len().saturating_sub(AHEAD_BYTES + STEP_BYTES)..]);
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
