//! Readers beside a writer, and without one.

mod damage;
mod histories;
mod protocol;
mod threads;

use std::path::Path;
use std::sync::Arc;

use durable::{Fs, Inject};
use kv::{Durability, Error, KeyRange, Kv, Snapshots, UnixMillis, WriteBatch};
use lsm::{Lsm, Options, ReadMode, ReadOptions, Reader};

use crate::world::{STORE, World, entries, fill, filled, key, leveled, rest};

fn read(world: &World) -> Reader {
    Lsm::open_read_only(STORE, world.options()).unwrap()
}

/// A reader whose file system is `inject`.
fn read_through(world: &World, inject: &Inject) -> kv::Result<Reader> {
    let mut options = world.options();
    options.env.fs = Arc::new(inject.clone());
    Lsm::open_read_only(STORE, options)
}

#[test]
fn a_reader_shows_one_state_until_it_is_refreshed() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..20, 1);
    let reader = read(&world);
    assert_eq!(entries(&reader), filled(0..20, 1));
    fill(&engine, 3..60, 2);
    engine.flush().unwrap();
    let mut batch = WriteBatch::new();
    batch.put(&key(100), b"new").delete(&key(0));
    let newest = engine.write(&batch, Durability::Sync).unwrap();
    assert_eq!(entries(&reader), filled(0..20, 1));
    assert_eq!(reader.get(&key(100)).unwrap(), None);
    assert_eq!(reader.refresh().unwrap(), newest);
    assert_eq!(reader.newest_sequence(), newest);
    assert_eq!(entries(&reader), entries(&engine));
    assert_eq!(reader.get(&key(100)).unwrap().as_deref(), Some(&b"new"[..]));
    assert_eq!(reader.get(&key(0)).unwrap(), None);
    let (shown, stored) = (reader.statistics(), engine.statistics());
    assert_eq!((shown.tables, shown.table_entries), (stored.tables, stored.table_entries));
    assert_eq!((shown.replayed_batches, shown.logs), (1, stored.logs));
    reader.verify().unwrap();
}

#[test]
fn a_store_is_read_whether_it_was_killed_or_closed_or_never_written() {
    let world = World::new();
    let engine = world.open().unwrap();
    assert_eq!(read(&world).newest_sequence().0, 0);
    fill(&engine, 0..40, 1);
    let newest = engine.newest_sequence();
    drop(engine);
    let reader = read(&world);
    assert_eq!((entries(&reader), reader.newest_sequence()), (filled(0..40, 1), newest));
    world.open().unwrap().close().unwrap();
    assert_eq!(reader.refresh().unwrap(), newest);
    assert_eq!(entries(&reader), filled(0..40, 1));
    let reader = read(&world);
    assert_eq!((entries(&reader), reader.newest_sequence()), (filled(0..40, 1), newest));
    assert_eq!(reader.statistics().replayed_batches, 0, "a closed store has no log");
}

#[test]
fn a_reader_changes_nothing_and_needs_no_space() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..40, 1);
    for store_is_open in [true, false] {
        if !store_is_open {
            engine.close().unwrap();
            world.executor.run_all();
        }
        world.disk.set_free_space(Some(0));
        let (ops, files) = (world.disk.ops(), world.disk.all_contents());
        let reader = read(&world);
        reader.refresh().unwrap();
        assert_eq!(entries(&reader), filled(0..40, 1));
        assert!(matches!(reader.put(b"a", b"b", Durability::None), Err(Error::ReadOnly)));
        assert!(matches!(reader.delete(b"a", Durability::Sync), Err(Error::ReadOnly)));
        assert!(matches!(reader.sync(), Err(Error::ReadOnly)));
        reader.close().unwrap();
        assert!(matches!(reader.get(b"a"), Err(Error::Closed)));
        assert!(matches!(reader.scan(KeyRange::all()).map(drop), Err(Error::Closed)));
        assert!(matches!(reader.put(b"a", b"b", Durability::None), Err(Error::Closed)));
        assert!(matches!(reader.refresh(), Err(Error::Closed)));
        drop(reader);
        assert_eq!(world.disk.ops(), ops);
        assert_eq!(world.disk.all_contents(), files);
        world.executor.run_all();
        world.disk.set_free_space(None);
    }
}

#[test]
fn what_is_not_a_store_is_named_so() {
    let world = World::new();
    let refused = |path: &str| Lsm::open_read_only(path, world.options()).unwrap_err();
    let missing = refused(STORE);
    assert_eq!(missing.io_kind(), Some(std::io::ErrorKind::NotFound), "{missing}");
    world.disk.create_dir(Path::new(STORE)).unwrap();
    let empty = refused(STORE);
    assert_eq!(empty.to_string(), "open store: there is no store in here");
    world.open().unwrap().put(b"a", b"b", Durability::Sync).unwrap();
    world.disk.set_contents(Path::new("copy/UNFINISHED"), Vec::new());
    world.disk.set_contents(Path::new("copy/000004.table"), Vec::new());
    let unfinished = refused("copy");
    assert!(unfinished.to_string().contains("begun here and not ended"), "{unfinished}");
    world.disk.delete(&Path::new(STORE).join("CURRENT"));
    assert!(refused(STORE).is_corruption());
    assert!(matches!(refused(""), Error::InvalidArgument(_)));
}

