//! A cursor over a table.

use std::ops::{Bound, Range};
use std::sync::Arc;

use kv::{Cursor, CursorPosition, Direction, Error, Result, StepFrom};

use crate::block::{BlockCursor, BlockLayout};
use crate::block_walk::BlockWalk;
use crate::bounds::Bounds;
use crate::damage::Checked;
use crate::handle::BlockHandle;
use crate::key_layout::SplitKey;
use crate::raw_file::RawBytes;
use crate::readahead::Readahead;
use crate::stored_block::TRAILER_LEN;
use crate::table::Table;

/// A walk over the entries of a table inside bounds, in both directions, as [`kv::Cursor`] describes it.
///
/// It holds one index block and one data block, whatever the length of the table, and it keeps the table open. Values are
/// in the data block, so asking for one reads nothing.
#[derive(Debug)]
pub struct TableCursor {
    table: Arc<Table>,
    bounds: Bounds,
    walk: BlockWalk,
    /// The data block under the walk.
    data: Option<DataBlock>,
    entry: BlockCursor,
    position: CursorPosition<()>,
    readahead: Readahead,
    /// Why an earlier move failed.
    failure: Option<Error>,
}

/// A data block that a cursor is in.
#[derive(Debug)]
struct DataBlock {
    found: RawBytes,
    layout: BlockLayout,
    /// Where it is in the file.
    offset: u64,
    /// Its entries that lie in the bounds.
    allowed: Range<usize>,
}

impl Table {
    /// A cursor over the entries whose keys lie in `bounds`. It keeps the table open.
    ///
    /// # Errors
    /// `InvalidArgument` when the bounds are inverted, or a bound is shorter than a suffix.
    pub fn scan(self: &Arc<Self>, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> Result<TableCursor> {
        let bounds = Bounds::new(self.key_layout(), bounds)?;
        Ok(TableCursor::new(Arc::clone(self), bounds))
    }
}

impl TableCursor {
    fn new(table: Arc<Table>, bounds: Bounds) -> Self {
        Self {
            table,
            bounds,
            walk: BlockWalk::default(),
            data: None,
            entry: BlockCursor::default(),
            position: CursorPosition::default(),
            readahead: Readahead::default(),
            failure: None,
        }
    }

    /// Runs a move. A failure ends the walk: damage is never skipped.
    #[inline]
    fn moving(&mut self, walk: impl FnOnce(&mut Self) -> Result<bool>) -> Result<bool> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        walk(self).inspect_err(|error| {
            self.position = CursorPosition::Fresh;
            self.failure = Some(error.clone());
        })
    }

    fn go_forward_from(&mut self, key: Option<SplitKey<'_>>) -> Result<bool> {
        let table = Arc::clone(&self.table);
        let handle = match key {
            Some(key) => self.walk.seek(&table, key)?,
            None => self.walk.first(&table)?,
        };
        let Some(handle) = handle else { return Ok(self.arrive_after_last()) };
        self.load(handle)?;
        let index = match key {
            Some(key) => self.with_block(|_, data, block| {
                block.search(key).map(|found| found.index.max(data.allowed.start))
            })?,
            None => self.allowed().start,
        };
        self.settle_forward(index)
    }

    fn go_backward_from(&mut self, key: Option<SplitKey<'_>>) -> Result<bool> {
        let table = Arc::clone(&self.table);
        let handle = match key {
            Some(key) => self.walk.seek(&table, key)?,
            None => self.walk.last(&table)?,
        };
        let Some(handle) = handle else { return Ok(self.arrive_before_first()) };
        self.load(handle)?;
        let index = match key {
            Some(key) => self.with_block(|_, data, block| {
                block.search(key).map(|found| found.index.min(data.allowed.end))
            })?,
            None => self.allowed().end,
        };
        self.settle_backward(index)
    }

    /// Stands on the first entry in the bounds at or behind entry `index` of the data block.
    fn settle_forward(&mut self, mut index: usize) -> Result<bool> {
        let table = Arc::clone(&self.table);
        loop {
            let allowed = self.allowed();
            if index < allowed.end {
                return self.stand_on(index);
            }
            if allowed.end < self.count() {
                // The bounds end in this block.
                return Ok(self.arrive_after_last());
            }
            let Some(handle) = self.walk.next(&table)? else {
                return Ok(self.arrive_after_last());
            };
            self.load(handle)?;
            index = self.allowed().start;
        }
    }

    /// Stands on the last entry in the bounds before entry `index` of the data block.
    fn settle_backward(&mut self, mut index: usize) -> Result<bool> {
        let table = Arc::clone(&self.table);
        loop {
            let allowed = self.allowed();
            if index > allowed.start {
                return self.stand_on(index - 1);
            }
            if allowed.start > 0 {
                // The bounds begin in this block.
                return Ok(self.arrive_before_first());
            }
            let Some(handle) = self.walk.prev(&table)? else {
                return Ok(self.arrive_before_first());
            };
            self.load(handle)?;
            index = self.allowed().end;
        }
    }

