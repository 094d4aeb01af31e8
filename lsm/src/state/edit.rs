//! The edits of the state.

use durable::publish::PublishedFile;
use serde::Serialize;

#[cfg(doc)]
use super::State;
use super::{Replacement, TableFacts};
use crate::files::{LOG, TABLE};

/// A change of the files. One that adds a file can only be made from the proof that it was synced and named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Edit(pub(super) Change);

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Change {
    BeginLog(u64),
    Reserve(u64),
    RemoveLogs(Vec<u64>),
    Flush { flushed: u64, tables: Vec<(u64, TableFacts)>, logs: Vec<u64> },
    Compact(Replacement),
    Move { level: u64, rank: u64, tables: Vec<u64> },
}

impl Edit {
    /// A new segment of the log, to be appended to.
    pub(crate) fn begin_log(file: &PublishedFile) -> Self {
        Self(Change::BeginLog(file.number(LOG).expect("the proof is of a log")))
    }

    /// The number is given away: a file with it that the manifest does not name was never part of the store.
    pub(crate) fn reserve(id: u64) -> Self {
        Self(Change::Reserve(id))
    }

    /// The logs are no longer part of the store. Every batch in them is in a table, or was never part of the store.
    pub(crate) fn remove_logs(logs: Vec<u64>) -> Self {
        Self(Change::RemoveLogs(logs))
    }

    /// The tables hold every batch behind [`State::flushed`] and up to `flushed`: one new run of level 0, in the order of
    /// keys. `logs` hold no later batch, and go.
    pub(crate) fn flush(
        flushed: u64,
        tables: Vec<(PublishedFile, TableFacts)>,
        logs: Vec<u64>,
    ) -> Self {
        Self(Change::Flush { flushed, tables: proven(tables), logs })
    }

    /// The tables `gone` go, and `tables` come, in the order of keys, into the run at `level` and `rank`. States of the store
    /// before `history_floor` can no longer be read.
    pub(crate) fn compact(
        (level, rank): (u64, u64),
        gone: Vec<u64>,
        history_floor: u64,
        tables: Vec<(PublishedFile, TableFacts)>,
    ) -> Self {
        assert!(!gone.is_empty(), "a compaction has inputs");
        let tables = proven(tables);
        Self(Change::Compact(Replacement { level, rank, gone, history_floor, tables }))
    }

    /// The tables join the run at `level` and `rank` as they are.
    pub(crate) fn move_tables((level, rank): (u64, u64), tables: Vec<u64>) -> Self {
        assert!(!tables.is_empty(), "a move has tables");
        Self(Change::Move { level, rank, tables })
    }
}

/// The numbers and facts of tables, in the order of their keys.
fn proven(tables: Vec<(PublishedFile, TableFacts)>) -> Vec<(u64, TableFacts)> {
    let proven = |(file, facts): (PublishedFile, TableFacts)| {
        assert_eq!(file.len_bytes(), facts.len, "the proof is of the whole file");
        (file.number(TABLE).expect("the proof is of a table"), facts)
    };
    let tables: Vec<_> = tables.into_iter().map(proven).collect();
    let is_in_order =
        |one: &(u64, TableFacts), next: &(u64, TableFacts)| one.1.last() < next.1.first();
    assert!(tables.is_sorted_by(is_in_order), "the tables of a run share no key");
    tables
}
