//! Schedules of the engine's protocols, under `--cfg shuttle`: group commit, ordered publication, sealing and merging
//! against writers, scans, snapshots and close.
#![cfg(shuttle)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod merge_requests;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bitcask::planted::{Action, Hook, Step};
use bitcask::{Bitcask, Options};
use durable::{Clock as _, Env, ManualClock, ManualExecutor, SeededEntropy, SimFs, ThreadPool};
use kv::{Durability, Error, KeyRange, Kv, Snapshots, WriteBatch};

fn options(disk: &SimFs, executor: Arc<dyn durable::Executor>) -> Options {
    let env = Env {
        fs: Arc::new(disk.clone()),
        clock: clock(),
        executor,
        entropy: Arc::new(SeededEntropy::new(1)),
    };
    Options::in_env(env).data_file_bytes(1024)
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new())
}

fn open(disk: &SimFs) -> Arc<Bitcask> {
    open_with(disk, None)
}

fn open_with(disk: &SimFs, mistake: Option<Hook>) -> Arc<Bitcask> {
    let mut options = options(disk, Arc::new(ThreadPool::new(1, clock())));
    if let Some(hook) = mistake {
        options = options.hook(hook);
    }
    Arc::new(Bitcask::open("store", options).unwrap())
}

/// The store as it is after a power cut now, when all that was not synced is lost.
fn after_power_cut(disk: &SimFs) -> Bitcask {
    let left = disk.crash(disk.ops(), &"strict/none".parse().unwrap());
    Bitcask::open("store", options(&left, Arc::new(ManualExecutor::new(clock())))).unwrap()
}

fn check(scenario: impl Fn() + Send + Sync + Clone + 'static, schedules: usize) {
    shuttle::check_random(scenario.clone(), schedules);
    shuttle::check_pct(scenario, schedules, 3);
}

#[test]
fn a_synced_put_that_returned_is_visible_and_durable() {
    let scenario = || {
        let disk = SimFs::new();
        let engine = open(&disk);
        let writers: Vec<_> = (0..3_u8)
            .map(|writer| {
                let (engine, disk) = (Arc::clone(&engine), disk.clone());
                shuttle::thread::spawn(move || {
                    engine.put(&[writer], b"value", Durability::Sync).unwrap();
                    assert!(engine.get(&[writer]).unwrap().is_some());
                    assert!(after_power_cut(&disk).get(&[writer]).unwrap().is_some());
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
    };
    check(scenario, 300);
}

#[test]
fn batches_become_visible_in_the_order_of_their_numbers() {
    let scenario = || {
        let engine = open(&SimFs::new());
        let put = |key: &'static [u8], durability| {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || engine.put(key, b"x", durability).unwrap())
        };
        // Whoever sees the second key and then not the first has seen them come in that order.
        let look = |first: &'static [u8], second: &'static [u8]| {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || {
                let sees = |key| engine.get(key).unwrap().is_some();
                sees(second) && !sees(first)
            })
        };
        let (slow, fast) = (put(b"slow", Durability::Sync), put(b"fast", Durability::Buffered));
        let (fast_came_first, slow_came_first) = (look(b"slow", b"fast"), look(b"fast", b"slow"));
        let (slow, fast) = (slow.join().unwrap(), fast.join().unwrap());
        let fast_came_first = fast_came_first.join().unwrap();
        let slow_came_first = slow_came_first.join().unwrap();
        assert!(!fast_came_first || fast < slow, "a later batch was seen without an earlier one");
        assert!(!slow_came_first || slow < fast, "a later batch was seen without an earlier one");
    };
    check(scenario, 2_000);
}

#[test]
fn reads_see_a_batch_whole_or_not_at_all() {
    let scenario = || {
        let engine = open(&SimFs::new());
        engine.put(b"gone", b"old", Durability::Buffered).unwrap();
        let writer = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || {
                let mut batch = WriteBatch::new();
                batch.put(b"a", b"new").delete(b"gone").put(b"b", b"new").put(b"c", b"new");
                engine.write(&batch, Durability::Buffered).unwrap();
            })
        };
        let readers: Vec<_> = [["a", "b"], ["c", "a"], ["b", "c"]]
            .into_iter()
            .map(|[first, second]| {
                let engine = Arc::clone(&engine);
                shuttle::thread::spawn(move || {
                    let has = |key: &str| engine.get(key.as_bytes()).unwrap().is_some();
                    if has(first) || !has("gone") {
                        assert!(has(second), "{first} was there and {second} was not");
                    }
                })
            })
            .collect();
        writer.join().unwrap();
        for reader in readers {
            reader.join().unwrap();
        }
    };
    check(scenario, 2_000);
}

