//! How many tables are open, and what readers see when others are closed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use durable::{Call, Env, Fault, Inject, OpKind, Plan};
use kv::{Durability, KeyRange, Kv};
use lsm::{Lsm, Options};

use crate::world::{STORE, World, entries, fill, filled, key, rest};

const KEYS: u32 = 100;

/// A store of one run of many tables, with its background work done.
fn store_of_many_tables(world: &World) -> Options {
    let options = world.options().memtable_bytes(1 << 20).table_bytes(600);
    let engine = Lsm::open(STORE, options.clone()).unwrap();
    fill(&engine, 0..KEYS, 1);
    engine.close().unwrap();
    let tables = engine.statistics().tables;
    assert!((10..KEYS.into()).contains(&tables), "{tables} tables");
    options
}

/// Each key once.
fn read_all(engine: &Lsm, after_each: impl Fn()) {
    for number in 0..KEYS {
        assert_eq!(engine.get(&key(number)).unwrap().as_deref(), Some(&[1; 100][..]));
        after_each();
    }
}

/// The descriptors of this process that lead to tables in `dir`.
fn descriptors_of_tables(dir: &Path) -> usize {
    let is_table =
        |target: &PathBuf| target.starts_with(dir) && target.to_string_lossy().contains(".table");
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = links.filter_map(|link| std::fs::read_link(link.ok()?.path()).ok());
    targets.filter(is_table).count()
}

#[test]
fn an_opened_store_opens_the_tables_that_are_read_and_no_others() {
    let world = World::new();
    let options = store_of_many_tables(&world);
    let engine = Lsm::open(STORE, options).unwrap();
    let open = || engine.statistics().open_tables;
    assert_eq!(open(), 0);
    assert!(engine.get(&key(3)).unwrap().is_some());
    assert!(engine.get(&key(3)).unwrap().is_some());
    assert_eq!(open(), 1);
    assert!(engine.get(&key(KEYS - 1)).unwrap().is_some());
    assert_eq!(open(), 2);
    let mut cursor = engine.scan(KeyRange::all()).unwrap();
    assert!(cursor.next().unwrap());
    assert!(open() <= 3, "the first table, and the two that were read");
    drop(cursor);
    read_all(&engine, || ());
    let stats = engine.statistics();
    assert_eq!((stats.open_tables, stats.tables_opened), (stats.tables, stats.tables));
}

#[test]
fn no_more_tables_are_kept_open_than_the_options_say_and_closed_ones_are_opened_again() {
    let world = World::new();
    let options = store_of_many_tables(&world).open_tables(4);
    let engine = Lsm::open(STORE, options).unwrap();
    let within_the_limit = || {
        world.executor.run_all();
        assert!(engine.statistics().open_tables <= 4);
    };
    read_all(&engine, within_the_limit);
    let once = engine.statistics();
    assert!(once.tables_opened >= once.tables, "each table was opened: {once:?}");
    read_all(&engine, within_the_limit);
    assert!(engine.statistics().tables_opened >= once.tables_opened + once.tables - 4);
    // A table that is read again and again stays open, while others come and go.
    let opened = || engine.statistics().tables_opened;
    let before = opened();
    for number in 0..KEYS {
        assert!(engine.get(&key(0)).unwrap().is_some());
        assert!(engine.get(&key(number)).unwrap().is_some());
        within_the_limit();
    }
    assert!(opened() - before <= once.tables + 4, "{} after {before}", opened());
    assert_eq!(entries(&engine), filled(0..KEYS, 1));
    engine.close().unwrap();
}

#[test]
fn without_background_threads_look_ups_open_tables_for_themselves() {
    let world = World::new();
    let options = store_of_many_tables(&world).open_tables(2);
    let engine = Lsm::open(STORE, options).unwrap();
    read_all(&engine, || assert!(engine.statistics().open_tables <= 2));
    assert_eq!(engine.statistics().tables_opened, 2, "nobody has closed one");
}

#[test]
fn a_cursor_goes_on_with_tables_that_are_closed_for_later_readers() {
    let world = World::new();
    let options = store_of_many_tables(&world).open_tables(1);
    let engine = Lsm::open(STORE, options).unwrap();
    let mut cursor = engine.scan(KeyRange::all()).unwrap();
    assert!(cursor.next().unwrap());
    for number in (0..KEYS).rev() {
        assert!(engine.get(&key(number)).unwrap().is_some());
        world.executor.run_all();
    }
    assert!(cursor.prev().is_ok_and(|is_on_entry| !is_on_entry));
    assert_eq!(rest(&mut *cursor), filled(0..KEYS, 1));
}

