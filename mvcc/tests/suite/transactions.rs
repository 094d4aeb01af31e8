//! Beginning, reading own writes, savepoints, ending, closing.

use kv::{Durability, Error, Transaction as _, TransactionOptions, Transactional};
use mvcc::Options;

use crate::{begin, commit, engine, engine_and_store, get};

#[test]
fn a_commit_is_in_the_next_snapshot_and_in_no_earlier_one() {
    let engine = engine();
    let before = begin(&engine);
    let number = commit(&engine, &[("a", "1"), ("b", "1")]);
    let after = begin(&engine);
    assert_eq!((before.snapshot().0, after.snapshot()), (0, number));
    assert_eq!((get(&before, "a"), get(&after, "b")), (None, Some("1".into())));
}

#[test]
fn a_transaction_reads_its_own_writes() {
    let engine = engine();
    commit(&engine, &[("a", "1"), ("b", "1")]);
    let mut transaction = begin(&engine);
    transaction.put(b"a", b"2").unwrap();
    transaction.delete(b"b").unwrap();
    transaction.mark(b"a").unwrap();
    assert_eq!((get(&transaction, "a").unwrap(), get(&transaction, "b")), ("2".into(), None));
    transaction.put(b"b", b"").unwrap();
    assert_eq!(get(&transaction, "b").unwrap(), "");
}

#[test]
fn a_dropped_transaction_is_rolled_back() {
    let engine = engine();
    let mut dropped = begin(&engine);
    dropped.put(b"k", b"1").unwrap();
    drop(dropped);
    let mut rolled_back = begin(&engine);
    rolled_back.put(b"k", b"2").unwrap();
    rolled_back.rollback();
    let mut boxed = Transactional::begin(&engine, TransactionOptions::default()).unwrap();
    boxed.put(b"k", b"3").unwrap();
    boxed.rollback();
    assert_eq!(get(&begin(&engine), "k"), None);
    let stats = engine.statistics();
    assert_eq!((stats.rollbacks, stats.commits, stats.in_flight), (4, 0, 0));
}

#[test]
fn a_read_only_transaction_refuses_writes() {
    let engine = engine();
    let defaults = TransactionOptions::default;
    // The fields are public, so the two kinds that imply it may come without the promise.
    let (mut deferrable, mut past) = (defaults(), defaults());
    deferrable.deferrable = true;
    past.as_of = Some(kv::SequenceNumber::ZERO);
    for options in [defaults().read_only(), defaults().deferrable(), deferrable, past] {
        let mut reader = engine.begin(options).unwrap();
        assert!(matches!(reader.put(b"k", b"v"), Err(Error::ReadOnly)));
        assert!(matches!(reader.delete(b"k"), Err(Error::ReadOnly)));
        assert!(matches!(reader.mark(b"k"), Err(Error::ReadOnly)));
    }
}

#[test]
fn keys_values_and_transactions_beyond_their_limits_are_refused() {
    let (engine, _) = engine_and_store(Options::new().max_transaction_bytes(100_000));
    let mut transaction = begin(&engine);
    let long = vec![b'k'; kv::MAX_KEY_LEN + 1];
    let refused = [
        transaction.put(&long, b"v"),
        transaction.delete(&long),
        transaction.mark(&long),
        transaction.put(b"k", &vec![0; 100_000]),
    ];
    assert!(refused.iter().all(|call| matches!(call, Err(Error::InvalidArgument(_)))));
    transaction.put(&long[1..], b"v").unwrap();
    transaction.commit().unwrap();
}

#[test]
fn savepoints_nest_and_are_forgotten() {
    let engine = engine();
    commit(&engine, &[("k", "0")]);
    let mut transaction = begin(&engine);
    let outer = transaction.savepoint().unwrap();
    transaction.put(b"k", b"1").unwrap();
    let inner = transaction.savepoint().unwrap();
    transaction.delete(b"k").unwrap();
    transaction.put(b"new", b"1").unwrap();
    transaction.rollback_to(inner).unwrap();
    assert_eq!((get(&transaction, "k").unwrap(), get(&transaction, "new")), ("1".into(), None));
    transaction.rollback_to(inner).unwrap();
    transaction.rollback_to(outer).unwrap();
    assert_eq!(get(&transaction, "k").unwrap(), "0");
    let forgotten = |call| matches!(call, Err(Error::InvalidArgument(_)));
    assert!(forgotten(transaction.rollback_to(inner)));
    transaction.put(b"k", b"2").unwrap();
    transaction.release(outer).unwrap();
    assert!(forgotten(transaction.rollback_to(outer)) && forgotten(transaction.release(outer)));
    let mut other = begin(&engine);
    let foreign = other.savepoint().unwrap();
    assert!(forgotten(transaction.rollback_to(foreign)));
    transaction.commit().unwrap();
    assert_eq!(get(&begin(&engine), "k").unwrap(), "2");
}

#[test]
fn a_closed_engine_refuses_transactions_and_those_in_flight_go_on_reading() {
    let engine = engine();
    commit(&engine, &[("k", "1")]);
    let (mut writer, marker, reader) = (begin(&engine), begin(&engine), begin(&engine));
    engine.sync().unwrap();
    engine.close().unwrap();
    engine.close().unwrap();
    assert!(matches!(engine.begin(TransactionOptions::default()), Err(Error::Closed)));
    assert!(matches!(engine.sync(), Err(Error::Closed)));
    writer.put(b"k", b"2").unwrap();
    assert_eq!(get(&writer, "k").unwrap(), "2");
    assert!(matches!(writer.commit(), Err(Error::Closed)));
    let mut marker = marker;
    marker.mark(b"k").unwrap();
    assert!(matches!(marker.commit(), Err(Error::Closed)));
    assert_eq!(get(&reader, "k").unwrap(), "1");
    reader.commit().unwrap();
    assert_eq!(engine.statistics().failures, 2);
}

#[test]
fn transactions_outlive_the_handle_of_the_engine() {
    let engine = engine();
    commit(&engine, &[("k", "1")]);
    let mut transaction = begin(&engine);
    drop(engine);
    transaction.put(b"k", b"2").unwrap();
    assert_eq!(transaction.commit().unwrap().0, 2);
}

#[test]
fn each_durability_commits() {
    let engine = engine();
    for durability in [Durability::None, Durability::Buffered, Durability::Sync] {
        let options = TransactionOptions::default().durability(durability);
        let mut transaction = engine.begin(options).unwrap();
        transaction.put(b"k", durability.to_string().as_bytes()).unwrap();
        transaction.commit().unwrap();
        assert_eq!(get(&begin(&engine), "k").unwrap(), durability.to_string());
    }
}