#[test]
fn scans_see_whole_batches_while_files_are_sealed_and_closed() {
    let scenario = || {
        let disk = SimFs::new();
        let engine = open(&disk);
        let writer = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || {
                let mut written = 0;
                for round in 1..=4_u8 {
                    let mut batch = WriteBatch::new();
                    batch.put(b"a", &[round; 150]).put(b"b", &[round; 150]);
                    match engine.write(&batch, Durability::Buffered) {
                        Ok(_) => written = round,
                        Err(error) => assert!(matches!(error, Error::Closed), "{error}"),
                    }
                }
                written
            })
        };
        let scanner = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || {
                for _ in 0..2 {
                    let Ok(mut cursor) = engine.scan(KeyRange::all()) else { return };
                    let mut values = Vec::new();
                    while cursor.next().unwrap() {
                        values.push(cursor.value().unwrap()[0]);
                    }
                    assert!(values.is_empty() || values.len() == 2 && values[0] == values[1]);
                }
            })
        };
        let closer = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || engine.close().unwrap())
        };
        let written = writer.join().unwrap();
        scanner.join().unwrap();
        closer.join().unwrap();
        let reopened = after_power_cut(&disk);
        let found = reopened.get(b"a").unwrap().map_or(0, |value| value[0]);
        assert_eq!(found, written, "a clean close keeps everything");
        reopened.verify().unwrap();
    };
    check(scenario, 300);
}

/// Keys `a` and `b` are always written together, `gone` is put and deleted. Some files are full of what was overwritten.
fn store_to_merge(disk: &SimFs, mistake: Option<Hook>) -> Arc<Bitcask> {
    let engine = open_with(disk, mistake);
    for round in 0..4_u8 {
        put_both(&engine, round).unwrap();
        engine.put(b"gone", &[round; 150], Durability::Buffered).unwrap();
    }
    engine
}

fn put_both(engine: &Bitcask, round: u8) -> kv::Result<()> {
    let mut batch = WriteBatch::new();
    batch.put(b"a", &[round; 150]).put(b"b", &[round; 150]);
    engine.write(&batch, Durability::Buffered).map(drop)
}

fn ok_or_closed<T>(result: kv::Result<T>) -> bool {
    match result {
        Ok(_) => true,
        Err(Error::Closed) => false,
        Err(error) => panic!("{error}"),
    }
}

