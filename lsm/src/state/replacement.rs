//! Tables of one run in place of others: the edit of a compaction.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{LEVELS, PlacedTable, Refusal, State, TableFacts};

/// Tables that take the place of others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Replacement {
    /// The level of the run that the new tables join. Below [`LEVELS`].
    pub(crate) level: u64,
    /// The rank of that run.
    pub(crate) rank: u64,
    /// The tables that go.
    pub(crate) gone: Vec<u64>,
    /// States of the store before this number can no longer be read, because versions of them have gone.
    pub(crate) history_floor: u64,
    /// The new tables, in the order of their keys. Perhaps none.
    pub(crate) tables: Vec<(u64, TableFacts)>,
}

impl State {
    /// The tables of `replacement` come, and others go.
    pub(super) fn replace(&mut self, replacement: &Replacement) -> Result<(), Refusal> {
        let Replacement { level, rank, gone, history_floor, tables } = replacement;
        if gone.is_empty() || *history_floor > self.flushed {
            return Err(format!("a compaction of {} tables up to {history_floor}", gone.len()));
        }
        for id in gone {
            self.tables.remove(id).ok_or_else(|| format!("table {id} goes and is not there"))?;
        }
        self.add_tables(*level, *rank, tables)?;
        if !tables.iter().all(|(_, facts)| facts.newest <= self.flushed) {
            return Err("a compaction makes versions of batches that were not flushed".into());
        }
        self.history_floor = self.history_floor.max(*history_floor);
        Ok(())
    }

    /// The tables `moved` join the run at `level` and `rank` as they are.
    pub(super) fn move_tables(
        &mut self,
        level: u64,
        rank: u64,
        moved: &[u64],
    ) -> Result<(), Refusal> {
        let mut tables = Vec::new();
        for id in moved {
            let table = self.tables.remove(id);
            let table = table.ok_or_else(|| format!("table {id} moves and is not there"))?;
            tables.push((*id, table.facts));
        }
        self.add_tables(level, rank, &tables)
    }

    /// Adds tables to a run, which may be new. Checks that no two tables of the run share a key.
    pub(super) fn add_tables(
        &mut self,
        level: u64,
        rank: u64,
        tables: &[(u64, TableFacts)],
    ) -> Result<(), Refusal> {
        if level >= LEVELS || rank == u64::MAX {
            return Err(format!("there is no run {rank} of level {level}"));
        }
        for (id, facts) in tables {
            if *id >= self.next_file_id || self.has_file(*id) {
                return Err(format!("table {id} was not reserved, or is there already"));
            }
            let placed = PlacedTable { level, rank, facts: facts.clone() };
            self.tables.insert(*id, placed);
        }
        if !tables.is_empty() {
            self.next_rank = self.next_rank.max(rank + 1);
        }
        self.check_run(level, rank)
    }

    /// Checks that no two tables of a run share a key.
    ///
    /// # Errors
    /// A manifest that no store writes, and how.
    pub(crate) fn check_runs(&self) -> Result<(), Refusal> {
        let places = self.tables.values().map(|table| (table.level, table.rank));
        let places: BTreeSet<(u64, u64)> = places.collect();
        places.into_iter().try_for_each(|(level, rank)| self.check_run(level, rank))
    }

    /// Checks that no two tables of the run share a key.
    fn check_run(&self, level: u64, rank: u64) -> Result<(), Refusal> {
        let tables = self.tables.values();
        let of_run = tables.filter(|table| (table.level, table.rank) == (level, rank));
        let mut run: Vec<&TableFacts> = of_run.map(|table| &table.facts).collect();
        run.sort_unstable_by(|one, other| one.first().cmp(&other.first()));
        let is_disjoint = run.is_sorted_by(|one, next| one.last() < next.first());
        let refusal = || format!("tables of run {rank} of level {level} share a key");
        is_disjoint.then_some(()).ok_or_else(refusal)
    }
}