#[test]
fn a_snapshot_and_a_cursor_see_the_same_through_refreshes_and_compactions() {
    let world = World::new();
    let engine = Lsm::open(STORE, world.compacting(leveled())).unwrap();
    fill(&engine, 0..50, 1);
    let reader = read(&world);
    let snapshot = reader.snapshot().unwrap();
    let mut cursor = reader.scan(KeyRange::all()).unwrap();
    let mut backward = reader.scan(KeyRange::all()).unwrap();
    for round in 2..6 {
        fill(&engine, 0..40, round);
        for number in 40..45 {
            engine.delete(&key(number), Durability::Buffered).unwrap();
        }
        engine.compact_range(&KeyRange::all()).unwrap();
        world.executor.run_all();
        reader.refresh().unwrap();
        assert_eq!(entries(&reader), entries(&engine));
        for number in 0..50 {
            assert_eq!(snapshot.get(&key(number)).unwrap().as_deref(), Some(&[1; 100][..]));
        }
        assert!(backward.prev().unwrap());
        assert_eq!(backward.key(), key(51 - u32::from(round)));
    }
    drop(reader);
    assert_eq!(snapshot.sequence().0, 50);
    assert_eq!(rest(&mut *snapshot.scan(KeyRange::all()).unwrap()), filled(0..50, 1));
    assert_eq!(rest(&mut *cursor), filled(0..50, 1));
}

#[test]
fn both_ways_of_reading_tables_show_the_same() {
    let world = World::new();
    let engine = Lsm::open(STORE, world.compacting(leveled())).unwrap();
    let read = ReadOptions { mode: ReadMode::Positional, ..ReadOptions::default() };
    let options: Options = world.options().read(read);
    fill(&engine, 0..60, 1);
    let reader = Lsm::open_read_only(STORE, options).unwrap();
    for round in 2..6 {
        fill(&engine, 20..60, round);
        world.executor.run_all();
        reader.refresh().unwrap();
        assert_eq!(entries(&reader), entries(&engine));
    }
}

#[test]
fn a_checkpoint_is_read_without_a_writer() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..30, 1);
    engine.checkpoint("copy").unwrap();
    let before = world.disk.ops();
    let reader = Lsm::open_read_only("copy", world.options()).unwrap();
    assert_eq!(entries(&reader), filled(0..30, 1));
    reader.verify().unwrap();
    assert_eq!(world.disk.ops(), before);
}

/// A store with the value 1 under `brief`, until the moment 100.
fn with_a_value_that_ends_at_100(world: &World) -> Lsm {
    let engine = world.open().expect("the disk is whole");
    let mut batch = WriteBatch::new();
    batch.put_expiring(b"brief", b"1", UnixMillis(100));
    engine.write(&batch, Durability::Buffered).expect("the disk is whole");
    engine
}

#[test]
fn a_value_expires_for_a_reader_between_two_refreshes_and_never_comes_back() {
    let world = World::new();
    let _engine = with_a_value_that_ends_at_100(&world);
    let reader = read(&world);
    let (before, scan) = (reader.snapshot().unwrap(), |reader: &Reader| entries(reader).len());
    assert_eq!((reader.get(b"brief").unwrap().as_deref(), scan(&reader)), (Some(&b"1"[..]), 1));
    world.clock.set_now(UnixMillis(100));
    assert_eq!((reader.get(b"brief").unwrap(), scan(&reader)), (None, 0));
    assert_eq!(before.get(b"brief").unwrap().as_deref(), Some(&b"1"[..]), "a snapshot has a time");
    world.clock.set_now(UnixMillis(50));
    reader.refresh().unwrap();
    assert_eq!((reader.get(b"brief").unwrap(), scan(&reader)), (None, 0));
}

/// The writer has taken the value for expired, and the clock is set back before the reader opens.
#[test]
fn a_reader_is_at_least_as_late_as_the_last_edit_of_the_writer() {
    let world = World::new();
    let engine = with_a_value_that_ends_at_100(&world);
    let reader = read(&world);
    world.clock.set_now(UnixMillis(100));
    assert_eq!(engine.get(b"brief").unwrap(), None);
    engine.flush().unwrap();
    world.clock.set_now(UnixMillis(50));
    assert_eq!(read(&world).get(b"brief").unwrap(), None);
    assert_eq!(reader.get(b"brief").unwrap().as_deref(), Some(&b"1"[..]), "of the moment before");
    reader.refresh().unwrap();
    assert_eq!(reader.get(b"brief").unwrap(), None);
}
