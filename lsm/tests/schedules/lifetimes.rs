//! The end of a store: a close, a drop and a panic, while background work runs.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use durable::{Clock, Inject, ManualClock, OpKind, Plan, SimFs};
use kv::{Durability, Error, KeyRange, Kv, UnixMillis, WriteBatch};
use lsm::Lsm;

use crate::world::{after_power_cut, check, check_view, compacting, open, put_both};

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

/// Manual time, in which a wait lets other threads run.
#[derive(Debug)]
struct YieldingClock(ManualClock);

impl Clock for YieldingClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn now(&self) -> UnixMillis {
        self.0.now()
    }

    fn sleep(&self, _: Duration) {
        shuttle::thread::yield_now();
    }
}

/// The jobs of the handle before may still run: the opening waits until they have ended.
#[test]
fn a_store_opens_again_at_once_after_a_drop_with_jobs_that_run() {
    let scenario = || {
        let disk = SimFs::new();
        let mut options = compacting(&disk);
        options.env.clock = Arc::new(YieldingClock(ManualClock::new()));
        // Dropped stores are known by their path.
        let open = || Lsm::open("dropped", options.clone()).unwrap();
        for life in 0..2_u8 {
            let engine = open();
            check_view(&engine);
            assert_eq!(engine.newest_sequence().0, u64::from(life) * 3);
            for round in 1..=3 {
                assert!(put_both(&engine, life * 3 + round, Durability::Buffered));
            }
        }
        let engine = open();
        check_view(&engine);
        assert_eq!(engine.newest_sequence().0, 6);
        engine.verify().unwrap();
        engine.close().unwrap();
    };
    check(scenario, 200);
}

/// The next write is told of a flush or a compaction that has panicked, in whichever thread, and nobody waits for ever. Reads go
/// on.
#[test]
fn a_job_that_panics_poisons_the_store_and_leaves_nobody_waiting() {
    let scenario = || {
        let disk = SimFs::new();
        let inject = Inject::over_sim(disk.clone(), Plan::none());
        let creations = AtomicUsize::new(0);
        inject.on_call(Arc::new(move |call| {
            let is_table = call.path.extension().is_some_and(|extension| extension == "table");
            if call.kind == OpKind::Create && is_table {
                // The first tables are those of flushes.
                if creations.fetch_add(1, Ordering::SeqCst) == 2 {
                    // A panic, without a message for each schedule.
                    resume_unwind(Box::new("injected by this test"));
                }
            }
        }));
        let mut options = compacting(&disk);
        options.env.fs = Arc::new(inject);
        let engine = Arc::new(Lsm::open("store", options).unwrap());
        let reader = {
            let engine = Arc::clone(&engine);
            shuttle::thread::spawn(move || (0..3).for_each(|_| check_view(&engine)))
        };
        let mut written = 0;
        let poisoned = loop {
            let mut batch = WriteBatch::new();
            batch.put(b"a", &[written + 1; 150]).put(b"b", &[written + 1; 150]);
            let write = || engine.write(&batch, Durability::Buffered);
            match catch_unwind(AssertUnwindSafe(write)) {
                Ok(Ok(_)) => written += 1,
                Ok(Err(error)) => break error,
                // The writer has flushed a memtable itself. The next write is told.
                Err(_) => {}
            }
        };
        assert!(matches!(poisoned, Error::Poisoned { .. }), "{poisoned}");
        reader.join().unwrap();
        check_view(&engine);
        assert!(engine.close().is_err());
        let found = after_power_cut(&disk).get(b"a").unwrap().map_or(0, |value| value[0]);
        assert!(found <= written);
    };
    check(scenario, 200);
}
