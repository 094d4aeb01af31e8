//! A store on a simulated disk, small enough that a schedule of a few hundred steps has flushes and compactions.

use std::path::PathBuf;
use std::sync::Arc;

use durable::{Env, ManualClock, ManualExecutor, SeededEntropy, SimFs, ThreadPool};
use kv::{Durability, Error, KeyRange, Kv, Snapshots, WriteBatch};
use lsm::compaction::{SizeTieredOptions, StrategyOptions};
use lsm::{Lsm, Options};

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new())
}

/// Two batches of the tests fill a memtable.
pub(crate) fn options(disk: &SimFs, executor: Arc<dyn durable::Executor>) -> Options {
    let env = Env {
        fs: Arc::new(disk.clone()),
        clock: clock(),
        executor,
        entropy: Arc::new(SeededEntropy::new(1)),
    };
    let options = Options::in_env(env).memtable_bytes(700).log_segment_bytes(1024);
    options.compaction_threads(0)
}

/// With one background thread, and compactions after every second flush.
pub(crate) fn compacting(disk: &SimFs) -> Options {
    let strategy = StrategyOptions::SizeTiered(SizeTieredOptions {
        min_runs: 2,
        max_runs: 4,
        run_limit: 4,
        file_bytes: 300,
        ..SizeTieredOptions::default()
    });
    let options = options(disk, Arc::new(ThreadPool::new(1, clock())));
    options.strategy(strategy).compaction_threads(1)
}

pub(crate) fn open_compacting(disk: &SimFs) -> Arc<Lsm> {
    Arc::new(Lsm::open("store", compacting(disk)).unwrap())
}

pub(crate) fn open(disk: &SimFs) -> Arc<Lsm> {
    let options = options(disk, Arc::new(ThreadPool::new(1, clock())));
    Arc::new(Lsm::open("store", options).unwrap())
}

/// The store as it is after a power cut now, when all that was not synced is lost.
pub(crate) fn after_power_cut(disk: &SimFs) -> Lsm {
    let left = disk.crash(disk.ops(), &"strict/none".parse().unwrap());
    Lsm::open("store", options(&left, Arc::new(ManualExecutor::new(clock())))).unwrap()
}

pub(crate) fn check(scenario: impl Fn() + Send + Sync + Clone + 'static, schedules: usize) {
    shuttle::check_random(scenario.clone(), schedules);
    shuttle::check_pct(scenario, schedules, 3);
}

/// Puts `a` and `b` with one value. `false`: the store was closed.
pub(crate) fn put_both(engine: &Lsm, round: u8, durability: Durability) -> bool {
    let mut batch = WriteBatch::new();
    batch.put(b"a", &[round; 150]).put(b"b", &[round; 150]);
    match engine.write(&batch, durability) {
        Ok(_) => true,
        Err(Error::Closed) => false,
        Err(error) => panic!("{error}"),
    }
}

/// The values of a view, read in both directions and by look-ups, are those of one batch.
pub(crate) fn check_view(engine: &Lsm) {
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

/// The paths of the tables on the disk.
pub(crate) fn tables(disk: &SimFs) -> Vec<PathBuf> {
    let mut files = disk.files();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "table"));
    files
}
