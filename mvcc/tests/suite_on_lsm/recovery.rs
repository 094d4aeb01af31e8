//! Crashes and openings: every transaction is there whole, or not at all, and numbers go on.

use std::sync::Arc;

use durable::SimFs;
use kv::{
    Durability, Error, KeyRange, SequenceNumber, Transaction as _, TransactionOptions,
    Transactional,
};
use mvcc::{HistoryWindow, LsmStore, Mvcc, Options, ReaderLimits};

use crate::store::options;
use crate::{begin, commit, engine_and_store, get};

fn open(disk: &SimFs) -> Mvcc {
    Mvcc::new(LsmStore::open("store", options(disk)).unwrap(), Options::new())
}

fn after_power_cut(disk: &SimFs) -> SimFs {
    disk.crash(disk.ops(), &"strict/none".parse().unwrap())
}

#[test]
fn numbers_and_conflicts_go_on_after_an_opening() {
    let disk = SimFs::new();
    let engine = open(&disk);
    assert_eq!(commit(&engine, &[("k", "1")]).0, 1);
    engine.close().unwrap();
    let engine = open(&disk);
    let (mut first, mut second) = (begin(&engine), begin(&engine));
    assert_eq!(first.snapshot(), SequenceNumber(1));
    assert_eq!(get(&first, "k").unwrap(), "1");
    first.put(b"k", b"2").unwrap();
    second.put(b"k", b"3").unwrap();
    assert_eq!(first.commit().unwrap().0, 2);
    assert!(matches!(second.commit(), Err(Error::Conflict(_))));
    let past = TransactionOptions::default().as_of(SequenceNumber(1));
    assert!(matches!(engine.begin(past), Err(Error::SnapshotTooOld)), "the window is empty");
}

#[test]
fn the_window_of_the_past_begins_anew_with_each_opening() {
    let disk = SimFs::new();
    let open = || {
        let store = LsmStore::open("store", options(&disk)).unwrap();
        Mvcc::new(store, Options::new().history(HistoryWindow::commits(10)))
    };
    let engine = open();
    (1..=5).for_each(|round| assert_eq!(commit(&engine, &[("k", &round.to_string())]).0, round));
    let at = |engine: &Mvcc, number| {
        let past = TransactionOptions::default().as_of(SequenceNumber(number));
        engine.begin(past).map(|transaction| get(&transaction, "k"))
    };
    assert_eq!(at(&engine, 2).unwrap().unwrap(), "2");
    engine.close().unwrap();
    let engine = open();
    assert!(matches!(at(&engine, 2), Err(Error::SnapshotTooOld)));
    assert_eq!(at(&engine, 5).unwrap().unwrap(), "5");
    commit(&engine, &[("k", "6")]);
    assert_eq!(at(&engine, 5).unwrap().unwrap(), "5");
}

#[test]
fn after_a_power_cut_a_transaction_is_whole_or_gone_and_synced_ones_are_there() {
    let disk = SimFs::new();
    let engine = open(&disk);
    let mut synced_ops = vec![];
    for round in 1..=20_u64 {
        let durability = if round % 4 == 0 { Durability::Sync } else { Durability::Buffered };
        let mut transaction =
            engine.begin(TransactionOptions::default().durability(durability)).unwrap();
        for key in ["a", "b", "c"] {
            transaction.put(key.as_bytes(), round.to_string().as_bytes()).unwrap();
        }
        transaction.commit().unwrap();
        if durability == Durability::Sync {
            synced_ops.push((disk.ops(), round));
        }
    }
    drop(engine);
    for op in (0..=disk.ops()).step_by(3) {
        let left = disk.crash(op, &"strict/none".parse().unwrap());
        let engine = open(&left);
        let reader = begin(&engine);
        let values = ["a", "b", "c"].map(|key| get(&reader, key));
        assert!(values.iter().all(|value| *value == values[0]), "{values:?} at {op}");
        let round: u64 = values[0].as_ref().map_or(0, |value| value.parse().unwrap());
        assert_eq!(reader.snapshot().0, round, "the number is that of the last transaction");
        let promised =
            synced_ops.iter().rev().find(|(at, _)| *at <= op).map_or(0, |promise| promise.1);
        assert!(round >= promised, "{round} at {op}, {promised} was synced");
    }
}

