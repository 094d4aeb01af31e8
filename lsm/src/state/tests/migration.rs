//! A store whose manifest is of an older format: opened, migrated, and crashed on the way. It proves the migration from end to
//! end: the code that writes an older format is here and nowhere else, so no format for tests alone is needed. What each of them
//! looks like is in the tree (`lsm/tests/golden`).

use std::path::Path;
use std::sync::Arc;

use durable::coding::{Reader, put_prefixed, put_u32, put_varint};
use durable::log::StoreId;
use durable::manifest::{self, EngineTag, Manifest};
use durable::new_store::NewStore;
use durable::store_dir::{NamePattern, OpenMode, StoreDir};
use durable::{Env, Fs, ManualClock, ManualExecutor, SeededEntropy, SimFs};
use kv::{Durability, KeyRange, Kv, Result, WriteBatch};
use serde_json::Value;

use super::super::{Edit, Refusal, State, TableFacts};
use crate::files::TABLE;
use crate::range_tombstones::put_range;
use crate::{Lsm, Options};

/// The state as a build of an older format writes it. Only tests write it.
#[derive(Clone, Debug, Default)]
struct OldState<const FORMAT: u16>(State);

impl<const FORMAT: u16> manifest::State for OldState<FORMAT> {
    type Edit = Edit;

    const ENGINE: EngineTag = State::ENGINE;
    const FORMAT: u16 = FORMAT;
    const FILES: &'static [NamePattern] = State::FILES;

    fn apply(&mut self, edit: &Edit) -> std::result::Result<(), Refusal> {
        self.0.apply(edit)
    }

    fn encode_state(&self, out: &mut Vec<u8>) {
        let state = &self.0;
        for field in [state.next_file_id, state.flushed, state.next_rank] {
            put_varint(out, field);
        }
        if FORMAT >= 2 {
            put_varint(out, state.history_floor);
        }
        put_varint(out, state.logs.len() as u64);
        state.logs.iter().for_each(|&log| put_varint(out, log));
        put_varint(out, state.tables.len() as u64);
        for (&id, table) in &state.tables {
            for field in [id, table.level, table.rank] {
                put_varint(out, field);
            }
            encode_facts(FORMAT, &table.facts, out);
        }
    }

    fn decode_state(format: u16, reader: &mut Reader<'_>) -> Result<Self> {
        State::decode_state(format, reader).map(Self)
    }

    fn encode_edit(_: &Edit, _: &mut Vec<u8>) {
        unreachable!("the old manifest is one snapshot");
    }

    fn decode_edit(format: u16, reader: &mut Reader<'_>) -> Result<Edit> {
        State::decode_edit(format, reader)
    }

    fn to_json(&self) -> Value {
        self.0.to_json()
    }

    fn edit_to_json(edit: &Edit) -> Value {
        State::edit_to_json(edit)
    }
}

/// The facts about a table in an older format.
fn encode_facts(format: u16, facts: &TableFacts, out: &mut Vec<u8>) {
    put_varint(out, facts.len);
    put_u32(out, facts.crc);
    out.extend_from_slice(&facts.table_id);
    for field in [facts.entries, facts.tombstones, facts.oldest, facts.newest] {
        put_varint(out, field);
    }
    if format >= 2 {
        for field in [facts.hidden, facts.dense_bytes, facts.created] {
            put_varint(out, field);
        }
    }
    put_prefixed(out, &facts.smallest);
    put_prefixed(out, &facts.largest);
    assert!(format >= 3 || facts.ranges.is_none(), "the format has no range tombstones");
    if format >= 3 {
        put_varint(out, facts.range_fragments());
        facts.ranges.iter().for_each(|ranges| put_range(out, &ranges.hull));
    }
    assert!(facts.expiry.is_none(), "the format has no entries that expire");
}

fn options(disk: &SimFs) -> Options {
    let clock = Arc::new(ManualClock::new());
    let env = Env {
        fs: Arc::new(disk.clone()),
        clock: Arc::clone(&clock) as _,
        executor: Arc::new(ManualExecutor::new(clock as _)),
        entropy: Arc::new(SeededEntropy::new(5)),
    };
    Options::in_env(env).compaction_threads(0)
}

/// The manifest of the store, and the format in which it is on the disk.
fn read(disk: &SimFs) -> Result<(State, Value)> {
    let dir = StoreDir::open(Arc::new(disk.clone()), Path::new("store"), OpenMode::Read)?;
    let format = Manifest::<State>::dump(&dir)?["format"].clone();
    Ok((Manifest::<State>::read(&dir)?.into_state(), format))
}

