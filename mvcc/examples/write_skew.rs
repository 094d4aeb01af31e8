//! Write skew: two doctors leave a shift, each because the other one stays. A mark on the key that each has read prevents it.
//!
//! ```sh
//! cargo run -p mvcc --example write_skew
//! ```
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use kv::{Error, KeyRange, Result, Transaction as _, TransactionOptions};
use mvcc::{MemoryStore, Mvcc, Options, Transaction};

fn main() -> Result<()> {
    for marks in [false, true] {
        let engine = Mvcc::new(MemoryStore::new(), Options::new());
        engine.run(TransactionOptions::default(), |setup| {
            setup.put(b"on call/ada", b"")?;
            setup.put(b"on call/grace", b"")
        })?;
        let mut ada = engine.begin(TransactionOptions::default())?;
        let mut grace = engine.begin(TransactionOptions::default())?;
        leave(&mut ada, b"on call/ada", marks)?;
        leave(&mut grace, b"on call/grace", marks)?;
        ada.commit()?;
        let committed = grace.commit();
        let left = on_call(&engine.begin(TransactionOptions::default().read_only())?)?.len();
        println!("{}: {left} on call", if marks { "with marks" } else { "without marks" });
        if let Err(Error::Conflict(conflict)) = committed {
            println!("{conflict}");
        }
    }
    Ok(())
}

/// Leaves the shift if somebody else stays.
fn leave(transaction: &mut Transaction, own: &[u8], marks: bool) -> Result<()> {
    let others: Vec<_> = on_call(transaction)?.into_iter().filter(|key| key != own).collect();
    if others.is_empty() {
        return Ok(());
    }
    if marks {
        others.iter().try_for_each(|other| transaction.mark(other))?;
    }
    transaction.delete(own)
}

fn on_call(transaction: &Transaction) -> Result<Vec<Vec<u8>>> {
    let mut cursor = transaction.scan(KeyRange::prefix(b"on call/"))?;
    let mut keys = Vec::new();
    while cursor.next()? {
        keys.push(cursor.key().to_vec());
    }
    Ok(keys)
}
