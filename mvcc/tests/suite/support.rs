//! Engines and transactions for all tests.

use std::sync::Arc;

use kv::{Transaction as _, TransactionOptions};
use mvcc::{Mvcc, Options, Transaction};

use crate::store::{Store, new_store};

pub(crate) fn engine() -> Mvcc {
    engine_with(Options::new())
}

pub(crate) fn engine_with(options: Options) -> Mvcc {
    Mvcc::new(new_store(), options)
}

/// An engine, and a handle on its store.
pub(crate) fn engine_and_store(options: Options) -> (Mvcc, Arc<Store>) {
    let store = Arc::new(new_store());
    (Mvcc::new(Arc::clone(&store), options), store)
}

pub(crate) fn begin(engine: &Mvcc) -> Transaction {
    engine.begin(TransactionOptions::default()).unwrap()
}

/// Puts entries in a transaction of their own, and returns its number.
pub(crate) fn commit(engine: &Mvcc, entries: &[(&str, &str)]) -> kv::SequenceNumber {
    let mut transaction = begin(engine);
    for (key, value) in entries {
        transaction.put(key.as_bytes(), value.as_bytes()).unwrap();
    }
    transaction.commit().unwrap()
}

pub(crate) fn get(transaction: &Transaction, key: &str) -> Option<String> {
    let value = transaction.get(key.as_bytes()).unwrap();
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}
