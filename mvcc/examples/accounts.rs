//! Accounts: begin, read, write, scan, savepoints, conflicts, retries, the past, statistics.
//!
//! ```sh
//! cargo run -p mvcc --example accounts
//! ```
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use kv::{Error, KeyRange, Result, Transaction as _, TransactionOptions, Transactional};
use mvcc::{HistoryWindow, MemoryStore, Mvcc, Options, Transaction};

fn main() -> Result<()> {
    let options = Options::new().history(HistoryWindow::commits(100));
    let engine = Mvcc::new(MemoryStore::new(), options);

    let mut opening = engine.begin(TransactionOptions::default())?;
    opening.put(b"account:ada", b"100")?;
    opening.put(b"account:grace", b"50")?;
    let opened = opening.commit()?;
    println!("opened by commit {opened}");

    // A transfer: runs again if another transaction was faster.
    engine.run(TransactionOptions::default(), |transfer| {
        let (ada, grace) =
            (balance(transfer, b"account:ada")?, balance(transfer, b"account:grace")?);
        transfer.put(b"account:ada", (ada - 30).to_string().as_bytes())?;
        transfer.put(b"account:grace", (grace + 30).to_string().as_bytes())
    })?;

    // Undo a part of a transaction.
    let mut transaction = engine.begin(TransactionOptions::default())?;
    transaction.put(b"account:edsger", b"10")?;
    let savepoint = transaction.savepoint()?;
    transaction.delete(b"account:ada")?;
    transaction.rollback_to(savepoint)?;
    transaction.commit()?;

    // Two transactions change one account: the first committer wins.
    let mut first = engine.begin(TransactionOptions::default())?;
    let mut second = engine.begin(TransactionOptions::default())?;
    first.put(b"account:ada", b"0")?;
    second.put(b"account:ada", b"1000")?;
    first.commit()?;
    match second.commit() {
        Err(Error::Conflict(conflict)) => println!("{conflict}"),
        other => println!("unexpected: {other:?}"),
    }

    // The newest state, and an earlier one.
    let now = engine.begin_labelled(TransactionOptions::default().read_only(), "report")?;
    let then = engine.begin(TransactionOptions::default().as_of(opened))?;
    for (name, transaction) in [("now", &now), ("then", &then)] {
        let mut accounts = transaction.scan(KeyRange::prefix(b"account:"))?;
        while accounts.next()? {
            let (key, value) = accounts.entry()?;
            println!("{name}: {} = {}", key.escape_ascii(), value.escape_ascii());
        }
    }

    let stats = engine.statistics();
    println!("{} commits, {} conflicts, {} retries", stats.commits, stats.conflicts, stats.retries);
    println!("oldest reader: {:?}", stats.oldest_reader);
    engine.close()
}

fn balance(transaction: &Transaction, key: &[u8]) -> Result<i64> {
    let value = transaction.get(key)?.unwrap_or_default();
    let text =
        std::str::from_utf8(&value).map_err(|error| Error::InvalidArgument(error.to_string()))?;
    text.parse().map_err(|_| Error::InvalidArgument(format!("{text} is no balance")))
}
