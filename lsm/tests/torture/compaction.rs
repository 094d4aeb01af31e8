//! Mistakes of compaction that need a story: no script asks for a state whose versions have gone, and inputs that stay cost
//! disk space alone.

use std::path::PathBuf;
use std::sync::Arc;

use durable::{Env, ManualClock, ManualExecutor, SeededEntropy, SimFs};
use kv::{Durability, Error, KeyRange, Kv};
use lsm::planted::{Action, Hook, Step};
use lsm::{Lsm, Options};

/// Opens the store with nothing that runs in the background by itself.
fn open(disk: &SimFs, mistake: Option<&Hook>) -> kv::Result<(Lsm, Arc<ManualExecutor>)> {
    let clock = Arc::new(ManualClock::new());
    let executor = Arc::new(ManualExecutor::new(Arc::clone(&clock) as _));
    let env = Env {
        fs: Arc::new(disk.clone()),
        clock,
        executor: Arc::clone(&executor) as _,
        entropy: Arc::new(SeededEntropy::new(1)),
    };
    let options = Options::in_env(env).compaction_threads(0);
    let engine = Lsm::open("store", mistake.cloned().into_iter().fold(options, Options::hook))?;
    Ok((engine, executor))
}

/// A compaction drops a version of an older state. Returns whether that state can be pinned afterwards, and whether it can
/// be after the next opening.
fn shows_a_state_that_is_gone(mistake: Option<&Hook>) -> kv::Result<[bool; 2]> {
    let disk = SimFs::new();
    let (engine, _executor) = open(&disk, mistake)?;
    let older = engine.put(b"key", b"older", Durability::Buffered)?;
    engine.put(b"key", b"newer", Durability::Buffered)?;
    engine.compact_range(&KeyRange::all())?;
    assert_eq!(engine.statistics().hidden_dropped, 1);
    let is_shown = |engine: &Lsm| match engine.pin_at(older) {
        Ok(_) => Ok(true),
        Err(Error::SnapshotTooOld) => Ok(false),
        Err(error) => Err(error),
    };
    let before = is_shown(&engine)?;
    drop(engine);
    Ok([before, is_shown(&open(&disk, mistake)?.0)?])
}

#[test]
fn a_state_that_is_gone_is_not_shown_unless_a_floor_is_wrong() -> kv::Result<()> {
    assert_eq!(shows_a_state_that_is_gone(None)?, [false, false]);
    let skip = |step| Hook::on(step, Action::Skip);
    let not_raised = skip(Step::RaiseFloor);
    assert_eq!(shows_a_state_that_is_gone(Some(&not_raised))?, [true, false]);
    let not_recorded = skip(Step::RecordFloor);
    assert_eq!(shows_a_state_that_is_gone(Some(&not_recorded))?, [false, true]);
    Ok(())
}

/// How many tables are on the disk that are no part of the store, after two runs became one and all jobs have run.
fn inputs_left(mistake: Option<&Hook>) -> kv::Result<usize> {
    let disk = SimFs::new();
    let (engine, executor) = open(&disk, mistake)?;
    for value in 0..2_u8 {
        engine.put(b"key", &[value; 100], Durability::Buffered)?;
        engine.flush()?;
    }
    engine.compact_range(&KeyRange::all())?;
    executor.run_all();
    assert_eq!(engine.statistics().tables, 1);
    let live = engine.live_files();
    let is_table = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "table");
    let is_live = |path: &PathBuf| live.iter().any(|name| path.ends_with(name));
    Ok(disk.files().iter().filter(|path| is_table(path) && !is_live(path)).count())
}

#[test]
fn inputs_that_are_never_unlinked_are_found() -> kv::Result<()> {
    assert_eq!(inputs_left(None)?, 0);
    assert_eq!(inputs_left(Some(&Hook::on(Step::RetireInputs, Action::Skip)))?, 2);
    Ok(())
}
