//! Checkpoints, beside writers and compactions, after crashes, failures and damage.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::{Fault, Fs, Inject, OpKind, Plan, SimFs};
use kv::{Durability, Error, KeyRange, Kv, Snapshot as _};
use lsm::{Lsm, Options};

use crate::dumps::dump_of;
use crate::world::{STORE, World, entries, fill, filled, key, leveled};

/// Where the checkpoint is taken.
const COPY: &str = "backup/copy";

fn open_copy(world: &World) -> kv::Result<Lsm> {
    Lsm::open(COPY, world.options().create(false))
}

/// The options of `world` on the disk `fs`.
fn on(fs: Arc<dyn Fs>, mut options: Options) -> Options {
    options.env.fs = fs;
    options
}

/// The names in the directory of the checkpoint, but for `LOCK`.
fn names_in_copy(disk: &SimFs) -> Vec<String> {
    let entries = disk.list(Path::new(COPY)).unwrap_or_default();
    entries.into_iter().map(|entry| entry.name).filter(|name| name != "LOCK").collect()
}

fn is_store(names: &[String]) -> bool {
    names.iter().any(|name| name == "CURRENT") && !names.iter().any(|name| name == "UNFINISHED")
}

/// A store with three runs, and batches in its memtable.
fn filled_store(options: Options) -> Lsm {
    let engine = Lsm::open(STORE, options).unwrap();
    for round in 0..3 {
        fill(&engine, 0..12, round);
        engine.flush().unwrap();
    }
    fill(&engine, 5..15, 3);
    engine
}

fn expected() -> Vec<(Vec<u8>, Vec<u8>)> {
    [filled(0..5, 2), filled(5..15, 3)].concat()
}

#[test]
fn a_checkpoint_has_every_batch_before_the_call_and_is_a_store_by_itself() {
    let world = World::new();
    let engine = filled_store(world.options());
    let newest = engine.newest_sequence();
    assert_eq!(engine.checkpoint(COPY).unwrap(), newest);
    fill(&engine, 0..30, 9);
    let copy = open_copy(&world).unwrap();
    assert_eq!((entries(&copy), copy.newest_sequence()), (expected(), newest));
    assert_eq!(copy.statistics().replayed_batches, 0, "a checkpoint has no log");
    copy.verify().unwrap();
    fill(&copy, 40..45, 7);
    copy.compact_range(&KeyRange::all()).unwrap();
    copy.close().unwrap();
    drop(copy);
    engine.verify().unwrap();
    assert_eq!(entries(&engine), filled(0..30, 9));
    assert_eq!(entries(&open_copy(&world).unwrap()), [expected(), filled(40..45, 7)].concat());
}

#[test]
fn a_checkpoint_links_its_tables_and_outlives_the_store() {
    let world = World::new();
    let engine = filled_store(world.options());
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    engine.checkpoint(COPY).unwrap();
    let tables = world.files("table");
    assert_eq!(tables.len(), 2 * engine.statistics().tables as usize);
    engine.compact_range(&KeyRange::all()).unwrap();
    world.executor.run_all();
    engine.close().unwrap();
    drop(engine);
    for path in world.disk.files() {
        if path.starts_with(STORE) {
            inject.remove(&path).unwrap();
        }
    }
    let copy = open_copy(&world).unwrap();
    copy.verify().unwrap();
    assert_eq!(entries(&copy), expected());
}

#[test]
fn a_checkpoint_has_a_store_id_of_its_own() {
    let world = World::new();
    let engine = filled_store(world.options());
    engine.checkpoint(COPY).unwrap();
    let id = |path: &str| dump_of(&world, path)["manifest"]["store_id"].clone();
    assert!(id(STORE).is_string() && id(COPY).is_string());
    assert_ne!(id(STORE), id(COPY));
}

#[test]
fn a_checkpoint_of_an_empty_store_is_an_empty_store() {
    let world = World::new();
    assert_eq!(world.open().unwrap().checkpoint(COPY).unwrap().0, 0);
    let copy = open_copy(&world).unwrap();
    assert_eq!(entries(&copy), []);
    assert_eq!(copy.put(b"key", b"value", Durability::Sync).unwrap().0, 1);
}

#[test]
fn a_checkpoint_keeps_the_history_floor() {
    let world = World::new();
    let engine = world.open().unwrap();
    let older = engine.put(b"key", b"older", Durability::Buffered).unwrap();
    let newer = engine.put(b"key", b"newer", Durability::Buffered).unwrap();
    engine.checkpoint("backup/before").unwrap();
    engine.compact_range(&KeyRange::all()).unwrap();
    engine.checkpoint("backup/after").unwrap();
    let before = Lsm::open("backup/before", world.options()).unwrap();
    let seen = before.pin_at(older).unwrap().get(b"key").unwrap();
    assert_eq!(seen.as_deref(), Some(&b"older"[..]));
    let after = Lsm::open("backup/after", world.options()).unwrap();
    assert!(matches!(after.pin_at(older), Err(Error::SnapshotTooOld)));
    assert!(after.pin_at(newer).is_ok());
}

