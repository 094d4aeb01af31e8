//! The named races of the engine on real threads, and where their other forms are.
//!
//! *Stepped*: on the simulated disk, with an executor whose jobs run when the test says so. *Schedules*: under shuttle
//! (`lsm/tests/schedules`). *Threads*: on a pool of threads; those without a module are here.
//!
//! | race | stepped | schedules | threads |
//! |---|---|---|---|
//! | a flush during a scan | `flushes::a_scan_goes_on_while_its_memtables_are_flushed` | `flushes::seals_and_installs_race_writers_gets_and_views` | `scans_go_on_while_their_memtables_are_flushed` |
//! | a compaction during a scan, its inputs gone before the end | `compactions::a_scan_goes_on_while_its_tables_are_compacted_away` | `compactions::a_scan_keeps_its_tables_through_compactions_and_they_go_with_it` | `scans_go_on_while_their_tables_are_compacted_away` |
//! | a cursor across ten compactions | `compactions::a_cursor_keeps_its_files_across_ten_compactions_and_they_go_when_it_is_dropped` | as above, three compactions | `a_cursor_keeps_its_files_across_ten_compactions_of_another_thread` |
//! | a delete, then a get, with older values in every layer | `flushes::a_delete_hides_the_older_value_in_a_sealed_memtable`, `flushes::a_delete_hides_the_older_value_in_every_layer`, `compactions::a_delete_hides_the_older_value_in_the_last_level_until_both_are_gone` | `compactions::a_deleted_key_is_gone_wherever_flushes_and_compactions_have_brought_its_older_values` | `a_deleted_key_is_gone_while_others_flush_and_compact` |
//! | a snapshot between seal and install | `flushes::a_snapshot_between_seal_and_install_sees_one_state_for_good`, `pins::a_snapshot_between_seal_and_install_sees_one_state_through_compactions` | `flushes::seals_and_installs_race_writers_gets_and_views` | `a_snapshot_taken_while_a_flush_is_stopped_sees_one_state_for_good` |
//! | a synced batch that waits while its memtable is sealed | a sync blocks its thread, so none | `flushes::a_synced_batch_that_returned_is_visible_and_durable_whatever_flush_came_in_between` | `commits::a_flush_makes_a_batch_durable_that_waits_for_its_sync` |
//! | the time of a snapshot and the horizon of a compaction | `expiry::a_snapshot_on_either_side_of_the_horizon_of_a_compaction_keeps_what_it_sees` | `pins::the_time_of_a_snapshot_races_the_horizon_of_a_compaction` | `a_snapshot_keeps_what_it_sees_while_another_thread_compacts_what_expires` |
//! | a close during a compaction | `compaction_faults::a_close_gives_a_compaction_up_and_leaves_no_orphan` | `compactions::compactions_race_a_close` | `compaction_faults::a_close_waits_for_the_step_of_a_compaction_that_runs` |
//! | a drop and an opening at once | `lifetimes::a_store_opens_again_at_once_after_a_drop_with_queued_jobs`, `compaction_faults::a_store_that_is_dropped_during_a_compaction_opens_with_its_entries` | `lifetimes::a_store_opens_again_at_once_after_a_drop_with_jobs_that_run` | `dropping::a_store_that_was_dropped_while_a_flush_runs_opens_again_in_this_process`, `compaction_faults::a_store_that_is_dropped_while_a_compaction_runs_opens_again_at_once` |
//! | a background thread that panics | `lifetimes::a_flush_that_panics_in_the_background_poisons_the_store`, `compaction_faults::a_compaction_that_panics_in_the_background_poisons_the_store` | `lifetimes::a_job_that_panics_poisons_the_store_and_leaves_nobody_waiting` | `a_thread_that_panics_in_a_flush_or_a_compaction_poisons_the_store` |
//! | twenty threads of mixed operations | `torture::simulation` | `flushes::seals_and_installs_race_writers_gets_and_views`, `compactions::installs_of_compactions_race_writers_gets_and_views` | `threads::twenty_threads_of_mixed_operations_see_whole_batches` |
//! | a reader beside flushes, compactions and unlinks | `readers::protocol`, `readers::histories` | `readers::a_reader_shows_whole_batches_in_order_beside_flushes_compactions_and_unlinks` | `readers::threads::beside_a_live_writer_readers_see_whole_batches_and_never_go_back` |
//! | a checkpoint beside flushes and compactions | `checkpoints::a_checkpoint_pins_its_tables_while_compactions_replace_them` | `checkpoints::a_checkpoint_beside_flushes_and_compactions_is_the_state_after_one_batch` | `checkpoints::beside_writers_and_compactions_each_checkpoint_is_one_state_on_the_real_disk` |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use durable::{OpKind, ThreadPool};
use kv::{Cursor, Durability, Error, KeyRange, Kv, Snapshots, UnixMillis, WriteBatch};
use lsm::{Lsm, Options};
use torture::stop_one;

use crate::compaction_faults::options_with_hook;
use crate::world::{STORE, World, entries, fill, filled, key, leveled, rest};

