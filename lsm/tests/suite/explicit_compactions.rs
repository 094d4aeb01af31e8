//! Compactions that a caller asks for, beside writers, a close and a damaged table.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use durable::{Inject, OpKind, Plan, ThreadPool};
use kv::{Durability, Error, KeyRange, Kv};
use lsm::Lsm;
use torture::stop_one;

use crate::compaction_faults::options_with_hook;
use crate::compactions::assert_no_orphan;
use crate::world::{STORE, World, entries, fill, filled, key, leveled};

/// Three runs with the same keys.
fn pile_up(engine: &Lsm) {
    for round in 0..3 {
        fill(engine, 0..9, round);
        engine.flush().unwrap();
    }
    assert_eq!(engine.statistics().runs, 3);
}

#[test]
fn a_range_is_compacted_and_the_rest_stays() {
    let world = World::new();
    let engine = Lsm::open(STORE, world.options().table_bytes(600)).unwrap();
    for round in 1..=3 {
        fill(&engine, 0..60, round);
        engine.flush().unwrap();
    }
    assert!(engine.statistics().runs > 2);
    let range = KeyRange::new(&key(10)[..]..&key(20)[..]);
    engine.compact_range(&range).unwrap();
    let some = engine.statistics();
    assert!(some.compactions > 0 && some.table_entries < 180 && some.table_entries > 60);
    assert_eq!(entries(&engine), filled(0..60, 3));
    engine.compact_range(&range).unwrap();
    assert_eq!(engine.statistics().compactions, some.compactions, "it was compacted already");
    engine.compact_range(&KeyRange::new(&b"zzzzz"[..]..)).unwrap();
    engine.compact_range(&KeyRange::all()).unwrap();
    assert_eq!(engine.statistics().table_entries, 60);
    assert_eq!(entries(&engine), filled(0..60, 3));
}

/// Each table that the call writes is followed by a flush of the same keys. They are left to the strategy.
#[test]
fn a_range_is_compacted_while_others_write_to_it() {
    let (world, engine) = (World::new(), Arc::new(OnceLock::<Weak<Lsm>>::new()));
    let (writing, rounds) = (AtomicBool::new(true), Arc::new(AtomicU8::new(3)));
    let (other, written) = (Arc::clone(&engine), Arc::clone(&rounds));
    let is_set_up = Arc::new(AtomicBool::new(false));
    let may_write = Arc::clone(&is_set_up);
    let options = options_with_hook(&world, OpKind::Create, move || {
        let round = rounds.load(Ordering::SeqCst);
        let writes = may_write.load(Ordering::SeqCst) && round < 30;
        // The flush makes a table, too.
        if writes && writing.swap(false, Ordering::SeqCst) {
            rounds.store(round + 1, Ordering::SeqCst);
            let engine = other.get().unwrap().upgrade().unwrap();
            fill(&*engine, 0..9, round);
            engine.flush().unwrap();
            writing.store(true, Ordering::SeqCst);
        }
    });
    let options = options.compaction_threads(0);
    let opened = Arc::new(Lsm::open(STORE, options).unwrap());
    engine.set(Arc::downgrade(&opened)).unwrap();
    pile_up(&opened);
    is_set_up.store(true, Ordering::SeqCst);
    opened.compact_range(&KeyRange::all()).unwrap();
    let statistics = opened.statistics();
    assert_eq!(statistics.compactions, 4, "two runs of two tables: {statistics:?}");
    let rounds = written.load(Ordering::SeqCst);
    assert_eq!(statistics.runs, 1 + u64::from(rounds - 3), "that run and the later ones");
    assert_eq!(entries(&*opened), filled(0..9, rounds - 1));
}

/// Otherwise the call would need as much space as all tables of the range, until it is done.
#[test]
fn the_inputs_of_a_range_go_while_the_rest_is_compacted() {
    let (world, engine) = (World::new(), Arc::new(OnceLock::<Weak<Lsm>>::new()));
    let (other, most) = (Arc::clone(&engine), Arc::new(AtomicUsize::new(0)));
    let (disk, executor) = (world.disk.clone(), Arc::clone(&world.executor));
    let seen = Arc::clone(&most);
    let options = options_with_hook(&world, OpKind::Create, move || {
        if let Some(engine) = other.get().and_then(Weak::upgrade) {
            executor.run_all();
            let (live, files) = (engine.live_files(), disk.files());
            let is_table = |path: &Path| path.extension().is_some_and(|e| e == "table");
            let is_dead =
                |path: &Path| is_table(path) && !live.iter().any(|name| path.ends_with(name));
            seen.fetch_max(files.iter().filter(|path| is_dead(path)).count(), Ordering::SeqCst);
        }
    });
    let options = options.compaction_threads(0).memtable_bytes(64 << 10);
    let opened = Arc::new(Lsm::open(STORE, options).unwrap());
    for round in 0..2 {
        fill(&*opened, 0..60, round);
        opened.flush().unwrap();
    }
    let tables = opened.statistics().tables;
    assert!(opened.statistics().runs == 2 && tables > 20, "{tables}");
    engine.set(Arc::downgrade(&opened)).unwrap();
    opened.compact_range(&KeyRange::all()).unwrap();
    assert!(opened.statistics().compactions > 5);
    let most = most.load(Ordering::SeqCst);
    assert!(most < 8, "{most} of {tables} tables were on the disk without being part of the store");
}

