//! Which records a scan reads, and what a value that cannot be read does to the cursor.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bitcask::{Bitcask, Options, ReadMode};
use durable::{Fault, Inject, OpKind, Plan};
use kv::{Durability, KeyRange, Kv, UnixMillis, WriteBatch};

use crate::world::{FIRST_RECORD, STORE, World, fill, key};

/// Options under which each value read is one call on a data file; the calls are counted.
fn counted(world: &World) -> (Options, Arc<AtomicUsize>) {
    let disk = Inject::over_sim(world.disk.clone(), Plan::none());
    let reads = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&reads);
    disk.on_call(Arc::new(move |call| {
        let is_data = call.path.extension().is_some_and(|extension| extension == "data");
        if is_data && call.kind == OpKind::Read {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }));
    let mut options = world.options().read(ReadMode::Positional).merge(None);
    options.env.fs = Arc::new(disk);
    (options, reads)
}

fn put_expiring(engine: &dyn Kv, keys: std::ops::Range<u32>, expires_at: u64) {
    for number in keys {
        let mut batch = WriteBatch::new();
        batch.put_expiring(&key(number), &[1; 100], UnixMillis(expires_at));
        engine.write(&batch, Durability::Buffered).unwrap();
    }
}

fn walk_keys(engine: &dyn Kv) -> usize {
    let mut cursor = engine.scan(KeyRange::all()).unwrap();
    let mut keys = 0;
    while cursor.next().unwrap() {
        assert_eq!(cursor.key().len(), 4);
        keys += 1;
    }
    keys
}

/// A walk over keys alone finds `keys` of them, with so many `reads` of records.
fn assert_walk(engine: &dyn Kv, counter: &AtomicUsize, keys: usize, reads: usize) {
    let before = counter.load(Ordering::Relaxed);
    assert_eq!(walk_keys(engine), keys);
    assert_eq!(counter.load(Ordering::Relaxed) - before, reads, "reads for {keys} keys");
}

#[test]
fn a_walk_over_keys_of_plain_puts_reads_no_data_file() {
    let world = World::new();
    let (options, counter) = counted(&world);
    let engine = Bitcask::open(STORE, options.clone()).unwrap();
    fill(&engine, 0..50, 1);
    assert_walk(&engine, &counter, 50, 0);
    world.executor.run_all();
    assert_walk(&engine, &counter, 50, 0);
    fill(&engine, 0..25, 2);
    engine.merge().unwrap();
    assert_walk(&engine, &counter, 50, 0);
    drop(engine);
    let engine = Bitcask::open(STORE, options.clone()).unwrap();
    assert_walk(&engine, &counter, 50, 0);
    fill(&engine, 50..60, 1);
    let reader = Bitcask::open_read_only(STORE, options).unwrap();
    assert_walk(&reader, &counter, 60, 0);
}

#[test]
fn a_value_is_read_when_it_is_asked_for_and_once() {
    let world = World::new();
    let (options, counter) = counted(&world);
    let engine = Bitcask::open(STORE, options).unwrap();
    fill(&engine, 0..10, 7);
    let mut cursor = engine.scan(KeyRange::all()).unwrap();
    let before = counter.load(Ordering::Relaxed);
    for _ in 0..4 {
        assert!(cursor.next().unwrap());
    }
    for _ in 0..3 {
        assert_eq!(cursor.value().unwrap(), [7; 100]);
        assert_eq!(cursor.entry().unwrap(), (&key(3)[..], &[7; 100][..]));
    }
    assert_eq!(counter.load(Ordering::Relaxed) - before, 1);
}

