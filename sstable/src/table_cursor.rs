//! A cursor over a table.

use std::ops::Bound;
use std::sync::Arc;

use kv::{Cursor, CursorPosition, Direction, Error, Result, StepFrom};

use crate::bounds::Bounds;
use crate::entry_walk::{EntryWalk, TableRange};
use crate::table::Table;

/// A walk over the entries of a table inside bounds, in both directions, as [`kv::Cursor`] describes it.
///
/// It holds one index block and one data block, whatever the length of the table, and it keeps the table open. Values are
/// in the data block, so asking for one reads nothing.
#[derive(Debug)]
pub struct TableCursor {
    range: TableRange,
    walk: EntryWalk,
    position: CursorPosition<()>,
    /// Why an earlier move failed.
    failure: Option<Error>,
}

impl Table {
    /// A cursor over the entries whose keys lie in `bounds`. It keeps the table open.
    ///
    /// # Errors
    /// `InvalidArgument` when the bounds are inverted, or a bound is shorter than a suffix.
    pub fn scan(self: &Arc<Self>, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> Result<TableCursor> {
        let bounds = Bounds::new(self.key_layout(), bounds)?;
        Ok(TableCursor {
            range: TableRange { table: Arc::clone(self), bounds },
            walk: EntryWalk::default(),
            position: CursorPosition::default(),
            failure: None,
        })
    }
}

impl TableCursor {
    /// The table.
    pub fn table(&self) -> &Arc<Table> {
        &self.range.table
    }

    /// Forgets the position: the next move is that of a fresh cursor. A failure stays.
    pub(crate) fn rewind(&mut self) {
        self.position = CursorPosition::Fresh;
    }

    /// Runs a move. A failure ends the walk: damage is never skipped.
    #[inline]
    fn moving(
        &mut self,
        direction: Direction,
        walk: impl FnOnce(&mut EntryWalk, &TableRange) -> Result<bool>,
    ) -> Result<bool> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        match walk(&mut self.walk, &self.range) {
            Ok(is_on_entry) => Ok(self.position.land(is_on_entry.then_some(()), direction)),
            Err(error) => self.fail(error),
        }
    }

    #[cold]
    fn fail(&mut self, error: Error) -> Result<bool> {
        debug_assert!(self.failure.is_none(), "a walk fails once");
        self.position = CursorPosition::Fresh;
        self.failure = Some(error.clone());
        Err(error)
    }
}

impl Cursor for TableCursor {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        self.range.table.split(key)?;
        self.moving(Direction::Forward, |walk, range| walk.seek_ge(range, range.table.split(key)?))
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        self.range.table.split(key)?;
        self.moving(Direction::Backward, |walk, range| walk.seek_lt(range, range.table.split(key)?))
    }

    #[inline]
    fn next(&mut self) -> Result<bool> {
        match self.position.step(Direction::Forward) {
            None => Ok(false),
            Some(StepFrom::Entry(())) if self.walk.has_next_here() => {
                debug_assert!(self.failure.is_none(), "a cursor on an entry has not failed");
                self.walk.next_here(&self.range).or_else(|error| self.fail(error))
            }
            Some(StepFrom::Entry(())) => self.moving(Direction::Forward, EntryWalk::next_block),
            Some(StepFrom::Edge) => self.moving(Direction::Forward, EntryWalk::first),
        }
    }

    #[inline]
    fn prev(&mut self) -> Result<bool> {
        match self.position.step(Direction::Backward) {
            None => Ok(false),
            Some(StepFrom::Entry(())) if self.walk.has_prev_here() => {
                self.walk.prev_here(&self.range).or_else(|error| self.fail(error))
            }
            Some(StepFrom::Entry(())) => self.moving(Direction::Backward, EntryWalk::prev_block),
            Some(StepFrom::Edge) => self.moving(Direction::Backward, EntryWalk::last),
        }
    }

    #[inline]
    fn key(&self) -> &[u8] {
        assert!(matches!(self.position, CursorPosition::On(())), "the cursor is on no entry");
        self.walk.key()
    }

    #[inline]
    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        assert!(matches!(self.position, CursorPosition::On(())), "the cursor is on no entry");
        Ok(self.walk.entry())
    }
}
