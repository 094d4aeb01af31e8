//! Compactions and their installs, against writers, gets, views and flushes.

use std::sync::Arc;

use durable::SimFs;
use kv::{Durability, Error, KeyRange, Kv, SequenceNumber, Snapshot as _, Snapshots, WriteBatch};
use lsm::Lsm;

use crate::flushes::compactions_race_everything;
use crate::world::{after_power_cut, check, check_view, open, open_compacting, put_both, tables};

/// Batch number `round` deletes everything and puts the key `round`: a view shows its own key alone, in both directions.
fn check_view_of_one_key(engine: &Lsm) {
    let Ok(snapshot) = engine.snapshot() else { return };
    let round = snapshot.sequence().0 as u8;
    let mut seen = Vec::new();
    let mut cursor = snapshot.scan(KeyRange::all()).unwrap();
    while cursor.next().unwrap() {
        seen.push(cursor.key()[0]);
    }
    while cursor.prev().unwrap() {
        seen.push(cursor.key()[0]);
    }
    let expected = if round == 0 { Vec::new() } else { vec![round; 2] };
    assert_eq!(seen, expected);
    for key in 1..=5 {
        assert_eq!(snapshot.get(&[key]).unwrap().is_some(), key == round, "key {key} at {round}");
    }
}

fn deletes_ranges_beside_everything() {
    let disk = SimFs::new();
    let engine = open_compacting(&disk);
    let spawn = |act: fn(&Lsm)| {
        let engine = Arc::clone(&engine);
        shuttle::thread::spawn(move || act(&engine))
    };
    let writer: fn(&Lsm) = |engine| {
        for round in 1..=5_u8 {
            let mut batch = WriteBatch::new();
            batch.delete_range(KeyRange::all()).put(&[round], &[round; 300]);
            engine.write(&batch, Durability::Buffered).unwrap();
        }
    };
    let getter: fn(&Lsm) = |engine| {
        // A key that is gone does not come back.
        let is_there = [(); 4].map(|()| engine.get(&[1]).unwrap().is_some());
        let times = is_there.chunk_by(|one, next| one == next).filter(|times| times[0]).count();
        assert!(times <= 1, "{is_there:?}");
    };
    let flusher: fn(&Lsm) = |engine| engine.flush().unwrap();
    let compacter: fn(&Lsm) = |engine| engine.compact_range(&KeyRange::all()).unwrap();
    let viewer: fn(&Lsm) = |engine| (0..2).for_each(|_| check_view_of_one_key(engine));
    for thread in [writer, getter, flusher, compacter, viewer].map(spawn) {
        thread.join().unwrap();
    }
    check_view_of_one_key(&engine);
    engine.verify().unwrap();
    engine.close().unwrap();
    let reopened = after_power_cut(&disk);
    assert_eq!(reopened.newest_sequence(), SequenceNumber(5));
    assert!((1..=5).all(|key: u8| reopened.get(&[key]).unwrap().is_some() == (key == 5)));
}

#[test]
fn range_deletions_race_flushes_compactions_and_views() {
    check(deletes_ranges_beside_everything, 400);
}

/// A view that reads its number before a compaction is installed, and its tables afterwards, starts over; a snapshot that is
/// pinned while a compaction takes its history keeps what it sees.
#[test]
fn installs_of_compactions_race_writers_gets_and_views() {
    check(|| compactions_race_everything(false), 400);
}

#[test]
fn compactions_race_a_close() {
    check(|| compactions_race_everything(true), 300);
}

/// What one call finds does not depend on another one, nor on a flush in between.
#[test]
fn calls_of_settle_beside_each_other_and_a_writer_end_without_a_failure() {
    let scenario = || {
        let disk = SimFs::new();
        let engine = open_compacting(&disk);
        let spawn = |act: fn(&Lsm)| {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || act(&engine))
        };
        let settle: fn(&Lsm) = |engine| engine.settle().unwrap();
        let writer: fn(&Lsm) = |engine| {
            for round in 1..=3_u8 {
                assert!(put_both(engine, round, Durability::Buffered));
                engine.flush().unwrap();
            }
        };
        for thread in [settle, settle, writer].map(spawn) {
            thread.join().unwrap();
        }
        check_view(&engine);
    };
    check(scenario, 300);
}

