//! The engine as its users see it.
#![cfg(not(shuttle))]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod conflicts;
mod failures;
mod history;
mod isolation;
mod limits;
mod model;
mod scans;
mod threads;
mod transactions;

use std::sync::Arc;

use kv::{Transaction as _, TransactionOptions};
use mvcc::{MemoryStore, Mvcc, Options, Transaction};

fn engine() -> Mvcc {
    Mvcc::new(MemoryStore::new(), Options::new())
}

/// An engine, and a handle on its store.
fn engine_and_store(options: Options) -> (Mvcc, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new());
    (Mvcc::new(Arc::clone(&store), options), store)
}

fn begin(engine: &Mvcc) -> Transaction {
    engine.begin(TransactionOptions::default()).unwrap()
}

/// Puts entries in a transaction of their own, and returns its number.
fn commit(engine: &Mvcc, entries: &[(&str, &str)]) -> kv::SequenceNumber {
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