#[test]
fn where_links_are_refused_tables_are_copied_and_the_copies_are_checked() {
    let world = World::new();
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let engine = filled_store(on(Arc::new(inject.clone()), world.options()));
    engine.flush().unwrap();
    let refuse_links = || {
        let fault = Fault::EioOf { kind: OpKind::Link, path: String::new() };
        inject.arm(Plan { at: 0, fault, sticky: true });
    };
    refuse_links();
    engine.checkpoint(COPY).unwrap();
    inject.arm(Plan::none());
    // Were the files links, a change of one would change the other.
    let (table, bytes) = tables_of_store(&world.disk).pop_first().unwrap();
    world.damage(table.file_name().unwrap().to_str().unwrap());
    let copy = open_copy(&world).unwrap();
    copy.verify().unwrap();
    assert_eq!(entries(&copy), expected());
    refuse_links();
    let damaged = engine.checkpoint("backup/damaged").unwrap_err();
    assert!(damaged.is_corruption() && damaged.to_string().contains(STORE), "{damaged}");
    world.disk.set_contents(&table, bytes);
    engine.checkpoint("backup/damaged").unwrap();
}

#[test]
fn a_checkpoint_inside_the_store_is_left_alone_by_the_store() {
    let world = World::new();
    let engine = filled_store(world.options());
    let inside = Path::new(STORE).join("000040.table");
    engine.checkpoint(&inside).unwrap();
    engine.compact_range(&KeyRange::all()).unwrap();
    engine.close().unwrap();
    drop(engine);
    let engine = world.open().unwrap();
    for round in 0..20 {
        fill(&engine, 0..15, round);
        engine.compact_range(&KeyRange::all()).unwrap();
    }
    engine.verify().unwrap();
    let copy = Lsm::open(&inside, world.options().create(false)).unwrap();
    copy.verify().unwrap();
    assert_eq!(entries(&copy), expected());
}

#[test]
fn a_checkpoint_takes_no_directory_that_has_something() {
    let world = World::new();
    let engine = filled_store(world.options());
    assert!(matches!(engine.checkpoint(STORE), Err(Error::Locked { .. })));
    engine.checkpoint(COPY).unwrap();
    let taken = engine.checkpoint(COPY).unwrap_err();
    assert_eq!(taken.io_kind(), Some(std::io::ErrorKind::AlreadyExists), "{taken}");
    assert_eq!(entries(&open_copy(&world).unwrap()), expected());
    let notes = Path::new("notes/text");
    world.disk.create_dir(Path::new("notes")).unwrap();
    drop(world.disk.create(notes).unwrap());
    let taken = engine.checkpoint("notes").unwrap_err();
    assert_eq!(taken.io_kind(), Some(std::io::ErrorKind::AlreadyExists), "{taken}");
    assert!(world.disk.contents(notes).is_some());
    assert_eq!(world.disk.list(Path::new("notes")).unwrap().len(), 1, "it gets no file");
    assert!(matches!(engine.checkpoint(""), Err(Error::InvalidArgument(_))));
    engine.close().unwrap();
    assert!(matches!(engine.checkpoint("backup/closed"), Err(Error::Closed)));
}

/// Everything in the directory of the store, but for the manifest, which has an edit more for each flush.
fn tables_of_store(disk: &SimFs) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = disk.files();
    files.retain(|path| path.starts_with(STORE) && path.extension().is_some_and(|e| e == "table"));
    files.into_iter().map(|path| (path.clone(), disk.contents(&path).unwrap())).collect()
}

#[test]
fn a_crash_at_any_point_leaves_a_whole_checkpoint_or_none_and_the_next_one_succeeds() {
    let world = World::new();
    let engine = filled_store(world.options());
    engine.flush().unwrap();
    let tables = tables_of_store(&world.disk);
    let begun = world.disk.ops();
    engine.checkpoint(COPY).unwrap();
    let done = world.disk.ops();
    assert_eq!(tables_of_store(&world.disk), tables);
    let (mut whole, mut unfinished) = (0, 0);
    let mut crashes = world.disk.sweep();
    while let Some(point) = crashes.next_point() {
        if point < begun {
            continue;
        }
        for variant in crashes.all_variants(3) {
            let what = || format!("after {point} with {variant}");
            let left = World::on(crashes.image(&variant));
            let names = names_in_copy(&left.disk);
            if is_store(&names) {
                whole += 1;
                let copy = open_copy(&left).unwrap_or_else(|e| panic!("{}: {e}", what()));
                copy.verify().unwrap_or_else(|e| panic!("{}: {e}", what()));
                assert_eq!(entries(&copy), expected(), "{}", what());
                continue;
            }
            assert!(point < done, "a checkpoint that returned is durable: {}", what());
            unfinished += usize::from(!names.is_empty());
            let refused = open_copy(&left).unwrap_err();
            assert!(!refused.is_corruption(), "{}: {refused}", what());
            if !names.is_empty() {
                let created = Lsm::open(COPY, left.options()).unwrap_err();
                assert!(created.to_string().contains("begun here and not ended"), "{created}");
                assert_eq!(names_in_copy(&left.disk), names, "no opening changes anything");
            }
            let engine = left.open().unwrap();
            engine.checkpoint(COPY).unwrap_or_else(|e| panic!("{}: {e}", what()));
            assert_eq!(entries(&open_copy(&left).unwrap()), expected(), "{}", what());
        }
    }
    assert!(whole > 3 && unfinished > 20, "{whole} whole, {unfinished} unfinished");
}