#[test]
fn a_walk_over_keys_reads_the_files_in_which_something_has_expired_and_no_others() {
    let world = World::new();
    let (options, counter) = counted(&world);
    let engine = Bitcask::open(STORE, options.clone()).unwrap();
    // A file of puts that expire early and one that never does; then files that expire late; then files of plain puts.
    put_expiring(&engine, 0..3, 1_000);
    fill(&engine, 3..4, 1);
    engine.merge().unwrap();
    put_expiring(&engine, 10..40, 2_000);
    engine.merge().unwrap();
    fill(&engine, 40..60, 1);
    assert_walk(&engine, &counter, 54, 0);
    world.clock.advance(Duration::from_millis(999));
    assert_walk(&engine, &counter, 54, 0);
    world.clock.advance(Duration::from_millis(1));
    assert_walk(&engine, &counter, 51, 4);
    drop(engine);
    let engine = Bitcask::open(STORE, options.clone()).unwrap();
    assert_walk(&engine, &counter, 51, 4);
    let reader = Bitcask::open_read_only(STORE, options).unwrap();
    assert_walk(&reader, &counter, 51, 4);
    world.clock.advance(Duration::from_secs(1));
    assert_walk(&engine, &counter, 21, 34);
}

#[test]
fn a_reader_notices_the_puts_that_expire_in_an_unsealed_file() {
    let world = World::new();
    let (options, counter) = counted(&world);
    let engine = Bitcask::open(STORE, options.clone()).unwrap();
    put_expiring(&engine, 0..3, 1_000);
    let reader = Bitcask::open_read_only(STORE, options).unwrap();
    assert_walk(&reader, &counter, 3, 0);
    put_expiring(&engine, 3..6, 500);
    reader.refresh().unwrap();
    world.clock.advance(Duration::from_millis(500));
    // The reader reads its copy of the log in memory, which is no call on a file.
    assert_walk(&reader, &counter, 3, 0);
    assert_walk(&engine, &counter, 3, 6);
}

#[test]
fn a_damaged_value_leaves_the_cursor_on_its_key_and_the_walk_goes_on() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..50, 1);
    engine.close().unwrap();
    drop(engine);
    let victim = world.disk.files().into_iter().find(|path| path.ends_with("000001.data")).unwrap();
    let mut bytes = world.disk.contents(&victim).unwrap();
    bytes[FIRST_RECORD + 136] ^= 1;
    world.disk.set_contents(&victim, bytes);
    let engine = world.open().unwrap();
    let mut cursor = engine.scan(KeyRange::all()).unwrap();
    let (mut keys, mut failed) = (Vec::new(), 0);
    while cursor.next().unwrap() {
        let key = cursor.key().to_vec();
        if let Err(error) = cursor.value() {
            assert!(error.is_corruption(), "{error}");
            assert!(cursor.value().is_err(), "no other value is given out");
            assert_eq!(cursor.key(), key);
            failed += 1;
        } else {
            assert_eq!(cursor.value().unwrap(), [1; 100]);
        }
        keys.push(key);
    }
    assert_eq!((keys.len(), failed), (50, 1));
    let entries = kv::Entries::new(engine.scan(KeyRange::all()).unwrap(), kv::Direction::Forward);
    let (good, bad): (Vec<_>, Vec<_>) = entries.partition(Result::is_ok);
    assert!(good.len() < 50 && bad.len() == 1, "an iterator ends with the error");
}

#[test]
fn a_value_that_could_not_be_read_may_be_asked_for_again() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..5, 3);
    engine.close().unwrap();
    drop(engine);
    let disk = Inject::over_sim(world.disk.clone(), Plan::once(usize::MAX - 1, Fault::Eio));
    let mut options = world.options().read(ReadMode::Positional);
    options.env.fs = Arc::new(disk.clone());
    let calls = {
        drop(Bitcask::open(STORE, options.clone()).unwrap());
        disk.calls()
    };
    // Opening the closed store makes the same calls each time; the next one reads the first value.
    let disk = Inject::over_sim(world.disk.duplicate(), Plan::once(calls, Fault::Eio));
    options.env.fs = Arc::new(disk.clone());
    let engine = Bitcask::open(STORE, options).unwrap();
    let mut cursor = engine.scan(KeyRange::all()).unwrap();
    assert!(cursor.next().unwrap());
    assert!(cursor.value().unwrap_err().io_kind().is_some());
    assert_eq!(disk.injected(), 1);
    assert_eq!(cursor.value().unwrap(), [3; 100]);
    assert!(cursor.next().unwrap());
    assert_eq!(cursor.entry().unwrap(), (&key(1)[..], &[3; 100][..]));
}