const KEYS: u32 = 20;

/// `options` with background jobs on two threads.
fn on_threads(mut options: Options) -> Options {
    options.env.executor = Arc::new(ThreadPool::new(2, Arc::clone(&options.env.clock)));
    options
}

/// All keys get the number of the round, in one batch.
fn write_round(engine: &Lsm, round: u8) {
    let mut batch = WriteBatch::new();
    for number in 0..KEYS {
        batch.put(&key(number), &[round; 100]);
    }
    engine.write(&batch, Durability::Buffered).expect("the disk is whole");
}

/// The rounds of the entries that `cursor` has left, in its direction.
fn rounds(cursor: &mut dyn Cursor, forward: bool) -> Vec<u8> {
    let mut rounds = Vec::new();
    while if forward { cursor.next() } else { cursor.prev() }.expect("the disk is whole") {
        rounds.push(cursor.value().expect("the disk is whole")[0]);
    }
    rounds
}

/// Writes rounds, each followed by `change`. Meanwhile two threads scan. Each of their scans stops after some entries until
/// the store has changed, and then shows the rest of the state that it began with. Returns how many scans saw a change.
fn scans_beside(engine: &Lsm, change: fn(&Lsm)) -> usize {
    let (changes, seen, is_done) =
        (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    write_round(engine, 0);
    change(engine);
    thread::scope(|scope| {
        for forward in [true, false] {
            let (changes, seen, is_done) = (&changes, &seen, &is_done);
            scope.spawn(move || {
                while !is_done.load(Ordering::SeqCst) {
                    let before = changes.load(Ordering::SeqCst);
                    let mut cursor = engine.scan(KeyRange::all()).expect("the store is open");
                    assert!(if forward { cursor.next() } else { cursor.prev() }.expect("whole"));
                    let round = cursor.value().expect("the disk is whole")[0];
                    let has_changed = || changes.load(Ordering::SeqCst) > before + 1;
                    while !has_changed() && !is_done.load(Ordering::SeqCst) {
                        thread::yield_now();
                    }
                    seen.fetch_add(usize::from(has_changed()), Ordering::SeqCst);
                    assert_eq!(rounds(&mut *cursor, forward), [round; KEYS as usize - 1]);
                }
            });
        }
        // Until both have met a few changes; and a bound for a machine that does not run them.
        for round in (1..=200_u8).cycle().take(2_000) {
            write_round(engine, round);
            change(engine);
            changes.fetch_add(1, Ordering::SeqCst);
            if seen.load(Ordering::SeqCst) >= 20 {
                break;
            }
        }
        is_done.store(true, Ordering::SeqCst);
    });
    seen.load(Ordering::SeqCst)
}

#[test]
fn scans_go_on_while_their_memtables_are_flushed() {
    let world = World::new();
    let engine = Lsm::open(STORE, on_threads(world.compacting(leveled()))).unwrap();
    let seen = scans_beside(&engine, |engine| engine.flush().unwrap());
    assert!(seen > 0 && engine.statistics().flushes > 0);
}

#[test]
fn scans_go_on_while_their_tables_are_compacted_away() {
    let world = World::new();
    let engine = Lsm::open(STORE, on_threads(world.compacting(leveled()))).unwrap();
    let seen = scans_beside(&engine, |engine| engine.compact_range(&KeyRange::all()).unwrap());
    assert!(seen > 0 && engine.statistics().compactions > 0);
    engine.close().unwrap();
    assert!(engine.statistics().files_unlinked > 0);
}

#[test]
fn a_cursor_keeps_its_files_across_ten_compactions_of_another_thread() {
    let world = World::new();
    let engine = Lsm::open(STORE, on_threads(world.compacting(leveled()))).unwrap();
    fill(&engine, 0..40, 0);
    engine.settle().unwrap();
    let mut cursor = engine.scan(KeyRange::all()).unwrap();
    let pinned = engine.live_files();
    let is_there = |name: &String| world.files("table").contains(name);
    let pinned: Vec<_> = pinned.into_iter().filter(is_there).collect();
    thread::scope(|scope| {
        let compacter = scope.spawn(|| {
            for round in 1..=10 {
                fill(&engine, 0..40, round);
                engine.compact_range(&KeyRange::all()).unwrap();
            }
        });
        let mut number = 0;
        while cursor.next().unwrap() {
            assert_eq!(cursor.entry().unwrap(), (&key(number)[..], &[0; 100][..]));
            number += 1;
        }
        assert_eq!(number, 40);
        compacter.join().unwrap();
    });
    assert!(!pinned.is_empty() && pinned.iter().all(is_there), "the cursor keeps its files");
    assert_eq!(rounds(&mut *cursor, false), [0; 40]);
    drop(cursor);
    engine.close().unwrap();
    assert!(!pinned.iter().any(is_there), "they have gone with it");
}

#[test]
fn a_deleted_key_is_gone_while_others_flush_and_compact() {
    let world = World::new();
    let engine = Lsm::open(STORE, on_threads(world.compacting(leveled()))).unwrap();
    fill(&engine, 0..3, 0);
    engine.compact_range(&KeyRange::all()).unwrap();
    let is_done = AtomicBool::new(false);
    let is_over = || is_done.load(Ordering::SeqCst);
    thread::scope(|scope| {
        let writers = [0, 1, 2].map(|number| {
            let (engine, key) = (&engine, key(number));
            scope.spawn(move || {
                for round in 1..=100_u8 {
                    engine.put(&key, &[round; 100], Durability::Buffered).unwrap();
                    assert_eq!(engine.get(&key).unwrap().unwrap()[0], round);
                    engine.delete(&key, Durability::Buffered).unwrap();
                    assert!(engine.get(&key).unwrap().is_none(), "round {round}");
                    let mut cursor = engine.scan(KeyRange::new(&key[..]..=&key[..])).unwrap();
                    assert!(!cursor.next().unwrap() && !cursor.prev().unwrap());
                }
            })
        });
        let engine = &engine;
        scope.spawn(move || {
            while !is_over() {
                engine.flush().unwrap();
            }
        });
        scope.spawn(move || {
            while !is_over() {
                engine.compact_range(&KeyRange::all()).unwrap();
            }
        });
        let joined = writers.map(thread::ScopedJoinHandle::join);
        is_done.store(true, Ordering::SeqCst);
        for writer in joined {
            writer.unwrap();
        }
    });
    engine.compact_range(&KeyRange::all()).unwrap();
    assert_eq!(entries(&engine), []);
    assert_eq!(engine.statistics().table_entries, 0);
}

#[test]
fn a_snapshot_taken_while_a_flush_is_stopped_sees_one_state_for_good() {
    let world = World::new();
    let (stop, is_stopped, release) = stop_one();
    let options = options_with_hook(&world, OpKind::Create, stop);
    let engine = Lsm::open(STORE, on_threads(options)).unwrap();
    fill(&engine, 0..15, 1);
    is_stopped.recv().unwrap();
    assert!(engine.statistics().sealed_memtables > 0, "the flush is stopped");
    let snapshot = engine.snapshot().unwrap();
    let mut cursor = snapshot.scan(KeyRange::all()).unwrap();
    assert!(cursor.next().unwrap());
    drop(release);
    fill(&engine, 0..15, 2);
    engine.settle().unwrap();
    engine.compact_range(&KeyRange::all()).unwrap();
    assert_eq!(engine.statistics().sealed_memtables, 0);
    assert_eq!(rest(&mut *cursor), filled(1..15, 1));
    assert_eq!(rest(&mut *snapshot.scan(KeyRange::all()).unwrap()), filled(0..15, 1));
    assert_eq!(entries(&engine), filled(0..15, 2));
}

#[test]
fn a_snapshot_keeps_what_it_sees_while_another_thread_compacts_what_expires() {
    for round in 1..=50_u64 {
        let world = World::new();
        let engine = Lsm::open(STORE, on_threads(world.options())).unwrap();
        let mut batch = WriteBatch::new();
        batch.put_expiring(&key(1), &[1; 100], UnixMillis(round));
        engine.write(&batch, Durability::Buffered).unwrap();
        engine.flush().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| engine.compact_range(&KeyRange::all()).unwrap());
            scope.spawn(|| world.clock.set_now(UnixMillis(round)));
            let snapshot = engine.snapshot().unwrap();
            let is_seen = snapshot.get(&key(1)).unwrap().is_some();
            engine.compact_range(&KeyRange::all()).unwrap();
            assert_eq!(snapshot.get(&key(1)).unwrap().is_some(), is_seen);
            let mut cursor = snapshot.scan(KeyRange::all()).unwrap();
            assert_eq!(cursor.next().unwrap(), is_seen);
        });
        assert!(engine.get(&key(1)).unwrap().is_none());
    }
}

