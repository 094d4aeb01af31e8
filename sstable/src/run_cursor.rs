//! A cursor over a sorted run, which opens a table when it needs it.

use std::cmp::Ordering;
use std::ops::Bound;

use kv::{Cursor, CursorPosition, Direction, Error, Result, StepFrom};

use crate::bounds::Bounds;
use crate::key_layout::{KeyLayout, SplitKey};
use crate::run::{CheckedRun, Run};
use crate::run_tables::RunTables;
use crate::table_cursor::TableCursor;

/// A walk over the entries of a [`Run`] inside bounds, in both directions, as [`kv::Cursor`] describes it.
///
/// It holds one table open at a time. A walk that comes to a table stands on its first or last key without opening it. The
/// table is opened when the walk moves on into it, or asks for the value there. So a seek opens one table at most, and none
/// if the key lies between two tables or outside of all.
///
/// # Failures
/// As for every cursor. Besides, a table that has another first or last key than the run states is `Corruption`. When a walk
/// comes to stated keys that do not ascend, or are shorter than a suffix, it fails with `InvalidArgument`.
#[derive(Debug)]
pub struct RunCursor<R> {
    tables: RunTables<R>,
    layout: KeyLayout,
    position: CursorPosition<At>,
    /// Why an earlier move failed.
    failure: Option<Error>,
}

/// An entry of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The first entry of this table, which is known without opening it.
    First(usize),
    /// The last entry of this table.
    Last(usize),
    /// Where the cursor of the opened table stands.
    Inside,
}

