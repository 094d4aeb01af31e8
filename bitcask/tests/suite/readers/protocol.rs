//! The steps of loading and of refreshing, each with the event that the step is there for.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bitcask::{Bitcask, ReadMode, Reader};
use durable::{Fault, Inject, ManualClock, OpKind, Plan};
use kv::{Durability, Kv, UnixMillis, WriteBatch};

use super::{count_opened, read, read_through};
use crate::world::{STORE, World, entries, fill, key};

fn put_expiring(engine: &Bitcask, number: u32, expires_at: u64) {
    let mut batch = WriteBatch::new();
    batch.put_expiring(&key(number), b"soon gone", UnixMillis(expires_at));
    engine.write(&batch, Durability::Buffered).unwrap();
}

/// A reader that was opened through `inject`, and how often the directory was listed: the same for each attempt.
fn open_counting_lists(world: &World, inject: &Inject) -> (Reader, usize) {
    let lists = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&lists);
    inject.on_call(Arc::new(move |call| {
        count.fetch_add(usize::from(call.kind == OpKind::List), Ordering::SeqCst);
    }));
    let reader = read_through(world, inject).unwrap();
    (reader, lists.load(Ordering::SeqCst))
}

/// The prepared file is copied first. The writer goes on in it while the reader copies, after it has ended the file before.
/// A copy of that file from before would lack its end, and the copy of the prepared one would prove that it has one.
#[test]
fn a_reader_that_copies_the_log_while_its_writer_goes_on_in_the_next_file_needs_one_attempt() {
    let lists = |goes_on: bool| {
        let world = World::new();
        let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
        fill(&engine, 0..10, 1);
        world.executor.run_all();
        assert_eq!(world.data_files(), [0, 1], "the next file is prepared");
        let inject = Inject::over_sim(world.disk.clone(), Plan::none());
        let is_due = AtomicBool::new(goes_on);
        inject.on_return(Arc::new(move |call| {
            let is_data = call.path.extension().is_some_and(|extension| extension == "data");
            if call.kind == OpKind::Read && is_data && is_due.swap(false, Ordering::SeqCst) {
                fill(&engine, 10..20, 2);
                engine.put(b"synced", b"1", Durability::Sync).unwrap();
                fill(&engine, 20..21, 2);
            }
        }));
        let (reader, lists) = open_counting_lists(&world, &inject);
        assert!(entries(&reader).len() >= 10);
        lists
    };
    assert_eq!(lists(true), lists(false));
}

#[test]
fn a_reader_that_meets_another_opening_while_it_loads_shows_the_writes_of_that_opening() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..40, 1);
    let writer = Arc::new(Mutex::new(Some(engine)));
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let (options, is_due) = (world.options(), AtomicBool::new(true));
    let held = Arc::clone(&writer);
    inject.on_call(Arc::new(move |call| {
        let is_data = call.path.extension().is_some_and(|extension| extension == "data");
        if call.kind == OpKind::Open && is_data && is_due.swap(false, Ordering::SeqCst) {
            let mut writer = held.lock().unwrap();
            drop(writer.take());
            let engine = Bitcask::open(STORE, options.clone()).unwrap();
            fill(&engine, 40..60, 2);
            *writer = Some(engine);
        }
    }));
    let reader = read_through(&world, &inject).unwrap();
    let engine = writer.lock().unwrap().take().unwrap();
    assert_eq!(reader.newest_sequence(), engine.newest_sequence());
    assert_eq!(entries(&reader), entries(&engine));
}

/// A power cut has taken edits back that the reader has seen, and no writer has opened the store since.
#[test]
fn a_refresh_that_finds_a_lower_edit_number_loads_the_whole_store() {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    fill(&engine, 0..400, 1);
    fill(&engine, 0..20, 2);
    world.executor.run_all();
    let before = world.disk.all_contents();
    engine.merge().unwrap();
    world.executor.run_all();
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let reader = read_through(&world, &inject).unwrap();
    let shown = entries(&reader);
    drop(engine);
    for path in world.disk.files() {
        world.disk.delete(&path);
    }
    for (path, bytes) in &before {
        world.disk.set_contents(path, bytes.clone());
    }
    let opened = count_opened(&inject);
    reader.refresh().unwrap();
    let opened = opened.load(Ordering::SeqCst);
    assert!(opened >= world.data_files().len(), "{opened} files were opened");
    assert_eq!(entries(&reader), shown);
}

/// The file of a record may leave the table between the look-up and the read. Here the read fails, and meanwhile a refresh
/// exchanges the state.
#[test]
fn a_get_whose_read_fails_while_a_refresh_exchanges_the_state_starts_over() {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    fill(&engine, 0..60, 1);
    world.executor.run_all();
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let mut options = world.options().read(ReadMode::Positional);
    options.env.fs = Arc::new(inject.clone());
    let reader = Arc::new(Bitcask::open_read_only(STORE, options).unwrap());
    let get = || reader.get(&key(3));
    let calls = inject.calls();
    inject.arm(Plan::once(calls, Fault::Eio));
    get().unwrap_err();
    assert_eq!(inject.calls(), calls + 1, "a get is one call");

    fill(&engine, 3..4, 2);
    inject.arm(Plan::once(calls + 1, Fault::Eio));
    let (refreshed, is_due) = (Arc::clone(&reader), AtomicBool::new(true));
    inject.on_call(Arc::new(move |_| {
        if is_due.swap(false, Ordering::SeqCst) {
            refreshed.refresh().unwrap();
        }
    }));
    assert_eq!(get().unwrap().as_deref(), Some(&[2; 100][..]));
    assert_eq!(inject.injected(), 2, "the first read has failed");
}

#[test]
fn the_clock_going_back_brings_nothing_back_in_a_reader() {
    let world = World::new();
    let engine = world.open().unwrap();
    put_expiring(&engine, 1, 1_000);
    let reader = read(&world);
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(reader.get(&key(1)).unwrap(), None);
    world.clock.set_now(UnixMillis(500));
    assert_eq!(reader.get(&key(1)).unwrap(), None);
    assert!(entries(&reader).is_empty());
}

/// The clock of the machine that reads is behind. The manifest has the latest time that the writer has read.
#[test]
fn a_value_that_had_expired_for_the_writer_has_expired_for_a_reader_after_its_refresh() {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    put_expiring(&engine, 1, 1_000);
    let mut options = world.options();
    options.env.clock = Arc::new(ManualClock::new());
    let reader = Bitcask::open_read_only(STORE, options).unwrap();
    assert!(reader.get(&key(1)).unwrap().is_some());
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(engine.get(&key(1)).unwrap(), None);
    // New files are begun, and the edits that name them have the time.
    fill(&engine, 100..160, 1);
    world.executor.run_all();
    reader.refresh().unwrap();
    assert_eq!(reader.get(&key(1)).unwrap(), None);
    assert_eq!(entries(&reader), entries(&engine));
}
