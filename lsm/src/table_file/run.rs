//! Tables that follow each other.

use std::sync::Arc;

use kv::Result;
use sstable::{Run, Table};

use super::TableFile;
use crate::boundary::Boundary;
use crate::state::TableFacts;

/// Tables in the order of their keys, none of which has a user key of another one.
#[derive(Clone, Debug)]
pub(crate) struct TableRun {
    level: u64,
    rank: u64,
    tables: Arc<[Arc<TableFile>]>,
    /// Those that have range tombstones.
    with_ranges: Arc<[Arc<TableFile>]>,
    /// Those that have entries.
    with_entries: Arc<[Arc<TableFile>]>,
}

impl TableRun {
    /// A run of `tables`, which are in order, at a level with a rank.
    ///
    /// # Panics
    /// Without tables.
    pub(crate) fn new(level: u64, rank: u64, tables: Vec<Arc<TableFile>>) -> Self {
        assert!(!tables.is_empty(), "a run has a table");
        let is_in_order =
            |one: &Arc<TableFile>, next: &Arc<TableFile>| one.facts.last() < next.facts.first();
        debug_assert!(tables.is_sorted_by(is_in_order), "the tables of a run share no key");
        let tables: Arc<[Arc<TableFile>]> = tables.into();
        let of = |has: fn(&TableFacts) -> bool| {
            if tables.iter().all(|table| has(&table.facts)) {
                return Arc::clone(&tables);
            }
            tables.iter().filter(|table| has(&table.facts)).cloned().collect()
        };
        let with_ranges = of(|facts| facts.ranges.is_some());
        let with_entries = of(|facts| facts.entries > 0);
        Self { level, rank, tables, with_ranges, with_entries }
    }

    /// The level of the run.
    pub(crate) fn level(&self) -> u64 {
        self.level
    }

    /// The age of the run in its level: a higher rank is newer.
    pub(crate) fn rank(&self) -> u64 {
        self.rank
    }

    /// The tables, in order.
    pub(crate) fn tables(&self) -> &[Arc<TableFile>] {
        &self.tables
    }

    /// The tables with range tombstones, in order.
    pub(crate) fn tables_with_ranges(&self) -> &[Arc<TableFile>] {
        &self.with_ranges
    }

    /// The only table that can have versions of `user`, or range tombstones that cover it.
    #[inline]
    pub(crate) fn table_of(&self, user: &[u8]) -> Option<&Arc<TableFile>> {
        if !self.with_ranges.is_empty() {
            let user = Boundary::at(user);
            let at = self.tables.partition_point(|table| table.facts.last() < user);
            return self.tables.get(at).filter(|table| table.facts.first() <= user);
        }
        let at = self.tables.partition_point(|table| table.facts.largest_user() < user);
        self.tables.get(at).filter(|table| table.facts.smallest_user() <= user)
    }
}

/// The entries of a run.
impl Run for TableRun {
    fn table_count(&self) -> usize {
        self.with_entries.len()
    }

    fn smallest_key(&self, table: usize) -> &[u8] {
        &self.with_entries[table].facts.smallest
    }

    fn largest_key(&self, table: usize) -> &[u8] {
        &self.with_entries[table].facts.largest
    }

    fn open_table(&self, table: usize) -> Result<Arc<Table>> {
        self.with_entries[table].table()
    }
}
