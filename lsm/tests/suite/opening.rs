//! Openings after a close, a kill and a power cut, and stores that are damaged.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use durable::{Call, Inject, OpKind, Plan};
use kv::{Durability, Error, Kv, WriteBatch};
use lsm::Lsm;

use crate::world::{STORE, World, entries, fill, filled, key};

#[test]
fn after_a_clean_close_nothing_is_replayed_and_no_log_is_left() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..30, 1);
    engine.close().unwrap();
    engine.close().unwrap();
    assert!(matches!(engine.get(b"x"), Err(Error::Closed)));
    assert_eq!(world.files("log"), Vec::<String>::new());
    let engine = world.open().unwrap();
    assert_eq!(engine.statistics().replayed_batches, 0);
    assert_eq!(entries(&engine), filled(0..30, 1));
    assert_eq!(engine.newest_sequence().0, 30);
}

/// The syncs of files and of directories that an opening after a clean close makes, and how many tables the store has.
fn syncs_of_a_clean_opening(keys: u32) -> (usize, usize, u64) {
    let world = World::new();
    let engine = Lsm::open(STORE, world.options().table_bytes(600)).expect("a new store");
    fill(&engine, 0..keys, 1);
    engine.close().expect("a disk without faults");
    drop(engine);
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let counts = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let counted = Arc::clone(&counts);
    inject.on_call(Arc::new(move |call: &Call<'_>| {
        counted.0.fetch_add(usize::from(call.kind == OpKind::SyncFile), Ordering::Relaxed);
        counted.1.fetch_add(usize::from(call.kind == OpKind::SyncDir), Ordering::Relaxed);
    }));
    let mut options = world.options();
    options.env.fs = Arc::new(inject);
    let engine = Lsm::open(STORE, options).expect("a store that was closed");
    let (files, directories) = (&counts.0, &counts.1);
    (files.load(Ordering::Relaxed), directories.load(Ordering::Relaxed), engine.statistics().tables)
}

#[test]
fn an_opening_after_a_clean_close_syncs_two_files_and_two_directories_however_many_tables_there_are()
 {
    let (few, many) = (syncs_of_a_clean_opening(5), syncs_of_a_clean_opening(300));
    assert!(few.2 < 3 && many.2 > 40, "{} and {} tables", few.2, many.2);
    assert_eq!((few.0, few.1), (2, 2));
    assert_eq!((many.0, many.1), (2, 2));
}

#[test]
fn a_kill_loses_nothing_and_only_batches_without_a_table_are_replayed() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..30, 1);
    engine.flush().unwrap();
    fill(&engine, 30..35, 1);
    drop(engine);
    let engine = world.open().unwrap();
    assert_eq!(engine.statistics().replayed_batches, 5);
    assert_eq!(entries(&engine), filled(0..35, 1));
    drop(engine);
    let engine = world.open().unwrap();
    assert_eq!(engine.statistics().replayed_batches, 0, "the opening before has flushed them");
    assert_eq!(entries(&engine), filled(0..35, 1));
}

#[test]
fn a_power_cut_keeps_every_synced_batch_and_a_prefix_of_the_rest() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..12, 1);
    engine.sync().unwrap();
    fill(&engine, 12..14, 1);
    let engine = world.after_power_cut().open().unwrap();
    assert_eq!(entries(&engine), filled(0..12, 1));
    assert_eq!(engine.newest_sequence().0, 12);
    fill(&engine, 20..21, 2);
    assert_eq!(engine.newest_sequence().0, 13, "numbers go on after what was kept");
}

#[test]
fn a_second_crash_during_an_opening_finds_as_much() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..30, 1);
    engine.sync().unwrap();
    drop(engine);
    let before = world.disk.ops();
    drop(world.open().unwrap());
    for ops in before..=world.disk.ops() {
        let left = World::on(world.disk.crash(ops, &"strict/none".parse().unwrap()));
        let engine = left.open().unwrap_or_else(|error| panic!("after {ops}: {error}"));
        assert_eq!(entries(&engine), filled(0..30, 1), "after {ops}");
    }
}

#[test]
fn a_missing_file_is_damage_that_is_named() {
    for extension in ["log", "table"] {
        let world = World::new();
        let engine = world.open().unwrap();
        fill(&engine, 0..30, 1);
        engine.flush().unwrap();
        fill(&engine, 30..32, 1);
        engine.sync().unwrap();
        drop(engine);
        let name = world.files(extension).pop().unwrap();
        let path = std::path::Path::new(STORE).join(&name);
        durable::Fs::remove(&world.disk, &path).unwrap();
        let refused = world.open().unwrap_err();
        assert!(refused.is_corruption() && refused.to_string().contains(&name), "{refused}");
    }
}

#[test]
fn a_log_that_lost_its_synced_batches_is_damage() {
    let world = World::new();
    let engine = Lsm::open(STORE, world.options().memtable_bytes(1 << 20)).unwrap();
    fill(&engine, 0..30, 1);
    engine.sync().unwrap();
    drop(engine);
    let logs = world.files("log");
    assert!(logs.len() > 3);
    let path = |name: &str| std::path::Path::new(STORE).join(name);
    let bytes = world.disk.contents(&path(&logs[1])).unwrap();
    world.disk.set_contents(&path(&logs[1]), bytes[..2048].to_vec());
    let refused = world.open().unwrap_err();
    assert!(refused.is_corruption() && refused.to_string().contains(&logs[1]), "{refused}");
}

#[test]
fn numbers_are_not_used_again_after_a_close() {
    let world = World::new();
    for round in 0..3_u8 {
        let engine = world.open().unwrap();
        let mut batch = WriteBatch::new();
        batch.put(&key(u32::from(round)), b"value");
        let number = engine.write(&batch, Durability::Buffered).unwrap();
        assert_eq!(number.0, u64::from(round) + 1);
        engine.close().unwrap();
    }
}

#[test]
fn a_store_that_is_open_is_locked_and_a_missing_one_is_not_made_unless_asked() {
    let world = World::new();
    let missing = Lsm::open(STORE, world.options().create(false)).unwrap_err();
    assert_eq!(missing.io_kind(), Some(std::io::ErrorKind::NotFound), "{missing}");
    let engine = world.open().unwrap();
    assert!(matches!(world.open(), Err(Error::Locked { .. })));
    engine.close().unwrap();
    drop(world.open().unwrap());
    assert!(matches!(Lsm::open("", world.options()), Err(Error::InvalidArgument(_))));
}

#[test]
fn verify_finds_a_changed_byte_of_a_table_and_reads_name_it() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..30, 1);
    engine.close().unwrap();
    let engine = world.open().unwrap();
    let verified = engine.verify().unwrap();
    assert_eq!((verified.entries, verified.versions, verified.keys), (30, 30, 30));
    engine.close().unwrap();
    let name = world.files("table").remove(0);
    let path = std::path::Path::new(STORE).join(&name);
    let mut bytes = world.disk.contents(&path).unwrap();
    bytes[200] ^= 1;
    world.disk.set_contents(&path, bytes);
    let engine = world.open().unwrap();
    let found = engine.verify().unwrap_err();
    assert!(found.is_corruption() && found.to_string().contains(&name), "{found}");
    let read = engine.get(&key(0)).unwrap_err();
    assert!(read.is_corruption() && read.to_string().contains(&name), "{read}");
}
