//! Requests for a merge that meet a merge in progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bitcask::{Bitcask, MergeOptions};
use durable::{ManualExecutor, SimFs};
use kv::{Durability, Kv};

use super::{check, clock, options};

/// Where the first record of a data file of the log starts.
const FIRST_RECORD: usize = 2048;

fn open(disk: &SimFs, executor: &Arc<ManualExecutor>, merge: Option<MergeOptions>) -> Bitcask {
    let options = options(disk, Arc::clone(executor) as _).merge(merge);
    Bitcask::open("store", options).unwrap()
}

fn put(engine: &Bitcask, key: &[u8], times: usize) {
    for _ in 0..times {
        engine.put(key, &[1; 150], Durability::Buffered).unwrap();
    }
}

/// A closed store. Its first two files waste most of themselves, and the live record of the second is damaged.
fn store_with_damaged_input(disk: &SimFs) {
    let engine = open(disk, &Arc::new(ManualExecutor::new(clock())), None);
    for live in [b"k0", b"k1"] {
        put(&engine, live, 1);
        put(&engine, b"x", 4);
    }
    put(&engine, b"x", 1);
    engine.close().unwrap();
    let is_second = |path: &std::path::PathBuf| path.ends_with("000001.data");
    let victim = disk.files().into_iter().find(is_second).unwrap();
    let mut bytes = disk.contents(&victim).unwrap();
    bytes[FIRST_RECORD + 40] ^= 1;
    disk.set_contents(&victim, bytes);
}

/// Runs jobs of the store up to the one in which the merge finds the damage. Returns how many came before it.
fn jobs_before_the_failure() -> usize {
    let disk = SimFs::new();
    store_with_damaged_input(&disk);
    let executor = Arc::new(ManualExecutor::new(clock()));
    let engine = open(&disk, &executor, Some(MergeOptions::default()));
    let mut jobs = 0;
    while engine.statistics().merges_failed == 0 {
        assert!(executor.step(), "the merge comes upon the damage");
        jobs += 1;
    }
    assert!(jobs > 2, "the merge has begun before: {jobs}");
    jobs - 1
}

/// One thread takes a step of a merge, which fails. Another thread seals a file that is worth merging, and its request meets
/// the first thread in the middle of the step.
fn a_request_meets_a_step_that_fails(jobs: usize) {
    let disk = SimFs::new();
    store_with_damaged_input(&disk);
    let executor = Arc::new(ManualExecutor::new(clock()));
    let engine = Arc::new(open(&disk, &executor, Some(MergeOptions::default())));
    (0..jobs).for_each(|_| assert!(executor.step()));
    assert_eq!(engine.statistics().merges_failed, 0, "the merge is in progress");
    let stepper = {
        let executor = Arc::clone(&executor);
        shuttle::thread::spawn(move || executor.run_all())
    };
    let writer = {
        let (engine, executor) = (Arc::clone(&engine), Arc::clone(&executor));
        shuttle::thread::spawn(move || {
            put(&engine, b"y", 6);
            executor.run_all();
        })
    };
    stepper.join().unwrap();
    writer.join().unwrap();
    let stats = engine.statistics();
    assert!(stats.merges_failed >= 1 && stats.merges >= 1, "no request was lost: {stats:?}");
}

#[test]
fn a_request_for_a_merge_that_meets_a_failing_step_is_answered() {
    let jobs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&jobs);
    shuttle::check_random(move || counted.store(jobs_before_the_failure(), Ordering::SeqCst), 1);
    let jobs = jobs.load(Ordering::SeqCst);
    check(move || a_request_meets_a_step_that_fails(jobs), 2_000);
}
