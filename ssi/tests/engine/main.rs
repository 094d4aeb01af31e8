//! The engine as its users see it, over a store in memory and over an LSM tree, with each certifier.
#![cfg(not(shuttle))]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod deferrable;
mod extents;
mod histories;
mod schedules;

use std::sync::Arc;

use durable::{Env, SimFs};
use kv::{Error, Result, SequenceNumber, Transaction as _, TransactionOptions};
use mvcc::{LsmStore, MemoryStore, Options};
use ssi::certify::{ExactCycles, ReadSetValidation, SerializableSnapshot};
use ssi::{Ssi, Transaction};

/// The names of the certifiers.
const RULES: [&str; 3] = ["rsv", "ssi", "pssi-rt"];

/// An engine over a store in memory.
fn engine(rule: &str) -> Ssi {
    match rule {
        "rsv" => Ssi::new(MemoryStore::new(), ReadSetValidation, Options::new()),
        "ssi" => Ssi::new(MemoryStore::new(), SerializableSnapshot, Options::new()),
        "pssi-rt" => Ssi::new(MemoryStore::new(), ExactCycles, Options::new()),
        other => panic!("no certifier is called {other}"),
    }
}

/// An engine over an LSM tree on a simulated disk, which flushes and compacts all the time.
fn engine_on_lsm(rule: &str) -> Ssi {
    let env = Env { fs: Arc::new(SimFs::new()), ..Env::os(2) };
    let options = lsm::Options::in_env(env).memtable_bytes(4 << 10).log_segment_bytes(8 << 10);
    let store = LsmStore::open("store", options).unwrap();
    match rule {
        "rsv" => Ssi::new(store, ReadSetValidation, Options::new()),
        "ssi" => Ssi::new(store, SerializableSnapshot, Options::new()),
        "pssi-rt" => Ssi::new(store, ExactCycles, Options::new()),
        other => panic!("no certifier is called {other}"),
    }
}

fn begin(engine: &Ssi) -> Transaction {
    engine.begin(TransactionOptions::default()).unwrap()
}

/// Puts entries in a transaction of their own.
fn commit(engine: &Ssi, entries: &[(&str, &str)]) -> SequenceNumber {
    let mut transaction = begin(engine);
    for (key, value) in entries {
        transaction.put(key.as_bytes(), value.as_bytes()).unwrap();
    }
    transaction.commit().unwrap()
}

fn get(transaction: &Transaction, key: &str) -> Option<String> {
    let value = transaction.get(key.as_bytes()).unwrap();
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

fn is_conflict<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::Conflict(_)))
}