fn merges_race_everything(mistake: Option<Hook>, closes: bool) {
    let disk = SimFs::new();
    let engine = store_to_merge(&disk, mistake);
    let spawn = |act: Box<dyn FnOnce(&Bitcask) + Send>| {
        let engine = Arc::clone(&engine);
        shuttle::thread::spawn(move || act(&engine))
    };
    let merger = spawn(Box::new(|engine| {
        ok_or_closed(engine.merge());
    }));
    let writer = {
        let engine = Arc::clone(&engine);
        shuttle::thread::spawn(move || {
            let mut written = (3, true);
            for round in 10..13 {
                if ok_or_closed(put_both(&engine, round)) {
                    written.0 = round;
                }
                written.1 &= !ok_or_closed(engine.delete(b"gone", Durability::Buffered));
            }
            written
        })
    };
    let getter = spawn(Box::new(|engine| {
        for _ in 0..3 {
            let got = engine.get(b"a");
            assert!(matches!(got, Ok(Some(_)) | Err(Error::Closed)), "{got:?}");
        }
    }));
    let viewer = spawn(Box::new(|engine| {
        let Ok(snapshot) = engine.snapshot() else { return };
        let first = |key: &[u8]| snapshot.get(key).unwrap().map(|value| value[0]);
        let before = first(b"a");
        let mut cursor = snapshot.scan(KeyRange::all()).unwrap();
        let mut rounds = Vec::new();
        while cursor.next().unwrap() {
            rounds.push(cursor.value().unwrap()[0]);
        }
        assert_eq!(rounds[0], rounds[1]);
        assert_eq!((before, first(b"a")), (first(b"b"), Some(rounds[0])));
    }));
    let closer = closes.then(|| spawn(Box::new(|engine| engine.close().unwrap())));
    let (round, is_there) = writer.join().unwrap();
    for thread in [merger, getter, viewer].into_iter().chain(closer) {
        thread.join().unwrap();
    }
    let shown = engine.get(b"a").map(|value| value.map(|value| value[0]));
    assert!(matches!(shown, Err(Error::Closed)) || matches!(shown, Ok(Some(r)) if r == round));
    engine.close().unwrap();
    let reopened = after_power_cut(&disk);
    assert_eq!(reopened.get(b"a").unwrap().unwrap()[0], round);
    assert_eq!(reopened.get(b"b").unwrap().unwrap()[0], round);
    assert_eq!(reopened.get(b"gone").unwrap().is_some(), is_there);
    reopened.verify().unwrap();
}

#[test]
fn merges_race_puts_deletes_gets_and_snapshots() {
    check(|| merges_race_everything(None, false), 400);
}

#[test]
fn merges_race_close() {
    check(|| merges_race_everything(None, true), 300);
}

#[test]
#[should_panic(expected = "assertion")]
fn a_key_sent_to_the_copy_of_its_older_record_is_found() {
    check(
        || merges_race_everything(Some(Hook::on(Step::CompareSequence, Action::Skip)), false),
        10_000,
    );
}

/// A synced write waits for the disk in a file that is sealed and merged meanwhile.
fn a_merge_races_a_synced_write(mistake: Option<Hook>) {
    let disk = SimFs::new();
    let engine = store_to_merge(&disk, mistake);
    let writer = {
        let engine = Arc::clone(&engine);
        shuttle::thread::spawn(move || {
            engine.put(b"synced", &[7; 150], Durability::Sync).unwrap();
            assert!(engine.get(b"synced").unwrap().is_some());
        })
    };
    let merger = {
        let engine = Arc::clone(&engine);
        shuttle::thread::spawn(move || engine.merge().unwrap())
    };
    writer.join().unwrap();
    merger.join().unwrap();
    assert!(engine.get(b"synced").unwrap().is_some());
    assert!(after_power_cut(&disk).get(b"synced").unwrap().is_some());
}

#[test]
fn a_merge_leaves_alone_what_is_not_published_yet() {
    check(|| a_merge_races_a_synced_write(None), 1_000);
}

#[test]
#[should_panic]
fn a_file_that_is_merged_before_its_last_write_is_published_is_found() {
    check(
        || a_merge_races_a_synced_write(Some(Hook::on(Step::CheckPublished, Action::Skip))),
        10_000,
    );
}

