//! Readers beside the writer, against flushes, compactions and the unlinking of the files that they read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use durable::{ManualExecutor, SimFs};
use kv::{Durability, KeyRange, Kv, Snapshots};
use lsm::{Lsm, Reader};

use crate::world::{check, clock, open, options, put_both};

/// The round that `reader` shows, which is the same for both keys and both directions.
fn round_of(reader: &Reader) -> u64 {
    let snapshot = reader.snapshot().unwrap();
    let mut rounds = Vec::new();
    let mut cursor = snapshot.scan(KeyRange::all()).unwrap();
    while cursor.next().unwrap() {
        rounds.push(cursor.value().unwrap()[0]);
    }
    while cursor.prev().unwrap() {
        rounds.push(cursor.value().unwrap()[0]);
    }
    let round = snapshot.sequence().0;
    assert_eq!(rounds, [round as u8; 4], "batch {round} alone");
    round
}

#[test]
fn a_reader_shows_whole_batches_in_order_beside_flushes_compactions_and_unlinks() {
    let scenario = || {
        let disk = SimFs::new();
        let engine = open(&disk);
        assert!(put_both(&engine, 1, Durability::Buffered));
        let reading = options(&disk, Arc::new(ManualExecutor::new(clock())));
        let reader = Arc::new(Lsm::open_read_only("store", reading).unwrap());
        let acknowledged = Arc::new(AtomicU64::new(1));
        let writer = {
            let (engine, acknowledged) = (Arc::clone(&engine), Arc::clone(&acknowledged));
            shuttle::thread::spawn(move || {
                for round in 2..=5_u8 {
                    assert!(put_both(&engine, round, Durability::Buffered));
                    acknowledged.store(round.into(), Ordering::SeqCst);
                }
            })
        };
        let compacter = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || {
                engine.flush().unwrap();
                engine.compact_range(&KeyRange::all()).unwrap();
            })
        };
        let looker = {
            let reader = Arc::clone(&reader);
            shuttle::thread::spawn(move || {
                let first = round_of(&reader);
                assert!(first <= round_of(&reader), "a refresh on another thread goes forward");
            })
        };
        for _ in 0..3 {
            let (least, before) = (acknowledged.load(Ordering::SeqCst), round_of(&reader));
            let now = reader.refresh().unwrap().0;
            assert!(now >= least.max(before), "{now} after {least} and {before}");
            assert_eq!(round_of(&reader), now);
        }
        for thread in [writer, compacter, looker] {
            thread.join().unwrap();
        }
        assert_eq!(reader.refresh().unwrap().0, 5);
        engine.close().unwrap();
        reader.refresh().unwrap();
        assert_eq!(round_of(&reader), 5);
    };
    check(scenario, 200);
}
