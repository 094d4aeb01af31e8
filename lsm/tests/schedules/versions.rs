//! Versioned reads and checked commits, against flushes and compactions.

use std::sync::Arc;

use durable::SimFs;
use kv::{Durability, Error, KeyRange, Kv, SequenceNumber, Snapshot as _, WriteBatch};
use lsm::Lsm;

use crate::world::{check, open, open_compacting, put_both};

/// A compaction drops the versions of a state as soon as it is revoked, also while it is read.
#[test]
fn a_state_that_is_revoked_beside_a_compaction_is_read_right_or_too_old() {
    let scenario = || {
        let disk = SimFs::new();
        let engine = open(&disk);
        assert!(put_both(&engine, 1, Durability::Buffered));
        let pinned = Arc::new(engine.pin_newest().unwrap());
        assert!(put_both(&engine, 2, Durability::Buffered));
        let reader = {
            let pinned = Arc::clone(&pinned);
            shuttle::thread::spawn(move || {
                let mut found = None;
                match pinned.get_at(b"a", &mut |value| found = Some(value[0])) {
                    Ok(read) => {
                        assert_eq!((found, read.is_found), (Some(1), true));
                        assert_eq!(read.version, Some(SequenceNumber(1)));
                        assert_eq!(read.newest, Some(SequenceNumber(2)));
                    }
                    Err(error) => assert!(matches!(error, Error::SnapshotTooOld), "{error}"),
                }
                match pinned.scan(KeyRange::all()) {
                    Ok(mut cursor) => {
                        assert!(cursor.next().unwrap() && cursor.value().unwrap()[0] == 1);
                    }
                    Err(error) => assert!(matches!(error, Error::SnapshotTooOld), "{error}"),
                }
            })
        };
        let compacter = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || engine.compact_range(&KeyRange::all()).unwrap())
        };
        pinned.revoke();
        for thread in [reader, compacter] {
            thread.join().unwrap();
        }
        assert!(pinned.get_at(b"a", &mut |_| ()).is_err());
    };
    check(scenario, 300);
}

/// Adds 1 to `a`, unless another thread does so between the read and the commit.
fn increment(engine: &Lsm) -> bool {
    let pinned = engine.pin_newest().unwrap();
    let before = pinned.get(b"a").unwrap().map_or(0, |value| value[0]);
    let mut batch = WriteBatch::new();
    batch.put(b"a", &[before + 1; 200]);
    let committed = engine.commit_with(&batch, Durability::Buffered, &mut |number| {
        assert!(number > pinned.sequence());
        match engine.newest_version(b"a", pinned.sequence())? {
            None => Ok(()),
            Some(_) => Err(Error::InvalidArgument("another thread was first".into())),
        }
    });
    match committed {
        Ok(_) => true,
        Err(error) => {
            assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
            false
        }
    }
}

/// The check runs in the commit section, so it finds every earlier write: in a memtable, a sealed one, or a table.
#[test]
fn of_transactions_that_check_their_key_each_one_that_commits_counts_once() {
    let scenario = || {
        let disk = SimFs::new();
        let engine = open_compacting(&disk);
        let adders = [(); 2].map(|()| {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || (0..3).filter(|_| increment(&engine)).count())
        });
        let flusher = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || engine.flush().unwrap())
        };
        let counted: usize = adders.map(|adder| adder.join().unwrap()).into_iter().sum();
        flusher.join().unwrap();
        let value = engine.get(b"a").unwrap().unwrap();
        assert_eq!(usize::from(value[0]), counted);
        engine.close().unwrap();
    };
    check(scenario, 200);
}
