//! Schedules of begin, commit, clean-up and safe snapshots, under `--cfg shuttle`.
#![cfg(shuttle)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::Arc;

use kv::{Error, Transaction as _, TransactionOptions, Transactional as _};
use mvcc::{MemoryStore, Options};
use ssi::Ssi;
use ssi::certify::{ExactCycles, ReadSetValidation, SerializableSnapshot};

const DOCTORS: [&[u8]; 3] = [b"ada", b"bob", b"eve"];

fn engines() -> [fn() -> Ssi; 3] {
    [
        || Ssi::new(MemoryStore::new(), ReadSetValidation, Options::new()),
        || Ssi::new(MemoryStore::new(), SerializableSnapshot, Options::new()),
        || Ssi::new(MemoryStore::new(), ExactCycles, Options::new()),
    ]
}

fn check(scenario: impl Fn() + Send + Sync + Clone + 'static, schedules: usize) {
    shuttle::check_random(scenario.clone(), schedules);
    shuttle::check_pct(scenario, schedules, 3);
}

fn with_all_on_call(new_engine: fn() -> Ssi) -> Arc<Ssi> {
    let engine = new_engine();
    let mut setup = engine.begin(TransactionOptions::default()).unwrap();
    DOCTORS.iter().for_each(|doctor| setup.put(doctor, b"on").unwrap());
    setup.commit().unwrap();
    Arc::new(engine)
}

fn on_call(transaction: &ssi::Transaction) -> usize {
    let is_on = |doctor: &&&[u8]| transaction.get(doctor).unwrap().unwrap()[..] == b"on"[..];
    DOCTORS.iter().filter(is_on).count()
}

/// Leaves if somebody else stays, in one transaction. Returns whether it was committed.
fn leave(engine: &Ssi, doctor: &[u8]) -> bool {
    let mut transaction = engine.begin(TransactionOptions::default()).unwrap();
    if on_call(&transaction) < 2 {
        return false;
    }
    transaction.put(doctor, b"off").unwrap();
    match transaction.commit() {
        Ok(_) => true,
        Err(Error::Conflict(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

fn assert_nothing_is_tracked(engine: &Ssi) {
    let stats = engine.stats();
    assert_eq!(stats.get("tracked_running"), Some(0));
    assert_eq!(stats.get("tracked_committed"), Some(0), "nobody runs");
}

/// Each of two doctors relies on the others. The commit of one may come between the announcement, the snapshot and the begin of
/// the next one.
#[test]
fn somebody_stays_on_call_in_every_schedule() {
    for new_engine in engines() {
        let scenario = move || {
            let engine = with_all_on_call(new_engine);
            let threads = DOCTORS.map(|doctor| {
                let engine = Arc::clone(&engine);
                shuttle::thread::spawn(move || leave(&engine, doctor))
            });
            let left =
                threads.into_iter().filter_map(|thread| thread.join().ok()).filter(|left| *left);
            assert!(left.count() < DOCTORS.len());
            let reader = engine.begin(TransactionOptions::default().read_only()).unwrap();
            assert!(on_call(&reader) >= 1, "somebody is on call");
            reader.commit().unwrap();
            assert_nothing_is_tracked(&engine);
        };
        check(scenario, 400);
    }
}

/// A deferrable reader waits for the writers that are older than its snapshot. It is woken by their ends, and never loses.
#[test]
fn a_deferrable_reader_begins_in_every_schedule_and_never_loses() {
    for new_engine in engines() {
        let scenario = move || {
            let engine = with_all_on_call(new_engine);
            let writers = [DOCTORS[0], DOCTORS[1]].map(|doctor| {
                let engine = Arc::clone(&engine);
                shuttle::thread::spawn(move || leave(&engine, doctor))
            });
            let reader = {
                let engine = Arc::clone(&engine);
                shuttle::thread::spawn(move || {
                    let reader = engine.begin(TransactionOptions::default().deferrable()).unwrap();
                    assert!(reader.is_safe() && on_call(&reader) >= 1);
                    reader.commit().unwrap();
                })
            };
            writers.into_iter().for_each(|writer| assert!(writer.join().is_ok()));
            reader.join().unwrap();
            assert_nothing_is_tracked(&engine);
        };
        check(scenario, 200);
    }
}
