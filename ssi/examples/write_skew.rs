//! Write skew: two doctors leave a shift, each because the other one stays. The second one to commit loses, and its conflict
//! says why.
//!
//! ```sh
//! cargo run -p ssi --example write_skew
//! ```
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use kv::{Error, KeyRange, Result, Transaction as _, TransactionOptions};
use mvcc::{MemoryStore, Options};
use ssi::certify::SerializableSnapshot;
use ssi::{Ssi, Transaction};

fn main() -> Result<()> {
    let engine = Ssi::new(MemoryStore::new(), SerializableSnapshot, Options::new());
    engine.run(TransactionOptions::default(), |setup| {
        setup.put(b"on call/ada", b"")?;
        setup.put(b"on call/grace", b"")
    })?;
    let mut ada = engine.begin(TransactionOptions::default())?;
    let mut grace = engine.begin(TransactionOptions::default())?;
    leave(&mut ada, b"on call/ada")?;
    leave(&mut grace, b"on call/grace")?;
    ada.commit()?;
    if let Err(Error::Conflict(conflict)) = grace.commit() {
        println!("{conflict}");
    }
    let reader = engine.begin(TransactionOptions::default().deferrable())?;
    println!("{} on call", on_call(&reader)?.len());
    reader.commit().map(drop)
}

/// Leaves the shift if somebody else stays.
fn leave(transaction: &mut Transaction, own: &[u8]) -> Result<()> {
    if on_call(transaction)?.len() > 1 {
        transaction.delete(own)?;
    }
    Ok(())
}

fn on_call(transaction: &Transaction) -> Result<Vec<Vec<u8>>> {
    let mut cursor = transaction.scan(KeyRange::prefix(b"on call/"))?;
    let mut keys = Vec::new();
    while cursor.next()? {
        keys.push(cursor.key().to_vec());
    }
    Ok(keys)
}
