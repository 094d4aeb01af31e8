//! The transactional traits can be implemented, boxed and used.

use kv::{
    Durability, Error, KeyRange, Operation, Savepoint, SequenceNumber, Transaction,
    TransactionOptions, Transactional,
};

use crate::transactional_map::TransactionalMap;

fn store_with(keys: &[&[u8]]) -> Box<dyn Transactional> {
    let store: Box<dyn Transactional> = Box::new(TransactionalMap::default());
    let mut transaction = begin(store.as_ref());
    for key in keys {
        transaction.put(key, b"old").unwrap();
    }
    transaction.commit().unwrap();
    store
}

fn begin(store: &dyn Transactional) -> Box<dyn Transaction> {
    store.begin(TransactionOptions::default()).unwrap()
}

fn keys(transaction: &dyn Transaction) -> Vec<Vec<u8>> {
    let mut cursor = transaction.scan(KeyRange::all()).unwrap();
    let mut keys = Vec::new();
    while cursor.next().unwrap() {
        keys.push(cursor.key().to_vec());
    }
    keys
}

#[test]
fn a_boxed_transaction_commits_and_rolls_back() {
    let store = store_with(&[]);
    let mut first = begin(store.as_ref());
    first.put(b"a", b"1").unwrap();
    assert_eq!(first.commit().unwrap(), SequenceNumber(1));
    let mut second = begin(store.as_ref());
    second.put(b"a", b"2").unwrap();
    second.rollback();
    let third = begin(store.as_ref());
    assert_eq!(third.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(third.commit().unwrap(), SequenceNumber(1), "nothing was written");
}

#[test]
fn a_transaction_reads_its_own_writes_and_its_snapshot_both_ways() {
    let store = store_with(&[b"a", b"b", b"c"]);
    let mut transaction = begin(store.as_ref());
    transaction.delete(b"b").unwrap();
    transaction.put(b"bb", b"own").unwrap();
    let mut other = begin(store.as_ref());
    other.put(b"d", b"new").unwrap();
    other.commit().unwrap();
    assert_eq!(keys(transaction.as_ref()), [&b"a"[..], b"bb", b"c"]);
    assert_eq!(transaction.get(b"b").unwrap(), None);
    let mut cursor = transaction.scan(KeyRange::new(&b"b"[..]..)).unwrap();
    assert!(cursor.prev().unwrap() && cursor.prev().unwrap());
    assert_eq!(cursor.entry().unwrap(), (&b"bb"[..], &b"own"[..]));
    assert!(!cursor.prev().unwrap() && cursor.seek_ge(b"bc").unwrap());
    assert_eq!(cursor.key(), b"c");
}

#[test]
fn a_get_answers_while_a_scan_is_open() {
    let store = store_with(&[b"a", b"b"]);
    let transaction = begin(store.as_ref());
    let mut cursor = transaction.scan(KeyRange::all()).unwrap();
    let mut found = 0;
    while cursor.next().unwrap() {
        let is_there = transaction.get_with(cursor.key(), &mut |value| assert_eq!(value, b"old"));
        found += usize::from(is_there.unwrap());
    }
    assert_eq!(found, 2);
}

#[test]
fn a_conflict_names_both_operations_and_tells_its_story() {
    let store = store_with(&[b"a"]);
    let (mut first, mut second) = (begin(store.as_ref()), begin(store.as_ref()));
    first.put(b"a", b"1").unwrap();
    second.delete(b"a").unwrap();
    first.commit().unwrap();
    let Err(Error::Conflict(conflict)) = second.commit() else { panic!("the second one lost") };
    assert_eq!((conflict.loser, conflict.transactions()), (3, vec![3, 2]));
    assert_eq!(conflict.edges[0].to.operation, Operation::Delete);
    assert_eq!(
        Error::Conflict(conflict).to_string(),
        "conflict: transaction 3 lost, another transaction wrote first; run it again\n\
         transaction 2 put \"a\" before transaction 3 deleted \"a\""
    );
    let stats = store.stats();
    assert_eq!((stats.get("commits"), stats.sum("conflicts")), (Some(2), 1));
    let rule = [("rule", "first-committer-wins")];
    assert_eq!(stats.get_labelled("conflicts", &rule), Some(1));
}

#[test]
fn a_read_only_transaction_refuses_writes_and_an_option_that_lacks_is_refused() {
    let store = store_with(&[b"a"]);
    let options = TransactionOptions::default().read_only().durability(Durability::Sync);
    let mut transaction = store.begin(options).unwrap();
    assert!(matches!(transaction.put(b"a", b"1"), Err(Error::ReadOnly)));
    assert!(matches!(transaction.delete(b"a"), Err(Error::ReadOnly)));
    assert!(transaction.get(b"a").unwrap().is_some());
    let past = TransactionOptions::default().as_of(SequenceNumber(1));
    assert!(past.read_only);
    assert!(matches!(store.begin(past).map(drop), Err(Error::Unsupported(_))));
}

#[test]
fn an_engine_without_marks_and_savepoints_refuses_them() {
    let store = store_with(&[b"a"]);
    let mut transaction = begin(store.as_ref());
    let savepoint = Savepoint::new(transaction.id(), 1);
    assert_eq!((savepoint.transaction(), savepoint.number()), (transaction.id(), 1));
    let refused = [
        transaction.mark(b"a"),
        transaction.savepoint().map(drop),
        transaction.rollback_to(savepoint),
        transaction.release(savepoint),
    ];
    assert!(refused.iter().all(|call| matches!(call, Err(Error::Unsupported(_)))), "{refused:?}");
}

#[test]
fn a_closed_store_refuses_calls_and_its_transactions_go_on_reading() {
    let store = store_with(&[b"a"]);
    let mut open = begin(store.as_ref());
    store.sync().unwrap();
    store.close().unwrap();
    store.close().unwrap();
    assert!(matches!(store.sync(), Err(Error::Closed)));
    assert!(matches!(store.begin(TransactionOptions::default()).map(drop), Err(Error::Closed)));
    assert_eq!(keys(open.as_ref()), [b"a"]);
    open.put(b"b", b"1").unwrap();
    assert!(matches!(open.commit(), Err(Error::Closed)));
    assert_eq!(store.stats().get("commits"), Some(1));
}
