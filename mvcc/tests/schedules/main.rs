//! Schedules of begin, commit, collection and revocation, under `--cfg shuttle`.
#![cfg(shuttle)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use durable::{ManualClock, SeededEntropy};
use kv::{Error, KeyRange, Transaction as _, TransactionOptions};
use mvcc::{MemoryStore, Mvcc, Options, ReaderLimits, Transaction, VersionedStore as _};
use shuttle::thread::spawn;

fn check(scenario: impl Fn() + Send + Sync + Clone + 'static, schedules: usize) {
    shuttle::check_random(scenario.clone(), schedules);
    shuttle::check_pct(scenario, schedules, 3);
}

fn options() -> Options {
    Options::new().clock(Arc::new(ManualClock::new())).entropy(Arc::new(SeededEntropy::new(1)))
}

fn engine() -> (Arc<Mvcc>, Arc<MemoryStore>) {
    engine_with(options())
}

fn engine_with(options: Options) -> (Arc<Mvcc>, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new());
    (Arc::new(Mvcc::new(Arc::clone(&store), options)), store)
}

fn begin(engine: &Mvcc) -> Transaction {
    engine.begin(TransactionOptions::default()).unwrap()
}

fn get(transaction: &Transaction, key: &[u8]) -> Option<u8> {
    transaction.get(key).unwrap().map(|value| value[0])
}

/// Puts both keys to `value`, and panics on a conflict.
fn put_both(engine: &Mvcc, value: u8) {
    let mut transaction = begin(engine);
    transaction.put(b"a", &[value]).unwrap();
    transaction.put(b"b", &[value]).unwrap();
    transaction.commit().unwrap();
}

/// A batch of more keys than the store applies in one step.
#[test]
fn a_snapshot_contains_a_commit_whole_or_not_at_all_and_never_changes() {
    let scenario = || {
        let (engine, _) = engine();
        let writer = {
            let engine = Arc::clone(&engine);
            spawn(move || {
                for round in 1..=2_u8 {
                    let mut transaction = begin(&engine);
                    for key in 0..70_u8 {
                        transaction.put(&[key], &[round]).unwrap();
                    }
                    let number = transaction.commit().unwrap();
                    assert!(begin(&engine).snapshot() >= number, "a commit is visible");
                }
            })
        };
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let engine = Arc::clone(&engine);
                spawn(move || {
                    let reader = begin(&engine);
                    let first = (get(&reader, &[0]), get(&reader, &[69]));
                    assert_eq!(first.0, first.1);
                    assert_eq!(first.0.map_or(0, u64::from), reader.snapshot().0);
                    assert_eq!((get(&reader, &[69]), get(&reader, &[0])), first);
                })
            })
            .collect();
        writer.join().unwrap();
        for reader in readers {
            reader.join().unwrap();
        }
    };
    check(scenario, 1_000);
}

#[test]
fn of_two_concurrent_writers_of_a_key_one_wins_and_no_update_is_lost() {
    static LOST: AtomicUsize = AtomicUsize::new(0);
    let scenario = || {
        let (engine, _) = engine();
        let writers: Vec<_> = (0..3)
            .map(|_| {
                let engine = Arc::clone(&engine);
                spawn(move || {
                    let mut transaction = begin(&engine);
                    let count = get(&transaction, b"count").unwrap_or(0);
                    transaction.put(b"count", &[count + 1]).unwrap();
                    transaction.commit().is_ok()
                })
            })
            .collect();
        let won = writers.into_iter().map(|writer| writer.join().unwrap());
        let won = won.filter(|has_won| *has_won).count();
        LOST.fetch_add(3 - won, Ordering::Relaxed);
        assert!(won >= 1, "the first committer wins");
        assert_eq!(usize::from(get(&begin(&engine), b"count").unwrap()), won);
    };
    check(scenario, 2_000);
    assert!(LOST.load(Ordering::Relaxed) > 0, "some schedule has a conflict");
}