/// The background merges the range when the call comes, and finds no space. The call then does the work itself.
#[test]
fn a_compact_range_does_not_report_the_failure_of_another_compaction() {
    let world = World::new();
    let engine = Lsm::open(STORE, world.options()).unwrap();
    pile_up(&engine);
    engine.close().unwrap();
    drop(engine);
    world.executor.run_all();
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let (disk, is_first) = (world.disk.clone(), AtomicBool::new(true));
    inject.on_call(Arc::new(move |call| {
        let is_table = call.path.extension().is_some_and(|extension| extension == "table");
        match call.kind {
            OpKind::Create if is_table && is_first.swap(false, Ordering::SeqCst) => {
                disk.set_free_space(Some(0));
            }
            // The compaction gives up.
            OpKind::Remove if is_table => disk.set_free_space(None),
            _ => {}
        }
    }));
    let mut options = world.compacting(leveled());
    options.env.fs = Arc::new(inject);
    let engine = Lsm::open(STORE, options).unwrap();
    assert!(world.executor.step(), "a compaction is picked");
    engine.compact_range(&KeyRange::all()).unwrap();
    assert_eq!(engine.statistics().compactions_failed, 1);
    assert_eq!(engine.statistics().runs, 1);
    assert_eq!(entries(&engine), filled(0..9, 2));
}

/// The table stays busy, so nothing is left that a compaction could do.
#[test]
fn a_range_with_a_damaged_table_does_not_pass_for_compacted() {
    let world = World::new();
    let mut options = world.options();
    options.table.block_bytes = 256;
    let engine = Lsm::open(STORE, options.clone()).unwrap();
    pile_up(&engine);
    engine.close().unwrap();
    drop(engine);
    let name = world.files("table").remove(0);
    world.damage(&name);
    let engine = Lsm::open(STORE, options).unwrap();
    for _ in 0..2 {
        let found = engine.compact_range(&KeyRange::all()).unwrap_err();
        assert!(found.is_corruption() && found.to_string().contains(&name), "{found}");
    }
    assert_eq!(engine.statistics().compactions_failed, 1, "the table is not tried again");
    engine.close().unwrap();
}

#[test]
fn a_compact_range_that_panics_poisons_the_store() {
    let world = World::new();
    let is_armed = Arc::new(AtomicBool::new(false));
    let armed = Arc::clone(&is_armed);
    let options = options_with_hook(&world, OpKind::Create, move || {
        if armed.swap(false, Ordering::SeqCst) {
            panic_any("injected by this test");
        }
    });
    let engine = Lsm::open(STORE, options.compaction_threads(0)).unwrap();
    pile_up(&engine);
    is_armed.store(true, Ordering::SeqCst);
    let compact = || engine.compact_range(&KeyRange::all());
    assert!(catch_unwind(AssertUnwindSafe(compact)).is_err(), "the disk has panicked");
    let refused = engine.put(b"later", b"1", Durability::Buffered).unwrap_err();
    assert!(matches!(refused, Error::Poisoned { .. }), "{refused}");
    assert!(refused.to_string().contains("in the thread of a caller"), "{refused}");
    assert!(matches!(engine.compact_range(&KeyRange::all()), Err(Error::Poisoned { .. })));
    assert_eq!(entries(&engine), filled(0..9, 2), "reads go on");
    assert!(engine.close().is_err());
    drop(engine);
    assert_eq!(entries(&world.open().unwrap()), filled(0..9, 2));
}

/// Another opening may have the directory after the close.
#[test]
fn a_close_waits_for_a_compact_range_on_another_thread() {
    let world = World::new();
    let ((stop, is_in, release), is_set_up) = (stop_one(), Arc::new(AtomicBool::new(false)));
    let may_stop = Arc::clone(&is_set_up);
    let mut options = options_with_hook(&world, OpKind::Create, move || {
        if may_stop.load(Ordering::SeqCst) {
            stop();
        }
    });
    let clock = Arc::clone(&options.env.clock);
    options.env.executor = Arc::new(ThreadPool::new(1, clock));
    let engine = Arc::new(Lsm::open(STORE, options.compaction_threads(0)).unwrap());
    pile_up(&engine);
    is_set_up.store(true, Ordering::SeqCst);
    let spawn = |call: fn(&Lsm) -> kv::Result<()>| {
        let engine = Arc::clone(&engine);
        std::thread::spawn(move || call(&engine))
    };
    let compaction = spawn(|engine| engine.compact_range(&KeyRange::all()));
    is_in.recv().unwrap();
    let closer = spawn(Kv::close);
    while engine.get(b"x").is_ok() {
        std::thread::yield_now();
    }
    // A close that does not wait can end meanwhile.
    (0..1_000).for_each(|_| std::thread::yield_now());
    assert!(!closer.is_finished(), "the call is held");
    drop(release);
    closer.join().unwrap().unwrap();
    assert_no_orphan(&world, &engine);
    let given_up = compaction.join().unwrap().unwrap_err();
    assert!(matches!(given_up, Error::Closed), "{given_up}");
    drop(engine);
    assert_eq!(entries(&world.open().unwrap()), filled(0..9, 2));
}

#[test]
fn a_settle_without_compaction_threads_flushes() {
    let world = World::new();
    let engine = Lsm::open(STORE, world.compacting(leveled()).compaction_threads(0)).unwrap();
    fill(&engine, 0..9, 1);
    engine.settle().unwrap();
    let statistics = engine.statistics();
    assert_eq!((statistics.sealed_memtables, statistics.compactions), (0, 0));
    assert_eq!(entries(&engine), filled(0..9, 1));
}