#[test]
fn the_file_of_a_closed_table_stays_until_the_last_cursor_has_gone() {
    let world = World::new();
    let options = store_of_many_tables(&world).open_tables(1);
    let engine = Lsm::open(STORE, options).unwrap();
    let before = world.files("table");
    let mut cursor = engine.scan(KeyRange::all()).unwrap();
    assert!(cursor.next().unwrap());
    read_all(&engine, || world.executor.run_all());
    fill(&engine, 0..KEYS, 2);
    engine.compact_range(&KeyRange::all()).unwrap();
    world.executor.run_all();
    let has_all = |files: &[String]| before.iter().all(|file| files.contains(file));
    assert!(has_all(&world.files("table")), "the cursor may come to each of them");
    assert!(cursor.prev().is_ok_and(|is_on_entry| !is_on_entry));
    assert_eq!(rest(&mut *cursor), filled(0..KEYS, 1));
    drop(cursor);
    // The super version that a look-up loaded last.
    assert!(engine.get(&key(0)).unwrap().is_some());
    world.executor.run_all();
    let after = world.files("table");
    assert!(!before.iter().any(|file| after.contains(file)), "{before:?} and {after:?}");
}

#[test]
fn damage_is_found_when_a_table_is_opened_again() {
    let world = World::new();
    let options = store_of_many_tables(&world).open_tables(1);
    let engine = Lsm::open(STORE, options).unwrap();
    let last = key(KEYS - 1);
    read_all(&engine, || world.executor.run_all());
    let first_table = world.files("table").swap_remove(0);
    world.damage(&first_table);
    let error = engine.get(&key(0)).unwrap_err();
    assert!(error.is_corruption() && error.to_string().contains(&first_table), "{error}");
    assert!(engine.get(&last).unwrap().is_some());
    // The same bit again: it is the right one.
    world.damage(&first_table);
    world.executor.run_all();
    read_all(&engine, || world.executor.run_all());
}

#[test]
fn a_want_of_descriptors_passes_and_keeps_the_open_tables_readable() {
    let world = World::new();
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let mut options = store_of_many_tables(&world);
    options.env.fs = Arc::new(inject.clone());
    let engine = Lsm::open(STORE, options).unwrap();
    let (first, last) = (key(0), key(KEYS - 1));
    assert!(engine.get(&first).unwrap().is_some());
    inject.arm(Plan { sticky: true, ..Plan::once(0, Fault::TooManyFiles) });
    assert!(engine.get(&last).unwrap_err().is_out_of_file_handles());
    let mut cursor = engine.scan(KeyRange::new(&last[..]..)).unwrap();
    assert!(cursor.next().unwrap_err().is_out_of_file_handles());
    assert!(engine.get(&first).unwrap().is_some());
    drop(cursor);
    inject.lift();
    engine.put(b"new", b"value", Durability::Sync).unwrap();
    assert!(engine.get(&last).unwrap().is_some());
    engine.close().unwrap();
}

#[test]
fn a_look_up_in_an_open_table_makes_no_call_to_the_file_system() {
    let world = World::new();
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let mut options = store_of_many_tables(&world);
    options.env.fs = Arc::new(inject.clone());
    let engine = Lsm::open(STORE, options).unwrap();
    let opens = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&opens);
    inject.on_call(Arc::new(move |call: &Call<'_>| {
        counted.fetch_add(usize::from(call.kind == OpKind::Open), Ordering::Relaxed);
    }));
    read_all(&engine, || ());
    let tables = engine.statistics().tables as usize;
    assert_eq!(opens.load(Ordering::Relaxed), tables);
    let calls = inject.calls();
    read_all(&engine, || ());
    assert_eq!(inject.calls(), calls);
}

#[cfg(target_os = "linux")]
#[test]
fn threads_have_no_more_descriptors_than_the_limit_and_two_for_each_run_that_they_read() {
    const LIMIT: usize = 8;
    const THREADS: u32 = 4;
    let dir = tempfile::tempdir().unwrap();
    let options = Options::in_env(Env::os(2)).memtable_bytes(1 << 20).table_bytes(600);
    let options = options.compaction_threads(0).open_tables(LIMIT);
    let engine = Lsm::open(dir.path().join("store"), options).unwrap();
    fill(&engine, 0..KEYS, 1);
    engine.flush().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let engine = &engine;
            scope.spawn(move || {
                for step in 0..4 * KEYS {
                    let number = (step * 37 + thread * 11) % KEYS;
                    assert!(engine.get(&key(number)).unwrap().is_some());
                }
                assert_eq!(entries(engine), filled(0..KEYS, 1));
            });
        }
        for _ in 0..200 {
            let open = descriptors_of_tables(dir.path());
            // A walk opens the next table of its run before it lets go of the last one.
            assert!(open <= LIMIT + 2 * THREADS as usize, "{open} descriptors");
        }
    });
    // A background thread closes tables: others are kept open in their place.
    while engine.statistics().tables_opened <= engine.statistics().tables {
        read_all(&engine, || ());
    }
    assert!(engine.statistics().open_tables <= LIMIT as u64);
    engine.close().unwrap();
}
