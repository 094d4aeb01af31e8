//! Writers that are held back, and how they are let go.

use std::sync::Arc;

use durable::{Env, SimFs};
use kv::{Durability, Error, Kv};
use lsm::compaction::{LeveledOptions, StrategyOptions};
use lsm::{Lsm, Options};

use crate::world::{STORE, World, entries, fill, filled, key, leveled};

/// Flushes runs of level 0 until there are so many.
fn pile_up(engine: &Lsm, runs: u64) {
    for run in 0..runs {
        fill(engine, 0..5, run as u8);
        engine.flush().unwrap();
    }
}

#[test]
fn pressure_falls_with_no_further_calls() {
    let world = World::new();
    let engine = Lsm::open(STORE, world.compacting(leveled())).unwrap();
    // The limit of this strategy is 12 runs.
    pile_up(&engine, 11);
    assert!(engine.statistics().pressure >= 850, "no background job has run");
    world.executor.run_all();
    let statistics = engine.statistics();
    assert!(statistics.pressure < 850 && statistics.compactions > 0, "{statistics:?}");
    assert_eq!(statistics.writes_stalled, 0);
}

#[test]
fn a_write_at_the_limit_waits_for_a_compaction() {
    let world = World::new();
    let engine = Lsm::open(STORE, world.compacting(leveled())).unwrap();
    pile_up(&engine, 12);
    assert_eq!(engine.statistics().pressure, 1000);
    // The stepped executor runs jobs while a write waits.
    engine.put(&key(50), b"value", Durability::Buffered).unwrap();
    let statistics = engine.statistics();
    assert_eq!(statistics.writes_stalled, 1);
    assert!(statistics.pressure < 1000 && statistics.compactions > 0);
}

#[test]
fn a_write_at_the_limit_is_refused_when_compactions_find_no_space_and_later_goes_on() {
    let world = World::new();
    let engine = world.open().unwrap();
    pile_up(&engine, 12);
    engine.close().unwrap();
    drop(engine);
    let engine = Lsm::open(STORE, world.compacting(leveled())).unwrap();
    assert_eq!(engine.statistics().pressure, 1000, "an opening measures as well");
    world.disk.set_free_space(Some(64));
    let refused = engine.put(&key(50), b"value", Durability::Buffered).unwrap_err();
    assert!(matches!(refused, Error::Stalled { .. }), "{refused}");
    assert!(engine.statistics().compactions_failed > 0);
    assert_eq!(entries(&engine), filled(0..5, 11));
    world.disk.set_free_space(None);
    engine.put(&key(50), b"value", Durability::Buffered).unwrap();
    assert!(engine.statistics().pressure < 1000);
    engine.close().unwrap();
}

/// "Try again" would be wrong advice: compactions leave the table alone until the store is opened again.
#[test]
fn a_write_at_the_limit_is_told_which_damaged_table_stops_compactions() {
    let world = World::new();
    let mut options = world.compacting(leveled());
    options.table.block_bytes = 256;
    let engine = Lsm::open(STORE, options.clone().compaction_threads(0)).unwrap();
    pile_up(&engine, 12);
    engine.close().unwrap();
    drop(engine);
    let name = world.files("table").remove(0);
    world.damage(&name);
    let engine = Lsm::open(STORE, options).unwrap();
    for _ in 0..2 {
        let refused = engine.put(&key(50), b"value", Durability::Buffered).unwrap_err();
        assert!(refused.is_corruption() && refused.to_string().contains(&name), "{refused}");
    }
    assert_eq!(engine.statistics().compactions_failed, 1, "the table is not tried again");
    let found = engine.get(&key(3)).unwrap().unwrap();
    assert_eq!(found, [11; 100][..], "a get finds it in a newer run");
    engine.close().unwrap();
}

#[test]
fn without_compaction_threads_writers_never_wait() {
    let world = World::new();
    let options = world.compacting(leveled()).compaction_threads(0);
    let engine = Lsm::open(STORE, options).unwrap();
    pile_up(&engine, 30);
    world.executor.run_all();
    let statistics = engine.statistics();
    assert_eq!((statistics.writes_stalled, statistics.compactions), (0, 0));
    assert_eq!(statistics.runs, 30);
    engine.settle().unwrap();
}

#[test]
fn debt_holds_writers_back_as_well() {
    let world = World::new();
    let options = world.compacting(leveled()).max_debt_bytes(10_000);
    let engine = Lsm::open(STORE, options).unwrap();
    for round in 0..8 {
        fill(&engine, 0..60, round);
        engine.flush().unwrap();
        assert!(world.executor.step(), "a look measures the debt");
    }
    let statistics = engine.statistics();
    assert!(statistics.compaction_debt_bytes > 0, "{statistics:?}");
    engine.settle().unwrap();
    assert_eq!(entries(&engine), filled(0..60, 7));
    assert!(engine.statistics().pressure < 1000);
}

/// Real threads that write as fast as they can, with limits so tight that they wait.
#[test]
fn writers_on_threads_wait_and_are_woken_by_compactions() {
    let strategy = StrategyOptions::Leveled(LeveledOptions {
        l0_runs: 1,
        l0_soft_runs: 1,
        base_bytes: 4_000,
        fan_out: 2,
        file_bytes: 1_000,
        max_input_bytes: 30_000,
        ..LeveledOptions::default()
    });
    let env = Env { fs: Arc::new(SimFs::new()), ..Env::os(2) };
    let options = Options::in_env(env).memtable_bytes(1_000).strategy(strategy);
    let engine = Lsm::open(STORE, options.log_segment_bytes(4_096)).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4_u32 {
            let engine = &engine;
            scope.spawn(move || {
                for round in 0..150_u8 {
                    let key = key(writer * 100 + u32::from(round) % 40);
                    engine.put(&key, &[round; 100], Durability::Buffered).unwrap();
                }
            });
        }
    });
    engine.settle().unwrap();
    assert_eq!(entries(&engine).len(), 160);
    assert!(engine.statistics().compactions > 0);
    engine.verify().unwrap();
    engine.close().unwrap();
}