#[test]
fn whoever_reads_through_a_reader_sees_one_moment_and_never_an_earlier_one() {
    let scenario = || {
        let disk = SimFs::new();
        let engine =
            Bitcask::open("store", options(&disk, Arc::new(ManualExecutor::new(clock())))).unwrap();
        let write = move |round: u8| {
            let mut batch = WriteBatch::new();
            batch.put(b"a", &[round; 150]).put(b"b", &[round; 150]).put(&[round], b"x");
            batch.delete(&[round - 1]);
            engine.write(&batch, Durability::Buffered).unwrap();
            if round == 3 {
                engine.merge().unwrap();
            }
        };
        write(1);
        let quiet = options(&disk, Arc::new(ManualExecutor::new(clock())));
        let reader = Arc::new(Bitcask::open_read_only("store", quiet).unwrap());
        let refresher = {
            let reader = Arc::clone(&reader);
            shuttle::thread::spawn(move || {
                for round in 2..=3 {
                    write(round);
                    reader.refresh().unwrap();
                }
            })
        };
        let getter = {
            let reader = Arc::clone(&reader);
            shuttle::thread::spawn(move || {
                let round = |key: &[u8]| reader.get(key).unwrap().unwrap()[0];
                let (first, second) = (round(b"a"), round(b"b"));
                assert!(first <= second);
                let marked = (1..=3).find(|round| reader.get(&[*round]).unwrap().is_some());
                assert!(marked.is_none_or(|marked| second <= marked));
            })
        };
        let scanner = {
            let reader = Arc::clone(&reader);
            shuttle::thread::spawn(move || {
                let mut cursor = reader.scan(KeyRange::all()).unwrap();
                let mut entries = Vec::new();
                while cursor.next().unwrap() {
                    entries.push((cursor.key().to_vec(), cursor.value().unwrap()[0]));
                }
                let round = entries[0].0[0];
                let expected =
                    [(vec![round], b'x'), (b"a".to_vec(), round), (b"b".to_vec(), round)];
                assert_eq!(entries, expected);
            })
        };
        refresher.join().unwrap();
        getter.join().unwrap();
        scanner.join().unwrap();
    };
    check(scenario, 1_000);
}

/// A step of a merge that found another thread at it was forgotten, and the writer that waited for it waited for ever.
#[test]
fn a_writer_that_waits_for_merges_goes_on_whichever_thread_merges() {
    let scenario = || {
        let options = options(&SimFs::new(), Arc::new(ThreadPool::new(2, clock())));
        let engine = Bitcask::open("store", options).unwrap();
        for round in 0..60_u8 {
            engine.put(&[round % 2], &[round; 200], Durability::Buffered).unwrap();
        }
        assert_eq!(engine.get(&[1]).unwrap().unwrap()[0], 59);
        engine.close().unwrap();
    };
    check(scenario, 100);
}

/// A view that ran out of its undo budget no longer holds the files that merges retire. A scan that checked its view
/// before it loaded the file table then found a file missing and panicked.
#[test]
fn a_view_that_is_given_up_while_it_is_read_ends_as_too_old() {
    let scenario = || {
        let options = options(&SimFs::new(), Arc::new(ManualExecutor::new(clock())))
            .undo_bytes(1)
            .merge(None);
        let engine = Arc::new(Bitcask::open("store", options).unwrap());
        for round in 0..3 {
            put_both(&engine, round).unwrap();
        }
        let snapshot = engine.snapshot().unwrap();
        let reader = shuttle::thread::spawn(move || {
            let too_old = |error: &Error| matches!(error, Error::SnapshotTooOld);
            match snapshot.scan(KeyRange::all()) {
                Ok(mut cursor) => {
                    let mut rounds = Vec::new();
                    while cursor.next().unwrap() {
                        rounds.push(cursor.value().unwrap()[0]);
                    }
                    assert_eq!(rounds, [2, 2]);
                }
                Err(error) => assert!(too_old(&error), "{error}"),
            }
            match snapshot.get(b"a") {
                Ok(value) => assert_eq!(value.unwrap()[0], 2),
                Err(error) => assert!(too_old(&error), "{error}"),
            }
        });
        let merger = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || {
                put_both(&engine, 3).unwrap();
                engine.merge().unwrap();
            })
        };
        reader.join().unwrap();
        merger.join().unwrap();
    };
    check(scenario, 5_000);
}