#[test]
fn a_thread_that_panics_in_a_flush_or_a_compaction_poisons_the_store() {
    // The first table of the background is that of a flush, and later ones are those of compactions as well.
    for number in [0, 4, 7] {
        let world = World::new();
        let creations = AtomicUsize::new(0);
        let options = options_with_hook(&world, OpKind::Create, move || {
            // A writer that has to wait flushes a memtable itself.
            if thread::current().name() == Some("durable-background") {
                let before = creations.fetch_add(1, Ordering::SeqCst);
                assert!(before != number, "injected by this test");
            }
        });
        let engine = Lsm::open(STORE, on_threads(options.compaction_threads(1))).unwrap();
        let mut newest = 0;
        let refused = loop {
            let written = engine.put(&key(newest), &[1; 100], Durability::Buffered);
            let Err(error) = written else {
                newest += 1;
                continue;
            };
            break error;
        };
        assert!(matches!(refused, Error::Poisoned { .. }), "{refused}");
        assert!(refused.to_string().contains("injected by this test"), "{refused}");
        assert_eq!(entries(&engine), filled(0..newest, 1), "reads go on");
        assert!(engine.close().is_err());
        drop(engine);
        assert_eq!(entries(&world.open().unwrap()), filled(0..newest, 1));
    }
}