#[test]
fn a_conflict_names_a_transaction_that_has_committed() {
    let scenario = || {
        let (engine, _) = engine();
        let writers: Vec<_> = (0..3)
            .map(|_| {
                let engine = Arc::clone(&engine);
                spawn(move || {
                    let mut transaction = begin(&engine);
                    let id = transaction.id();
                    transaction.put(b"k", b"v").unwrap();
                    match transaction.commit() {
                        Ok(_) => (id, None),
                        Err(Error::Conflict(conflict)) => {
                            (id, Some(conflict.edges[0].from.transaction))
                        }
                        Err(error) => panic!("{error}"),
                    }
                })
            })
            .collect();
        let ended: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        for (_, winner) in &ended {
            let has_won =
                |winner: u64| ended.iter().any(|(id, lost)| *id == winner && lost.is_none());
            assert!(winner.is_none_or(has_won), "{ended:?}");
        }
    };
    check(scenario, 2_000);
}

/// Each marks the key that it reads and writes the other one. Under snapshot isolation alone both could commit.
#[test]
fn marks_of_transactions_that_overlap_in_any_way_prevent_write_skew() {
    static BOTH: AtomicUsize = AtomicUsize::new(0);
    let scenario = || {
        let (engine, _) = engine();
        put_both(&engine, 1);
        let leave = |own: &'static [u8], other: &'static [u8]| {
            let engine = Arc::clone(&engine);
            spawn(move || {
                let mut transaction = begin(&engine);
                if get(&transaction, other) == Some(1) {
                    transaction.mark(other).unwrap();
                    transaction.put(own, &[0]).unwrap();
                }
                transaction.commit().is_ok()
            })
        };
        let (first, second) = (leave(b"a", b"b"), leave(b"b", b"a"));
        let (first, second) = (first.join().unwrap(), second.join().unwrap());
        BOTH.fetch_add(usize::from(first && second), Ordering::Relaxed);
        assert!(first || second, "one of them wins");
        let reader = begin(&engine);
        assert_ne!((get(&reader, b"a"), get(&reader, b"b")), (Some(0), Some(0)));
    };
    check(scenario, 3_000);
    assert!(BOTH.load(Ordering::Relaxed) > 0, "one after the other, both commit");
}

/// Only the marks on the common key conflict. A snapshot must not be older than the watermark that comes with it.
#[test]
fn a_guard_that_both_mark_prevents_write_skew() {
    let scenario = || {
        let (engine, _) = engine();
        put_both(&engine, 1);
        let leave = |own: &'static [u8], other: &'static [u8]| {
            let engine = Arc::clone(&engine);
            spawn(move || {
                let mut transaction = begin(&engine);
                if get(&transaction, other) == Some(1) {
                    transaction.mark(b"guard").unwrap();
                    transaction.put(own, &[0]).unwrap();
                }
                transaction.commit().is_ok()
            })
        };
        let (first, second) = (leave(b"a", b"b"), leave(b"b", b"a"));
        assert!(first.join().unwrap() | second.join().unwrap(), "one of them wins");
        let reader = begin(&engine);
        assert_ne!((get(&reader, b"a"), get(&reader, b"b")), (Some(0), Some(0)));
    };
    check(scenario, 3_000);
}

/// Marks without writes have no numbers: the guard is held by at most one of two that overlap.
#[test]
fn of_two_transactions_that_only_mark_a_key_and_overlap_one_loses() {
    let scenario = || {
        let (engine, _) = engine();
        let (mut first, mut second) = (begin(&engine), begin(&engine));
        let commit = |mut transaction: Transaction| {
            spawn(move || {
                transaction.mark(b"guard").unwrap();
                transaction.commit().is_ok()
            })
        };
        first.mark(b"own").unwrap();
        second.mark(b"own too").unwrap();
        let (first, second) = (commit(first), commit(second));
        let later = {
            let engine = Arc::clone(&engine);
            spawn(move || {
                let mut transaction = begin(&engine);
                transaction.mark(b"guard").unwrap();
                transaction.commit().is_ok()
            })
        };
        let (first, second) = (first.join().unwrap(), second.join().unwrap());
        let later = later.join().unwrap();
        assert!(!(first && second), "both held the guard");
        assert!(first || second || later, "the first committer wins");
        let mut last = begin(&engine);
        last.mark(b"guard").unwrap();
        last.commit().unwrap();
    };
    check(scenario, 3_000);
}

