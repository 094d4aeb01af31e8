//! Handles that are dropped without being closed, and what a handle shows of itself.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bitcask::{Bitcask, Options};
use durable::{Clock, Env, Inject, ManualClock, OpKind, Plan, SeededEntropy, SimFs, ThreadPool};
use kv::{Durability, Error, Kv, UnixMillis};

use crate::world::{STORE, World, entries, fill};

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

/// A disk on which the job that writes the first hint file waits until the sender is dropped, and tells that it does.
fn disk_that_stops_a_job() -> (Inject, Receiver<()>, Sender<()>) {
    let inject = Inject::over_sim(SimFs::new(), Plan::none());
    let ((tell, is_stopped), (release, wait)) = (channel(), channel::<()>());
    let stop = Mutex::new(Some((tell, wait)));
    inject.on_call(Arc::new(move |call| {
        if call.kind == OpKind::Write && call.path.to_string_lossy().ends_with(".hint.tmp") {
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

/// Opening right after a drop said `Locked` in most tries, because a job kept the store.
#[test]
fn a_store_that_was_dropped_while_a_job_runs_opens_again_in_this_process() {
    let (inject, is_stopped, release) = disk_that_stops_a_job();
    let clock = ReleasingClock { clock: ManualClock::new(), release: Mutex::new(Some(release)) };
    let clock = Arc::new(clock);
    let env = Env {
        fs: Arc::new(inject),
        executor: Arc::new(ThreadPool::new(1, Arc::clone(&clock) as _)),
        clock,
        entropy: Arc::new(SeededEntropy::new(1)),
    };
    let open = |path: &str| Bitcask::open(path, Options::in_env(env.clone()).data_file_bytes(2048));
    // A name of its own: dropped stores are known by their path, in the whole process.
    let engine = open("dropped-while-a-job-runs").unwrap();
    fill(&engine, 0..40, 1);
    is_stopped.recv().unwrap();
    let second = open("dropped-while-a-job-runs").unwrap_err();
    assert!(matches!(second, Error::Locked { .. }), "the first handle is in use: {second}");
    drop(engine);
    let engine = open("dropped-while-a-job-runs").unwrap();
    assert_eq!(entries(&engine).len(), 40);
    engine.close().unwrap();
}

#[test]
fn debug_of_a_handle_is_a_summary_without_keys_and_values() {
    let world = World::new();
    let engine = world.open().unwrap();
    for number in 0..500_u32 {
        let key = format!("secret-key-{number}");
        engine.put(key.as_bytes(), b"secret-value", Durability::Buffered).unwrap();
    }
    let reader = Bitcask::open_read_only(STORE, world.options()).unwrap();
    for shown in [format!("{engine:?}"), format!("{reader:?}")] {
        assert!(shown.len() < 500 && shown.contains("500"), "{shown}");
        assert!(!shown.contains("secret") && !shown.contains("115, 101, 99"), "{shown}");
    }
}