impl<R: Run> RunCursor<R> {
    /// A cursor over the entries of `run` whose keys lie in `bounds`. Opens no table, and looks at no key of one.
    ///
    /// # Errors
    /// `InvalidArgument` when the bounds are inverted, or a bound is shorter than a suffix.
    pub fn new(run: R, layout: KeyLayout, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> Result<Self> {
        let run = CheckedRun::new(run, layout);
        Ok(Self {
            tables: RunTables::new(run, Bounds::new(layout, bounds)?),
            layout,
            position: CursorPosition::default(),
            failure: None,
        })
    }

    /// Runs a move that ends in `direction`. A failure ends the walk.
    fn moving(
        &mut self,
        direction: Direction,
        walk: impl FnOnce(&mut Self) -> Result<Option<At>>,
    ) -> Result<bool> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        match walk(self) {
            Ok(found) => Ok(self.position.land(found, direction)),
            Err(error) => {
                debug_assert!(self.failure.is_none(), "a walk fails once");
                self.position = CursorPosition::Fresh;
                self.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    #[inline]
    fn step(&mut self, direction: Direction) -> Result<bool> {
        let from = match self.position.step(direction) {
            // The cursor stays in the gap at the end of the walk.
            None => return Ok(false),
            Some(StepFrom::Edge) => StepFrom::Edge,
            Some(StepFrom::Entry(at)) => StepFrom::Entry(*at),
        };
        self.moving(direction, |cursor| match (from, direction) {
            (StepFrom::Edge, Direction::Forward) => cursor.first(),
            (StepFrom::Edge, Direction::Backward) => cursor.last(),
            (StepFrom::Entry(at), Direction::Forward) => cursor.step_forward(at),
            (StepFrom::Entry(at), Direction::Backward) => cursor.step_backward(at),
        })
    }

    fn first(&mut self) -> Result<Option<At>> {
        let table = match self.tables.bounds.start() {
            Some(start) => self.tables.run.count_before(start)?,
            None => 0,
        };
        self.enter_forward(table)
    }

    fn last(&mut self) -> Result<Option<At>> {
        let tables = match self.tables.bounds.end() {
            Some(end) => self.tables.run.count_up_to(end)?,
            None => self.tables.run.count(),
        };
        self.enter_backward(tables)
    }

    fn step_forward(&mut self, at: At) -> Result<Option<At>> {
        let table = match at {
            // The walk leaves the table without having opened it.
            At::Last(table) => table,
            At::First(table) => {
                if self.tables.stand_on_first(table)?.next()? {
                    return Ok(Some(At::Inside));
                }
                table
            }
            At::Inside => {
                let opened = self.tables.opened_mut();
                if opened.cursor.next()? {
                    return Ok(Some(At::Inside));
                }
                opened.table
            }
        };
        self.enter_forward(table + 1)
    }

    fn step_backward(&mut self, at: At) -> Result<Option<At>> {
        let table = match at {
            // The walk leaves the table without having opened it.
            At::First(table) => table,
            At::Last(table) => {
                if self.tables.stand_on_last(table)?.prev()? {
                    return Ok(Some(At::Inside));
                }
                table
            }
            At::Inside => {
                let opened = self.tables.opened_mut();
                if opened.cursor.prev()? {
                    return Ok(Some(At::Inside));
                }
                opened.table
            }
        };
        self.enter_backward(table)
    }

    /// The first entry in the bounds that table `table` or one behind it has.
    fn enter_forward(&mut self, table: usize) -> Result<Option<At>> {
        debug_assert!(table <= self.tables.run.count(), "a table, or the end of the run");
        for table in table..self.tables.run.count() {
            self.tables.run.check(table)?;
            match self.tables.bounds.place_of(self.tables.run.smallest(table)?) {
                Ordering::Equal => return Ok(Some(At::First(table))),
                Ordering::Greater => return Ok(None),
                // The bounds begin inside of the table, or behind it.
                Ordering::Less => {
                    if self.tables.open(table)?.next()? {
                        return Ok(Some(At::Inside));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The last entry in the bounds that the tables before `table` have.
    fn enter_backward(&mut self, table: usize) -> Result<Option<At>> {
        debug_assert!(table <= self.tables.run.count(), "a table, or the end of the run");
        for table in (0..table).rev() {
            self.tables.run.check(table)?;
            match self.tables.bounds.place_of(self.tables.run.largest(table)?) {
                Ordering::Equal => return Ok(Some(At::Last(table))),
                Ordering::Less => return Ok(None),
                // The bounds end inside of the table, or before it.
                Ordering::Greater => {
                    if self.tables.open(table)?.prev()? {
                        return Ok(Some(At::Inside));
                    }
                }
            }
        }
        Ok(None)
    }

    fn first_not_less(&mut self, key: &[u8]) -> Result<Option<At>> {
        let split = split(self.layout, key)?;
        match self.tables.bounds.place_of(split) {
            Ordering::Less => return self.first(),
            Ordering::Equal => {}
            Ordering::Greater => return Ok(None),
        }
        let table = self.tables.run.count_before(split)?;
        if table == self.tables.run.count() || self.tables.run.smallest(table)? >= split {
            return self.enter_forward(table);
        }
        if self.tables.open(table)?.seek_ge(key)? {
            return Ok(Some(At::Inside));
        }
        self.enter_forward(table + 1)
    }

    fn last_less(&mut self, key: &[u8]) -> Result<Option<At>> {
        let split = split(self.layout, key)?;
        match self.tables.bounds.place_of(split) {
            Ordering::Less => return Ok(None),
            Ordering::Equal => {}
            Ordering::Greater => return self.last(),
        }
        let tables = self.tables.run.count_below(split)?;
        let Some(table) = tables.checked_sub(1) else { return Ok(None) };
        if self.tables.run.largest(table)? < split {
            return self.enter_backward(tables);
        }
        if self.tables.open(table)?.seek_lt(key)? {
            return Ok(Some(At::Inside));
        }
        self.enter_backward(table)
    }

    /// Opens the table of the entry under the cursor, if that was not done yet.
    fn settle(&mut self) -> Result<&mut TableCursor> {
        debug_assert!(self.failure.is_none(), "a walk that failed stands on no entry");
        match *self.position.entry() {
            At::First(table) => _ = self.tables.stand_on_first(table)?,
            At::Last(table) => _ = self.tables.stand_on_last(table)?,
            At::Inside => {}
        }
        self.position = CursorPosition::On(At::Inside);
        Ok(&mut self.tables.opened_mut().cursor)
    }
}

impl<R: Run> Cursor for RunCursor<R> {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        split(self.layout, key)?;
        self.moving(Direction::Forward, |cursor| cursor.first_not_less(key))
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        split(self.layout, key)?;
        self.moving(Direction::Backward, |cursor| cursor.last_less(key))
    }

    #[inline]
    fn next(&mut self) -> Result<bool> {
        self.step(Direction::Forward)
    }

    #[inline]
    fn prev(&mut self) -> Result<bool> {
        self.step(Direction::Backward)
    }

    #[inline]
    fn key(&self) -> &[u8] {
        match *self.position.entry() {
            At::First(table) => self.tables.run.stated().smallest_key(table),
            At::Last(table) => self.tables.run.stated().largest_key(table),
            At::Inside => self.tables.opened().cursor.key(),
        }
    }

    #[inline]
    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        self.settle()?.entry()
    }
}

fn split(layout: KeyLayout, key: &[u8]) -> Result<SplitKey<'_>> {
    let split = layout.split(key);
    split.ok_or_else(|| Error::InvalidArgument("a key shorter than its suffix".into()))
}