#[test]
fn a_pinned_snapshot_loses_no_version_to_the_collector() {
    let scenario = || {
        let (engine, store) = engine();
        put_both(&engine, 1);
        let writer = {
            let engine = Arc::clone(&engine);
            spawn(move || (2..=4).for_each(|round| put_both(&engine, round)))
        };
        let collector = {
            let store = Arc::clone(&store);
            spawn(move || (0..3).for_each(|_| store.collect_garbage()))
        };
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let engine = Arc::clone(&engine);
                spawn(move || {
                    for _ in 0..2 {
                        let reader = begin(&engine);
                        let round = reader.snapshot().0;
                        for _ in 0..2 {
                            assert_eq!(get(&reader, b"a").map(u64::from), Some(round));
                            assert_eq!(get(&reader, b"b").map(u64::from), Some(round));
                        }
                    }
                })
            })
            .collect();
        writer.join().unwrap();
        collector.join().unwrap();
        for reader in readers {
            reader.join().unwrap();
        }
        store.collect_garbage();
        assert_eq!(store.history().versions, 0, "nobody reads the past");
    };
    check(scenario, 2_000);
}

#[test]
fn a_transaction_that_is_ended_while_it_reads_gets_the_right_answer_or_too_old() {
    static ENDED: AtomicUsize = AtomicUsize::new(0);
    let scenario = || {
        let limits = ReaderLimits::default().max_retained_bytes(0);
        let (engine, store) = engine_with(options().reader_limits(limits));
        put_both(&engine, 1);
        let reader = begin(&engine);
        let reading = spawn(move || {
            let ended = |error| {
                assert!(matches!(error, Error::SnapshotTooOld), "{error}");
                ENDED.fetch_add(1, Ordering::Relaxed);
            };
            for _ in 0..2 {
                match reader.get(b"a") {
                    Ok(value) => assert_eq!(value.unwrap()[0], 1),
                    Err(error) => ended(error),
                }
                let scan = || {
                    let mut cursor = reader.scan(KeyRange::all())?;
                    let mut values = Vec::new();
                    while cursor.next()? {
                        values.push(cursor.value()?[0]);
                    }
                    Ok(values)
                };
                match scan() {
                    Ok(values) => assert_eq!(values, [1, 1]),
                    Err(error) => ended(error),
                }
            }
        });
        // The writer itself may be ended, because it reads the past as well.
        let write = |engine: &Mvcc, value| {
            let mut transaction = begin(engine);
            transaction.put(b"a", &[value]).unwrap();
            let committed = transaction.commit();
            assert!(matches!(committed, Ok(_) | Err(Error::SnapshotTooOld)), "{committed:?}");
        };
        (2..=4).for_each(|value| write(&engine, value));
        store.collect_garbage();
        reading.join().unwrap();
    };
    check(scenario, 2_000);
    assert!(ENDED.load(Ordering::Relaxed) > 0, "some schedule ends the reader");
}

#[test]
fn an_engine_that_is_closed_while_transactions_commit_refuses_them_or_keeps_them_whole() {
    let scenario = || {
        let (engine, _) = engine();
        let reader = begin(&engine);
        let writer = {
            let engine = Arc::clone(&engine);
            spawn(move || {
                let Ok(mut transaction) = engine.begin(TransactionOptions::default()) else {
                    return;
                };
                transaction.put(b"a", &[1]).unwrap();
                let committed = transaction.commit();
                assert!(matches!(committed, Ok(_) | Err(Error::Closed)), "{committed:?}");
            })
        };
        kv::Transactional::close(&*engine).unwrap();
        writer.join().unwrap();
        assert_eq!(get(&reader, b"a"), None);
    };
    check(scenario, 1_000);
}
