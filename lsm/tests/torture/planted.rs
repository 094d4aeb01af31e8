//! Each mistake of [`MISTAKES`] is found by the suite that is named beside it. Mistakes that break no promise of the contract
//! are found by a story of their own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use durable::{Env, Inject, ManualClock, ManualExecutor, OpKind, Plan, SeededEntropy, SimFs};
use kv::{Durability, Kv};
use lsm::planted::{Action, Hook, Step};
use lsm::{Lsm, Options};
use torture::tests_of_mistakes;

use crate::mistakes::MISTAKES;
use crate::subject::LsmSubject;

tests_of_mistakes! {
    MISTAKES, LsmSubject::with,
    mistakes_of_append_are_found = "append",
    mistakes_of_group_commit_are_found = "group commit",
    mistakes_of_rotation_are_found = "rotation",
    mistakes_of_retirement_are_found = "retirement",
    mistakes_of_flushes_are_found = "flush",
    mistakes_of_range_tombstones_are_found = "range tombstones",
    mistakes_of_installing_are_found = "install",
    mistakes_of_compactions_are_found = "compaction",
    mistakes_of_recovery_are_found = "recovery",
}

/// What retiring segments costs.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    /// Syncs of logs by a sync of the store after the flush.
    log_syncs: usize,
    /// Logs on the disk that are no part of the store, when all jobs have run.
    orphans: usize,
}

/// Writes several segments, flushes them, and syncs the store.
fn cost_of_retiring(mistake: Option<Hook>) -> kv::Result<Cost> {
    let (disk, clock) = (SimFs::new(), Arc::new(ManualClock::new()));
    let executor = Arc::new(ManualExecutor::new(Arc::clone(&clock) as _));
    let (inject, syncs) =
        (Inject::over_sim(disk.clone(), Plan::none()), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&syncs);
    let is_log = |path: &Path| path.extension().is_some_and(|extension| extension == "log");
    inject.on_call(Arc::new(move |call| {
        let is_counted = call.kind == OpKind::SyncFile && is_log(call.path);
        counted.fetch_add(usize::from(is_counted), Ordering::Relaxed);
    }));
    let env = Env {
        fs: Arc::new(inject),
        clock,
        executor: Arc::clone(&executor) as _,
        entropy: Arc::new(SeededEntropy::new(1)),
    };
    let options = Options::in_env(env).log_segment_bytes(1024);
    let engine = Lsm::open("store", mistake.into_iter().fold(options, Options::hook))?;
    for number in 0..40_u8 {
        engine.put(&[number], &[number; 100], Durability::Buffered)?;
    }
    engine.flush()?;
    executor.run_all();
    let before = syncs.load(Ordering::Relaxed);
    engine.sync()?;
    let live = engine.live_files();
    let is_live = |path: &Path| live.iter().any(|name| path.ends_with(name));
    let files = disk.files();
    let orphans = files.iter().filter(|path| is_log(path) && !is_live(path)).count();
    Ok(Cost { log_syncs: syncs.load(Ordering::Relaxed) - before, orphans })
}

#[test]
fn segments_that_stay_in_the_group_commit_are_found() -> kv::Result<()> {
    let right = cost_of_retiring(None)?;
    assert_eq!(right, Cost { log_syncs: 0, orphans: 0 }, "the batches are durable in tables");
    let wrong = cost_of_retiring(Some(Hook::on(Step::RetireSegments, Action::Skip)))?;
    assert!(wrong.log_syncs > 2, "retired segments are synced: {wrong:?}");
    Ok(())
}

#[test]
fn segments_that_are_never_unlinked_are_found() -> kv::Result<()> {
    let wrong = cost_of_retiring(Some(Hook::on(Step::UnlinkSegments, Action::Skip)))?;
    assert!(wrong.orphans > 2, "{wrong:?}");
    Ok(())
}
