//! Mistakes of checkpoints: no script takes one.

use std::sync::Arc;

use durable::{Env, Inject, ManualClock, ManualExecutor, OpKind, Plan, SeededEntropy, SimFs};
use kv::{Durability, Kv};
use lsm::planted::{Action, Hook, Step};
use lsm::{Lsm, Options};

fn options(fs: Inject, mistake: Option<&Hook>) -> Options {
    let clock = Arc::new(ManualClock::new());
    let env = Env {
        fs: Arc::new(fs),
        clock: Arc::clone(&clock) as _,
        executor: Arc::new(ManualExecutor::new(clock as _)),
        entropy: Arc::new(SeededEntropy::new(1)),
    };
    mistake.cloned().into_iter().fold(Options::in_env(env).compaction_threads(0), Options::hook)
}

/// Puts two keys, one of them into a table, and takes a checkpoint with that plan. Returns how many of the keys it has after
/// a power cut that takes all that was not synced.
///
/// # Errors
/// Why the checkpoint does not open.
fn keys_in_a_checkpoint(mistake: Option<&Hook>, plan: Plan) -> kv::Result<usize> {
    let disk = SimFs::new();
    let inject = Inject::over_sim(disk.clone(), Plan::none());
    let engine = Lsm::open("store", options(inject.clone(), mistake))?;
    engine.put(b"one", b"value", Durability::Buffered)?;
    engine.flush()?;
    engine.put(b"other", b"value", Durability::Buffered)?;
    inject.arm(plan);
    engine.checkpoint("copy")?;
    let left = disk.crash(disk.ops(), &"strict/none".parse()?);
    let left = Inject::over_sim(left, Plan::none());
    let copy = Lsm::open("copy", options(left, None).create(false))?;
    Ok([b"one".as_slice(), b"other"]
        .iter()
        .filter(|key| copy.get(key).is_ok_and(|v| v.is_some()))
        .count())
}

#[test]
fn a_checkpoint_without_one_of_its_steps_is_found_wrong() -> kv::Result<()> {
    assert_eq!(keys_in_a_checkpoint(None, Plan::none())?, 2);
    let skip = |step| Hook::on(step, Action::Skip);
    let unflushed = skip(Step::FlushForCheckpoint);
    assert_eq!(keys_in_a_checkpoint(Some(&unflushed), Plan::none())?, 1);
    let table_left_out = keys_in_a_checkpoint(Some(&skip(Step::LinkTables)), Plan::none());
    assert!(table_left_out.is_err_and(|error| error.is_corruption()));
    let unsynced_names = keys_in_a_checkpoint(None, Plan::skip(OpKind::SyncDir, "copy"));
    assert!(unsynced_names.is_err(), "a power cut takes the names");
    Ok(())
}
