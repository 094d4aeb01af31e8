//! The tables of a run inside bounds, one of them open.

use kv::{Cursor as _, Error, Result};

use crate::bounds::Bounds;
use crate::run::{CheckedRun, Run};
use crate::table_cursor::TableCursor;

/// The tables of a run, and a cursor over the one that was opened last.
#[derive(Debug)]
pub(crate) struct RunTables<R> {
    pub(crate) run: CheckedRun<R>,
    pub(crate) bounds: Bounds,
    opened: Option<OpenedTable>,
}

/// An open table of a run.
#[derive(Debug)]
pub(crate) struct OpenedTable {
    /// The number of the table in the run.
    pub(crate) table: usize,
    pub(crate) cursor: TableCursor,
}

impl<R: Run> RunTables<R> {
    /// The tables of `run`, whose cursors stay inside `bounds`. Opens nothing.
    pub(crate) fn new(run: CheckedRun<R>, bounds: Bounds) -> Self {
        Self { run, bounds, opened: None }
    }

    /// The table that was opened last.
    ///
    /// # Panics
    /// When no table was opened.
    #[inline]
    pub(crate) fn opened(&self) -> &OpenedTable {
        self.opened.as_ref().expect("a cursor inside of a table has it open")
    }

    /// As [`RunTables::opened`], to move its cursor.
    ///
    /// # Panics
    /// When no table was opened.
    #[inline]
    pub(crate) fn opened_mut(&mut self) -> &mut OpenedTable {
        self.opened.as_mut().expect("a cursor inside of a table has it open")
    }

    /// The cursor of table `table`, fresh. Opens the table, unless it is the one that was opened last.
    ///
    /// # Errors
    /// As [`CheckedRun::open`].
    pub(crate) fn open(&mut self, table: usize) -> Result<&mut TableCursor> {
        let kept = self.opened.take().filter(|opened| opened.table == table);
        let opened = if let Some(opened) = kept {
            opened
        } else {
            let cursor = self.run.open(table)?.scan(self.bounds.as_given())?;
            OpenedTable { table, cursor }
        };
        debug_assert_eq!(opened.table, table, "the table that was asked for");
        let cursor = &mut self.opened.insert(opened).cursor;
        cursor.rewind();
        Ok(cursor)
    }

    /// The cursor of table `table`, on its first entry.
    ///
    /// # Errors
    /// As [`RunTables::open`]; `Corruption` when the run states another first key.
    pub(crate) fn stand_on_first(&mut self, table: usize) -> Result<&mut TableCursor> {
        let is_there = self.open(table)?.next()?;
        self.check_key(is_there, |run| run.smallest_key(table))
    }

    /// The cursor of table `table`, on its last entry.
    ///
    /// # Errors
    /// As [`RunTables::open`]; `Corruption` when the run states another last key.
    pub(crate) fn stand_on_last(&mut self, table: usize) -> Result<&mut TableCursor> {
        let is_there = self.open(table)?.prev()?;
        self.check_key(is_there, |run| run.largest_key(table))
    }

    /// The cursor of the opened table, which stands on the key that the run states.
    fn check_key(
        &mut self,
        is_there: bool,
        stated: impl FnOnce(&R) -> &[u8],
    ) -> Result<&mut TableCursor> {
        let cursor = &mut self.opened.as_mut().expect("the table was opened").cursor;
        if is_there && cursor.key() == stated(self.run.stated()) {
            return Ok(cursor);
        }
        let what = "a table whose first or last key is another one than its run states";
        Err(Error::corruption(cursor.table().path(), 0, what))
    }
}
