//! How long files and handles live.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use durable::{Env, Inject, OpKind, Plan};
use kv::{Durability, Error, KeyRange, Kv};
use lsm::{Lsm, Options};

use crate::world::{STORE, World, entries, fill, filled, key, rest};

#[test]
fn a_cursor_outlives_ten_flushes_a_close_and_its_handle() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..20, 0);
    let mut cursor = engine.scan(KeyRange::all()).unwrap();
    assert!(cursor.next().unwrap());
    for round in 1..=10 {
        fill(&engine, 0..20, round);
        engine.flush().unwrap();
        world.executor.run_all();
    }
    engine.close().unwrap();
    drop(engine);
    let second = world.open().unwrap();
    assert_eq!(entries(&second), filled(0..20, 10));
    assert_eq!(rest(&mut *cursor), filled(1..20, 0));
}

#[test]
fn a_store_opens_again_at_once_after_a_drop_with_queued_jobs() {
    let world = World::new();
    for round in 0..5 {
        let engine = world.open().unwrap();
        fill(&engine, 0..40, round);
        drop(engine);
        let engine = world.open().unwrap();
        assert_eq!(entries(&engine), filled(0..40, round));
    }
    world.executor.run_all();
    assert_eq!(entries(&world.open().unwrap()), filled(0..40, 4));
}

/// Options with a disk that panics once, at the next call of `kind` on a file with this extension after the flag is set.
fn panicking_at(
    world: &World,
    kind: OpKind,
    extension: &'static str,
) -> (Options, Arc<AtomicBool>) {
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let is_armed = Arc::new(AtomicBool::new(false));
    let armed = Arc::clone(&is_armed);
    inject.on_call(Arc::new(move |call| {
        let is_meant = call.kind == kind && call.path.extension().is_some_and(|e| e == extension);
        if is_meant && armed.swap(false, Ordering::SeqCst) {
            panic_any("injected by this test");
        }
    }));
    let mut options = world.options();
    options.env.fs = Arc::new(inject);
    (options, is_armed)
}

#[test]
fn a_flush_that_panics_in_the_background_poisons_the_store() {
    let world = World::new();
    let (options, is_armed) = panicking_at(&world, OpKind::Create, "table");
    let engine = Lsm::open(STORE, options).unwrap();
    is_armed.store(true, Ordering::SeqCst);
    fill(&engine, 0..15, 1);
    // The stepped executor shows the panic to the test as well.
    let ran = catch_unwind(AssertUnwindSafe(|| world.executor.run_all()));
    assert!(ran.is_err(), "the disk has panicked");
    let refused = engine.put(b"later", b"1", Durability::Buffered).unwrap_err();
    assert!(matches!(refused, Error::Poisoned { .. }), "{refused}");
    assert_eq!(entries(&engine), filled(0..15, 1), "reads go on");
    assert!(engine.close().is_err());
    drop(engine);
    assert_eq!(entries(&world.open().unwrap()), filled(0..15, 1));
}

#[test]
fn a_panic_inside_the_commit_section_poisons_the_store() {
    for kind in [OpKind::Append, OpKind::CreateLog] {
        let world = World::new();
        let (options, is_armed) = panicking_at(&world, kind, "log");
        let engine = Lsm::open(STORE, options).unwrap();
        fill(&engine, 0..3, 1);
        is_armed.store(true, Ordering::SeqCst);
        let unwound = catch_unwind(AssertUnwindSafe(|| fill(&engine, 3..60, 1)));
        assert!(unwound.is_err(), "{kind}: the disk has panicked");
        let refused = engine.put(b"later", b"1", Durability::Buffered).unwrap_err();
        assert!(matches!(refused, Error::Poisoned { .. }), "{kind}: {refused}");
        assert_eq!(engine.get(&key(1)).unwrap().as_deref(), Some(&[1; 100][..]), "reads go on");
        drop(engine);
        let engine = world.open().unwrap();
        assert_eq!(engine.get(&key(1)).unwrap().as_deref(), Some(&[1; 100][..]));
        engine.put(b"later", b"1", Durability::Sync).unwrap();
    }
}

#[test]
fn a_store_on_a_real_disk_keeps_its_entries_over_a_kill_and_a_close() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let options = || Options::in_env(Env::os(2)).memtable_bytes(16 << 10).log_segment_bytes(8192);
    let engine = Lsm::open(&path, options()).unwrap();
    fill(&engine, 0..1000, 1);
    engine.put(b"synced", b"1", Durability::Sync).unwrap();
    drop(engine);
    let engine = Lsm::open(&path, options()).unwrap();
    assert_eq!(entries(&engine).len(), 1001);
    engine.delete(b"synced", Durability::Buffered).unwrap();
    engine.close().unwrap();
    let engine = Lsm::open(&path, options()).unwrap();
    assert_eq!(entries(&engine), filled(0..1000, 1));
    assert_eq!(engine.statistics().replayed_batches, 0);
}
