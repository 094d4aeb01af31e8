//! Readers beside a writer, and without one.

mod another_store;
mod crashes;
mod histories;
mod protocol;
mod threads;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bitcask::{Bitcask, MergeOptions, ReadMode, Reader};
use durable::{Fault, Inject, OpKind, Plan, SimFs};
use kv::{Durability, Error, KeyRange, Kv, Snapshots, UnixMillis, WriteBatch};

use crate::world::{FIRST_RECORD, STORE, World, delete, entries, fill, key};

fn read(world: &World) -> Reader {
    Bitcask::open_read_only(STORE, world.options()).unwrap()
}

/// A reader whose file system is `inject`.
fn read_through(world: &World, inject: &Inject) -> kv::Result<Reader> {
    let mut options = world.options();
    options.env.fs = Arc::new(inject.clone());
    Bitcask::open_read_only(STORE, options)
}

/// The data file that is written to: the last one with a record.
fn active_file(disk: &SimFs) -> PathBuf {
    let mut files = disk.files();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "data"));
    let has_record =
        |path: &PathBuf| disk.contents(path).unwrap()[FIRST_RECORD..].iter().any(|&byte| byte != 0);
    files.into_iter().rfind(has_record).unwrap()
}

#[test]
fn a_reader_shows_one_state_until_it_is_refreshed() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..5, 1);
    let reader = read(&world);
    let before = entries(&engine);
    assert_eq!(entries(&reader), before);
    fill(&engine, 3..60, 2);
    let mut batch = WriteBatch::new();
    batch.put(&key(100), b"new").delete(&key(0));
    let newest = engine.write(&batch, Durability::Sync).unwrap();
    assert_eq!(entries(&reader), before);
    assert_eq!(reader.get(&key(100)).unwrap(), None);
    assert_eq!(reader.refresh().unwrap(), newest);
    assert_eq!(reader.newest_sequence(), newest);
    assert_eq!(entries(&reader), entries(&engine));
    assert_eq!(reader.get(&key(100)).unwrap().as_deref(), Some(&b"new"[..]));
    assert_eq!(reader.get(&key(0)).unwrap(), None);
    assert_eq!(reader.statistics().keys, engine.statistics().keys);
}

#[test]
fn a_store_is_read_whether_it_was_killed_or_closed_or_never_written() {
    let world = World::new();
    let engine = world.open().unwrap();
    assert_eq!(read(&world).newest_sequence().0, 0);
    fill(&engine, 0..40, 1);
    let (before, newest) = (entries(&engine), engine.newest_sequence());
    drop(engine);
    let reader = read(&world);
    assert_eq!((entries(&reader), reader.newest_sequence()), (before.clone(), newest));
    world.open().unwrap().close().unwrap();
    assert_eq!(reader.refresh().unwrap(), newest);
    let reader = read(&world);
    assert_eq!((entries(&reader), reader.newest_sequence()), (before, newest));
    assert_eq!(reader.statistics().files_scanned_at_open, 0, "hints were enough");
}

#[test]
fn a_reader_changes_nothing_and_needs_no_space() {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    (0..5).for_each(|round| fill(&engine, 0..20, round));
    for store_is_open in [true, false] {
        if !store_is_open {
            engine.close().unwrap();
        }
        world.disk.set_free_space(Some(0));
        let (ops, files) = (world.disk.ops(), world.disk.all_contents());
        let reader = read(&world);
        reader.refresh().unwrap();
        assert_eq!(entries(&reader).len(), 20);
        assert!(matches!(reader.put(b"a", b"b", Durability::None), Err(Error::ReadOnly)));
        assert!(matches!(reader.delete(b"a", Durability::Sync), Err(Error::ReadOnly)));
        assert!(matches!(reader.sync(), Err(Error::ReadOnly)));
        reader.close().unwrap();
        assert!(matches!(reader.get(b"a"), Err(Error::Closed)));
        assert!(matches!(reader.refresh(), Err(Error::Closed)));
        drop(reader);
        world.executor.run_all();
        world.disk.set_free_space(None);
        if !store_is_open {
            assert_eq!(world.disk.ops(), ops);
            assert_eq!(world.disk.all_contents(), files);
        }
    }
}

