//! A disk that is full for a while.

use std::time::Duration;

use durable::background::{LONGEST_RETRY_PAUSE, SHORTEST_RETRY_PAUSE};
use kv::{KeyRange, Kv};
use lsm::Lsm;

use crate::compactions::assert_no_orphan;
use crate::world::{World, entries, fill, filled, with_four_runs};

/// Too little for a table.
const NEARLY_FULL: Option<u64> = Some(64);

/// Lets `time` go by in small ticks, with all jobs that come due.
fn pass(world: &World, time: Duration) {
    let tick = SHORTEST_RETRY_PAUSE / 2;
    for _ in 0..time.as_millis().div_ceil(tick.as_millis()) {
        world.clock.advance(tick);
        world.executor.run_all();
    }
}

/// A store with a memtable that its flush has found no space for.
fn with_failed_flush(world: &World) -> Lsm {
    let engine = world.open().expect("there is space");
    fill(&engine, 0..15, 1);
    world.disk.set_free_space(NEARLY_FULL);
    world.executor.run_all();
    let failed = engine.statistics();
    assert_eq!((failed.sealed_memtables, failed.flushes_failed), (1, 1));
    engine
}

#[test]
fn a_flush_that_found_no_space_goes_on_by_itself_when_there_is_some() {
    let world = World::new();
    let engine = with_failed_flush(&world);
    world.executor.run_all();
    assert_eq!(engine.statistics().flushes_failed, 1, "its time has not come");
    pass(&world, SHORTEST_RETRY_PAUSE);
    assert_eq!(engine.statistics().flushes_failed, 2, "there is still no space");
    world.disk.set_free_space(None);
    pass(&world, LONGEST_RETRY_PAUSE);
    let flushed = engine.statistics();
    assert_eq!((flushed.sealed_memtables, flushed.flushes_failed), (0, 2));
    assert_eq!(entries(&engine), filled(0..15, 1));
    assert_no_orphan(&world, &engine);
    engine.close().unwrap();
}

#[test]
fn attempts_to_flush_become_rare_while_there_is_no_space() {
    let world = World::new();
    let engine = with_failed_flush(&world);
    pass(&world, 10 * LONGEST_RETRY_PAUSE);
    let failed = engine.statistics().flushes_failed;
    assert!((10..20).contains(&failed), "{failed} attempts in 100 s");
    // After a success the next failure is followed by a short pause.
    world.disk.set_free_space(None);
    engine.flush().unwrap();
    pass(&world, LONGEST_RETRY_PAUSE);
    fill(&engine, 0..15, 2);
    world.disk.set_free_space(NEARLY_FULL);
    world.executor.run_all();
    assert_eq!(engine.statistics().flushes_failed, failed + 1);
    pass(&world, SHORTEST_RETRY_PAUSE);
    assert_eq!(engine.statistics().flushes_failed, failed + 2);
}

#[test]
fn a_compaction_that_found_no_space_goes_on_by_itself_when_there_is_some() {
    let world = World::new();
    let engine = with_four_runs(&world);
    world.disk.set_free_space(NEARLY_FULL);
    pass(&world, LONGEST_RETRY_PAUSE);
    let failed = engine.statistics();
    assert!((4..12).contains(&failed.compactions_failed), "{failed:?}");
    assert_eq!(failed.compactions, 0);
    world.disk.set_free_space(None);
    pass(&world, LONGEST_RETRY_PAUSE);
    let compacted = engine.statistics();
    assert!(compacted.compactions > 0, "nobody has written or flushed anything");
    assert_eq!(compacted.compactions_failed, failed.compactions_failed);
    assert!(compacted.levels[0].runs < 2, "{compacted:?}");
    assert_eq!(entries(&engine), filled(0..15, 3));
    assert_no_orphan(&world, &engine);
}

#[test]
fn a_close_waits_for_no_further_attempt_and_none_follows_it() {
    let world = World::new();
    let engine = with_failed_flush(&world);
    assert!(engine.close().unwrap_err().is_out_of_resources());
    let (failed, ops) = (engine.statistics().flushes_failed, world.disk.ops());
    world.disk.set_free_space(None);
    pass(&world, LONGEST_RETRY_PAUSE);
    assert_eq!((engine.statistics().flushes_failed, world.disk.ops()), (failed, ops));
    drop(engine);
    let engine = world.open().unwrap();
    assert_eq!(entries(&engine), filled(0..15, 1));
    engine.compact_range(&KeyRange::all()).unwrap();
}

#[test]
fn a_store_that_is_dropped_makes_no_further_attempt() {
    let world = World::new();
    drop(with_failed_flush(&world));
    world.disk.set_free_space(None);
    let ops = world.disk.ops();
    pass(&world, LONGEST_RETRY_PAUSE);
    assert_eq!(world.disk.ops(), ops);
    assert_eq!(entries(&world.open().unwrap()), filled(0..15, 1));
}
