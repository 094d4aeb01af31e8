//! Schedules of the engine's protocols, under `--cfg shuttle`: seal, install and publication against writers, readers, views
//! and close.
#![cfg(shuttle)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod entry_tree;
/// Private modules of the crate.
#[expect(dead_code, reason = "the schedules use a part of them")]
#[path = "../../src"]
mod source {
    pub(crate) mod entry_tree;
    pub(crate) mod internal_key;
}

use std::sync::Arc;

use durable::{Env, ManualClock, ManualExecutor, SeededEntropy, SimFs, ThreadPool};
use kv::{
    Durability, Error, KeyRange, Kv, SequenceNumber, Snapshot as _, Snapshots, UnixMillis,
    WriteBatch,
};
use lsm::compaction::{SizeTieredOptions, StrategyOptions};
use lsm::{Lsm, Options};
use source::internal_key;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new())
}

/// Two batches of the tests fill a memtable.
fn options(disk: &SimFs, executor: Arc<dyn durable::Executor>) -> Options {
    let env = Env {
        fs: Arc::new(disk.clone()),
        clock: clock(),
        executor,
        entropy: Arc::new(SeededEntropy::new(1)),
    };
    let options = Options::in_env(env).memtable_bytes(700).log_segment_bytes(1024);
    options.compaction_threads(0)
}

/// With compactions after every second flush.
fn open_compacting(disk: &SimFs) -> Arc<Lsm> {
    let strategy = StrategyOptions::SizeTiered(SizeTieredOptions {
        min_runs: 2,
        max_runs: 4,
        run_limit: 4,
        file_bytes: 300,
        ..SizeTieredOptions::default()
    });
    let options = options(disk, Arc::new(ThreadPool::new(1, clock())));
    Arc::new(Lsm::open("store", options.strategy(strategy).compaction_threads(1)).unwrap())
}

fn open(disk: &SimFs) -> Arc<Lsm> {
    let options = options(disk, Arc::new(ThreadPool::new(1, clock())));
    Arc::new(Lsm::open("store", options).unwrap())
}

/// The store as it is after a power cut now, when all that was not synced is lost.
fn after_power_cut(disk: &SimFs) -> Lsm {
    let left = disk.crash(disk.ops(), &"strict/none".parse().unwrap());
    Lsm::open("store", options(&left, Arc::new(ManualExecutor::new(clock())))).unwrap()
}

fn check(scenario: impl Fn() + Send + Sync + Clone + 'static, schedules: usize) {
    shuttle::check_random(scenario.clone(), schedules);
    shuttle::check_pct(scenario, schedules, 3);
}

/// Puts `a` and `b` with one value. `false`: the store was closed.
fn put_both(engine: &Lsm, round: u8, durability: Durability) -> bool {
    let mut batch = WriteBatch::new();
    batch.put(b"a", &[round; 150]).put(b"b", &[round; 150]);
    match engine.write(&batch, durability) {
        Ok(_) => true,
        Err(Error::Closed) => false,
        Err(error) => panic!("{error}"),
    }
}

/// The values of a view, read in both directions and by look-ups, are those of one batch.
fn check_view(engine: &Lsm) {
    let Ok(snapshot) = engine.snapshot() else { return };
    let mut rounds = Vec::new();
    let mut cursor = snapshot.scan(KeyRange::all()).unwrap();
    while cursor.next().unwrap() {
        rounds.push(cursor.value().unwrap()[0]);
    }
    while cursor.prev().unwrap() {
        rounds.push(cursor.value().unwrap()[0]);
    }
    for key in [b"a", b"b"] {
        rounds.extend(snapshot.get(key).unwrap().map(|value| value[0]));
    }
    let sequence = snapshot.sequence().0;
    assert!(rounds.is_empty() && sequence == 0 || rounds.len() == 6, "{rounds:?} at {sequence}");
    assert!(rounds.iter().all(|round| u64::from(*round) == sequence), "{rounds:?} at {sequence}");
}

