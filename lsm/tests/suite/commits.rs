//! The commit queue.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use durable::{Fault, Inject, OpKind, Plan};
use kv::{Durability, Error, KeyRange, Kv, SequenceNumber, WriteBatch};
use lsm::Lsm;

use crate::world::{STORE, World, entries, fill, filled, key, newest};

#[test]
fn a_batch_that_its_caller_refuses_leaves_no_trace() {
    let world = World::new();
    let engine = world.open().unwrap();
    let mut batch = WriteBatch::new();
    batch.put(b"a", b"1").put(b"b", b"2");
    let mut offered = Vec::new();
    let refused = engine.commit_with(&batch, Durability::Sync, &mut |number| {
        offered.push(number);
        Err(Error::InvalidArgument("no".into()))
    });
    assert!(matches!(refused, Err(Error::InvalidArgument(_))));
    assert_eq!(entries(&engine), []);
    let taken = engine.commit_with(&batch, Durability::Buffered, &mut |number| {
        offered.push(number);
        Ok(())
    });
    assert_eq!(taken.unwrap(), SequenceNumber(1));
    assert_eq!(offered, [SequenceNumber(1); 2], "a refused number goes to the next batch");
    drop(engine);
    assert_eq!(entries(&world.open().unwrap()).len(), 2);
}

#[test]
fn the_newest_number_of_a_key_is_found_in_every_layer() {
    let world = World::new();
    let engine = world.open().unwrap();
    let newest = |key: &[u8]| newest(&engine, key).map(|number| number.0);
    engine.put(b"key", b"1", Durability::Buffered).unwrap();
    assert_eq!(newest(b"key"), Some(1));
    engine.flush().unwrap();
    assert_eq!(newest(b"key"), Some(1));
    engine.delete(b"key", Durability::Buffered).unwrap();
    assert_eq!(newest(b"key"), Some(2), "a tombstone is a write");
    engine.flush().unwrap();
    assert_eq!((newest(b"key"), newest(b"other")), (Some(2), None));
}

/// Holds every sync of a log until the test lets it go.
fn hold_syncs(inject: &Inject) -> (mpsc::Receiver<()>, mpsc::Sender<()>, Arc<AtomicBool>) {
    let (held, is_held) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    let goes = std::sync::Mutex::new(goes);
    let is_on = Arc::new(AtomicBool::new(true));
    let on = Arc::clone(&is_on);
    inject.on_call(Arc::new(move |call| {
        let is_log = call.path.extension().is_some_and(|extension| extension == "log");
        if call.kind == OpKind::SyncFile && is_log && on.load(Ordering::Acquire) {
            held.send(()).unwrap_or_default();
            goes.lock().unwrap().recv().unwrap_or_default();
        }
    }));
    (is_held, go, is_on)
}

/// A synced batch waits for the disk, its memtable is sealed and flushed, and the write returns although the sync of the
/// log has not ended. After a power cut the batch is there, from the table.
#[test]
fn a_flush_makes_a_batch_durable_that_waits_for_its_sync() {
    let world = World::new();
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let mut options = world.options();
    options.env.fs = Arc::new(inject.clone());
    let engine = Arc::new(Lsm::open(STORE, options).unwrap());
    engine.put(b"first", b"1", Durability::Sync).unwrap();
    let (is_held, go, is_on) = hold_syncs(&inject);
    let leader = Arc::clone(&engine);
    let leader = std::thread::spawn(move || leader.put(b"leads", b"2", Durability::Sync).unwrap());
    is_held.recv().unwrap();
    // This batch comes after the leader's copy of the log: it waits for the next round.
    let waiter = Arc::clone(&engine);
    let waiter = std::thread::spawn(move || waiter.put(b"waits", b"3", Durability::Sync).unwrap());
    while newest(&engine, b"waits").is_none() {
        std::thread::yield_now();
    }
    assert_eq!(engine.get(b"leads").unwrap(), None, "it is not durable");
    assert_eq!(engine.get(b"waits").unwrap(), None, "it is not durable");
    engine.flush().unwrap();
    // The waiter returns while the leader is still held in its sync.
    assert_eq!(waiter.join().unwrap(), SequenceNumber(3));
    assert!(!leader.is_finished(), "its sync is held");
    assert_eq!(engine.get(b"waits").unwrap().unwrap(), b"3"[..]);
    let after = world.after_power_cut();
    assert_eq!(entries(&after.open().unwrap()).len(), 3);
    is_on.store(false, Ordering::Release);
    go.send(()).unwrap();
    leader.join().unwrap();
    engine.close().unwrap();
}

