//! Tombstones in merges of some of the files: no deleted key comes back, and no tombstone stays for ever.

use bitcask::{Bitcask, MergeOptions};
use durable::Fs as _;
use kv::{Durability, Kv};
use std::collections::BTreeMap;

use crate::world::{STORE, World, delete, entries, fill, key};

/// How many tombstones the data files hold.
pub(crate) fn tombstones(world: &World) -> u64 {
    let dump = bitcask::dump(STORE, &world.options().env).unwrap();
    let records = dump["data_files"].as_array().unwrap().iter();
    let records = records.flat_map(|file| file["records"].as_array().unwrap());
    records.filter(|record| record["value_len"].is_null()).count() as u64
}

/// Riak's bitcask, issue 82: a partial merge dropped a tombstone, and the next opening found the old put.
#[test]
fn a_key_deleted_before_a_partial_merge_stays_deleted_after_opening_again() {
    let world = World::new();
    let engine = world.open().unwrap();
    // File 0 stays: only the key to be deleted is dead in it.
    fill(&engine, 0..14, 1);
    // These are overwritten at once, and merged.
    for round in 0..20 {
        fill(&engine, 100..114, round);
        if round == 0 {
            engine.delete(&key(5), Durability::Buffered).unwrap();
        }
        world.executor.run_all();
    }
    let stats = engine.statistics();
    assert!(stats.merges > 0 && world.data_files().contains(&0), "{stats:?}");
    assert!(tombstones(&world) > 0, "file 0 has the put, so the tombstone must stay");
    assert_eq!(engine.get(&key(5)).unwrap(), None);
    drop(engine);
    let engine = world.open().unwrap();
    assert_eq!(engine.get(&key(5)).unwrap(), None);
    engine.merge().unwrap();
    assert_eq!(tombstones(&world), 0, "now nothing is left that it could hide");
    assert_eq!(engine.get(&key(5)).unwrap(), None);
}

/// Without a hint that counts nobody knows which keys a file holds puts of, so merges keep every newer tombstone.
#[test]
fn a_tombstone_stays_while_a_file_without_a_hint_may_hold_a_put_of_its_key() {
    let world = World::new();
    let engine = world.open().unwrap();
    // File 0 stays: only the key to be deleted is dead in it.
    fill(&engine, 0..14, 1);
    fill(&engine, 100..114, 0);
    world.executor.run_all();
    assert!(world.data_files().contains(&0));
    world.disk.remove(std::path::Path::new("store/000000.hint")).unwrap();
    engine.delete(&key(5), Durability::Buffered).unwrap();
    // These are overwritten at once, and merged.
    for round in 1..20 {
        fill(&engine, 100..114, round);
        world.executor.run_all();
    }
    let stats = engine.statistics();
    assert!(stats.merges > 0 && world.data_files().contains(&0), "{stats:?}");
    assert_eq!(tombstones(&world), 1, "file 0 may have the put, so the tombstone must stay");
    drop(engine);
    assert_eq!(world.open().unwrap().get(&key(5)).unwrap(), None);
}

#[test]
fn a_store_in_which_everything_was_deleted_shrinks_to_nothing() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..200, 1);
    delete(&engine, 0..200);
    engine.merge().unwrap();
    world.executor.run_all();
    let stats = engine.statistics();
    assert_eq!((stats.keys, stats.live_bytes), (0, 0));
    assert_eq!(tombstones(&world), 0);
    assert!(stats.tombstones_dropped >= 200, "{stats:?}");
    assert!(world.data_files().len() <= 2, "the active file, and perhaps the next");
}

#[test]
fn merging_in_the_background_drops_tombstones_too() {
    let world = World::new();
    let engine = world.open().unwrap();
    for round in 0..30 {
        fill(&engine, 0..40, round);
        delete(&engine, 0..40);
        world.executor.run_all();
    }
    let stats = engine.statistics();
    // The puts alone were 30 times 40; what is left is what the last files hold.
    assert!(stats.tombstones_dropped > 800, "{stats:?}");
    assert!(stats.dead_bytes < 40_000, "{stats:?}");
}

struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % below
    }
}

/// Both ways: never too early, whatever is merged with whatever; and in the end always.
#[test]
fn through_random_partial_merges_no_deleted_key_comes_back_and_no_tombstone_stays() {
    let mut dropped_early = 0;
    for seed in 0..60 {
        let mut random = Random(seed);
        let world = World::new();
        let mut merge = MergeOptions::default();
        merge.trigger_percent = 10 + random.below(80) as u8;
        merge.include_percent = random.below(u64::from(merge.trigger_percent) + 1) as u8;
        merge.small_files = 2 + random.below(8) as usize;
        let open = || Bitcask::open(STORE, world.options().merge(Some(merge))).unwrap();
        let mut engine = open();
        let mut model = BTreeMap::new();
        for step in 0..400_u32 {
            let number = random.below(24) as u32;
            match random.below(20) {
                0..8 => {
                    let value = vec![step as u8; random.below(300) as usize];
                    engine.put(&key(number), &value, Durability::Buffered).unwrap();
                    model.insert(key(number).to_vec(), value);
                }
                8..16 => {
                    engine.delete(&key(number), Durability::Buffered).unwrap();
                    model.remove(&key(number)[..]);
                }
                16..18 => world.step(random.below(6)),
                18 if random.below(4) == 0 => {
                    dropped_early += engine.statistics().tombstones_dropped;
                    if random.below(2) == 0 {
                        engine.close().unwrap();
                    }
                    drop(engine);
                    world.executor.run_all();
                    engine = open();
                }
                _ => world.executor.run_all(),
            }
        }
        let expected: Vec<_> = model.into_iter().collect();
        assert_eq!(entries(&engine), expected, "seed {seed}");
        engine.merge().unwrap();
        assert_eq!(entries(&engine), expected, "seed {seed}");
        assert_eq!(tombstones(&world), 0, "seed {seed}");
        drop(engine);
        assert_eq!(entries(&open()), expected, "seed {seed}");
    }
    assert!(dropped_early > 1_000, "partial merges do drop tombstones: {dropped_early}");
}
