//! Many threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use durable::{Entropy as _, SeededEntropy};
use kv::{KeyRange, Transaction as _, TransactionOptions};
use mvcc::{Mvcc, Options, Transaction};

use crate::{begin, collect_garbage, commit, engine_and_store, get};

const ACCOUNTS: u64 = 8;

/// The sum of all balances.
const MONEY: i64 = 800;

fn account(number: u64) -> Vec<u8> {
    format!("account {number}").into_bytes()
}

fn balance(transaction: &Transaction, key: &[u8]) -> kv::Result<i64> {
    let mut balance = 0;
    transaction.get_with(key, &mut |value| {
        balance = i64::from_le_bytes(value.try_into().unwrap());
    })?;
    Ok(balance)
}

fn sum(transaction: &Transaction) -> i64 {
    let mut cursor = transaction.scan(KeyRange::prefix(b"account ")).unwrap();
    let mut sum = 0;
    while cursor.next().unwrap() {
        sum += i64::from_le_bytes(cursor.value().unwrap().try_into().unwrap());
    }
    sum
}

fn transfer(engine: &Mvcc, random: &SeededEntropy) {
    let from = random.next_u64() % ACCOUNTS;
    let to = (from + 1 + random.next_u64() % (ACCOUNTS - 1)) % ACCOUNTS;
    let moved = engine.run(TransactionOptions::default(), |transaction| {
        let (from, to) = (account(from), account(to));
        let (less, more) = (balance(transaction, &from)? - 1, balance(transaction, &to)? + 1);
        transaction.put(&from, &less.to_le_bytes())?;
        transaction.put(&to, &more.to_le_bytes())
    });
    moved.unwrap();
}

#[test]
fn transfers_keep_the_sum_for_every_reader() {
    let (engine, store) = engine_and_store(Options::new());
    engine
        .run(TransactionOptions::default(), |transaction| {
            (0..ACCOUNTS)
                .try_for_each(|number| transaction.put(&account(number), &100_i64.to_le_bytes()))
        })
        .unwrap();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let engine = &engine;
        let writers: Vec<_> = (0..4)
            .map(|seed| {
                scope.spawn(move || {
                    let random = SeededEntropy::new(seed);
                    (0..500).for_each(|_| transfer(engine, &random));
                })
            })
            .collect();
        let is_done = &is_done;
        for _ in 0..2 {
            scope.spawn(move || {
                while !is_done.load(Ordering::Relaxed) {
                    let reader = engine.begin(TransactionOptions::default().read_only()).unwrap();
                    assert_eq!(sum(&reader), MONEY);
                    assert_eq!(sum(&reader), MONEY, "a snapshot does not change");
                    reader.commit().unwrap();
                }
            });
        }
        for writer in writers {
            writer.join().unwrap();
        }
        is_done.store(true, Ordering::Relaxed);
    });
    assert_eq!(sum(&begin(&engine)), MONEY);
    assert_eq!(engine.statistics().commits, 2_001);
    collect_garbage(&store);
    assert_eq!(engine.statistics().history.versions, 0);
}

#[test]
fn no_increment_of_a_counter_is_lost() {
    let (engine, _) = engine_and_store(Options::new());
    commit(&engine, &[("counter", "0")]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    engine
                        .run(TransactionOptions::default(), |transaction| {
                            let count: u64 = get(transaction, "counter").unwrap().parse().unwrap();
                            transaction.put(b"counter", (count + 1).to_string().as_bytes())
                        })
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(get(&begin(&engine), "counter").unwrap(), "1000");
}

/// Each marks the key that it reads, so write skew between the two cannot happen.
#[test]
fn marks_prevent_write_skew() {
    let (engine, _) = engine_and_store(Options::new());
    let engine = Arc::new(engine);
    for round in 0..200 {
        commit(&engine, &[("a", "1"), ("b", "1")]);
        std::thread::scope(|scope| {
            for (own, other) in [("a", "b"), ("b", "a")] {
                let engine = &engine;
                scope.spawn(move || {
                    engine
                        .run(TransactionOptions::default(), |transaction| {
                            transaction.mark(other.as_bytes())?;
                            if get(transaction, other).unwrap() == "1" {
                                transaction.put(own.as_bytes(), b"0")?;
                            }
                            Ok(())
                        })
                        .unwrap();
                });
            }
        });
        let reader = begin(&engine);
        let both = (get(&reader, "a").unwrap(), get(&reader, "b").unwrap());
        assert_ne!(both, ("0".into(), "0".into()), "round {round}");
    }
}
