//! Compactions that end early: at a close, a drop, a full disk, a damaged table, a panic.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use durable::{Inject, OpKind, Plan, ThreadPool};
use kv::{Durability, Error, Kv};
use lsm::{Lsm, Options};
use torture::{ReleasingClock, stop_one};

use crate::compactions::assert_no_orphan;
use crate::world::{STORE, World, entries, fill, filled, key, leveled, with_four_runs};

#[test]
fn a_close_gives_a_compaction_up_and_leaves_no_orphan() {
    let world = World::new();
    let options = world.compacting(crate::world::lazy_leveled()).compaction_threads(3);
    let engine = Lsm::open(STORE, options.clone()).unwrap();
    // Parts that end at different times.
    for round in 0..4 {
        fill(&engine, 0..30, round);
        engine.flush().unwrap();
        let _ = world.executor.step() && world.executor.step();
    }
    engine.close().unwrap();
    assert_no_orphan(&world, &engine);
    drop(engine);
    let engine = Lsm::open(STORE, options).unwrap();
    assert_eq!(entries(&engine), filled(0..30, 3));
    assert_eq!(engine.statistics().replayed_batches, 0);
    engine.settle().unwrap();
    assert_eq!(entries(&engine), filled(0..30, 3));
}

#[test]
fn a_store_that_is_dropped_during_a_compaction_opens_with_its_entries() {
    let world = World::new();
    for steps in 0..12 {
        let engine = Lsm::open(STORE, world.compacting(leveled())).unwrap();
        for round in 0..4 {
            fill(&engine, 0..30, round + steps);
            engine.flush().unwrap();
        }
        for _ in 0..steps {
            let _ = world.executor.step();
        }
        drop(engine);
        let engine = Lsm::open(STORE, world.compacting(leveled())).unwrap();
        assert_eq!(entries(&engine), filled(0..30, 3 + steps));
        assert_no_orphan(&world, &engine);
        drop(engine);
        world.executor.run_all();
    }
}

#[test]
fn a_compaction_without_space_is_given_up_and_tried_again_after_the_next_flush() {
    let world = World::new();
    let engine = with_four_runs(&world);
    world.disk.set_free_space(Some(64));
    world.executor.run_all();
    let failed = engine.statistics();
    assert!(failed.compactions_failed > 0 && failed.compactions == 0, "{failed:?}");
    assert_no_orphan(&world, &engine);
    assert_eq!(entries(&engine), filled(0..15, 3));
    assert!(engine.compact_range(&kv::KeyRange::all()).unwrap_err().is_out_of_resources());
    world.disk.set_free_space(None);
    fill(&engine, 0..15, 4);
    engine.flush().unwrap();
    world.executor.run_all();
    assert!(engine.statistics().compactions > 0);
    assert_eq!(entries(&engine), filled(0..15, 4));
    assert_no_orphan(&world, &engine);
    engine.close().unwrap();
}

#[test]
fn a_damaged_table_is_left_alone_and_others_are_compacted() {
    let world = World::new();
    let mut options = world.compacting(leveled());
    options.table.block_bytes = 256;
    let engine = Lsm::open(STORE, options.clone().compaction_threads(0)).unwrap();
    for round in 0..2 {
        fill(&engine, 0..10, round);
        fill(&engine, 100..110, round);
        engine.flush().unwrap();
    }
    engine.close().unwrap();
    drop(engine);
    // The first table of each run has the low keys.
    let name = world.files("table").remove(0);
    world.damage(&name);
    let engine = Lsm::open(STORE, options).unwrap();
    let found = engine.settle().unwrap_err();
    assert!(found.is_corruption() && found.to_string().contains(&name), "{found}");
    assert!(engine.statistics().compactions_failed > 0);
    assert_no_orphan(&world, &engine);
    // Nothing is poisoned, and the damaged table is not tried again.
    let failed = engine.statistics().compactions_failed;
    for round in 2..8 {
        fill(&engine, 200..205, round);
        engine.flush().unwrap();
        world.executor.run_all();
    }
    engine.settle().unwrap();
    let statistics = engine.statistics();
    assert_eq!(statistics.compactions_failed, failed);
    assert_eq!(engine.get(&key(105)).unwrap().unwrap(), [1; 100][..]);
    assert_eq!(engine.get(&key(203)).unwrap().unwrap(), [7; 100][..]);
    engine.close().unwrap();
}

