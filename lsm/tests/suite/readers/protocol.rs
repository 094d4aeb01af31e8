//! The steps of loading and of refreshing, each with the event that the step is there for.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use durable::{Inject, OpKind, Plan};
use kv::{Durability, KeyRange, Kv};
use lsm::Lsm;

use super::{read, read_through};
use crate::world::{STORE, World, entries, fill, filled, key};

fn is_table(path: &std::path::Path) -> bool {
    path.extension().is_some_and(|extension| extension == "table")
}

/// How many tables are opened from now on.
fn count_tables(inject: &Inject) -> Arc<AtomicUsize> {
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    inject.on_call(Arc::new(move |call| {
        let counts = call.kind == OpKind::Open && is_table(call.path);
        count.fetch_add(usize::from(counts), Ordering::SeqCst);
    }));
    opened
}

#[test]
fn a_refresh_opens_only_new_tables_and_without_new_batches_none() {
    let world = World::new();
    let engine = world.open().unwrap();
    for round in 0..5 {
        fill(&engine, 0..10, round);
        engine.flush().unwrap();
    }
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let reader = read_through(&world, &inject).unwrap();
    let opened = count_tables(&inject);
    fill(&engine, 0..1, 9);
    engine.flush().unwrap();
    reader.refresh().unwrap();
    assert_eq!(opened.swap(0, Ordering::SeqCst), 1);
    let calls = inject.calls();
    reader.refresh().unwrap();
    assert!(inject.calls() - calls < 18, "nothing was written: {}", inject.calls() - calls);
    fill(&engine, 0..1, 10);
    reader.refresh().unwrap();
    assert_eq!(opened.load(Ordering::SeqCst), 0);
    assert_eq!(entries(&reader), entries(&engine));
}

#[test]
fn a_reader_starts_over_when_a_compaction_takes_its_tables_away() {
    for times in [1, 2, 5] {
        let world = World::new();
        let engine = Arc::new(world.open().unwrap());
        for round in 0..3 {
            fill(&*engine, 0..30, round);
            engine.flush().unwrap();
        }
        let inject = Inject::over_sim(world.disk.clone(), Plan::none());
        let (writer, left) = (Arc::clone(&engine), AtomicUsize::new(times));
        let executor = Arc::clone(&world.executor);
        inject.on_call(Arc::new(move |call| {
            let is_due = call.kind == OpKind::Open && is_table(call.path);
            if is_due && left.load(Ordering::SeqCst) > 0 {
                let round = left.fetch_sub(1, Ordering::SeqCst);
                fill(&*writer, 0..30, 100 + round as u8);
                writer.compact_range(&KeyRange::all()).unwrap();
                executor.run_all();
            }
        }));
        let reader = read_through(&world, &inject).unwrap();
        assert_eq!(entries(&reader), filled(0..30, 101));
    }
}

/// The log that the manifest names goes while the reader copies it.
#[test]
fn a_reader_starts_over_when_a_flush_retires_the_log() {
    let world = World::new();
    let engine = Arc::new(world.open().unwrap());
    fill(&*engine, 0..12, 1);
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let (writer, executor) = (Arc::clone(&engine), Arc::clone(&world.executor));
    let (is_due, lists) = (AtomicBool::new(true), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&lists);
    inject.on_call(Arc::new(move |call| {
        count.fetch_add(usize::from(call.kind == OpKind::List), Ordering::SeqCst);
        let is_log = call.path.extension().is_some_and(|extension| extension == "log");
        if call.kind == OpKind::Open && is_log && is_due.swap(false, Ordering::SeqCst) {
            fill(&*writer, 12..24, 1);
            writer.flush().unwrap();
            executor.run_all();
        }
    }));
    let reader = read_through(&world, &inject).unwrap();
    assert_eq!(entries(&reader), filled(0..24, 1));
    assert!(lists.load(Ordering::SeqCst) >= 3, "one list to find the store, and two attempts");
}

/// The segment behind the active one is copied first. Were it copied last, it could have a batch while the copy of the active
/// one lacks its end.
#[test]
fn a_reader_that_copies_the_log_while_its_writer_goes_on_in_the_next_segment_needs_one_attempt() {
    let lists = |goes_on: bool| {
        let world = World::new();
        let engine = Lsm::open(STORE, world.options().memtable_bytes(1 << 20)).unwrap();
        fill(&engine, 0..6, 1);
        world.executor.run_all();
        assert_eq!(world.files("log").len(), 2, "the next segment is prepared");
        let inject = Inject::over_sim(world.disk.clone(), Plan::none());
        let (is_due, lists) = (AtomicBool::new(goes_on), Arc::new(AtomicUsize::new(0)));
        inject.on_return(Arc::new(move |call| {
            let is_log = call.path.extension().is_some_and(|extension| extension == "log");
            if call.kind == OpKind::Read && is_log && is_due.swap(false, Ordering::SeqCst) {
                fill(&engine, 6..14, 2);
                engine.put(b"synced", b"1", Durability::Sync).unwrap();
                fill(&engine, 14..15, 2);
            }
        }));
        let count = Arc::clone(&lists);
        inject.on_call(Arc::new(move |call| {
            count.fetch_add(usize::from(call.kind == OpKind::List), Ordering::SeqCst);
        }));
        let reader = read_through(&world, &inject).unwrap();
        assert!(entries(&reader).len() >= 6);
        lists.load(Ordering::SeqCst)
    };
    assert_eq!(lists(true), lists(false));
}

