//! Behaviours that the tests of Riak's bitcask and its descendants check, where they are not told elsewhere in this suite:
//! folds and merges in `merges` and `snapshots`, tombstones in `tombstones`, clocks in `expiry`, hints in `files`.

use std::time::Duration;

use bitcask::{Bitcask, BitcaskStats};
use kv::{Durability, Error, Kv, Snapshots, UnixMillis, WriteBatch};

use crate::world::{FIRST_RECORD, World, delete, entries, fill, key};

fn sealed_file(world: &World) -> std::path::PathBuf {
    let mut files = world.disk.files().into_iter();
    files.find(|path| path.ends_with("000001.data")).unwrap()
}

/// A closed store with some sealed files; `harm` is done to the bytes of one of them.
fn harmed(harm: impl FnOnce(&mut Vec<u8>)) -> (World, kv::Result<Bitcask>) {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..50, 1);
    engine.close().unwrap();
    drop(engine);
    let victim = sealed_file(&world);
    let mut bytes = world.disk.contents(&victim).unwrap();
    harm(&mut bytes);
    world.disk.set_contents(&victim, bytes);
    let opened = world.open();
    (world, opened)
}

#[test]
fn a_data_file_that_was_cut_off_is_refused_by_name() {
    let (_, opened) = harmed(|bytes| bytes.truncate(bytes.len() - 50));
    let Err(Error::Corruption { path, .. }) = opened else { panic!("{opened:?}") };
    assert!(path.ends_with("000001.data"), "{}", path.display());
}

#[test]
fn junk_behind_a_data_file_is_refused_by_name() {
    let (_, opened) = harmed(|bytes| bytes.extend_from_slice(b"trailing junk"));
    let Err(Error::Corruption { path, .. }) = opened else { panic!("{opened:?}") };
    assert!(path.ends_with("000001.data"), "{}", path.display());
}

/// Riak skipped up to twenty damaged entries and went on without them.
#[test]
fn a_damaged_record_is_an_error_where_it_is_read_and_nowhere_else() {
    let (_, opened) = harmed(|bytes| bytes[FIRST_RECORD + 136] ^= 1);
    let engine = opened.unwrap();
    let read = |number| engine.get(&key(number));
    let failed: Vec<u32> = (0..50).filter(|&number| read(number).is_err()).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(read(failed[0]).unwrap_err().is_corruption());
    assert!(engine.verify().is_err());
}

#[test]
fn a_value_that_says_it_is_a_tombstone_is_a_value() {
    let world = World::new();
    let engine = world.open().unwrap();
    for value in ["bitcask_tombstone", "bitcask_tombstone2", ""] {
        engine.put(b"key", value.as_bytes(), Durability::Buffered).unwrap();
        engine.merge().unwrap();
        assert_eq!(engine.get(b"key").unwrap().as_deref(), Some(value.as_bytes()));
    }
}

#[test]
fn the_lock_file_of_a_killed_process_locks_nobody_out() {
    let world = World::new();
    drop(world.open().unwrap());
    assert!(world.disk.files().iter().any(|path| path.ends_with("LOCK")));
    world.open().unwrap();
}

/// What the engine counts while it works is what a fresh opening counts.
#[test]
fn statistics_equal_a_recount() {
    let counted = |stats: BitcaskStats| (stats.keys, stats.live_bytes);
    let world = World::new();
    let mut engine = world.open().unwrap();
    let mut state = 3_u32;
    for step in 0..600_u32 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let number = (state >> 20) % 40;
        match (state >> 8) % 8 {
            0..5 => fill(&engine, number..number + 1, (step % 256) as u8),
            5 => delete(&engine, number..number + 3),
            6 => world.step(3),
            _ if step % 50 == 0 => engine.merge().unwrap(),
            _ => {}
        }
        if step % 100 == 99 {
            let before = counted(engine.statistics());
            drop(engine);
            world.executor.run_all();
            engine = world.open().unwrap();
            assert_eq!(counted(engine.statistics()), before);
        }
    }
}

#[test]
fn what_expires_while_a_merge_goes_on_is_gone_afterwards_and_stays_so() {
    let world = World::new();
    let engine = world.open().unwrap();
    let mut batch = WriteBatch::new();
    (0..100).for_each(|number| {
        batch.put_expiring(&key(number), &[1; 100], UnixMillis(1_000 + u64::from(number)));
    });
    engine.write(&batch, Durability::Buffered).unwrap();
    fill(&engine, 0..60, 2);
    let snapshot = engine.snapshot().unwrap();
    for _ in 0..60 {
        world.clock.advance(Duration::from_millis(40));
        world.step(1);
    }
    assert_eq!(entries(&engine).len(), 60);
    assert!(snapshot.get(&key(99)).unwrap().is_some(), "it was there when the view was opened");
    drop(snapshot);
    engine.merge().unwrap();
    drop(engine);
    let engine = world.open().unwrap();
    assert_eq!(entries(&engine).len(), 60);
    assert_eq!(engine.statistics().keys, 60, "the merge has forgotten them");
}