#[test]
fn what_is_not_a_store_is_named_so() {
    let world = World::new();
    let refused = |world: &World| Bitcask::open_read_only(STORE, world.options()).unwrap_err();
    let missing = refused(&world);
    assert_eq!(missing.io_kind(), Some(std::io::ErrorKind::NotFound), "{missing}");
    durable::Fs::create_dir(&world.disk, STORE.as_ref()).unwrap();
    let empty = refused(&world);
    assert_eq!(empty.to_string(), "open store: there is no store in here");
    assert_eq!(empty.io_kind(), Some(std::io::ErrorKind::NotFound));
    world.open().unwrap().put(b"a", b"b", Durability::Sync).unwrap();
    let current = world.disk.files().into_iter().find(|path| path.ends_with("CURRENT")).unwrap();
    world.disk.delete(&current);
    assert!(refused(&world).is_corruption());
    assert_eq!(world.disk.files().iter().filter(|path| path.ends_with("CURRENT")).count(), 0);
}

/// The keydir drops tombstones once it is loaded, and the put appears again in an output of a merge, which copied it
/// while it was live.
#[test]
fn an_old_put_in_the_output_of_a_merge_does_not_bring_back_a_deleted_key() {
    // Writers do not wait for merges.
    let merge = MergeOptions::default().limit_percent(u8::MAX);
    for steps in (0..300).step_by(5) {
        let world = World::new();
        let engine = Bitcask::open(STORE, world.options().merge(Some(merge))).unwrap();
        // A third of each file lives.
        for number in 0..40 {
            fill(&engine, number..number + 1, 1);
            fill(&engine, 200..202, number as u8);
        }
        world.step(steps);
        let merges = engine.statistics().merges;
        delete(&engine, 0..40);
        fill(&engine, 100..120, 1);
        let reader = read(&world);
        while world.executor.step() {
            reader.refresh().unwrap();
            assert_eq!(entries(&reader), entries(&engine), "after {steps} steps");
        }
        assert!(engine.statistics().merges > merges);
    }
}

#[test]
fn a_delete_whose_tombstone_a_merge_dropped_before_the_refresh_is_applied() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..60, 1);
    engine.merge().unwrap();
    let reader = read(&world);
    delete(&engine, 10..50);
    engine.merge().unwrap();
    world.executor.run_all();
    let dump = bitcask::dump(STORE, &world.options().env).unwrap().to_string();
    assert!(!dump.contains("\"value_len\":null"), "no tombstone is left: {dump}");
    let before = reader.snapshot().unwrap();
    assert_eq!(reader.refresh().unwrap(), engine.newest_sequence());
    assert_eq!(entries(&reader), entries(&engine));
    assert_eq!(reader.statistics().keys, 20);
    assert!(before.get(&key(10)).unwrap().is_some(), "a snapshot sees what it saw");
    assert!(reader.get(&key(10)).unwrap().is_none());
}

#[test]
fn an_expired_put_that_a_merge_turned_into_a_tombstone_is_gone() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..14, 1);
    let mut batch = WriteBatch::new();
    batch.put_expiring(&key(5), b"soon gone", UnixMillis(1_000));
    engine.write(&batch, Durability::Buffered).unwrap();
    let reader = read(&world);
    assert_eq!(reader.get(&key(5)).unwrap().as_deref(), Some(&b"soon gone"[..]));
    let mut cursor = reader.scan(KeyRange::prefix(&key(5))).unwrap();
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(reader.get(&key(5)).unwrap(), None);
    for round in 0..20 {
        fill(&engine, 100..114, round);
        world.executor.run_all();
    }
    assert!(engine.statistics().merges > 0 && world.data_files().contains(&0));
    reader.refresh().unwrap();
    assert_eq!(reader.get(&key(5)).unwrap(), None);
    assert_eq!(entries(&reader), entries(&engine));
    assert!(cursor.next().unwrap(), "a cursor fixes its time");
}