/// Options with a disk that calls `act` at each call of `kind` on a table.
pub(crate) fn options_with_hook(
    world: &World,
    kind: OpKind,
    act: impl Fn() + Send + Sync + 'static,
) -> Options {
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    inject.on_call(Arc::new(move |call| {
        if call.kind == kind && call.path.extension().is_some_and(|e| e == "table") {
            act();
        }
    }));
    let mut options = world.compacting(leveled());
    options.env.fs = Arc::new(inject);
    options
}

#[test]
fn a_compaction_that_panics_in_the_background_poisons_the_store() {
    let world = World::new();
    let is_armed = Arc::new(AtomicBool::new(false));
    let armed = Arc::clone(&is_armed);
    let options = options_with_hook(&world, OpKind::Create, move || {
        if armed.swap(false, Ordering::SeqCst) {
            panic_any("injected by this test");
        }
    });
    let engine = Lsm::open(STORE, options).unwrap();
    for round in 0..3 {
        fill(&engine, 0..15, round);
        engine.flush().unwrap();
    }
    is_armed.store(true, Ordering::SeqCst);
    // The stepped executor shows the panic to the test as well.
    let ran = catch_unwind(AssertUnwindSafe(|| world.executor.run_all()));
    assert!(ran.is_err(), "the disk has panicked");
    let refused = engine.put(b"later", b"1", Durability::Buffered).unwrap_err();
    assert!(matches!(refused, Error::Poisoned { .. }), "{refused}");
    assert!(matches!(engine.settle(), Err(Error::Poisoned { .. })));
    assert_eq!(entries(&engine), filled(0..15, 2), "reads go on");
    assert!(engine.close().is_err());
    drop(engine);
    assert_eq!(entries(&world.open().unwrap()), filled(0..15, 2));
}

/// While a compaction writes a table, the store is closed from another thread.
#[test]
fn a_close_waits_for_the_step_of_a_compaction_that_runs() {
    let world = World::new();
    let engine = Lsm::open(STORE, world.compacting(leveled()).compaction_threads(0)).unwrap();
    for round in 0..3 {
        fill(&engine, 0..15, round);
        engine.flush().unwrap();
    }
    engine.close().unwrap();
    drop(engine);
    let (stop, is_in, release) = stop_one();
    // The opening makes no table, so the first one is that of a compaction.
    let mut options = options_with_hook(&world, OpKind::Create, stop);
    let clock = Arc::clone(&options.env.clock);
    options.env.executor = Arc::new(ThreadPool::new(1, clock));
    let engine = Arc::new(Lsm::open(STORE, options).unwrap());
    is_in.recv().unwrap();
    let closing = Arc::clone(&engine);
    let closer = std::thread::spawn(move || closing.close());
    while engine.get(b"x").is_ok() {
        std::thread::yield_now();
    }
    assert!(!closer.is_finished(), "the compaction is held");
    drop(release);
    closer.join().unwrap().unwrap();
    assert_no_orphan(&world, &engine);
    drop(engine);
    assert_eq!(entries(&world.open().unwrap()), filled(0..15, 2));
}

#[test]
fn a_store_that_is_dropped_while_a_compaction_runs_opens_again_at_once() {
    // Dropped stores are known by their path.
    let (world, dir) = (World::new(), "dropped-while-a-compaction-runs");
    let engine = Lsm::open(dir, world.options()).unwrap();
    for round in 0..3 {
        fill(&engine, 0..15, round);
        engine.flush().unwrap();
    }
    engine.close().unwrap();
    drop(engine);
    let (stop, is_in, release) = stop_one();
    let mut options = options_with_hook(&world, OpKind::Create, stop);
    options.env.clock = Arc::new(ReleasingClock::new(release));
    options.env.executor = Arc::new(ThreadPool::new(1, Arc::clone(&options.env.clock)));
    let engine = Lsm::open(dir, options.clone()).unwrap();
    is_in.recv().unwrap();
    assert!(matches!(Lsm::open(dir, world.options()), Err(Error::Locked { .. })));
    drop(engine);
    let engine = Lsm::open(dir, options).unwrap();
    assert_eq!(entries(&engine), filled(0..15, 2));
    engine.settle().unwrap();
    assert!(engine.statistics().levels[0].runs < 2, "one of the two has compacted it");
    assert_eq!(entries(&engine), filled(0..15, 2));
    engine.close().unwrap();
    assert_no_orphan(&world, &engine);
}
