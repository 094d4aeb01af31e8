//! Snapshots, against the moment at which a compaction takes its history.

use std::sync::Arc;

use durable::{SimFs, ThreadPool};
use kv::{
    Durability, Error, KeyRange, Kv, SequenceNumber, Snapshot as _, Snapshots, UnixMillis,
    WriteBatch,
};
use lsm::Lsm;

use crate::world::{check, check_view, clock, open, open_compacting, options, put_both};

/// A snapshot reads its time on either side of the moment at which a compaction takes its horizon. If it has seen a value, the
/// compaction leaves the value alone.
#[test]
fn the_time_of_a_snapshot_races_the_horizon_of_a_compaction() {
    let scenario = || {
        let disk = SimFs::new();
        let (clock, executor) = (clock(), Arc::new(ThreadPool::new(1, clock())));
        let mut options = options(&disk, executor);
        options.env.clock = Arc::clone(&clock) as _;
        let engine = Arc::new(Lsm::open("store", options).unwrap());
        let mut batch = WriteBatch::new();
        batch.put_expiring(b"a", &[1; 150], UnixMillis(1_000));
        engine.write(&batch, Durability::Buffered).unwrap();
        engine.flush().unwrap();
        let reader = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || {
                let snapshot = engine.snapshot().unwrap();
                let first = snapshot.get(b"a").unwrap().is_some();
                engine.compact_range(&KeyRange::all()).unwrap();
                let mut cursor = snapshot.scan(KeyRange::all()).unwrap();
                assert_eq!(cursor.next().unwrap(), first);
                assert_eq!(snapshot.get(b"a").unwrap().is_some(), first);
            })
        };
        let compacter = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || engine.compact_range(&KeyRange::all()).unwrap())
        };
        clock.set_now(UnixMillis(1_000));
        for thread in [reader, compacter] {
            thread.join().unwrap();
        }
        assert!(engine.get(b"a").unwrap().is_none());
        engine.verify().unwrap();
    };
    check(scenario, 300);
}

/// A snapshot is taken on either side of the moment at which a compaction takes its history.
#[test]
fn a_snapshot_keeps_its_state_whenever_a_compaction_takes_its_history() {
    let scenario = || {
        let disk = SimFs::new();
        let engine = open_compacting(&disk);
        (1..=2_u8).for_each(|round| assert!(put_both(&engine, round, Durability::Buffered)));
        engine.flush().unwrap();
        let holder = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || {
                let snapshot = engine.snapshot().unwrap();
                let round = snapshot.sequence().0;
                // More compactions come in between.
                engine.flush().unwrap();
                for key in [b"a", b"b"] {
                    let value = snapshot.get(key).unwrap().unwrap();
                    assert_eq!(u64::from(value[0]), round);
                }
            })
        };
        let writer = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || {
                for round in 3..=5 {
                    assert!(put_both(&engine, round, Durability::Buffered));
                    engine.flush().unwrap();
                }
            })
        };
        let compacter = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || engine.compact_range(&KeyRange::all()).unwrap())
        };
        for thread in [holder, writer, compacter] {
            thread.join().unwrap();
        }
        check_view(&engine);
        engine.verify().unwrap();
    };
    check(scenario, 300);
}

/// An older state is pinned on either side of the moment at which a compaction drops its versions.
#[test]
fn a_state_that_is_pinned_beside_a_compaction_is_whole_or_too_old() {
    let scenario = || {
        let disk = SimFs::new();
        let engine = open(&disk);
        (1..=3_u8).for_each(|round| assert!(put_both(&engine, round, Durability::Buffered)));
        let compacter = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || engine.compact_range(&KeyRange::all()).unwrap())
        };
        for round in [1, 2] {
            let snapshot = match engine.pin_at(SequenceNumber(round)) {
                Ok(snapshot) => snapshot,
                Err(Error::SnapshotTooOld) => continue,
                Err(error) => panic!("{error}"),
            };
            let mut cursor = snapshot.scan(KeyRange::all()).unwrap();
            for key in [b"a", b"b"] {
                let value = snapshot.get(key).unwrap().unwrap();
                assert!(cursor.next().unwrap() && cursor.value().unwrap()[..] == value[..]);
                assert_eq!(u64::from(value[0]), round);
            }
        }
        compacter.join().unwrap();
        let is_too_old =
            |round| matches!(engine.pin_at(SequenceNumber(round)), Err(Error::SnapshotTooOld));
        assert!(is_too_old(1) && !is_too_old(3));
    };
    check(scenario, 300);
}