#[test]
fn a_failure_of_any_call_leaves_the_store_as_it_was_and_the_next_checkpoint_succeeds() {
    for fault in [Fault::Eio, Fault::Late, Fault::NoSpace, Fault::TooManyFiles] {
        let (mut at, mut failures) = (0, 0);
        loop {
            let world = World::new();
            let inject = Inject::over_sim(world.disk.clone(), Plan::none());
            let engine = filled_store(on(Arc::new(inject.clone()), world.options()));
            engine.flush().unwrap();
            let tables = tables_of_store(&world.disk);
            let begun = inject.calls();
            inject.arm(Plan::once(begun + at, fault.clone()));
            let taken = engine.checkpoint(COPY);
            let is_over = inject.calls() <= begun + at;
            inject.lift();
            assert_eq!(tables_of_store(&world.disk), tables);
            if taken.is_err() {
                failures += 1;
                if !is_store(&names_in_copy(&world.disk)) {
                    engine.checkpoint(COPY).unwrap_or_else(|e| panic!("{fault:?}@{at}: {e}"));
                }
            }
            let copy = open_copy(&world).unwrap_or_else(|e| panic!("{fault:?}@{at}: {e}"));
            assert_eq!(entries(&copy), expected(), "{fault:?}@{at}");
            fill(&engine, 0..1, 4);
            if is_over {
                break;
            }
            at += 1;
        }
        assert!(failures > 3, "{failures} of {at} calls have failed with {fault:?}");
    }
}

/// Between two links all background work runs: compactions replace the tables that are not linked yet.
#[test]
fn a_checkpoint_pins_its_tables_while_compactions_replace_them() {
    let world = World::new();
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let engine = Arc::new(filled_store(on(Arc::new(inject.clone()), world.compacting(leveled()))));
    let (writer, executor) = (Arc::clone(&engine), Arc::clone(&world.executor));
    inject.on_call(Arc::new(move |call| {
        if call.kind == OpKind::Link {
            fill(&*writer, 0..15, 8);
            writer.compact_range(&KeyRange::all()).unwrap();
            executor.run_all();
        }
    }));
    let before = tables_of_store(&world.disk);
    engine.checkpoint(COPY).unwrap();
    inject.on_call(Arc::new(|_| ()));
    world.executor.run_all();
    assert!(tables_of_store(&world.disk).keys().all(|path| !before.contains_key(path)));
    assert!(engine.statistics().files_unlinked >= before.len() as u64);
    let copy = open_copy(&world).unwrap();
    copy.verify().unwrap();
    assert_eq!(entries(&copy), expected());
    assert_eq!(entries(&*engine), filled(0..15, 8));
}

#[test]
fn beside_writers_and_compactions_each_checkpoint_is_one_state_on_the_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::in_env(durable::Env::os(2)).memtable_bytes(8 << 10);
    let engine = Lsm::open(dir.path().join("store"), options.clone()).unwrap();
    let write = |round: u32| {
        let mut batch = kv::WriteBatch::new();
        for number in 0..20 {
            batch.put(&key(number), &round.to_be_bytes().repeat(20));
        }
        engine.write(&batch, Durability::Buffered).unwrap();
    };
    write(0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..400).for_each(write));
        let mut taken = 0;
        while taken < 3 || !writer.is_finished() && taken < 12 {
            let path = dir.path().join(format!("copy-{taken}"));
            let least = engine.newest_sequence();
            let newest = engine.checkpoint(&path).unwrap();
            let copy = Lsm::open(&path, options.clone().create(false)).unwrap();
            assert!(newest >= least && copy.newest_sequence() == newest);
            copy.verify().unwrap();
            let round = (newest.0 as u32 - 1).to_be_bytes().repeat(20);
            let found = entries(&copy);
            assert!(found.len() == 20 && found.iter().all(|(_, value)| *value == round));
            taken += 1;
        }
    });
}
