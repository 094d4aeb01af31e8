//! Back-pressure.

use bitcask::{Bitcask, MergeOptions};
use kv::{Durability, Error, Kv};

use crate::world::{STORE, World, fill, key};

/// With writers waiting and nobody calling anything else, the pressure falls.
#[test]
fn a_writer_that_waits_for_merges_goes_on_by_itself() {
    let world = World::new();
    let engine = world.open().unwrap();
    // No background work runs by itself here: waste piles up until a writer waits, and its waiting runs the merges.
    (0..200).for_each(|round| fill(&engine, 0..50, round));
    let stats = engine.statistics();
    assert!(stats.merges > 0, "{stats:?}");
    assert!(stats.dead_bytes < 20 * stats.live_bytes, "{stats:?}");
}

#[test]
fn a_writer_whose_merges_fail_is_told_instead_of_waiting_for_ever() {
    let world = World::new();
    let merge = MergeOptions::default();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    (0..40).for_each(|round| fill(&engine, 0..50, round));
    engine.close().unwrap();
    drop(engine);
    let engine = Bitcask::open(STORE, world.options().merge(Some(merge))).unwrap();
    world.disk.set_free_space(Some(100));
    world.executor.run_all();
    let refused = engine.put(&key(1), &[0; 10], Durability::Buffered).unwrap_err();
    assert!(matches!(refused, Error::Stalled { .. }), "{refused}");
    assert!(engine.statistics().writes_stalled > 0);
    let deleted = engine.delete(&key(1), Durability::Buffered);
    assert!(!matches!(deleted, Err(Error::Stalled { .. })), "deletions are let through");
    world.disk.set_free_space(None);
    engine.put(&key(1), &[0; 10], Durability::Buffered).unwrap();
    assert!(engine.statistics().pressure < 1_000);
}
