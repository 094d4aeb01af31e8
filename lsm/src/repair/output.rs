//! Steps 4 and 5: the newest versions, and the tables that they go to.

use std::sync::Arc;

use durable::log::StoreId;
use durable::manifest::Manifest;
use durable::new_store::NewStore;
use kv::{Cursor, Result, SequenceNumber};
use sstable::MergingCursor;

use super::Repair;
use crate::file_ids::FileIds;
use crate::files::TABLE;
use crate::internal_key::{self, Kind, Trailer};
use crate::options::Options;
use crate::range_tombstones::Fragments;
use crate::state::{PlacedTable, State};
use crate::store::Store;
use crate::table_writer::{NewRun, NewTable, TableWriter};

/// Writes the newest version of each key of `merged`, unless it is deleted, and the manifest.
///
/// # Errors
/// `Io`.
pub(super) fn write(
    new: &NewStore,
    mut merged: MergingCursor<Box<dyn Cursor>>,
    ranges: &Fragments,
    options: &Options,
    latest_time: u64,
    repair: &mut Repair,
) -> Result<()> {
    let id = StoreId::random(&*options.env.entropy);
    let manifest = Manifest::create(new.dir(), id)?;
    let store = Store::new(options.env.clone(), options.steps.clone(), new.dir().clone(), manifest);
    let store = Arc::new(store);
    let ids = FileIds::new(Arc::clone(&store));
    let writer = TableWriter { store: &store, ids: &ids, build: options.table };
    let newest_range = ranges.iter().map(|fragment| fragment.numbers()[0]).max();
    let mut newest = repair.newest.0.max(newest_range.unwrap_or(0));
    let (mut run, mut table_len) = (NewRun::default(), 0);
    let mut last_user: Option<Vec<u8>> = None;
    while merged.next()? {
        let (key, value) = merged.entry()?;
        let (user, trailer) = internal_key::split(key).expect("each source has internal keys");
        newest = newest.max(trailer.sequence());
        repair.versions += 1;
        if last_user.as_deref() == Some(user) {
            continue;
        }
        let last = last_user.get_or_insert_default();
        last.clear();
        last.extend_from_slice(user);
        if is_deleted(user, trailer, ranges) {
            continue;
        }
        if table_len >= options.table_bytes {
            writer.end_table_before(&mut run, user)?;
            table_len = 0;
        }
        table_len += writer.add(&mut run, key, value)?;
        repair.keys += 1;
    }
    writer.end_last_table(&mut run)?;
    repair.newest = SequenceNumber(newest);
    let state = repaired_state(&store.state(), run.into_tables(), newest);
    // It takes the place of the manifest that gave out the numbers of the tables.
    new.create_manifest(id, State { latest_time, ..state })
}

/// Whether the newest version of `user` is a tombstone, or below a range tombstone.
fn is_deleted(user: &[u8], trailer: Trailer, ranges: &Fragments) -> bool {
    let is_covered =
        || ranges.at(user).is_some_and(|fragment| fragment.numbers()[0] > trailer.sequence());
    trailer.kind() == Some(Kind::Tombstone) || is_covered()
}

/// The state of the repaired store: `tables` are all that it has, and its only readable state is the newest one. `before` has given
/// out the numbers of the tables.
fn repaired_state(before: &State, tables: Vec<NewTable>, newest: u64) -> State {
    let place = |(file, facts): NewTable| {
        let id = file.number(TABLE).expect("the proof is of a table");
        (id, PlacedTable { level: 0, rank: before.next_rank, facts })
    };
    let state = State {
        flushed: newest,
        history_floor: newest,
        next_rank: before.next_rank + 1,
        tables: tables.into_iter().map(place).collect(),
        ..before.clone()
    };
    assert_eq!(state.check_runs(), Ok(()), "the tables were written in order");
    assert!(state.tables.values().all(|table| table.facts.newest <= newest), "it is the newest");
    state
}