/// Nothing was written since, so the two views have the same newest write, and only their time differs.
#[test]
fn what_a_merge_dropped_because_it_had_expired_stays_in_older_snapshots() {
    let world = World::new();
    let engine = world.open().unwrap();
    let mut batch = WriteBatch::new();
    batch.put_expiring(&key(5), b"soon gone", UnixMillis(1_000)).put(&key(6), b"stays");
    engine.write(&batch, Durability::Buffered).unwrap();
    let reader = read(&world);
    let before = reader.snapshot().unwrap();
    world.clock.advance(Duration::from_secs(2));
    engine.merge().unwrap();
    world.executor.run_all();
    assert_eq!(engine.statistics().keys, 1);
    reader.refresh().unwrap();
    assert_eq!(before.get(&key(5)).unwrap().as_deref(), Some(&b"soon gone"[..]));
    assert_eq!(entries(&reader), entries(&engine));
    drop(before);
    fill(&engine, 7..8, 1);
    reader.refresh().unwrap();
    assert_eq!(reader.statistics().keys, 2, "with the next write it is forgotten");
}

#[test]
fn a_manifest_that_has_lost_its_last_edit_is_damage() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..1, 1);
    let is_manifest = |path: &PathBuf| path.to_string_lossy().contains("MANIFEST");
    let manifest = world.disk.files().into_iter().find(is_manifest).unwrap();
    let before = world.disk.contents(&manifest).unwrap();
    fill(&engine, 1..20, 1);
    assert_eq!(entries(&read(&world)).len(), 20);
    world.disk.set_contents(&manifest, before);
    let damaged = Bitcask::open_read_only(STORE, world.options()).unwrap_err();
    assert!(damaged.to_string().contains("the manifest never gave out its number"), "{damaged}");
}

#[test]
fn a_snapshot_and_a_cursor_see_the_same_through_refreshes_and_merges() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..50, 1);
    let reader = read(&world);
    let before = entries(&reader);
    let (snapshot, mut cursor) =
        (reader.snapshot().unwrap(), reader.scan(KeyRange::all()).unwrap());
    for round in 2..6 {
        fill(&engine, 0..40, round);
        delete(&engine, 40..45);
        engine.merge().unwrap();
        world.executor.run_all();
        reader.refresh().unwrap();
        assert_eq!(entries(&reader), entries(&engine));
        for (key, value) in &before {
            assert_eq!(snapshot.get(key).unwrap().as_deref(), Some(&value[..]));
        }
    }
    let mut seen = Vec::new();
    while cursor.next().unwrap() {
        seen.push((cursor.key().to_vec(), cursor.value().unwrap().to_vec()));
    }
    assert_eq!(seen, before);
    drop((snapshot, cursor));
    assert_eq!((reader.statistics().undo_bytes, reader.statistics().views), (0, 0));
}

#[test]
fn both_ways_of_reading_show_the_same() {
    let world = World::new();
    let engine = world.open().unwrap();
    let options = || world.options().read(ReadMode::Positional);
    fill(&engine, 0..60, 1);
    let reader = Bitcask::open_read_only(STORE, options()).unwrap();
    for round in 2..6 {
        fill(&engine, 20..60, round);
        world.executor.run_all();
        reader.refresh().unwrap();
        assert_eq!(entries(&reader), entries(&engine));
    }
    engine.merge().unwrap();
    world.executor.run_all();
    reader.refresh().unwrap();
    assert_eq!(entries(&reader), entries(&engine));
}

