//! Sorted runs: tables that follow each other.

use std::sync::Arc;

use kv::{Error, Result};

use crate::key_layout::{KeyLayout, SplitKey};
use crate::table::Table;

/// A sorted run: tables in the order of their keys. Every key of a table is less than every key of the next one.
///
/// A store knows the smallest and the largest key of each table from its manifest. So a walk opens a table only when it needs
/// more than those two keys.
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

/// A run whose stated keys fit the layout of its keys.
#[derive(Debug)]
pub(crate) struct CheckedRun<R> {
    run: R,
    layout: KeyLayout,
}

impl<R: Run> CheckedRun<R> {
    /// # Errors
    /// `InvalidArgument` when a stated key is shorter than a suffix, or the stated keys do not ascend.
    pub(crate) fn new(run: R, layout: KeyLayout) -> Result<Self> {
        let invalid = |what: &str| Error::InvalidArgument(what.into());
        let mut before = None;
        for table in 0..run.table_count() {
            let keys =
                [run.smallest_key(table), run.largest_key(table)].map(|key| layout.split(key));
            let [Some(smallest), Some(largest)] = keys else {
                return Err(invalid("a table whose first or last key is shorter than a suffix"));
            };
            if before.is_some_and(|before| before >= smallest) || smallest > largest {
                return Err(invalid("the tables of a run ascend"));
            }
            before = Some(largest);
        }
        Ok(Self { run, layout })
    }

    pub(crate) fn stated(&self) -> &R {
        &self.run
    }

    pub(crate) fn count(&self) -> usize {
        self.run.table_count()
    }

    pub(crate) fn smallest(&self, table: usize) -> SplitKey<'_> {
        debug_assert!(table < self.count(), "a table of the run");
        let key = self.layout.split(self.run.smallest_key(table));
        key.expect("the stated keys were checked")
    }

    pub(crate) fn largest(&self, table: usize) -> SplitKey<'_> {
        debug_assert!(table < self.count(), "a table of the run");
        let key = self.layout.split(self.run.largest_key(table));
        key.expect("the stated keys were checked")
    }

    /// How many tables have only keys that are less than `key`.
    pub(crate) fn count_before(&self, key: SplitKey<'_>) -> usize {
        self.count_while(|table| self.largest(table) < key)
    }

    /// How many tables have a key that is not greater than `key`.
    pub(crate) fn count_up_to(&self, key: SplitKey<'_>) -> usize {
        self.count_while(|table| self.smallest(table) <= key)
    }

    /// How many tables have a key that is less than `key`.
    pub(crate) fn count_below(&self, key: SplitKey<'_>) -> usize {
        self.count_while(|table| self.smallest(table) < key)
    }

    /// How many tables fulfil `is_before`, which the first ones do and no others.
    fn count_while(&self, is_before: impl Fn(usize) -> bool) -> usize {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = usize::midpoint(low, high);
            if is_before(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        debug_assert!(low == 0 || is_before(low - 1), "the tables before fulfil it");
        debug_assert!(low == self.count() || !is_before(low), "and the next one does not");
        low
    }

    /// Opens table `table`.
    ///
    /// # Errors
    /// As [`Table::open`]; `Corruption` when its keys have another layout.
    pub(crate) fn open(&self, table: usize) -> Result<Arc<Table>> {
        assert!(table < self.count(), "a table of the run");
        let opened = self.run.open_table(table)?;
        if opened.key_layout() == self.layout {
            return Ok(opened);
        }
        let what = "a table whose keys have another layout than those of its run";
        Err(Error::corruption(opened.path(), 0, what))
    }
}
