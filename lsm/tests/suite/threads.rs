//! Many threads on a real disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use durable::Env;
use kv::{Durability, KeyRange, Kv, Snapshots, WriteBatch};
use lsm::{Lsm, Options};

use crate::world::key;

/// A flush every 40 batches: each adds a run that all later scans merge. Some are followed by a compaction.
fn flush_and_compact(engine: &Lsm) {
    for target in (40..1200).step_by(40) {
        while engine.newest_sequence().0 < target {
            std::thread::yield_now();
        }
        if target % 200 == 0 {
            engine.compact_range(&KeyRange::all()).unwrap();
        } else {
            engine.flush().unwrap();
        }
    }
}

/// Twenty threads: writers that put two keys in each batch, readers, walkers, and one that flushes and compacts, beside
/// compactions in the background. Both keys of a pair always have one value.
#[test]
fn twenty_threads_of_mixed_operations_see_whole_batches() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::in_env(Env::os(2)).memtable_bytes(8 << 10).log_segment_bytes(4096);
    let engine = Arc::new(Lsm::open(dir.path().join("store"), options.clone()).unwrap());
    let pair = |writer: u32| (key(writer), key(1000 + writer));
    let write = |engine: &Lsm, writer: u32, round: u64| {
        let (one, other) = pair(writer);
        let value = round.to_le_bytes().repeat(8);
        let durability =
            if round.is_multiple_of(20) { Durability::Sync } else { Durability::Buffered };
        engine.write(WriteBatch::new().put(&one, &value).put(&other, &value), durability).unwrap();
    };
    (0..8).for_each(|writer| write(&engine, writer, 0));
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let engine = &engine;
                scope.spawn(move || (1..150).for_each(|round| write(engine, writer, round)))
            })
            .collect();
        for reader in 0..6 {
            let (engine, is_done) = (&engine, &is_done);
            scope.spawn(move || {
                let mut last = 0;
                while !is_done.load(Ordering::Acquire) {
                    let value = engine.get(&pair(reader).0).unwrap().unwrap();
                    let round = u64::from_le_bytes(value[..8].try_into().unwrap());
                    assert!(round >= last, "a key moves forward only");
                    last = round;
                }
            });
        }
        for forward in [true, true, true, false, false] {
            let (engine, is_done) = (&engine, &is_done);
            scope.spawn(move || {
                while !is_done.load(Ordering::Acquire) {
                    let snapshot = engine.snapshot().unwrap();
                    let mut cursor = snapshot.scan(KeyRange::all()).unwrap();
                    let mut values = Vec::new();
                    while if forward { cursor.next() } else { cursor.prev() }.unwrap() {
                        values.push(cursor.value().unwrap().to_vec());
                    }
                    assert_eq!(values.len(), 16);
                    assert_eq!(values[..8], values[8..], "each pair has one value");
                }
            });
        }
        scope.spawn(|| flush_and_compact(&engine));
        for writer in writers {
            writer.join().unwrap();
        }
        is_done.store(true, Ordering::Release);
    });
    let statistics = engine.statistics();
    assert!(statistics.compactions > 0 && statistics.hidden_dropped > 0, "{statistics:?}");
    engine.close().unwrap();
    drop(engine);
    let engine = Lsm::open(dir.path().join("store"), options).unwrap();
    for writer in 0..8 {
        let (one, other) = pair(writer);
        let value = engine.get(&one).unwrap();
        assert_eq!(value.as_deref(), Some(&149_u64.to_le_bytes().repeat(8)[..]));
        assert_eq!(engine.get(&other).unwrap(), value);
    }
}