/// How often a reader opens data files and hints from now on.
fn count_opened(inject: &Inject) -> Arc<AtomicUsize> {
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    inject.on_call(Arc::new(move |call| {
        let is_file = call.path.extension().is_some_and(|end| end == "data" || end == "hint");
        count.fetch_add(usize::from(call.kind == OpKind::Open && is_file), Ordering::SeqCst);
    }));
    opened
}

#[test]
fn a_refresh_reads_only_what_has_come() {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    fill(&engine, 0..400, 1);
    world.executor.run_all();
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let reader = read_through(&world, &inject).unwrap();
    let opened = count_opened(&inject);
    fill(&engine, 0..1, 2);
    reader.refresh().unwrap();
    let few = opened.swap(0, Ordering::SeqCst);
    assert!((1..=6).contains(&few), "the log, which is two files, and no sealed file: {few}");
    let calls = inject.calls();
    reader.refresh().unwrap();
    assert!(inject.calls() - calls < 18, "nothing was written: {}", inject.calls() - calls);
}

#[test]
fn a_reader_starts_over_when_a_merge_takes_its_files_away() {
    for merges in [1, 2, 5] {
        let world = World::new();
        let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
        (0..3).for_each(|round| fill(&engine, 0..60, round));
        let engine = Arc::new(engine);
        let inject = Inject::over_sim(world.disk.clone(), Plan::none());
        let (writer, left) = (Arc::clone(&engine), AtomicUsize::new(merges));
        let executor = Arc::clone(&world.executor);
        inject.on_call(Arc::new(move |call| {
            let is_data = call.path.extension().is_some_and(|extension| extension == "data");
            if call.kind == OpKind::Open && is_data && left.load(Ordering::SeqCst) > 0 {
                let round = left.fetch_sub(1, Ordering::SeqCst);
                fill(&*writer, 0..60, 100 + round as u8);
                writer.merge().unwrap();
                executor.run_all();
            }
        }));
        let reader = read_through(&world, &inject).unwrap();
        assert_eq!(entries(&reader), entries(&*engine));
        reader.refresh().unwrap();
        assert_eq!(entries(&reader), entries(&*engine));
    }
}

#[test]
fn a_reader_that_always_loses_gives_up_and_shows_what_it_had() {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    (0..3).for_each(|round| fill(&engine, 0..60, round));
    let engine = Arc::new(engine);
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let reader = read_through(&world, &inject).unwrap();
    let before = entries(&reader);
    let (writer, executor) = (Arc::clone(&engine), Arc::clone(&world.executor));
    inject.on_call(Arc::new(move |call| {
        let is_manifest = call.path.to_string_lossy().contains("MANIFEST");
        if call.kind == OpKind::Len && is_manifest {
            return;
        }
        let is_data = call.path.extension().is_some_and(|extension| extension == "data");
        if call.kind == OpKind::Open && is_data {
            fill(&*writer, 0..60, 50);
            writer.merge().unwrap();
            executor.run_all();
        }
    }));
    let calls = inject.calls();
    reader.refresh().unwrap_err();
    assert!(inject.calls() - calls < 2_000, "{}", inject.calls() - calls);
    assert_eq!(entries(&reader), before);
    inject.on_call(Arc::new(|_| ()));
    reader.refresh().unwrap();
    assert_eq!(entries(&reader), entries(&*engine));
}

/// Numbers are given again: what was shown and lost must not be mixed with what took its numbers.
#[test]
fn writes_that_were_shown_and_lost_are_not_mixed_with_those_that_follow() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..3, 1);
    let active = active_file(&world.disk);
    let mut kept = world.disk.contents(&active).unwrap();
    fill(&engine, 3..8, 2);
    let reader = read(&world);
    assert_eq!(reader.newest_sequence().0, 8);
    drop(engine);
    // A power cut leaves three writes, and something behind them.
    kept[FIRST_RECORD + 8 * 136] = 1;
    world.disk.set_contents(&active, kept);
    assert_eq!(reader.refresh().unwrap().0, 3);
    assert_eq!(entries(&reader).len(), 3);
    let engine = world.open().unwrap();
    fill(&engine, 20..40, 3);
    reader.refresh().unwrap();
    assert_eq!(entries(&reader), entries(&engine));
}