#[test]
fn transactions_in_flight_read_on_after_a_close_and_the_disk_has_all_commits() {
    let disk = SimFs::new();
    let engine = open(&disk);
    commit(&engine, &[("a", "1"), ("b", "1")]);
    let (reader, mut writer) = (begin(&engine), begin(&engine));
    writer.put(b"a", b"2").unwrap();
    commit(&engine, &[("b", "2")]);
    engine.close().unwrap();
    assert_eq!(get(&reader, "b").unwrap(), "1");
    assert!(matches!(writer.commit(), Err(Error::Closed)));
    assert!(matches!(engine.begin(TransactionOptions::default()), Err(Error::Closed)));
    let reopened = open(&after_power_cut(&disk));
    assert_eq!(get(&begin(&reopened), "a").unwrap(), "1");
    assert_eq!(get(&begin(&reopened), "b").unwrap(), "2");
}

#[test]
fn a_store_that_was_written_as_a_tree_is_read_and_its_own_kinds_of_writes_are_refused() {
    use kv::Kv as _;
    let disk = SimFs::new();
    let tree = lsm::Lsm::open("store", options(&disk)).unwrap();
    let mut batch = kv::WriteBatch::new();
    batch.put(b"a", b"1").put(b"b", b"1").put(b"c", b"1");
    tree.write(&batch, Durability::Buffered).unwrap();
    let mut batch = kv::WriteBatch::new();
    batch.delete_range(KeyRange::prefix(b"b"));
    tree.write(&batch, Durability::Buffered).unwrap();
    let store = Arc::new(LsmStore::new(tree));
    let engine = Mvcc::new(Arc::clone(&store), Options::new());
    let reader = begin(&engine);
    let shown = ["a", "b", "c"].map(|key| get(&reader, key).is_some());
    assert_eq!(shown, [true, false, true]);
    let capabilities = mvcc::VersionedStore::capabilities(&*store);
    assert!(!capabilities.range_delete && !capabilities.expiry);
    let refused =
        mvcc::VersionedStore::commit_with(&*store, &batch, Durability::Buffered, &mut |_| {
            unreachable!("it is refused before")
        });
    assert!(matches!(refused, Err(Error::Unsupported(_))));
}

/// The tree has to compact before the next reader is ended: the versions of the first one may be enough.
#[test]
fn readers_are_ended_one_at_a_time_as_compactions_show_what_is_left() {
    let limits = ReaderLimits::default().max_retained_bytes(30_000);
    let (engine, store) = engine_and_store(Options::new().reader_limits(limits));
    let fill = || {
        for key in 0..20 {
            commit(&engine, &[(&format!("k{key:02}"), &"v".repeat(1_000))]);
        }
        store.engine().compact_range(&KeyRange::all()).unwrap();
    };
    let read_only = || engine.begin(TransactionOptions::default().read_only()).unwrap();
    let is_ended =
        |reader: &mvcc::Transaction| matches!(reader.get(b"k00"), Err(Error::SnapshotTooOld));
    fill();
    let first = read_only();
    fill();
    let second = read_only();
    assert!(!is_ended(&first), "20 versions are not too many");
    fill();
    let third = read_only();
    assert!(is_ended(&first) && !is_ended(&second), "40 were");
    store.engine().compact_range(&KeyRange::all()).unwrap();
    drop(read_only());
    assert!(!is_ended(&second) && !is_ended(&third), "ending the oldest one was enough");
    assert_eq!(engine.statistics().ended_by_bytes, 1);
}
