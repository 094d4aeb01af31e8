//! Seals, flushes and publication, against writers, gets and views.

use std::sync::Arc;

use durable::SimFs;
use kv::{Durability, Kv};
use lsm::Lsm;

use crate::world::{after_power_cut, check, check_view, open, open_compacting, put_both};

fn flushes_race_everything(closes: bool) {
    let disk = SimFs::new();
    races_everything(&open(&disk), &disk, closes);
}

pub(crate) fn compactions_race_everything(closes: bool) {
    let disk = SimFs::new();
    races_everything(&open_compacting(&disk), &disk, closes);
}

fn races_everything(engine: &Arc<Lsm>, disk: &SimFs, closes: bool) {
    let spawn = |act: Box<dyn FnOnce(&Lsm) + Send>| {
        let engine = Arc::clone(engine);
        shuttle::thread::spawn(move || act(&engine))
    };
    let writer = {
        let engine = Arc::clone(engine);
        shuttle::thread::spawn(move || {
            // Batch number `round` writes `round`.
            let written = |round: &u8| put_both(&engine, *round, Durability::Buffered);
            (1..=5_u8).take_while(written).last().unwrap_or(0)
        })
    };
    let getter = spawn(Box::new(|engine| {
        let mut last = 0;
        for _ in 0..3 {
            let Ok(found) = engine.get(b"a") else { return };
            let round = found.map_or(0, |value| value[0]);
            assert!(round >= last, "a key moves forward only");
            last = round;
        }
    }));
    let viewers = [(); 2].map(|()| spawn(Box::new(check_view)));
    let closer = closes.then(|| spawn(Box::new(|engine| engine.close().unwrap())));
    let written = writer.join().unwrap();
    for thread in viewers.into_iter().chain([getter]).chain(closer) {
        thread.join().unwrap();
    }
    engine.close().unwrap();
    let reopened = after_power_cut(disk);
    let found = reopened.get(b"a").unwrap().map_or(0, |value| value[0]);
    assert_eq!(found, written, "a clean close keeps everything");
    assert_eq!(reopened.statistics().replayed_batches, 0);
}

#[test]
fn seals_and_installs_race_writers_gets_and_views() {
    check(|| flushes_race_everything(false), 400);
}

#[test]
fn seals_and_installs_race_a_close() {
    check(|| flushes_race_everything(true), 300);
}

/// Synced writers wait for the disk while their memtables are sealed and flushed.
#[test]
fn a_synced_batch_that_returned_is_visible_and_durable_whatever_flush_came_in_between() {
    let scenario = || {
        let disk = SimFs::new();
        let engine = open(&disk);
        let writers: Vec<_> = (0..3_u8)
            .map(|writer| {
                let (engine, disk) = (Arc::clone(&engine), disk.clone());
                shuttle::thread::spawn(move || {
                    engine.put(&[writer], &[writer; 300], Durability::Sync).unwrap();
                    assert!(engine.get(&[writer]).unwrap().is_some());
                    assert!(after_power_cut(&disk).get(&[writer]).unwrap().is_some());
                })
            })
            .collect();
        let flusher = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || engine.flush().unwrap())
        };
        for thread in writers.into_iter().chain([flusher]) {
            thread.join().unwrap();
        }
    };
    check(scenario, 400);
}

/// A seal and a flush measure at the same time. The older measurement does not take the place of the newer one.
#[test]
fn when_nothing_is_sealed_any_more_nobody_is_held_back() {
    let scenario = || {
        let engine = open(&SimFs::new());
        let writers = [1, 2].map(|writer: u8| {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || {
                for _ in 0..2 {
                    engine.put(&[writer], &[writer; 300], Durability::Buffered).unwrap();
                    engine.flush().unwrap();
                }
            })
        });
        for writer in writers {
            writer.join().unwrap();
        }
        engine.flush().unwrap();
        let statistics = engine.statistics();
        assert_eq!((statistics.sealed_memtables, statistics.pressure), (0, 0));
    };
    check(scenario, 400);
}
