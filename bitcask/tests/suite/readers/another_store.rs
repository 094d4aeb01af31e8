//! A reader whose store was replaced by another one.

use std::sync::Arc;

use bitcask::Bitcask;
use durable::{ManualClock, SeededEntropy};
use kv::{Durability, Kv, Snapshots, UnixMillis, WriteBatch};

use super::read;
use crate::world::{STORE, World, entries, fill, key};

#[test]
fn a_refresh_that_finds_another_store_is_refused_and_changes_nothing() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..5, 1);
    engine.close().unwrap();
    drop(engine);
    let reader = read(&world);
    for path in world.disk.files() {
        world.disk.delete(&path);
    }
    let mut options = world.options();
    options.env.entropy = Arc::new(SeededEntropy::new(8));
    let other = Bitcask::open(STORE, options).unwrap();
    fill(&other, 0..50, 2);
    for _ in 0..2 {
        let refused = reader.refresh().unwrap_err();
        assert!(refused.to_string().contains("another store"), "{refused}");
        assert!(refused.to_string().contains(STORE), "{refused}");
        assert_eq!(reader.get(&key(1)).unwrap().as_deref(), Some(&[1; 100][..]));
        assert_eq!(entries(&reader).len(), 5);
        assert!(reader.snapshot().unwrap().get(&key(7)).unwrap().is_none());
    }
    assert_eq!(entries(&read(&world)), entries(&other));
}

/// The clock of the other store was ahead of a put's expiry when it was written.
#[test]
fn a_refresh_that_finds_another_store_does_not_take_its_time() {
    let world = World::new();
    let engine = world.open().unwrap();
    let mut batch = WriteBatch::new();
    batch.put_expiring(&key(1), &[1; 100], UnixMillis(1_000));
    engine.write(&batch, Durability::Buffered).unwrap();
    engine.close().unwrap();
    drop(engine);
    let reader = read(&world);
    for path in world.disk.files() {
        world.disk.delete(&path);
    }
    let clock = ManualClock::new();
    clock.set_now(UnixMillis(5_000));
    let mut options = world.options();
    options.env.entropy = Arc::new(SeededEntropy::new(8));
    options.env.clock = Arc::new(clock);
    let other = Bitcask::open(STORE, options).unwrap();
    fill(&other, 0..50, 2);
    other.get(&key(1)).unwrap();
    other.close().unwrap();
    let refused = reader.refresh().unwrap_err();
    assert!(refused.to_string().contains("another store"), "{refused}");
    assert_eq!(reader.get(&key(1)).unwrap().as_deref(), Some(&[1; 100][..]));
    assert_eq!(entries(&reader).len(), 1);
}