#[test]
fn a_hook_sees_a_batch_that_is_not_visible_yet() {
    let world = World::new();
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let mut options = world.options();
    options.env.fs = Arc::new(inject.clone());
    let engine = Arc::new(Lsm::open(STORE, options).unwrap());
    engine.put(b"first", b"1", Durability::Sync).unwrap();
    let (is_held, go, is_on) = hold_syncs(&inject);
    let writer = Arc::clone(&engine);
    let writer = std::thread::spawn(move || writer.put(b"key", b"2", Durability::Sync).unwrap());
    is_held.recv().unwrap();
    assert_eq!(engine.get(b"key").unwrap(), None, "it is not durable");
    let mut batch = WriteBatch::new();
    batch.put(b"key", b"3");
    let found = engine.commit_with(&batch, Durability::Buffered, &mut |number| {
        assert_eq!(number, SequenceNumber(3));
        assert_eq!(newest(&engine, b"key"), Some(SequenceNumber(2)));
        Err(Error::InvalidArgument("the key was written".into()))
    });
    assert!(found.is_err());
    is_on.store(false, Ordering::Release);
    go.send(()).unwrap();
    assert_eq!(writer.join().unwrap(), SequenceNumber(2));
    assert_eq!(engine.get(b"key").unwrap().unwrap(), b"2"[..]);
}

#[test]
fn a_batch_may_be_larger_than_a_memtable_and_a_segment() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..3, 1);
    let mut batch = WriteBatch::new();
    for number in 0..200 {
        batch.put(&key(number), &[2; 100]);
    }
    engine.write(&batch, Durability::Sync).unwrap();
    assert_eq!(entries(&engine), filled(0..200, 2));
    fill(&engine, 0..3, 3);
    let after = world.after_power_cut();
    assert_eq!(entries(&after.open().unwrap()), filled(0..200, 2));
    engine.flush().unwrap();
    drop(engine);
    let engine = world.open().unwrap();
    assert_eq!(entries(&engine)[..3], filled(0..3, 3));
    assert_eq!(engine.scan(KeyRange::all()).map(|_| ()).ok(), Some(()));
}

#[test]
fn a_batch_that_is_out_of_limits_is_refused_before_anything_is_written() {
    let world = World::new();
    let engine = world.open().unwrap();
    let mut too_long = WriteBatch::new();
    too_long.put(b"a", b"1").put_expiring(&vec![7; kv::MAX_KEY_LEN + 1], b"2", kv::UnixMillis(1));
    let mut inverted = WriteBatch::new();
    inverted.put(b"a", b"1").delete_range(KeyRange::new(&b"b"[..]..&b"a"[..]));
    for refused in [too_long, inverted] {
        let refused = engine.write(&refused, Durability::Buffered).unwrap_err();
        assert!(matches!(refused, Error::InvalidArgument(_)), "{refused}");
    }
    assert_eq!(entries(&engine), []);
    assert_eq!(engine.newest_sequence(), SequenceNumber(0));
}

#[test]
fn after_a_check_has_passed_a_batch_without_space_poisons_the_store() {
    let world = World::new();
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let mut options = world.options();
    options.env.fs = Arc::new(inject.clone());
    let engine = Lsm::open(STORE, options).unwrap();
    engine.put(b"first", b"1", Durability::Buffered).unwrap();
    let full = || Plan { sticky: true, ..Plan::once(inject.calls(), Fault::NoSpace) };
    // Nobody was promised anything: the batch is refused, and the next one takes its place.
    inject.arm(full());
    let refused = engine.put(b"second", b"2", Durability::Buffered).unwrap_err();
    assert!(refused.is_out_of_resources(), "{refused}");
    inject.arm(Plan::none());
    assert_eq!(engine.put(b"second", b"2", Durability::Buffered).unwrap(), SequenceNumber(2));
    // The caller has recorded that batch 3 is written.
    let mut batch = WriteBatch::new();
    batch.put(b"third", b"3");
    let failed = engine.commit_with(&batch, Durability::Buffered, &mut |_| {
        inject.arm(full());
        Ok(())
    });
    assert!(failed.is_err());
    inject.arm(Plan::none());
    let later = engine.put(b"later", b"4", Durability::Buffered).unwrap_err();
    assert!(matches!(later, Error::Poisoned { .. }), "{later}");
    assert_eq!(entries(&engine).len(), 2, "reads go on");
}
