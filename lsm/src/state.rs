//! The state that the manifest of an LSM tree keeps: which logs and tables make up the store.
//!
//! # State, format 3
//!
//! A snapshot is: next file number, [`State::flushed`], next rank, [`State::history_floor`], varints; number of logs, varint,
//! and the number of each, varint; number of tables, varint, and for each its file number, level and rank, varints, and the
//! fields of [`TableFacts`].
//!
//! An edit is one byte and the fields of the edit:
//!
//! | byte | edit | fields |
//! |---|---|---|
//! | 1 | begin a log | its number, varint |
//! | 2 | reserve a number | the number, varint |
//! | 3 | remove logs | how many, and their numbers, varints |
//! | 4 | flush | [`State::flushed`], varint; number of tables, varint; of each its file number, varint, and the fields of [`TableFacts`]; number of logs that go and their numbers, varints |
//! | 5 | compaction | level and rank of the run that the tables join, [`State::history_floor`], varints; number of tables that go and their numbers, varints; number of tables, varint; of each its file number, varint, and the fields of [`TableFacts`] |
//! | 6 | move | level and rank of the run that the tables join, varints; number of tables and their numbers, varints |
//!
//! Format 2 had no range tombstones, and so fewer facts about a table. Format 1 had no compaction either: no history floor, no
//! edits 5 and 6, and still fewer facts. Both are read.

mod edit;
mod format;
mod replacement;
mod table_facts;

use std::collections::{BTreeMap, BTreeSet};

use durable::coding::Reader;
use durable::manifest::{self, EngineTag};
use durable::store_dir::NamePattern;
use kv::Result;
use serde::Serialize;
use serde_json::{Value, json};

use crate::files::{FILE_ID_LIMIT, LOG, TABLE};
use crate::internal_key::SEQUENCE_LIMIT;
use edit::Change;
pub(crate) use edit::Edit;
pub(crate) use replacement::Replacement;
pub(crate) use table_facts::{RangeFacts, TableFacts};

/// Levels are below this.
pub(crate) const LEVELS: u64 = 7;

/// Which files make up the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct State {
    /// No file has had this number or a higher one. At most [`FILE_ID_LIMIT`].
    pub(crate) next_file_id: u64,
    /// Every batch up to this number is in a table, and no later one is. Below [`SEQUENCE_LIMIT`].
    pub(crate) flushed: u64,
    /// No run has had this rank or a higher one.
    pub(crate) next_rank: u64,
    /// States of the store before this number can no longer be read: compactions have dropped versions of them. At most
    /// [`State::flushed`].
    pub(crate) history_floor: u64,
    /// The segments of the write-ahead log, in the order in which they were begun.
    pub(crate) logs: BTreeSet<u64>,
    /// The tables, by file number.
    pub(crate) tables: BTreeMap<u64, PlacedTable>,
}

/// A table and the run that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PlacedTable {
    /// The level of the run; 0 takes memtables.
    pub(crate) level: u64,
    /// The age of the run in its level: a higher rank is newer.
    pub(crate) rank: u64,
    pub(crate) facts: TableFacts,
}

/// Why an edit contradicts the state.
type Refusal = String;

impl Default for State {
    fn default() -> Self {
        let (logs, tables) = (BTreeSet::new(), BTreeMap::new());
        Self { next_file_id: 1, flushed: 0, next_rank: 1, history_floor: 0, logs, tables }
    }
}

impl State {
    /// Whether the manifest names a file with this number.
    pub(crate) fn has_file(&self, id: u64) -> bool {
        self.logs.contains(&id) || self.tables.contains_key(&id)
    }

    /// The same tables, without a log: the state of a store that has no batch outside of them.
    pub(crate) fn without_logs(&self) -> Self {
        Self { logs: BTreeSet::new(), ..self.clone() }
    }

    fn give_away(&mut self, id: u64) -> std::result::Result<(), Refusal> {
        if id < self.next_file_id || id >= FILE_ID_LIMIT {
            return Err(format!("file {id} is begun and was there before, or is too high"));
        }
        self.next_file_id = id + 1;
        debug_assert!(!self.has_file(id), "a number is given away once");
        Ok(())
    }

    fn remove_logs(&mut self, logs: &[u64]) -> std::result::Result<(), Refusal> {
        logs.iter().try_for_each(|log| {
            let is_there = self.logs.remove(log);
            is_there.then_some(()).ok_or_else(|| format!("log {log} goes and is not there"))
        })
    }

    fn add_run(&mut self, tables: &[(u64, TableFacts)]) -> std::result::Result<(), Refusal> {
        if tables.is_empty() {
            return Ok(());
        }
        self.add_tables(0, self.next_rank, tables)
    }

    fn flush(
        &mut self,
        flushed: u64,
        tables: &[(u64, TableFacts)],
    ) -> std::result::Result<(), Refusal> {
        if flushed < self.flushed || flushed >= SEQUENCE_LIMIT {
            return Err(format!("a flush up to batch {flushed} after one up to {}", self.flushed));
        }
        let is_new = |facts: &TableFacts| facts.oldest > self.flushed && facts.newest <= flushed;
        if !tables.iter().all(|(_, facts)| is_new(facts)) {
            return Err("a flush of batches that are in a table already".into());
        }
        self.flushed = flushed;
        self.add_run(tables)
    }
}

impl manifest::State for State {
    type Edit = Edit;

    const ENGINE: EngineTag = EngineTag { id: 2, name: "lsm" };
    const FORMAT: u16 = 3;
    const FILES: &'static [NamePattern] = &[LOG, TABLE];

    fn apply(&mut self, edit: &Edit) -> std::result::Result<(), Refusal> {
        match &edit.0 {
            Change::BeginLog(id) => {
                self.give_away(*id)?;
                self.logs.insert(*id);
            }
            Change::Reserve(id) => self.give_away(*id)?,
            Change::RemoveLogs(logs) => self.remove_logs(logs)?,
            Change::Flush { flushed, tables, logs } => {
                self.flush(*flushed, tables)?;
                self.remove_logs(logs)?;
            }
            Change::Compact(replacement) => self.replace(replacement)?,
            Change::Move { level, rank, tables } => self.move_tables(*level, *rank, tables)?,
        }
        debug_assert!(self.next_file_id <= FILE_ID_LIMIT && self.flushed < SEQUENCE_LIMIT);
        debug_assert!(self.history_floor <= self.flushed, "dropped versions were in tables");
        debug_assert!(self.logs.iter().all(|&id| id < self.next_file_id), "numbers are given away");
        Ok(())
    }

    fn encode_state(&self, out: &mut Vec<u8>) {
        format::encode_state(self, out);
    }

    fn decode_state(format: u16, reader: &mut Reader<'_>) -> Result<Self> {
        format::decode_state(format, reader)
    }

    fn encode_edit(edit: &Edit, out: &mut Vec<u8>) {
        format::encode_edit(edit, out);
    }

    fn decode_edit(format: u16, reader: &mut Reader<'_>) -> Result<Edit> {
        format::decode_edit(format, reader)
    }

    fn to_json(&self) -> Value {
        json!(self)
    }

    fn edit_to_json(edit: &Edit) -> Value {
        json!(edit)
    }
}

#[cfg(test)]
mod tests;