/// Closing a view went through all undo lists under the lock that a new snapshot takes inside the commit section.
#[test]
fn snapshots_and_puts_go_through_while_a_closed_view_is_released() {
    static BETWEEN_TWO_SHARDS: AtomicUsize = AtomicUsize::new(0);
    let scenario = || {
        let options = options(&SimFs::new(), Arc::new(ManualExecutor::new(clock()))).merge(None);
        let engine = Arc::new(Bitcask::open("store", options).unwrap());
        let put_all = || {
            for key in 0..6_u8 {
                engine.put(&[key], b"value", Durability::Buffered).unwrap();
            }
        };
        put_all();
        let old = engine.snapshot().unwrap();
        put_all();
        let whole = engine.statistics().undo_bytes;
        let closer = shuttle::thread::spawn(move || drop(old));
        let writer = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || {
                let is_between = || (1..whole).contains(&engine.statistics().undo_bytes);
                if is_between() {
                    let snapshot = engine.snapshot().unwrap();
                    engine.put(b"new", b"value", Durability::Buffered).unwrap();
                    if is_between() {
                        BETWEEN_TWO_SHARDS.fetch_add(1, Ordering::Relaxed);
                    }
                    assert!(snapshot.get(b"new").unwrap().is_none());
                }
            })
        };
        closer.join().unwrap();
        writer.join().unwrap();
        let stats = engine.statistics();
        assert_eq!((stats.undo_bytes, stats.views), (0, 0));
    };
    check(scenario, 1_000);
    assert!(BETWEEN_TWO_SHARDS.load(Ordering::Relaxed) > 0, "no schedule wrote in between");
}

#[test]
fn no_version_is_kept_longer_than_the_views_that_see_it() {
    let scenario = || {
        let options = options(&SimFs::new(), Arc::new(ManualExecutor::new(clock()))).merge(None);
        let engine = Arc::new(Bitcask::open("store", options).unwrap());
        let put = |round: u8| put_both(&engine, round).unwrap();
        put(0);
        let viewers: Vec<_> = (0..2)
            .map(|_| {
                let engine = Arc::clone(&engine);
                shuttle::thread::spawn(move || {
                    for _ in 0..2 {
                        let snapshot = engine.snapshot().unwrap();
                        let round = |key: &[u8]| snapshot.get(key).unwrap().unwrap()[0];
                        let first = (round(b"a"), round(b"b"));
                        assert_eq!(first.0, first.1);
                        assert_eq!((round(b"a"), round(b"b")), first);
                    }
                })
            })
            .collect();
        (1..5).for_each(put);
        for viewer in viewers {
            viewer.join().unwrap();
        }
        let stats = engine.statistics();
        assert_eq!((stats.undo_bytes, stats.views), (0, 0));
    };
    check(scenario, 3_000);
}

/// The time of a view was read before the view was registered. A merge that looked for its horizon in between dropped a
/// value that the view had shown.
#[test]
fn a_view_never_loses_a_value_that_a_merge_takes_for_expired() {
    let scenario = || {
        let clock = Arc::new(ManualClock::new());
        let mut options = options(&SimFs::new(), Arc::new(ManualExecutor::new(clock.clone())));
        options.env.clock = clock.clone();
        let engine = Arc::new(Bitcask::open("store", options.merge(None)).unwrap());
        let end = kv::UnixMillis(clock.now().0 + 1);
        engine
            .write(WriteBatch::new().put_expiring(b"k", b"v", end), Durability::Buffered)
            .unwrap();
        let ticker = shuttle::thread::spawn(move || clock.advance(Duration::from_millis(1)));
        let merger = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || engine.merge().unwrap())
        };
        let snapshot = engine.snapshot().unwrap();
        let before = snapshot.get(b"k").unwrap();
        ticker.join().unwrap();
        merger.join().unwrap();
        assert_eq!(before, snapshot.get(b"k").unwrap(), "a view does not change");
    };
    check(scenario, 20_000);
}
