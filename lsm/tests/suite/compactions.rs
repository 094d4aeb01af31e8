//! Compactions: entries, readers and files before, during and after them.

use std::collections::BTreeMap;

use kv::{Durability, KeyRange, Kv, Snapshots};
use lsm::Lsm;

use crate::world::{
    STORE, World, entries, fill, filled, key, lazy_leveled, leveled, newest, rest, size_tiered,
    strategies,
};

/// A sequence of numbers that looks random.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

pub(crate) type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Puts and deletes random keys, with jobs in between.
pub(crate) fn churn(
    world: &World,
    engine: &Lsm,
    model: &mut Model,
    numbers: &mut Numbers,
    rounds: u64,
) {
    for round in 0..rounds {
        let key = key(numbers.below(60) as u32).to_vec();
        if numbers.below(4) == 0 {
            engine.delete(&key, Durability::Buffered).unwrap();
            model.remove(&key);
        } else {
            let value = round.to_le_bytes().repeat(1 + numbers.below(12) as usize);
            engine.put(&key, &value, Durability::Buffered).unwrap();
            model.insert(key, value);
        }
        for _ in 0..numbers.below(4) {
            let _ran: bool = world.executor.step();
        }
    }
}

pub(crate) fn shown(model: &Model) -> Vec<(Vec<u8>, Vec<u8>)> {
    model.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The logs and tables on the disk are those that make up the store.
pub(crate) fn assert_no_orphan(world: &World, engine: &Lsm) {
    let mut live = engine.live_files();
    live.sort_unstable();
    let mut files = [world.files("log"), world.files("table")].concat();
    files.sort_unstable();
    assert_eq!(files, live);
}

#[test]
fn entries_outlive_compactions_and_reopenings_with_every_strategy() {
    for (number, strategy) in strategies().into_iter().enumerate() {
        let (world, mut numbers) = (World::new(), Numbers(number as u64));
        let mut model = Model::new();
        for life in 0..4 {
            let engine = Lsm::open(STORE, world.compacting(strategy)).unwrap();
            assert_eq!(entries(&engine), shown(&model));
            churn(&world, &engine, &mut model, &mut numbers, 400);
            assert_eq!(entries(&engine), shown(&model));
            engine.verify().unwrap();
            let statistics = engine.statistics();
            assert!(statistics.compactions > 5, "{strategy:?}: {statistics:?}");
            assert!(statistics.hidden_dropped > 0 && statistics.tombstones_dropped > 0);
            if life % 2 == 0 {
                engine.close().unwrap();
            }
        }
    }
}

#[test]
fn a_settled_store_is_at_rest_without_dead_entries_or_orphans() {
    for strategy in strategies() {
        let (world, mut model) = (World::new(), Model::new());
        let engine = Lsm::open(STORE, world.compacting(strategy)).unwrap();
        churn(&world, &engine, &mut model, &mut Numbers(7), 600);
        engine.settle().unwrap();
        let settled = engine.statistics();
        assert_eq!(settled.sealed_memtables, 0);
        world.executor.run_all();
        engine.settle().unwrap();
        assert_eq!(engine.statistics().compactions, settled.compactions, "nothing was left to do");
        assert_eq!(entries(&engine), shown(&model));
        assert_no_orphan(&world, &engine);
        assert!(engine.statistics().pressure < 850);
        engine.compact_range(&KeyRange::all()).unwrap();
        let compacted = engine.statistics();
        assert_eq!(compacted.table_entries, model.len() as u64, "one version of each key");
        assert_eq!((compacted.runs, compacted.table_tombstones), (1, 0));
        assert_eq!(entries(&engine), shown(&model));
        engine.verify().unwrap();
    }
}

#[test]
fn a_scan_goes_on_while_its_tables_are_compacted_away() {
    for strategy in strategies() {
        let world = World::new();
        let engine = Lsm::open(STORE, world.compacting(strategy)).unwrap();
        fill(&engine, 0..40, 1);
        engine.flush().unwrap();
        let before = world.files("table");
        let mut forward = engine.scan(KeyRange::all()).unwrap();
        let mut backward = engine.scan(KeyRange::all()).unwrap();
        for _ in 0..5 {
            assert!(forward.next().unwrap() && backward.prev().unwrap());
        }
        fill(&engine, 0..40, 2);
        engine.settle().unwrap();
        engine.compact_range(&KeyRange::all()).unwrap();
        world.executor.run_all();
        let live = engine.live_files();
        assert!(!before.iter().any(|name| live.contains(name)), "every input has left the store");
        assert_eq!(rest(&mut *forward), filled(5..40, 1));
        let mut seen = Vec::new();
        while backward.prev().unwrap() {
            seen.push((backward.key().to_vec(), backward.value().unwrap().to_vec()));
        }
        seen.reverse();
        assert_eq!(seen, filled(0..35, 1));
        assert_eq!(entries(&engine), filled(0..40, 2));
    }
}

#[test]
fn a_cursor_keeps_its_files_across_ten_compactions_and_they_go_when_it_is_dropped() {
    let world = World::new();
    let engine = Lsm::open(STORE, world.compacting(leveled())).unwrap();
    fill(&engine, 0..40, 0);
    engine.settle().unwrap();
    world.executor.run_all();
    let pinned = world.files("table");
    let mut cursor = engine.scan(KeyRange::all()).unwrap();
    for round in 1..=10 {
        fill(&engine, 0..40, round);
        let before = engine.statistics().compactions;
        engine.compact_range(&KeyRange::all()).unwrap();
        world.executor.run_all();
        assert!(engine.statistics().compactions > before);
        let files = world.files("table");
        assert!(pinned.iter().all(|name| files.contains(name)), "round {round}: {files:?}");
    }
    assert_eq!(rest(&mut *cursor), filled(0..40, 0));
    drop(cursor);
    world.executor.run_all();
    let files = world.files("table");
    assert!(!pinned.iter().any(|name| files.contains(name)), "{files:?}");
    assert_no_orphan(&world, &engine);
}

#[test]
fn a_delete_hides_the_older_value_in_the_last_level_until_both_are_gone() {
    for strategy in strategies() {
        let world = World::new();
        let engine = Lsm::open(STORE, world.compacting(strategy)).unwrap();
        fill(&engine, 0..40, 1);
        engine.compact_range(&KeyRange::all()).unwrap();
        let check = |when: &str| {
            assert_eq!(engine.get(&key(20)).unwrap(), None, "{when}");
            assert_eq!(entries(&engine).len(), 39, "{when}");
            let mut cursor = engine.scan(KeyRange::new(&key(20)[..]..&key(21)[..])).unwrap();
            assert!(!cursor.prev().unwrap(), "{when}");
        };
        engine.delete(&key(20), Durability::Buffered).unwrap();
        check("the tombstone is in the active memtable");
        fill(&engine, 30..40, 1);
        check("the tombstone is in a sealed memtable, or in level 0");
        engine.flush().unwrap();
        check("the tombstone is in level 0");
        engine.settle().unwrap();
        check("compactions were made");
        engine.compact_range(&KeyRange::all()).unwrap();
        check("everything is in one run");
        assert_eq!(engine.statistics().table_tombstones, 0);
        assert_eq!(newest(&engine, &key(20)), None, "no version is left");
    }
}

#[test]
fn a_tombstone_stays_while_an_older_value_lies_outside_the_compaction() {
    let world = World::new();
    let engine = Lsm::open(STORE, world.compacting(size_tiered())).unwrap();
    // A large old run, and small new ones with the tombstone among many values.
    fill(&engine, 0..200, 0);
    fill(&engine, 0..200, 1);
    engine.compact_range(&KeyRange::all()).unwrap();
    world.executor.run_all();
    for round in 0..3 {
        engine.delete(&key(20), Durability::Buffered).unwrap();
        fill(&engine, 300..330, round);
        engine.flush().unwrap();
        while world.executor.step() {
            assert_eq!(engine.get(&key(20)).unwrap(), None, "round {round}");
        }
    }
    let statistics = engine.statistics();
    assert!(statistics.compactions > 0 && statistics.runs > 1, "{statistics:?}");
    assert!(statistics.table_tombstones > 0, "the value in the large run is still there");
    assert_eq!(entries(&engine).len(), 199 + 30);
}

#[test]
fn ascending_keys_reach_the_last_level_without_being_rewritten() {
    let world = World::new();
    let engine = Lsm::open(STORE, world.compacting(leveled())).unwrap();
    for number in 0..300 {
        engine.put(&key(number), &[1; 100], Durability::Buffered).unwrap();
        world.executor.run_all();
    }
    engine.settle().unwrap();
    let statistics = engine.statistics();
    assert!(statistics.compaction_moves > 10, "{statistics:?}");
    assert!(statistics.levels[6].tables > 10, "{statistics:?}");
    let written: u64 = statistics.levels.iter().map(|level| level.written_bytes).sum();
    assert!(written * 10 < statistics.flushed_bytes, "{statistics:?}");
    assert_eq!(entries(&engine), filled(0..300, 1));
    drop(engine);
    let engine = Lsm::open(STORE, world.compacting(leveled())).unwrap();
    assert_eq!(entries(&engine), filled(0..300, 1));
}

#[test]
fn tables_of_nothing_but_spent_tombstones_go_unread() {
    let world = World::new();
    let engine = Lsm::open(STORE, world.compacting(leveled())).unwrap();
    for number in 0..30 {
        engine.delete(&key(number), Durability::Buffered).unwrap();
    }
    engine.settle().unwrap();
    let statistics = engine.statistics();
    assert_eq!((statistics.tables, statistics.compactions), (0, 0), "{statistics:?}");
    assert!(statistics.compaction_drops > 0);
    world.executor.run_all();
    assert_eq!(world.files("table"), [""; 0]);
    assert_eq!(engine.newest_sequence().0, 30);
    drop(engine);
    let engine = Lsm::open(STORE, world.compacting(leveled())).unwrap();
    assert_eq!(engine.newest_sequence().0, 30, "numbers are not used again");
}

#[test]
fn parts_of_a_compaction_that_are_merged_side_by_side_make_one_run() {
    for threads in [2, 3, 5] {
        let world = World::new();
        let options = world.compacting(lazy_leveled()).compaction_threads(threads);
        let engine = Lsm::open(STORE, options).unwrap();
        let mut model = Model::new();
        churn(&world, &engine, &mut model, &mut Numbers(threads as u64), 800);
        let snapshot = engine.snapshot().unwrap();
        let before = shown(&model);
        churn(&world, &engine, &mut model, &mut Numbers(99), 400);
        engine.settle().unwrap();
        assert_eq!(entries(&engine), shown(&model));
        assert_eq!(rest(&mut *snapshot.scan(KeyRange::all()).unwrap()), before);
        engine.verify().unwrap();
        world.executor.run_all();
        assert_no_orphan(&world, &engine);
    }
}
