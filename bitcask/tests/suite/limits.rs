//! Back-pressure.

use bitcask::{Bitcask, MergeOptions};
use kv::{Durability, Error, Kv};

use crate::world::{STORE, World, entries, fill, key};

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
    assert!(!matches!(deleted, Err(Error::Stalled { .. })), "deletes are let through");
    world.disk.set_free_space(None);
    engine.put(&key(1), &[0; 10], Durability::Buffered).unwrap();
    assert!(engine.statistics().pressure < 1_000);
}

/// Wherever the space runs out, in a data file, a hint or the manifest, the same handle goes on when there is some.
#[test]
fn a_full_disk_refuses_writes_until_there_is_space_and_poisons_nothing() {
    let mut refused = 0;
    for free in (0..9000).step_by(56) {
        let world = World::new();
        let engine = world.open().unwrap();
        fill(&engine, 0..20, 1);
        world.executor.run_all();
        world.disk.set_free_space(Some(free));
        let mut written = 20;
        for number in 20..60 {
            match engine.put(&key(number), &[2; 100], Durability::Sync) {
                Ok(_) => written += 1,
                Err(error) => {
                    assert!(error.is_out_of_resources(), "{free} bytes free: {error}");
                    refused += 1;
                    break;
                }
            }
            world.step(1);
        }
        world.disk.set_free_space(None);
        fill(&engine, 100..130, 3);
        engine.sync().unwrap();
        let held = entries(&engine);
        assert_eq!(held.len(), written + 30, "{free} bytes free");
        drop(engine);
        world.executor.run_all();
        let crashed =
            World::on(world.disk.crash(world.disk.ops(), &"strict/none".parse().unwrap()));
        assert_eq!(entries(&crashed.open().unwrap()), held, "{free} bytes free");
    }
    assert!(refused > 50, "{refused}");
}