#[test]
fn a_torn_tail_is_not_shown_and_damage_is_an_error() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..3, 1);
    engine.sync().unwrap();
    let reader = read(&world);
    fill(&engine, 3..5, 1);
    drop(engine);
    let active = active_file(&world.disk);
    let whole = world.disk.contents(&active).unwrap();
    let flip = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        world.disk.set_contents(&active, bytes);
    };
    // Frames of 136 bytes.
    flip(FIRST_RECORD + 4 * 136 + 50);
    assert_eq!(entries(&read(&world)).len(), 4);
    assert_eq!(reader.refresh().unwrap().0, 4);
    flip(FIRST_RECORD + 136 + 50);
    let damaged = Bitcask::open_read_only(STORE, world.options()).unwrap_err();
    assert!(matches!(&damaged, Error::Corruption { offset: 2184, .. }), "{damaged}");
    assert!(reader.refresh().unwrap_err().is_corruption());
    assert_eq!(entries(&reader).len(), 4, "what was shown goes on being shown");
    world.disk.set_contents(&active, whole);
    assert_eq!(reader.refresh().unwrap().0, 5);
}

/// The copy of a file that is being written can hold a record half and one behind it whole.
#[test]
fn a_record_that_was_half_there_when_it_was_copied_is_no_damage() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..3, 1);
    engine.sync().unwrap();
    fill(&engine, 3..5, 1);
    let active = active_file(&world.disk);
    let whole = world.disk.contents(&active).unwrap();
    let mut half = whole.clone();
    half[FIRST_RECORD + 2 * 136 + 50..FIRST_RECORD + 3 * 136].fill(0);
    world.disk.set_contents(&active, half);
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let (disk, path) = (world.disk.clone(), active.clone());
    let reads = AtomicUsize::new(0);
    inject.on_call(Arc::new(move |call| {
        if call.kind == OpKind::Open
            && call.path == path
            && reads.fetch_add(1, Ordering::SeqCst) == 1
        {
            disk.set_contents(&path, whole.clone());
        }
    }));
    assert_eq!(entries(&read_through(&world, &inject).unwrap()).len(), 5);
}

#[test]
fn a_failure_of_any_call_leaves_a_reader_that_works() {
    let run = |plan: Plan| {
        let world = World::new();
        let merge = MergeOptions::default().trigger_percent(30);
        let engine = Bitcask::open(STORE, world.options().merge(Some(merge))).unwrap();
        fill(&engine, 0..60, 1);
        world.executor.run_all();
        let inject = Inject::over_sim(world.disk.clone(), plan);
        let reader = read_through(&world, &inject).or_else(|_| read_through(&world, &inject));
        let reader = reader.unwrap();
        let before = entries(&reader);
        assert_eq!(before, entries(&engine));
        fill(&engine, 30..60, 2);
        delete(&engine, 0..10);
        world.executor.run_all();
        assert!(engine.statistics().merges > 0);
        fill(&engine, 70..75, 3);
        if reader.refresh().is_err() {
            assert_eq!(entries(&reader), before);
            reader.refresh().unwrap();
        }
        assert_eq!(entries(&reader), entries(&engine));
        assert_eq!(reader.refresh().unwrap(), engine.newest_sequence());
        (inject.calls(), inject.injected())
    };
    let (calls, _) = run(Plan::none());
    assert!(calls > 80, "{calls}");
    for at in 0..calls {
        for fault in [Fault::Eio, Fault::TooManyFiles] {
            let (_, injected) = run(Plan::once(at, fault.clone()));
            assert!(injected == 1 || fault == Fault::TooManyFiles, "call {at}");
        }
    }
}
