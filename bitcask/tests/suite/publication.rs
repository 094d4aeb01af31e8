//! Batches that wait for the disk, and become visible in order or never.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;

use bitcask::planted::{Action, Hook, Step};
use bitcask::{Bitcask, Options};
use durable::{
    Env, Fault, Inject, LogBackend, ManualClock, ManualExecutor, OpKind, OsFs, Plan, SeededEntropy,
};
use kv::{Durability, Error, Kv, WriteBatch};

use crate::world::{STORE, World};

fn options_on(inject: &Inject) -> Options {
    let world = World::new();
    let mut options = world.options();
    options.env.fs = Arc::new(inject.clone());
    options
}

/// A synced put whose record cannot be read back from the log was lost, and later writes went on.
#[test]
fn a_synced_write_that_cannot_be_read_back_fails_and_never_becomes_visible() {
    let read_index = Arc::new(AtomicUsize::new(0));
    let mut plan = Plan::none();
    for attempt in 0..2 {
        let inject = Inject::over_sim(durable::SimFs::new(), plan);
        let found = Arc::clone(&read_index);
        inject.on_call(Arc::new(move |call| {
            if call.kind == OpKind::Read && call.path.to_string_lossy().ends_with(".data") {
                found.store(call.index, Ordering::Relaxed);
            }
        }));
        let engine = Bitcask::open(STORE, options_on(&inject)).unwrap();
        let put = engine.put(b"a", b"1", Durability::Sync);
        if attempt == 0 {
            put.unwrap();
        } else {
            assert!(matches!(put, Err(Error::Io { .. })), "{put:?}");
            assert_eq!(engine.get(b"a").unwrap(), None);
            for durability in [Durability::Buffered, Durability::Sync] {
                let later = engine.put(b"b", b"2", durability);
                assert!(matches!(later, Err(Error::Poisoned { .. })), "{later:?}");
            }
            assert!(engine.sync().is_err());
            assert_eq!((engine.get(b"a").unwrap(), engine.get(b"b").unwrap()), (None, None));
        }
        // The second time, the call that reads the batch back fails.
        plan = Plan::once(read_index.load(Ordering::Relaxed), Fault::Eio);
    }
}

/// Two synced writes wait side by side; the first cannot be read back.
fn no_write_is_acknowledged_past_one_that_failed(env: Env, dir: &std::path::Path) {
    let (reached, second_is_in_log) = (Arc::new(AtomicUsize::new(0)), channel::<()>());
    let (tell, wait) = (second_is_in_log.0, std::sync::Mutex::new(second_is_in_log.1));
    let (appended, reads) = (Arc::clone(&reached), AtomicUsize::new(0));
    // The writer that comes first waits with its read until the second batch is in the queue.
    let hook = Hook::new(move |step| {
        if step == Step::AwaitPublication {
            match appended.fetch_add(1, Ordering::SeqCst) {
                0 => drop(wait.lock().map(|wait| wait.recv())),
                _ => drop(tell.send(())),
            }
        }
        let fails = step == Step::ReadBatchBack && reads.fetch_add(1, Ordering::SeqCst) == 0;
        if fails { Action::Fail } else { Action::Run }
    });
    let engine = Bitcask::open(dir, Options::in_env(env).hook(hook)).unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| engine.put(b"first", b"1", Durability::Sync));
        while reached.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        let second = scope.spawn(|| engine.put(b"second", b"2", Durability::Sync));
        let (first, second) = (first.join().unwrap(), second.join().unwrap());
        assert!(first.is_err() && second.is_err(), "{first:?} {second:?}");
    });
    assert_eq!(engine.get(b"first").unwrap(), None);
    assert_eq!(engine.get(b"second").unwrap(), None);
    assert!(engine.put(b"third", b"3", Durability::Buffered).is_err());
    drop(engine);
}

#[test]
fn no_write_is_acknowledged_past_one_that_failed_on_the_simulated_disk() {
    no_write_is_acknowledged_past_one_that_failed(World::new().options().env, STORE.as_ref());
}

#[test]
fn no_write_is_acknowledged_past_one_that_failed_on_a_written_log() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new());
    let env = Env {
        fs: Arc::new(OsFs::new(LogBackend::Written)),
        executor: Arc::new(ManualExecutor::new(Arc::clone(&clock) as _)),
        clock,
        entropy: Arc::new(SeededEntropy::new(3)),
    };
    no_write_is_acknowledged_past_one_that_failed(env, &dir.path().join("store"));
}

/// A log that is too large to be mapped is read back through `pread(2)`.
#[test]
fn a_synced_batch_over_the_largest_mapping_is_read_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let engine = Bitcask::open(&path, Options::new().merge(None)).unwrap();
    let mut batch = WriteBatch::new();
    let value = vec![7; 129 << 20];
    batch.put(b"a", &value).put(b"b", &value).delete(b"c");
    engine.put(b"c", b"old", Durability::Buffered).unwrap();
    engine.write(&batch, Durability::Sync).unwrap();
    for key in [b"a", b"b"] {
        assert_eq!(engine.get(key).unwrap().map(|value| value.len()), Some(129 << 20));
    }
    assert_eq!(engine.get(b"c").unwrap(), None);
}
