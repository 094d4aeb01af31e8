//! A version: the runs of tables that the manifest names.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::state::State;
use crate::table_file::{TableFile, TableOpener, TableRun};

/// The runs of tables, the newest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Version {
    pub(crate) runs: Vec<TableRun>,
    /// No run has had this rank or a higher one.
    pub(crate) next_rank: u64,
    /// Readers at this number and later ones find all that they need.
    pub(crate) history_floor: u64,
}

impl Version {
    /// The version that `state` describes. Takes handles that `before` has, and makes the others.
    pub(crate) fn of(state: &State, before: &Self, opener: &TableOpener) -> Self {
        let known: BTreeMap<u64, &Arc<TableFile>> =
            before.tables().map(|table| (table.id, table)).collect();
        let mut runs: BTreeMap<(u64, Reverse<u64>), Vec<Arc<TableFile>>> = BTreeMap::new();
        for (&id, placed) in &state.tables {
            let handle = known.get(&id).map_or_else(
                || opener.handle(id, placed.facts.clone()),
                |handle| Arc::clone(handle),
            );
            runs.entry((placed.level, Reverse(placed.rank))).or_default().push(handle);
        }
        let run = |((level, Reverse(rank)), mut tables): (_, Vec<Arc<TableFile>>)| {
            tables.sort_by(|one, other| one.facts.first().cmp(&other.facts.first()));
            TableRun::new(level, rank, tables)
        };
        let version = Self {
            runs: runs.into_iter().map(run).collect(),
            next_rank: state.next_rank,
            history_floor: state.history_floor,
        };
        debug_assert_eq!(version.tables().count(), state.tables.len(), "each table is in a run");
        version
    }

    /// The same version, without `count` of its open tables: first those that were not used since the last call, and of equals
    /// those of the older runs, which fewer look-ups reach.
    pub(super) fn with_closed(&self, count: usize) -> Self {
        let kept = self.tables().filter(|table| table.is_kept_open());
        let (used, unused): (Vec<_>, Vec<_>) = kept.partition(|table| table.take_used());
        let in_order = unused.iter().rev().chain(used.iter().rev());
        let closed: BTreeSet<u64> = in_order.take(count).map(|table| table.id).collect();
        let handle = |table: &Arc<TableFile>| {
            if closed.contains(&table.id) { table.closed() } else { Arc::clone(table) }
        };
        let run = |run: &TableRun| {
            let tables = run.tables().iter().map(handle).collect();
            TableRun::new(run.level(), run.rank(), tables)
        };
        Self { runs: self.runs.iter().map(run).collect(), ..*self }
    }

    /// All tables, those of the newest run first.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<TableFile>> {
        self.runs.iter().flat_map(TableRun::tables)
    }

    /// The tables that `other` does not have.
    pub(super) fn tables_beside(&self, other: &Self) -> impl Iterator<Item = &Arc<TableFile>> {
        let known: BTreeSet<u64> = other.tables().map(|table| table.id).collect();
        self.tables().filter(move |table| !known.contains(&table.id))
    }

    /// How many runs level 0 has.
    pub(crate) fn level_0_runs(&self) -> usize {
        self.runs.iter().take_while(|run| run.level() == 0).count()
    }
}
