//! Snapshots, and the versions that compactions keep for them.

use kv::{KeyRange, Kv, Snapshot as _, Snapshots};
use lsm::Lsm;

use crate::compactions::{Model, Numbers, churn, shown};
use crate::world::{STORE, World, entries, fill, filled, key, leveled, rest, strategies};

#[test]
fn a_snapshot_costs_one_version_of_each_key_through_all_compactions() {
    for strategy in strategies() {
        let world = World::new();
        let engine = Lsm::open(STORE, world.compacting(strategy)).unwrap();
        fill(&engine, 0..20, 1);
        let first = engine.snapshot().unwrap();
        fill(&engine, 0..20, 2);
        fill(&engine, 0..20, 3);
        let second = engine.snapshot().unwrap();
        for round in 4..10 {
            fill(&engine, 0..20, round);
        }
        engine.compact_range(&KeyRange::all()).unwrap();
        assert_eq!(engine.statistics().table_entries, 3 * 20, "{strategy:?}");
        for (snapshot, round) in [(&first, 1), (&second, 3)] {
            assert_eq!(rest(&mut *snapshot.scan(KeyRange::all()).unwrap()), filled(0..20, round));
            assert_eq!(snapshot.get(&key(3)).unwrap().as_deref(), Some(&[round; 100][..]));
        }
        assert_eq!(entries(&engine), filled(0..20, 9));
        drop((first, second));
        engine.compact_range(&KeyRange::all()).unwrap();
        assert_eq!(engine.statistics().table_entries, 20, "{strategy:?}");
        assert_eq!(engine.statistics().snapshots, 0);
        engine.verify().unwrap();
    }
}

#[test]
fn a_snapshot_between_seal_and_install_sees_one_state_through_compactions() {
    let world = World::new();
    let engine = Lsm::open(STORE, world.compacting(leveled())).unwrap();
    fill(&engine, 0..15, 1);
    assert!(engine.statistics().sealed_memtables > 0, "nobody has flushed it");
    let snapshot = engine.snapshot().unwrap();
    for round in 2..6 {
        fill(&engine, 0..15, round);
        world.executor.run_all();
        assert_eq!(rest(&mut *snapshot.scan(KeyRange::all()).unwrap()), filled(0..15, 1));
    }
    assert!(engine.statistics().compactions > 0);
    engine.close().unwrap();
    drop(engine);
    assert_eq!(snapshot.get(&key(3)).unwrap().unwrap(), [1; 100][..]);
}

#[test]
fn a_state_of_which_versions_have_gone_is_too_old_also_after_reopening() {
    let world = World::new();
    let open = || Lsm::open(STORE, world.compacting(leveled())).unwrap();
    let engine = open();
    fill(&engine, 0..10, 1);
    let old = engine.newest_sequence();
    let held = engine.pin_at(old).unwrap();
    fill(&engine, 0..10, 2);
    let newest = engine.newest_sequence();
    assert!(engine.pin_at(kv::SequenceNumber(old.0 - 1)).is_ok(), "nothing has gone");
    engine.compact_range(&KeyRange::all()).unwrap();
    let too_old =
        |engine: &Lsm, number| matches!(engine.pin_at(number), Err(kv::Error::SnapshotTooOld));
    assert!(too_old(&engine, kv::SequenceNumber(old.0 - 1)));
    assert_eq!(engine.pin_at(old).unwrap().get(&key(1)).unwrap().unwrap(), [1; 100][..]);
    assert_eq!(rest(&mut *held.scan(KeyRange::all()).unwrap()), filled(0..10, 1));
    assert_eq!(engine.pin_at(newest).unwrap().get(&key(1)).unwrap().unwrap(), [2; 100][..]);
    assert!(matches!(
        engine.pin_at(kv::SequenceNumber(newest.0 + 1)),
        Err(kv::Error::InvalidArgument(_))
    ));
    drop(held);
    assert!(too_old(&engine, old), "nobody holds it any more");
    drop(engine);
    let engine = open();
    assert!(too_old(&engine, old), "the manifest knows");
    assert!(engine.pin_at(newest).is_ok());
}

#[test]
fn a_store_takes_up_another_strategy_while_snapshots_are_held() {
    let (world, mut model) = (World::new(), Model::new());
    let mut numbers = Numbers(3);
    for round in 0..9 {
        let strategy = strategies()[round % 3];
        let engine = Lsm::open(STORE, world.compacting(strategy)).unwrap();
        let (snapshot, before) = (engine.snapshot().unwrap(), shown(&model));
        churn(&world, &engine, &mut model, &mut numbers, 200);
        if round % 2 == 0 {
            engine.settle().unwrap();
        }
        assert_eq!(rest(&mut *snapshot.scan(KeyRange::all()).unwrap()), before, "round {round}");
        assert_eq!(entries(&engine), shown(&model), "round {round}");
        engine.verify().unwrap();
        engine.close().unwrap();
    }
}