fn flushes_race_everything(closes: bool) {
    let disk = SimFs::new();
    races_everything(&open(&disk), &disk, closes);
}

fn compactions_race_everything(closes: bool) {
    let disk = SimFs::new();
    races_everything(&open_compacting(&disk), &disk, closes);
}

fn races_everything(engine: &Arc<Lsm>, disk: &SimFs, closes: bool) {
    let spawn = |act: Box<dyn FnOnce(&Lsm) + Send>| {
        let engine = Arc::clone(engine);
        shuttle::thread::spawn(move || act(&engine))
    };
    let writer = {
        let engine = Arc::clone(engine);
        shuttle::thread::spawn(move || {
            // Batch number `round` writes `round`.
            let written = |round: &u8| put_both(&engine, *round, Durability::Buffered);
            (1..=5_u8).take_while(written).last().unwrap_or(0)
        })
    };
    let getter = spawn(Box::new(|engine| {
        let mut last = 0;
        for _ in 0..3 {
            let Ok(found) = engine.get(b"a") else { return };
            let round = found.map_or(0, |value| value[0]);
            assert!(round >= last, "a key moves forward only");
            last = round;
        }
    }));
    let viewers = [(); 2].map(|()| spawn(Box::new(check_view)));
    let closer = closes.then(|| spawn(Box::new(|engine| engine.close().unwrap())));
    let written = writer.join().unwrap();
    for thread in viewers.into_iter().chain([getter]).chain(closer) {
        thread.join().unwrap();
    }
    engine.close().unwrap();
    let reopened = after_power_cut(disk);
    let found = reopened.get(b"a").unwrap().map_or(0, |value| value[0]);
    assert_eq!(found, written, "a clean close keeps everything");
    assert_eq!(reopened.statistics().replayed_batches, 0);
}

#[test]
fn seals_and_installs_race_writers_gets_and_views() {
    check(|| flushes_race_everything(false), 400);
}

#[test]
fn seals_and_installs_race_a_close() {
    check(|| flushes_race_everything(true), 300);
}

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

/// A snapshot reads its time on either side of the moment at which a compaction takes its horizon. If it has seen a value, the
/// compaction leaves the value alone.
#[test]
fn the_time_of_a_snapshot_races_the_horizon_of_a_compaction() {
    let scenario = || {
        let disk = SimFs::new();
        let (clock, executor) = (clock(), Arc::new(ThreadPool::new(1, clock())));
        let mut options = options(&disk, executor);
        options.env.clock = Arc::clone(&clock) as _;
        let engine = Arc::new(Lsm::open("store", options).unwrap());
        let mut batch = WriteBatch::new();
        batch.put_expiring(b"a", &[1; 150], UnixMillis(1_000));
        engine.write(&batch, Durability::Buffered).unwrap();
        engine.flush().unwrap();
        let reader = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || {
                let snapshot = engine.snapshot().unwrap();
                let first = snapshot.get(b"a").unwrap().is_some();
                engine.compact_range(&KeyRange::all()).unwrap();
                let mut cursor = snapshot.scan(KeyRange::all()).unwrap();
                assert_eq!(cursor.next().unwrap(), first);
                assert_eq!(snapshot.get(b"a").unwrap().is_some(), first);
            })
        };
        let compacter = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || engine.compact_range(&KeyRange::all()).unwrap())
        };
        clock.set_now(UnixMillis(1_000));
        for thread in [reader, compacter] {
            thread.join().unwrap();
        }
        assert!(engine.get(b"a").unwrap().is_none());
        engine.verify().unwrap();
    };
    check(scenario, 300);
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