    fn allowed(&self) -> Range<usize> {
        self.data.as_ref().map_or(0..0, |data| data.allowed.clone())
    }

    fn count(&self) -> usize {
        self.data.as_ref().map_or(0, |data| data.layout.count())
    }

    fn stand_on(&mut self, index: usize) -> Result<bool> {
        self.with_block(|entry, _, block| entry.set(block, index))?;
        self.position = CursorPosition::On(());
        Ok(true)
    }

    fn arrive_after_last(&mut self) -> bool {
        self.position = CursorPosition::AfterLast;
        false
    }

    fn arrive_before_first(&mut self) -> bool {
        self.position = CursorPosition::BeforeFirst;
        false
    }

    /// Runs `act` with the data block, which there is.
    #[inline]
    fn with_block<T>(
        &mut self,
        act: impl FnOnce(&mut BlockCursor, &DataBlock, &crate::block::Block<'_>) -> Checked<T>,
    ) -> Result<T> {
        let data = self.data.as_ref().expect("a cursor on an entry has its block");
        let source = self.table.source();
        let block = data.layout.block(source.bytes(&data.found));
        let done = act(&mut self.entry, data, &block);
        done.map_err(|damage| source.corruption(data.offset, damage))
    }

    fn load(&mut self, handle: BlockHandle) -> Result<()> {
        self.data = None;
        self.read_ahead(handle);
        let source = self.table.source();
        let found = source.read(handle)?;
        let bytes = source.bytes(&found);
        let layout = BlockLayout::parse(bytes, self.table.key_layout().suffix_len());
        let checked = layout.and_then(|layout| {
            let allowed = self.bounds.entries_in(&layout.block(bytes))?;
            Ok((layout, allowed))
        });
        let checked = checked.map_err(|damage| source.corruption(handle.offset, damage))?;
        let (layout, allowed) = checked;
        self.data = Some(DataBlock { found, layout, offset: handle.offset, allowed });
        Ok(())
    }

    fn read_ahead(&mut self, handle: BlockHandle) {
        let source = self.table.source();
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

    fn step_forward(&mut self) -> Result<bool> {
        match self.position.step(Direction::Forward) {
            None => Ok(false),
            Some(StepFrom::Edge) => self.seek_to_start(),
            Some(StepFrom::Entry(())) => {
                let index = self.entry.index() + 1;
                if index < self.allowed().end {
                    self.with_block(|entry, _, block| entry.next(block))?;
                    return Ok(true);
                }
                self.settle_forward(index)
            }
        }
    }

    fn seek_to_start(&mut self) -> Result<bool> {
        let bounds = self.bounds.clone();
        self.go_forward_from(bounds.start())
    }

    fn step_backward(&mut self) -> Result<bool> {
        match self.position.step(Direction::Backward) {
            None => Ok(false),
            Some(StepFrom::Edge) => {
                let bounds = self.bounds.clone();
                match bounds.end() {
                    // The end itself may be inside, so the search is for the end of the bounds in its block.
                    Some(end) => self.seek_to_end(end),
                    None => self.go_backward_from(None),
                }
            }
            Some(StepFrom::Entry(())) => {
                let index = self.entry.index();
                if index > self.allowed().start {
                    self.with_block(|entry, _, block| entry.prev(block))?;
                    return Ok(true);
                }
                self.settle_backward(index)
            }
        }
    }

    fn seek_to_end(&mut self, end: SplitKey<'_>) -> Result<bool> {
        let table = Arc::clone(&self.table);
        let Some(handle) = self.walk.seek(&table, end)? else {
            return Ok(self.arrive_before_first());
        };
        self.load(handle)?;
        self.settle_backward(self.allowed().end)
    }
}

impl Cursor for TableCursor {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        let table = Arc::clone(&self.table);
        let key = table.split(key)?;
        self.moving(|cursor| {
            let bounds = cursor.bounds.clone();
            let start = bounds.start().filter(|start| *start > key);
            cursor.go_forward_from(Some(start.unwrap_or(key)))
        })
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        let table = Arc::clone(&self.table);
        let key = table.split(key)?;
        self.moving(|cursor| {
            let bounds = cursor.bounds.clone();
            match bounds.end().filter(|end| *end < key) {
                Some(end) => cursor.seek_to_end(end),
                None => cursor.go_backward_from(Some(key)),
            }
        })
    }

    #[inline]
    fn next(&mut self) -> Result<bool> {
        self.moving(Self::step_forward)
    }

    #[inline]
    fn prev(&mut self) -> Result<bool> {
        self.moving(Self::step_backward)
    }

    #[inline]
    fn key(&self) -> &[u8] {
        assert!(matches!(self.position, CursorPosition::On(())), "the cursor is on no entry");
        self.entry.key()
    }

    #[inline]
    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        assert!(matches!(self.position, CursorPosition::On(())), "the cursor is on no entry");
        let data = self.data.as_ref().expect("a cursor on an entry has its block");
        let bytes = self.table.source().bytes(&data.found);
        Ok((self.entry.key(), &bytes[self.entry.value()]))
    }
}
