//! First committer wins, and the conflict says against which transaction.

use kv::{ConflictKind, Error, Operation, Target, Transaction as _, TransactionOptions};
use mvcc::{Options, RetryPolicy};

use crate::{begin, commit, engine, engine_and_store, get, has_version};

#[test]
fn a_conflict_names_the_key_and_both_transactions() {
    let engine = engine();
    commit(&engine, &[("a", "old"), ("b", "old")]);
    let (mut first, mut second) = (begin(&engine), begin(&engine));
    first.delete(b"b").unwrap();
    second.put(b"a", b"2").unwrap();
    second.put(b"b", b"2").unwrap();
    let (winner, loser) = (first.id(), second.id());
    first.commit().unwrap();
    let Err(Error::Conflict(conflict)) = second.commit() else { panic!("the second one lost") };
    assert_eq!((conflict.kind, conflict.loser), (ConflictKind::Write, loser));
    assert_eq!(conflict.transactions(), [loser, winner]);
    let [edge] = &conflict.edges[..] else { panic!("one edge: {conflict}") };
    assert_eq!((edge.from.operation, edge.to.operation), (Operation::Delete, Operation::Put));
    assert_eq!(edge.from.target, Target::from(b"b"));
    assert_eq!(
        conflict.to_string(),
        format!(
            "conflict: transaction {loser} lost, another transaction wrote first; run it again\n\
             transaction {winner} deleted \"b\" before transaction {loser} put \"b\""
        )
    );
}

#[test]
fn a_loser_writes_nothing_and_takes_no_number() {
    let engine = engine();
    let (mut first, mut second) = (begin(&engine), begin(&engine));
    first.put(b"k", b"1").unwrap();
    second.put(b"k", b"2").unwrap();
    second.put(b"other", b"2").unwrap();
    let won = first.commit().unwrap();
    assert!(matches!(second.commit(), Err(Error::Conflict(_))));
    assert_eq!(get(&begin(&engine), "other"), None);
    assert_eq!(commit(&engine, &[("k", "3")]).0, won.0 + 1);
    let stats = engine.statistics();
    assert_eq!((stats.commits, stats.conflicts, stats.rollbacks), (2, 1, 1));
}

#[test]
fn a_mark_conflict_names_the_mark() {
    let engine = engine();
    let (mut first, mut second) = (begin(&engine), begin(&engine));
    first.mark(b"guard").unwrap();
    second.put(b"guard", b"2").unwrap();
    let winner = first.id();
    first.commit().unwrap();
    let Err(Error::Conflict(conflict)) = second.commit() else { panic!("the second one lost") };
    let edge = &conflict.edges[0];
    assert_eq!((edge.from.transaction, edge.from.operation), (winner, Operation::Mark));
    assert_eq!(edge.to.operation, Operation::Put);
}

#[test]
fn a_mark_leaves_nothing_in_the_store() {
    let (engine, store) = engine_and_store(Options::new());
    commit(&engine, &[("k", "1")]);
    let mut transaction = begin(&engine);
    transaction.mark(b"k").unwrap();
    transaction.mark(b"absent").unwrap();
    assert_eq!(get(&transaction, "k").unwrap(), "1");
    assert_eq!(get(&transaction, "absent"), None);
    let mut cursor = transaction.scan(kv::KeyRange::all()).unwrap();
    assert!(cursor.next().unwrap() && !cursor.next().unwrap());
    drop(cursor);
    assert_eq!(transaction.commit().unwrap().0, 1, "no number was taken");
    assert!(has_version(&store, b"k") && !has_version(&store, b"absent"));
}

#[test]
fn a_transaction_without_writes_commits_whatever_happened_to_the_keys_it_read() {
    let engine = engine();
    commit(&engine, &[("k", "1")]);
    let readers: Vec<_> = [
        TransactionOptions::default(),
        TransactionOptions::default().read_only(),
        TransactionOptions::default().deferrable(),
    ]
    .into_iter()
    .map(|options| engine.begin(options).unwrap())
    .collect();
    commit(&engine, &[("k", "2")]);
    for reader in readers {
        assert_eq!(get(&reader, "k").unwrap(), "1");
        assert_eq!(reader.commit().unwrap().0, 1, "its place is that of its snapshot");
    }
    assert_eq!(engine.statistics().read_commits, 3);
}

#[test]
fn run_tries_again_until_the_transaction_wins() {
    let engine = engine();
    let mut tries = 0;
    let result = engine.run(TransactionOptions::default(), |transaction| {
        tries += 1;
        let value = transaction.get(b"k")?;
        if tries < 4 {
            commit(&engine, &[("k", &tries.to_string())]);
        }
        transaction.put(b"k", b"mine")?;
        Ok(value)
    });
    assert_eq!((result.unwrap().as_deref(), tries), (Some(&b"3"[..]), 4));
    let stats = engine.statistics();
    assert_eq!((stats.conflicts, stats.retries), (3, 3));
}

#[test]
fn run_gives_up_after_the_last_try_and_rolls_back_on_an_error() {
    let (engine, _) = engine_and_store(Options::new().retry(RetryPolicy::default().attempts(2)));
    let mut tries = 0;
    let lost = engine.run(TransactionOptions::default(), |transaction| {
        tries += 1;
        transaction.put(b"k", b"mine")?;
        commit(&engine, &[("k", "other")]);
        Ok(())
    });
    assert!(matches!(lost, Err(Error::Conflict(_))));
    assert_eq!(tries, 2);
    let failed: kv::Result<()> = engine.run(TransactionOptions::default(), |transaction| {
        transaction.put(b"new", b"1")?;
        Err(Error::Unsupported("this"))
    });
    assert!(matches!(failed, Err(Error::Unsupported("this"))));
    assert_eq!(get(&begin(&engine), "new"), None);
}