/// A snapshot is taken on either side of the moment at which a compaction takes its history.
#[test]
fn a_snapshot_keeps_its_state_whenever_a_compaction_takes_its_history() {
    let scenario = || {
        let disk = SimFs::new();
        let engine = open_compacting(&disk);
        (1..=2_u8).for_each(|round| assert!(put_both(&engine, round, Durability::Buffered)));
        engine.flush().unwrap();
        let holder = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || {
                let snapshot = engine.snapshot().unwrap();
                let round = snapshot.sequence().0;
                // More compactions come in between.
                engine.flush().unwrap();
                for key in [b"a", b"b"] {
                    let value = snapshot.get(key).unwrap().unwrap();
                    assert_eq!(u64::from(value[0]), round);
                }
            })
        };
        let writer = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || {
                for round in 3..=5 {
                    assert!(put_both(&engine, round, Durability::Buffered));
                    engine.flush().unwrap();
                }
            })
        };
        let compacter = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || engine.compact_range(&KeyRange::all()).unwrap())
        };
        for thread in [holder, writer, compacter] {
            thread.join().unwrap();
        }
        check_view(&engine);
        engine.verify().unwrap();
    };
    check(scenario, 300);
}

/// An older state is pinned on either side of the moment at which a compaction drops its versions.
#[test]
fn a_state_that_is_pinned_beside_a_compaction_is_whole_or_too_old() {
    let scenario = || {
        let disk = SimFs::new();
        let engine = open(&disk);
        (1..=3_u8).for_each(|round| assert!(put_both(&engine, round, Durability::Buffered)));
        let compacter = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || engine.compact_range(&KeyRange::all()).unwrap())
        };
        for round in [1, 2] {
            let snapshot = match engine.pin_at(SequenceNumber(round)) {
                Ok(snapshot) => snapshot,
                Err(Error::SnapshotTooOld) => continue,
                Err(error) => panic!("{error}"),
            };
            let mut cursor = snapshot.scan(KeyRange::all()).unwrap();
            for key in [b"a", b"b"] {
                let value = snapshot.get(key).unwrap().unwrap();
                assert!(cursor.next().unwrap() && cursor.value().unwrap()[..] == value[..]);
                assert_eq!(u64::from(value[0]), round);
            }
        }
        compacter.join().unwrap();
        let is_too_old =
            |round| matches!(engine.pin_at(SequenceNumber(round)), Err(Error::SnapshotTooOld));
        assert!(is_too_old(1) && !is_too_old(3));
    };
    check(scenario, 300);
}

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

/// Another opening may have the directory after a close.
#[test]
fn after_a_close_no_call_of_compact_range_writes() {
    let scenario = || {
        let disk = SimFs::new();
        let engine = open(&disk);
        for round in 1..=2_u8 {
            assert!(put_both(&engine, round, Durability::Buffered));
            engine.flush().unwrap();
        }
        let caller = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || match engine.compact_range(&KeyRange::all()) {
                Ok(()) | Err(Error::Closed) => {}
                Err(error) => panic!("{error}"),
            })
        };
        engine.close().unwrap();
        let ops = disk.ops();
        caller.join().unwrap();
        assert_eq!(disk.ops(), ops);
        let found = after_power_cut(&disk).get(b"a").unwrap().unwrap();
        assert_eq!(found[0], 2);
    };
    check(scenario, 300);
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

/// Synced writers wait for the disk while their memtables are sealed and flushed.
#[test]
fn a_synced_batch_that_returned_is_visible_and_durable_whatever_flush_came_in_between() {
    let scenario = || {
        let disk = SimFs::new();
        let engine = open(&disk);
        let writers: Vec<_> = (0..3_u8)
            .map(|writer| {
                let (engine, disk) = (Arc::clone(&engine), disk.clone());
                shuttle::thread::spawn(move || {
                    engine.put(&[writer], &[writer; 300], Durability::Sync).unwrap();
                    assert!(engine.get(&[writer]).unwrap().is_some());
                    assert!(after_power_cut(&disk).get(&[writer]).unwrap().is_some());
                })
            })
            .collect();
        let flusher = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || engine.flush().unwrap())
        };
        for thread in writers.into_iter().chain([flusher]) {
            thread.join().unwrap();
        }
    };
    check(scenario, 400);
}
