//! How much memory a compaction, a scan and a repair take: the same, however large the store is.
//!
//! The allocator of this test binary, [`watched`], watches each thread. The store is on a real disk: the simulated one would
//! be counted.
#![cfg(not(shuttle))]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_methods, reason = "a test removes files of a real disk")]

#[path = "../../../torture/tests/allocation/watched.rs"]
mod watched;

use std::path::Path;
use std::sync::Arc;

use durable::{Env, ManualClock, ManualExecutor};
use kv::{Durability, KeyRange, Kv};
use lsm::compaction::{SizeTieredOptions, StrategyOptions};
use lsm::{Lsm, Options};

/// Runs `act`, and returns the most memory that it held.
fn most_of(act: impl FnOnce()) -> usize {
    watched::forget();
    act();
    watched::largest_and_most().1
}

const KEYS: u32 = 16_000;
const VALUE_BYTES: usize = 1_000;
const TABLE_BYTES: u64 = 1 << 20;
/// A twelfth of the store when it is compacted.
const ALLOWANCE: usize = 5 << 19;

/// Jobs run in the thread that waits for them.
fn options() -> Options {
    let clock = Arc::new(ManualClock::new());
    let executor = Arc::new(ManualExecutor::new(Arc::clone(&clock) as _));
    let env = Env { clock, executor, ..Env::os(1) };
    let strategy = StrategyOptions::SizeTiered(SizeTieredOptions {
        min_runs: 2,
        file_bytes: TABLE_BYTES,
        ..SizeTieredOptions::default()
    });
    Options::in_env(env).table_bytes(TABLE_BYTES).strategy(strategy)
}

fn open(dir: &Path, compaction_threads: usize) -> Lsm {
    Lsm::open(dir, options().compaction_threads(compaction_threads)).unwrap()
}

/// Makes a store in `dir` of two runs that have all keys.
fn fill(dir: &Path) {
    let engine = open(dir, 0);
    for round in 0..2 {
        for number in 0..KEYS {
            engine.put(&number.to_be_bytes(), &value(number, round), Durability::Buffered).unwrap();
        }
        engine.flush().unwrap();
    }
    let before = engine.statistics();
    assert_eq!(before.runs, 2);
    assert!(before.table_bytes > 11 * ALLOWANCE as u64, "{before:?}");
    engine.close().unwrap();
}

/// Bytes that no compression makes shorter.
fn value(number: u32, round: u32) -> Vec<u8> {
    let mut state = u64::from(number) << 1 | u64::from(round);
    let next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(VALUE_BYTES).collect()
}

fn scan(engine: &Lsm) -> u32 {
    let (mut cursor, mut seen) = (engine.scan(KeyRange::all()).unwrap(), 0);
    while cursor.next().unwrap() {
        seen += u32::from(cursor.value().unwrap().len() == VALUE_BYTES);
    }
    seen
}

#[test]
fn a_compaction_and_a_scan_of_a_store_far_larger_than_the_allowance_stay_within_it() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let engine = open(dir.path(), 1);
    let compaction = most_of(|| engine.settle().unwrap());
    let after = engine.statistics();
    assert_eq!((after.runs, after.compactions, after.table_entries), (1, 1, u64::from(KEYS)));
    assert!(compaction < ALLOWANCE, "a compaction took {compaction} bytes");
    let mut seen = 0;
    let walk = most_of(|| seen = scan(&engine));
    assert_eq!(seen, KEYS);
    assert!(walk < ALLOWANCE / 4, "a scan took {walk} bytes");
    engine.close().unwrap();
}

#[test]
fn a_repair_of_a_store_far_larger_than_the_allowance_stays_within_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, repaired) = (dir.path().join("store"), dir.path().join("repaired"));
    fill(&store);
    for is_trusted in [true, false] {
        if !is_trusted {
            std::fs::remove_file(store.join("CURRENT")).unwrap();
            std::fs::remove_dir_all(&repaired).unwrap();
        }
        let mut keys = 0;
        let took = most_of(|| keys = lsm::repair(&store, &repaired, &options()).unwrap().keys);
        assert_eq!(keys, u64::from(KEYS));
        assert!(took < ALLOWANCE, "a repair took {took} bytes");
        assert_eq!(scan(&open(&repaired, 0)), KEYS);
    }
}
