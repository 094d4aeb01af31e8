//! Handles that are dropped while a job runs.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use durable::{Clock, Env, Inject, ManualClock, OpKind, Plan, SeededEntropy, SimFs, ThreadPool};
use kv::{Error, Kv, UnixMillis};
use lsm::{Lsm, Options};

use crate::world::{entries, fill, filled};

/// Lets the job go on that waits, when an opening begins to wait.
#[derive(Debug)]
struct ReleasingClock {
    clock: ManualClock,
    release: Mutex<Option<Sender<()>>>,
}

impl Clock for ReleasingClock {
    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    fn sleep(&self, _: Duration) {
        drop(self.release.lock().unwrap().take());
        std::thread::yield_now();
    }
}

/// A disk on which the job that writes the first table waits until the sender is dropped, and tells that it does.
fn disk_that_stops_a_flush() -> (Inject, Receiver<()>, Sender<()>) {
    let inject = Inject::over_sim(SimFs::new(), Plan::none());
    let ((tell, is_stopped), (release, wait)) = (channel(), channel::<()>());
    let stop = Mutex::new(Some((tell, wait)));
    inject.on_call(Arc::new(move |call| {
        if call.kind == OpKind::Write && call.path.to_string_lossy().ends_with(".table") {
            let stop = stop.lock().unwrap().take();
            if let Some((tell, wait)) = stop {
                tell.send(()).unwrap();
                // The sender was dropped: go on.
                wait.recv().unwrap_err();
            }
        }
    }));
    (inject, is_stopped, release)
}

#[test]
fn a_store_that_was_dropped_while_a_flush_runs_opens_again_in_this_process() {
    let (inject, is_stopped, release) = disk_that_stops_a_flush();
    let clock = ReleasingClock { clock: ManualClock::new(), release: Mutex::new(Some(release)) };
    let clock = Arc::new(clock);
    let env = Env {
        fs: Arc::new(inject),
        executor: Arc::new(ThreadPool::new(1, Arc::clone(&clock) as _)),
        clock,
        entropy: Arc::new(SeededEntropy::new(1)),
    };
    // A name of its own: dropped stores are known by their path, in the whole process.
    let open = || {
        Lsm::open("dropped-while-a-flush-runs", Options::in_env(env.clone()).memtable_bytes(2048))
    };
    let engine = open().unwrap();
    fill(&engine, 0..15, 1);
    is_stopped.recv().unwrap();
    let second = open().unwrap_err();
    assert!(matches!(second, Error::Locked { .. }), "the first handle is in use: {second}");
    drop(engine);
    let engine = open().unwrap();
    assert_eq!(entries(&engine), filled(0..15, 1));
    engine.close().unwrap();
}

/// A close waits for the flush that runs, and loses nothing.
#[test]
fn a_close_during_a_flush_waits_for_it() {
    let (inject, is_stopped, release) = disk_that_stops_a_flush();
    let clock = Arc::new(ManualClock::new());
    let env = Env {
        fs: Arc::new(inject),
        executor: Arc::new(ThreadPool::new(1, Arc::clone(&clock) as _)),
        clock,
        entropy: Arc::new(SeededEntropy::new(1)),
    };
    let open = || Lsm::open("closed", Options::in_env(env.clone()).memtable_bytes(2048));
    let engine = Arc::new(open().unwrap());
    fill(&*engine, 0..15, 1);
    is_stopped.recv().unwrap();
    let closing = Arc::clone(&engine);
    let closer = std::thread::spawn(move || closing.close());
    while engine.get(b"x").is_ok() {
        std::thread::yield_now();
    }
    assert!(!closer.is_finished(), "the flush is held");
    drop(release);
    closer.join().unwrap().unwrap();
    let engine = open().unwrap();
    assert_eq!(entries(&engine), filled(0..15, 1));
    assert_eq!(engine.statistics().replayed_batches, 0);
}
