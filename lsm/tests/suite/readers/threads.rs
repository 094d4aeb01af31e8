//! Readers and a writer in threads of their own, on the real disk.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use durable::Env;
use kv::{Durability, KeyRange, Kv, Snapshots, WriteBatch};
use lsm::{Lsm, Options};

use crate::world::{entries, key};

const KEYS: u32 = 20;
const ROUNDS: u32 = 500;

/// All keys get the number of the round, in one batch.
fn write_round(engine: &Lsm, round: u32) {
    let mut batch = WriteBatch::new();
    for number in 0..KEYS {
        batch.put(&key(number), &round.to_be_bytes().repeat(25));
    }
    let durability = if round.is_multiple_of(50) { Durability::Sync } else { Durability::Buffered };
    engine.write(&batch, durability).unwrap();
    if round.is_multiple_of(120) {
        engine.compact_range(&KeyRange::all()).unwrap();
    }
}

fn round_of(value: &[u8]) -> u32 {
    u32::from_be_bytes(value[..4].try_into().unwrap())
}

/// The writer flushes, compacts and retires its logs meanwhile.
#[test]
fn beside_a_live_writer_readers_see_whole_batches_and_never_go_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let options = Options::in_env(Env::os(2)).memtable_bytes(16 << 10).log_segment_bytes(8 << 10);
    let engine = Lsm::open(&store, options.clone()).unwrap();
    write_round(&engine, 0);
    let reader = Lsm::open_read_only(&store, options).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            (1..=ROUNDS).for_each(|round| write_round(&engine, round));
            done.store(true, Ordering::Release);
        });
        scope.spawn(|| {
            let mut newest = reader.newest_sequence();
            while !done.load(Ordering::Acquire) {
                let acknowledged = engine.newest_sequence();
                let now = reader.refresh().unwrap();
                assert!(now >= newest && now >= acknowledged);
                newest = now;
            }
        });
        scope.spawn(|| {
            let mut newest = 0;
            while !done.load(Ordering::Acquire) {
                let entries = entries(&reader);
                assert_eq!(entries.len() as u32, KEYS);
                let round = round_of(&entries[0].1);
                assert!(entries.iter().all(|(_, value)| round_of(value) == round));
                assert!(round >= newest);
                newest = round;
            }
        });
        scope.spawn(|| {
            let mut newest = 0;
            while !done.load(Ordering::Acquire) {
                for number in 0..KEYS {
                    let round = round_of(&reader.get(&key(number)).unwrap().unwrap());
                    assert!(round >= newest, "a later get sees no earlier batch");
                    newest = round;
                }
                let snapshot = reader.snapshot().unwrap();
                let rounds = (0..KEYS).map(|n| round_of(&snapshot.get(&key(n)).unwrap().unwrap()));
                let rounds: Vec<u32> = rounds.collect();
                assert!(rounds.iter().all(|round| *round == rounds[0]));
            }
        });
    });
    reader.refresh().unwrap();
    assert_eq!(round_of(&reader.get(&key(3)).unwrap().unwrap()), ROUNDS);
    engine.close().unwrap();
    reader.refresh().unwrap();
    assert_eq!(entries(&reader).len() as u32, KEYS);
}
