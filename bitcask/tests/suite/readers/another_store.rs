//! A reader whose store was replaced by another one.

use std::sync::Arc;

use bitcask::Bitcask;
use durable::SeededEntropy;
use kv::{Kv, Snapshots};

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
