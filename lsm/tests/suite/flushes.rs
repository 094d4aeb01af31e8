//! Flushes against readers.

use durable::{Fault, Inject, Plan};
use kv::{Durability, Error, KeyRange, Kv, Snapshots};
use lsm::Lsm;

use crate::world::{STORE, World, entries, fill, filled, key, rest};

#[test]
fn a_scan_goes_on_while_its_memtables_are_flushed() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..20, 1);
    let mut forward = engine.scan(KeyRange::all()).unwrap();
    let mut backward = engine.scan(KeyRange::all()).unwrap();
    for _ in 0..5 {
        assert!(forward.next().unwrap() && backward.prev().unwrap());
    }
    fill(&engine, 0..20, 2);
    engine.flush().unwrap();
    world.executor.run_all();
    assert_eq!(rest(&mut *forward), filled(5..20, 1));
    let mut seen = Vec::new();
    while backward.prev().unwrap() {
        seen.push((backward.key().to_vec(), backward.value().unwrap().to_vec()));
    }
    seen.reverse();
    assert_eq!(seen, filled(0..15, 1));
    assert_eq!(entries(&engine), filled(0..20, 2));
}

#[test]
fn a_delete_hides_the_older_value_in_every_layer() {
    let world = World::new();
    let engine = world.open().unwrap();
    let check = |engine: &Lsm| {
        assert_eq!(engine.get(b"key").unwrap(), None);
        assert_eq!(entries(engine), []);
        let mut cursor = engine.scan(KeyRange::all()).unwrap();
        assert!(!cursor.prev().unwrap());
    };
    // Both in the active memtable.
    engine.put(b"key", b"value", Durability::Buffered).unwrap();
    engine.delete(b"key", Durability::Buffered).unwrap();
    check(&engine);
    // The value in level 0, the tombstone in the active memtable, and then in level 0 as well.
    engine.put(b"key", b"value", Durability::Buffered).unwrap();
    engine.flush().unwrap();
    engine.delete(b"key", Durability::Buffered).unwrap();
    check(&engine);
    engine.flush().unwrap();
    check(&engine);
    drop(engine);
    check(&world.open().unwrap());
}

#[test]
fn a_delete_hides_the_older_value_in_a_sealed_memtable() {
    let world = World::new();
    let engine = world.open().unwrap();
    engine.put(b"key", b"value", Durability::Buffered).unwrap();
    fill(&engine, 0..15, 1);
    assert!(engine.statistics().sealed_memtables > 0, "nobody has flushed it");
    engine.delete(b"key", Durability::Buffered).unwrap();
    assert_eq!(engine.get(b"key").unwrap(), None);
    assert_eq!(entries(&engine), filled(0..15, 1));
    world.executor.run_all();
    assert_eq!(engine.statistics().sealed_memtables, 0);
    assert_eq!(engine.get(b"key").unwrap(), None);
    assert_eq!(entries(&engine), filled(0..15, 1));
}

#[test]
fn a_snapshot_between_seal_and_install_sees_one_state_for_good() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..15, 1);
    assert!(engine.statistics().sealed_memtables > 0, "nobody has flushed it");
    let snapshot = engine.snapshot().unwrap();
    fill(&engine, 0..15, 2);
    world.executor.run_all();
    engine.flush().unwrap();
    assert_eq!(engine.statistics().sealed_memtables, 0);
    assert_eq!(snapshot.sequence().0, 15);
    assert_eq!(rest(&mut *snapshot.scan(KeyRange::all()).unwrap()), filled(0..15, 1));
    for number in 0..15 {
        assert_eq!(snapshot.get(&key(number)).unwrap().unwrap(), [1; 100][..]);
    }
    drop(engine);
    assert_eq!(rest(&mut *snapshot.scan(KeyRange::all()).unwrap()), filled(0..15, 1));
}

#[test]
fn a_flush_removes_the_logs_that_it_makes_superfluous() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..60, 1);
    engine.flush().unwrap();
    world.executor.run_all();
    let statistics = engine.statistics();
    assert_eq!(statistics.tables, statistics.flushes, "each memtable fits into one table");
    assert!(statistics.logs <= 2, "the active and the prepared segment are left");
    assert_eq!(world.files("log").len() as u64, statistics.logs);
    let mut live = engine.live_files();
    live.sort();
    let mut files = [world.files("log"), world.files("table")].concat();
    files.sort();
    assert_eq!(files, live);
}

#[test]
fn a_run_of_several_tables_keeps_the_versions_of_a_key_together() {
    let world = World::new();
    let options = world.options().memtable_bytes(64 << 10).table_bytes(600);
    let engine = Lsm::open(STORE, options).unwrap();
    for round in 0..4 {
        fill(&engine, 0..10, round);
    }
    engine.flush().unwrap();
    let statistics = engine.statistics();
    assert_eq!(statistics.runs, 1);
    assert!(statistics.tables > 3, "{statistics:?}");
    assert_eq!(entries(&engine), filled(0..10, 3));
    let mut cursor = engine.scan(KeyRange::new(&key(3)[..]..=&key(6)[..])).unwrap();
    assert_eq!(rest(&mut *cursor), filled(3..7, 3));
}

#[test]
fn a_writer_flushes_the_oldest_memtable_when_too_many_wait() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..100, 1);
    let statistics = engine.statistics();
    assert!(statistics.flush_stalls > 0, "no background job has run");
    assert_eq!(statistics.sealed_memtables, 4);
    assert_eq!(entries(&engine), filled(0..100, 1));
}

#[test]
fn a_flush_without_space_is_tried_again_and_poisons_nothing() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..9, 1);
    world.disk.set_free_space(Some(64));
    let refused = engine.flush().unwrap_err();
    assert!(refused.is_out_of_resources(), "{refused}");
    assert_eq!(entries(&engine), filled(0..9, 1));
    assert_eq!(engine.statistics().flushes_failed, 1);
    world.disk.set_free_space(None);
    engine.flush().unwrap();
    assert_eq!(engine.statistics().tables, 1);
    assert_eq!(entries(&engine), filled(0..9, 1));
    assert_eq!(world.files("table").len(), 1, "the first attempt left nothing");
    engine.close().unwrap();
}

#[test]
fn a_flush_that_the_disk_fails_poisons_the_store_and_reads_go_on() {
    let world = World::new();
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let mut options = world.options();
    options.env.fs = std::sync::Arc::new(inject.clone());
    let engine = Lsm::open(STORE, options).unwrap();
    fill(&engine, 0..10, 1);
    inject.arm(Plan { sticky: true, ..Plan::once(0, Fault::Eio) });
    assert!(matches!(engine.flush(), Err(Error::Io { .. } | Error::Poisoned { .. })));
    inject.lift();
    let refused = engine.put(b"key", b"value", Durability::Buffered);
    assert!(matches!(refused, Err(Error::Poisoned { .. })), "{refused:?}");
    assert_eq!(entries(&engine), filled(0..10, 1));
    assert!(engine.close().is_err());
    assert_eq!(entries(&world.open().unwrap()), filled(0..10, 1));
}