#[test]
fn a_reader_that_always_loses_gives_up_and_shows_what_it_had() {
    let world = World::new();
    let engine = Arc::new(world.open().unwrap());
    fill(&*engine, 0..30, 1);
    engine.flush().unwrap();
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let reader = read_through(&world, &inject).unwrap();
    let (writer, executor) = (Arc::clone(&engine), Arc::clone(&world.executor));
    inject.on_call(Arc::new(move |call| {
        if call.kind == OpKind::Open && is_table(call.path) {
            fill(&*writer, 0..30, 50);
            writer.compact_range(&KeyRange::all()).unwrap();
            executor.run_all();
        }
    }));
    fill(&*engine, 0..1, 2);
    engine.flush().unwrap();
    let calls = inject.calls();
    assert!(reader.refresh().unwrap_err().is_corruption());
    assert!(inject.calls() - calls < 2_000, "{}", inject.calls() - calls);
    assert_eq!(entries(&reader), filled(0..30, 1));
    inject.on_call(Arc::new(|_| ()));
    reader.refresh().unwrap();
    assert_eq!(entries(&reader), filled(0..30, 50));
}

#[test]
fn a_reader_that_meets_another_opening_while_it_loads_shows_the_batches_of_that_opening() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..20, 1);
    let writer = Arc::new(Mutex::new(Some(engine)));
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let (options, is_due) = (world.options(), AtomicBool::new(true));
    let held = Arc::clone(&writer);
    inject.on_call(Arc::new(move |call| {
        let is_log = call.path.extension().is_some_and(|extension| extension == "log");
        if call.kind == OpKind::Read && is_log && is_due.swap(false, Ordering::SeqCst) {
            let mut writer = held.lock().unwrap();
            drop(writer.take());
            let engine = Lsm::open(STORE, options.clone()).unwrap();
            fill(&engine, 20..40, 1);
            *writer = Some(engine);
        }
    }));
    let reader = read_through(&world, &inject).unwrap();
    let engine = writer.lock().unwrap().take().unwrap();
    assert_eq!(reader.newest_sequence(), engine.newest_sequence());
    assert_eq!(entries(&reader), filled(0..40, 1));
}

/// What a reader shows need not be durable. The power cut gives the numbers to other batches, and to other tables.
#[test]
fn after_a_power_cut_a_refresh_shows_what_is_left_and_keeps_no_table() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..5, 1);
    engine.sync().unwrap();
    let synced: std::collections::BTreeMap<PathBuf, Vec<u8>> = world.disk.all_contents();
    fill(&engine, 5..20, 2);
    engine.flush().unwrap();
    let reader = read(&world);
    let snapshot = reader_snapshot(&reader);
    assert_eq!(entries(&reader).len(), 20, "batches that the log has are shown, synced or not");
    drop(engine);
    world.disk.set_all_contents(&synced);
    reader.refresh().unwrap();
    assert_eq!(entries(&reader), filled(0..5, 1));
    let engine = world.open().unwrap();
    fill(&engine, 5..20, 3);
    engine.flush().unwrap();
    reader.refresh().unwrap();
    assert_eq!(entries(&reader), entries(&engine));
    assert_eq!(snapshot.get(&key(10)).unwrap().as_deref(), Some(&[2; 100][..]));
}

fn reader_snapshot(reader: &lsm::Reader) -> Box<dyn kv::Snapshot> {
    kv::Snapshots::snapshot(reader).unwrap()
}

#[test]
fn a_refresh_that_finds_another_store_is_refused_and_changes_nothing() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..5, 1);
    engine.checkpoint("copy").unwrap();
    let reader = Lsm::open_read_only("copy", world.options()).unwrap();
    let copy = |path: &PathBuf| path.starts_with("copy");
    let files = world.disk.files();
    files.iter().filter(|path| copy(path)).for_each(|path| world.disk.delete(path));
    fill(&engine, 5..9, 1);
    engine.checkpoint("copy").unwrap();
    let refused = reader.refresh().unwrap_err();
    assert!(refused.to_string().contains("another store"), "{refused}");
    assert_eq!(entries(&reader), filled(0..5, 1));
}
