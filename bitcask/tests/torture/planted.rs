//! Each mistake of [`MISTAKES`] is found by the suite that is named beside it, and mistakes that need a story of their own
//! are found by that story.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bitcask::planted::{Action, Hook, Step};
use bitcask::{Bitcask, Options};
use durable::{Env, ManualClock, ManualExecutor, SeededEntropy, SimFs};
use kv::{Durability, Kv, Snapshots, UnixMillis, WriteBatch};
use torture::planted::RealSuite;
use torture::tests_of_mistakes;

use crate::mistakes::MISTAKES;
use crate::subject::BitcaskSubject;

tests_of_mistakes! {
    MISTAKES, BitcaskSubject::with,
    mistakes_of_append_are_found = "append",
    mistakes_of_group_commit_are_found = "group commit",
    mistakes_of_publication_are_found = "publication",
    mistakes_of_beginning_a_file_are_found = "beginning a file",
    mistakes_of_sealing_are_found = "sealing",
    mistakes_of_hinting_are_found = "hinting",
    mistakes_of_recovery_are_found = "recovery",
    mistakes_on_a_full_disk_are_found = "full disk",
    mistakes_of_merging_are_found = "merging",
    mistakes_of_dropping_tombstones_are_found = "tombstones",
    mistakes_of_expiry_are_found = "expiry",
}

#[test]
fn each_suite_with_real_processes_has_a_mistake_to_find() {
    for suite in [RealSuite::Kill, RealSuite::Power] {
        assert!(MISTAKES.iter().any(|mistake| mistake.found_for_real_by == Some(suite)));
    }
}

/// The data files on the disk after a merge that nobody reads beside, and those that the store knows of.
fn data_files_after_a_merge(mistake: Option<Hook>) -> kv::Result<(usize, usize)> {
    let (disk, clock) = (SimFs::new(), Arc::new(ManualClock::new()));
    let executor = Arc::new(ManualExecutor::new(Arc::clone(&clock) as _));
    let env = Env {
        fs: Arc::new(disk.clone()),
        clock,
        executor: Arc::clone(&executor) as _,
        entropy: Arc::new(SeededEntropy::new(1)),
    };
    let mut options = Options::in_env(env).data_file_bytes(1024);
    if let Some(hook) = mistake {
        options = options.hook(hook);
    }
    let engine = Bitcask::open("store", options)?;
    for number in 0..60_u8 {
        engine.put(&[number % 5], &[number; 100], Durability::Buffered)?;
    }
    engine.merge()?;
    executor.run_all();
    let is_data = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "data");
    let on_disk = disk.files().iter().filter(is_data).count();
    Ok((on_disk, engine.statistics().data_files as usize))
}

#[test]
fn inputs_that_are_never_unlinked_are_found() -> kv::Result<()> {
    let (on_disk, known) = data_files_after_a_merge(None)?;
    assert!(on_disk <= known + 1, "one may be prepared: {on_disk} and {known}");
    let (on_disk, known) =
        data_files_after_a_merge(Some(Hook::on(Step::RetireInputs, Action::Skip)))?;
    assert!(on_disk > known + 1);
    Ok(())
}

/// The answers of a view to two gets of a key that expires while the view is opened: a merge begins between the moment at
/// which a wrong engine reads the time, and the moment at which it registers the view. The second get comes after the merge.
/// So many background jobs run before the view is registered, so that for some number the merge has just begun.
fn view_beside_a_merge(swaps: bool, jobs: usize) -> kv::Result<(bool, bool)> {
    let (disk, clock) = (SimFs::new(), Arc::new(ManualClock::new()));
    let executor = Arc::new(ManualExecutor::new(Arc::clone(&clock) as _));
    let env = Env {
        fs: Arc::new(disk),
        clock: Arc::clone(&clock) as _,
        executor: Arc::clone(&executor) as _,
        entropy: Arc::new(SeededEntropy::new(1)),
    };
    let asked = Arc::new(AtomicUsize::new(0));
    let (hook_clock, hook_executor) = (Arc::clone(&clock), Arc::clone(&executor));
    let hook = Hook::new(move |step| {
        if step != Step::ReadViewTime {
            return Action::Run;
        }
        // The first question comes before the time is read, the second one after it if the step is swapped.
        let is_between = asked.fetch_add(1, Ordering::SeqCst) == usize::from(swaps);
        if is_between {
            hook_clock.advance(Duration::from_secs(2));
            for _ in 0..jobs {
                hook_executor.step();
            }
        }
        if swaps { Action::Swap } else { Action::Run }
    });
    let options = Options::in_env(env).data_file_bytes(1024).hook(hook);
    let engine = Bitcask::open("store", options)?;
    let mut batch = WriteBatch::new();
    batch.put_expiring(b"expiring", &[1; 100], UnixMillis(1_000));
    engine.write(&batch, Durability::Buffered)?;
    // Waste in the same file, so that a merge rewrites it.
    for number in 0..40_u8 {
        engine.put(&[number % 3], &[number; 100], Durability::Buffered)?;
    }
    let view = engine.snapshot()?;
    let first = view.get(b"expiring")?.is_some();
    executor.run_all();
    Ok((first, view.get(b"expiring")?.is_some()))
}

#[test]
fn a_view_that_reads_its_time_before_it_is_registered_is_found() -> kv::Result<()> {
    let mut is_found = false;
    for jobs in 0..200 {
        let (first, second) = view_beside_a_merge(false, jobs)?;
        assert_eq!(first, second, "a view does not move, with a merge after {jobs} jobs");
        is_found |= view_beside_a_merge(true, jobs)? == (true, false);
    }
    assert!(is_found, "the mistake moves the view");
    Ok(())
}
