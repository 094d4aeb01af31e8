//! Sorted runs: tables that follow each other.

use std::sync::Arc;

use kv::{Error, Result};

use crate::key_layout::{KeyLayout, SplitKey};
use crate::table::Table;

/// A sorted run: tables in the order of their keys. Every key of a table is less than every key of the next one.
///
/// A store knows the smallest and the largest key of each table from its manifest. So a walk opens a table only when it needs
/// more than those two keys. A seek asks for the keys of as many tables as a binary search. A walk asks for those of the tables
/// that it comes to, and of their neighbors, and checks their order.
pub trait Run: Send {
    /// How many tables there are. None of them is empty.
    fn table_count(&self) -> usize;

    /// The first key of table `table`, counted from 0.
    fn smallest_key(&self, table: usize) -> &[u8];

    /// The last key of table `table`.
    fn largest_key(&self, table: usize) -> &[u8];

    /// Opens table `table`, or takes it from a cache of open tables.
    ///
    /// # Errors
    /// As [`Table::open`].
    fn open_table(&self, table: usize) -> Result<Arc<Table>>;
}

/// A run whose stated keys are checked when a walk needs them. All keys of all tables are too many to look at for each walk.
#[derive(Debug)]
pub(crate) struct CheckedRun<R> {
    run: R,
    layout: KeyLayout,
}

impl<R: Run> CheckedRun<R> {
    /// The tables of `run`, whose keys have this layout. Looks at none of them.
    pub(crate) fn new(run: R, layout: KeyLayout) -> Self {
        Self { run, layout }
    }

    pub(crate) fn stated(&self) -> &R {
        &self.run
    }

    pub(crate) fn count(&self) -> usize {
        self.run.table_count()
    }

    /// The first key of table `table`.
    ///
    /// # Errors
    /// `InvalidArgument` when it is shorter than a suffix.
    pub(crate) fn smallest(&self, table: usize) -> Result<SplitKey<'_>> {
        assert!(table < self.count(), "a table of the run");
        self.split(self.run.smallest_key(table))
    }

    /// The last key of table `table`.
    ///
    /// # Errors
    /// `InvalidArgument` when it is shorter than a suffix.
    pub(crate) fn largest(&self, table: usize) -> Result<SplitKey<'_>> {
        assert!(table < self.count(), "a table of the run");
        self.split(self.run.largest_key(table))
    }

    fn split<'k>(&self, key: &'k [u8]) -> Result<SplitKey<'k>> {
        let short = || invalid("a table whose first or last key is shorter than a suffix");
        self.layout.split(key).ok_or_else(short)
    }

    /// Checks that the keys of table `table` and of the tables beside it ascend.
    ///
    /// # Errors
    /// `InvalidArgument` when they do not, or one of them is shorter than a suffix.
    pub(crate) fn check(&self, table: usize) -> Result<()> {
        assert!(table < self.count(), "a table of the run");
        let mut before = None;
        for table in table.saturating_sub(1)..self.count().min(table + 2) {
            let (smallest, largest) = (self.smallest(table)?, self.largest(table)?);
            if before.is_some_and(|before| before >= smallest) || smallest > largest {
                return Err(invalid("the tables of a run ascend"));
            }
            before = Some(largest);
        }
        Ok(())
    }

    /// How many tables have only keys that are less than `key`.
    pub(crate) fn count_before(&self, key: SplitKey<'_>) -> Result<usize> {
        self.count_while(|table| Ok(self.largest(table)? < key))
    }

    /// How many tables have a key that is not greater than `key`.
    pub(crate) fn count_up_to(&self, key: SplitKey<'_>) -> Result<usize> {
        self.count_while(|table| Ok(self.smallest(table)? <= key))
    }

    /// How many tables have a key that is less than `key`.
    pub(crate) fn count_below(&self, key: SplitKey<'_>) -> Result<usize> {
        self.count_while(|table| Ok(self.smallest(table)? < key))
    }

    /// How many tables fulfil `is_before`, which the first ones do and no others. Of a run that is not in order, any number
    /// of tables where one fulfils it and the next one does not.
    fn count_while(&self, is_before: impl Fn(usize) -> Result<bool>) -> Result<usize> {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = usize::midpoint(low, high);
            if is_before(middle)? {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        debug_assert!(low <= self.count(), "a table, or the end of the run");
        Ok(low)
    }

    /// Opens table `table`.
    ///
    /// # Errors
    /// As [`CheckedRun::check`] and [`Table::open`]; `Corruption` when its keys have another layout.
    pub(crate) fn open(&self, table: usize) -> Result<Arc<Table>> {
        self.check(table)?;
        let opened = self.run.open_table(table)?;
        if opened.key_layout() == self.layout {
            return Ok(opened);
        }
        let what = "a table whose keys have another layout than those of its run";
        Err(Error::corruption(opened.path(), 0, what))
    }
}

fn invalid(what: &str) -> Error {
    Error::InvalidArgument(what.into())
}
