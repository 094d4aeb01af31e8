//! Handles that are dropped or closed while a job runs.

use std::path::Path;
use std::sync::Arc;

use durable::Env;
use kv::Kv;
use lsm::{Lsm, Options};
use torture::StoppedJob;

fn open_lsm(env: &Env, dir: &Path) -> kv::Result<Lsm> {
    Lsm::open(dir, Options::in_env(env.clone()).memtable_bytes(2048))
}

fn open(env: &Env, dir: &Path) -> kv::Result<Arc<dyn Kv>> {
    Ok(Arc::new(open_lsm(env, dir)?))
}

/// The job that writes the first table.
const FLUSH: StoppedJob<'_> = StoppedJob { open: &open, writes_to: ".table", puts: 15 };

#[test]
fn a_store_that_was_dropped_while_a_flush_runs_opens_again_in_this_process() {
    FLUSH.a_dropped_store_opens_again(Path::new("dropped-while-a-flush-runs")).unwrap();
}

#[test]
fn a_close_during_a_flush_waits_for_it_and_leaves_nothing_to_replay() {
    let dir = Path::new("closed-while-a-flush-runs");
    let env = FLUSH.a_close_waits_for_the_job(dir).unwrap();
    let engine = open_lsm(&env, dir).unwrap();
    FLUSH.check(&engine).unwrap();
    assert_eq!(engine.statistics().replayed_batches, 0);
}