/// The scan goes on after compactions have taken its tables out of the store. The files stay for as long as it lasts.
#[test]
fn a_scan_keeps_its_tables_through_compactions_and_they_go_with_it() {
    let scenario = || {
        let disk = SimFs::new();
        let engine = open(&disk);
        assert!(put_both(&engine, 1, Durability::Buffered));
        engine.flush().unwrap();
        let pinned = tables(&disk);
        let mut cursor = engine.scan(KeyRange::all()).unwrap();
        let compacter = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || {
                for round in 2..=4 {
                    assert!(put_both(&engine, round, Durability::Buffered));
                    engine.compact_range(&KeyRange::all()).unwrap();
                }
            })
        };
        for key in [b"a", b"b"] {
            assert!(cursor.next().unwrap());
            assert_eq!(cursor.entry().unwrap(), (&key[..], &[1; 150][..]));
        }
        assert!(!cursor.next().unwrap());
        compacter.join().unwrap();
        assert!(pinned.iter().all(|table| tables(&disk).contains(table)));
        while cursor.prev().unwrap() {
            assert_eq!(cursor.value().unwrap()[0], 1);
        }
        drop(cursor);
        engine.close().unwrap();
        let left = tables(&disk);
        assert!(left.len() == 1 && pinned.iter().all(|table| !left.contains(table)), "{left:?}");
    };
    check(scenario, 200);
}

/// Older values of the key are in a memtable, in level 0 and in the last level, as flushes and compactions go.
#[test]
fn a_deleted_key_is_gone_wherever_flushes_and_compactions_have_brought_its_older_values() {
    let scenario = || {
        let engine = open_compacting(&SimFs::new());
        assert!(put_both(&engine, 1, Durability::Buffered));
        engine.compact_range(&KeyRange::all()).unwrap();
        let spawn = |act: fn(&Lsm)| {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || act(&engine))
        };
        let writer: fn(&Lsm) = |engine| {
            for round in 2..=3 {
                assert!(put_both(engine, round, Durability::Buffered));
                engine.delete(b"a", Durability::Buffered).unwrap();
                assert!(engine.get(b"a").unwrap().is_none());
                let mut cursor = engine.scan(KeyRange::all()).unwrap();
                assert!(cursor.prev().unwrap() && cursor.key() == b"b");
                assert!(!cursor.prev().unwrap(), "the walk shows a deleted key");
            }
        };
        let flusher: fn(&Lsm) = |engine| (0..2).for_each(|_| engine.flush().unwrap());
        let compacter: fn(&Lsm) = |engine| engine.compact_range(&KeyRange::all()).unwrap();
        for thread in [writer, flusher, compacter].map(spawn) {
            thread.join().unwrap();
        }
        assert!(engine.get(b"a").unwrap().is_none());
        engine.verify().unwrap();
    };
    check(scenario, 300);
}

/// An older state is pinned on either side of the moment at which a compaction takes files away unread, because a range
/// tombstone covers them.
#[test]
fn a_state_that_is_pinned_while_files_go_unread_is_whole_or_too_old() {
    let scenario = || {
        let engine = open_compacting(&SimFs::new());
        assert!(put_both(&engine, 1, Durability::Buffered));
        engine.flush().unwrap();
        let deleter = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || {
                let mut batch = WriteBatch::new();
                batch.delete_range(KeyRange::all());
                engine.write(&batch, Durability::Buffered).unwrap();
                engine.settle().unwrap();
            })
        };
        let pinned = engine.pin_at(SequenceNumber(1));
        deleter.join().unwrap();
        match pinned {
            Ok(snapshot) => {
                for key in [b"a", b"b"] {
                    assert_eq!(snapshot.get(key).unwrap().unwrap()[..], [1; 150]);
                }
            }
            Err(error) => assert!(matches!(error, Error::SnapshotTooOld), "{error}"),
        }
        assert!(engine.get(b"a").unwrap().is_none());
    };
    check(scenario, 400);
}