/// The first of the keys that a range tombstone deletes, if the format has any.
const FIRST_DELETED: u8 = 7;

/// A store of an older format in `store`, with two runs.
fn old_store<const FORMAT: u16>() -> Result<SimFs> {
    let disk = SimFs::new();
    let engine = Lsm::open("new", options(&disk))?;
    for round in 0..2_u8 {
        for key in 0..10_u8 {
            engine.put(&[key], &[round; 20], Durability::Buffered)?;
        }
        if FORMAT >= 3 && round == 1 {
            let mut batch = WriteBatch::new();
            batch.delete_range(KeyRange::new(&[FIRST_DELETED][..]..));
            engine.write(&batch, Durability::Buffered)?;
        }
        engine.flush()?;
    }
    engine.close()?;
    let from = StoreDir::open(Arc::new(disk.clone()), Path::new("new"), OpenMode::Read)?;
    let state = Manifest::<State>::read(&from)?.into_state();
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    NewStore::make::<OldState<FORMAT>, _>(&fs, Path::new("store"), |new| {
        for &id in state.tables.keys() {
            new.link_or_copy(&from.file(&TABLE.name(id)), &TABLE.name(id))?;
        }
        new.create_manifest(StoreId([3; 16]), OldState::<FORMAT>(state.clone()))
    })?;
    Ok(disk)
}

/// One store of each older format.
fn old_stores() -> [(u16, SimFs); 3] {
    let works = "the disk works";
    [
        (1, old_store::<1>().expect(works)),
        (2, old_store::<2>().expect(works)),
        (3, old_store::<3>().expect(works)),
    ]
}

/// Opens the store, which was of `format`, for writing, and reads everything.
fn check(disk: &SimFs, format: u16) -> Result<()> {
    let engine = Lsm::open("store", options(disk).create(false))?;
    for key in 0..10_u8 {
        let is_deleted = format >= 3 && key >= FIRST_DELETED;
        let expected = (!is_deleted).then_some(&[1; 20][..]);
        assert_eq!(engine.get(&[key])?.as_deref(), expected, "key {key} of format {format}");
    }
    engine.verify().map(drop)
}

#[test]
fn a_store_of_an_older_format_is_migrated_when_it_is_opened_for_writing_and_not_before() {
    for (old, disk) in old_stores() {
        let (before, format) = read(&disk).expect("it is read");
        assert_eq!((format, before.tables.len()), (old.into(), 2));
        let reader = Lsm::open_read_only("store", options(&disk)).expect("a reader reads it");
        assert_eq!(reader.newest_sequence().0, 20 + u64::from(old >= 3));
        assert_eq!(read(&disk).expect("it is read").1, old, "a reader migrates nothing");
        check(&disk, old).expect("a writer opens it");
        let (after, format) = read(&disk).expect("it is read");
        assert_eq!(format, <State as manifest::State>::FORMAT);
        assert_eq!(after.tables, before.tables);
        check(&disk, old).expect("it opens again");
    }
}

#[test]
fn a_crash_at_any_point_of_a_migration_leaves_a_store_that_is_migrated_later() {
    for (old, disk) in old_stores() {
        let begun = disk.ops();
        check(&disk, old).expect("it opens");
        let mut crashes = disk.sweep();
        let mut not_migrated = 0;
        while let Some(point) = crashes.next_point() {
            if point < begun {
                continue;
            }
            for variant in crashes.all_variants(2) {
                let left = crashes.image(&variant);
                let (_, format) = read(&left).expect("one of both manifests counts");
                not_migrated += usize::from(format == old);
                check(&left, old).unwrap_or_else(|error| {
                    panic!("format {old}, after {point} with {variant}: {error}")
                });
            }
        }
        assert!(not_migrated > 3, "some crashes come before the migration");
    }
}

#[test]
fn a_store_of_an_older_format_is_repaired() {
    for (old, disk) in old_stores() {
        let repair = crate::repair("store", "repaired", &options(&disk)).expect("it is read");
        assert!(repair.trusts_manifest && repair.losses.is_empty(), "format {old}: {repair:?}");
        assert_eq!(read(&disk).expect("it is read").1, old, "a repair migrates nothing");
        let engine = Lsm::open("repaired", options(&disk).create(false)).expect("it is a store");
        let expected = if old >= 3 { FIRST_DELETED.into() } else { 10 };
        assert_eq!(engine.verify().expect("it is sound").keys, expected, "format {old}");
        for key in 0..expected as u8 {
            assert_eq!(engine.get(&[key]).expect("it is sound").as_deref(), Some(&[1; 20][..]));
        }
    }
}
