//! One mistake for each step of append, group commit, publication, beginning, sealing, hinting, recovery, merging, dropping
//! tombstones, expiry and unlinking, written down before the suites were run against them. Each must be found.
//!
//! A mistake is data: a step and what happens to it, or a file system call that is left out. Files that are merged before
//! their last write is published, and keys that are relocated without a look under real concurrency, are found in
//! `tests/schedules`.
//!
//! Not here, because it is none: a hint file that is not synced. What a crash leaves of it fails its checksum, and the
//! data file is read instead.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bitcask::planted::{Action, Hook, Step};
use bitcask::{Bitcask, Options};
use durable::{Env, ManualClock, ManualExecutor, OpKind, SeededEntropy, SimFs};
use kv::{Durability, Kv, Snapshots, UnixMillis, WriteBatch};
use torture::planted::{Planted, must_find};
use torture::{Suite, crash};

use crate::subject::BitcaskSubject;

fn built(name: &'static str, step: &'static str, mistake: (Step, Action)) -> Planted {
    Planted::built(name, step, BitcaskSubject { mistake: Some(mistake) })
}

fn left_out(name: &'static str, protocol: &'static str, step: Step) -> Planted {
    built(name, protocol, (step, Action::Skip))
}

fn swapped(name: &'static str, protocol: &'static str, step: Step) -> Planted {
    built(name, protocol, (step, Action::Swap))
}

fn skipping(name: &'static str, step: &'static str, kind: OpKind, path: &'static str) -> Planted {
    Planted::skipping(name, step, BitcaskSubject::default(), kind, path)
}

/// Each mistake is found by the suite that is named beside it: the one that finds it after the fewest states. Of several
/// names one suite finds it.
fn each_is_found(bugs: impl IntoIterator<Item = (&'static str, Planted)>) {
    for (suites, bug) in bugs {
        let suites: Vec<Suite> = suites.split('+').map(suite_called).collect();
        must_find(&bug, &suites).unwrap_or_else(|missed| panic!("{missed}"));
    }
}

/// The suite called `name`. `crash-scripts` is the second half of the suite `crash`: its random scripts, not shortened.
fn suite_called(name: &str) -> Suite {
    if name == "crash-scripts" {
        return crash::SUITE.with_run(|subject| {
            let options = crash::Options { shortens: false, ..crash::Options::default() };
            crash::random(subject, &options)
        });
    }
    *torture::suite_called(name).unwrap_or_else(|| panic!("no suite is called {name}"))
}

#[test]
fn mistakes_of_append_are_found() {
    each_is_found([
        ("histories", left_out("forgotten-record", "append", Step::LogRecords)),
        ("full-disk", left_out("reserve-unused", "append", Step::UseReserve)),
    ]);
}

#[test]
fn mistakes_of_group_commit_are_found() {
    let ignored = (Step::AwaitPublication, Action::IgnoreFailure);
    each_is_found([
        ("visibility", left_out("visible-early", "group commit", Step::QueueUntilDurable)),
        ("visibility", built("failed-sync-acknowledged", "group commit", ignored)),
        ("crash", skipping("data-not-synced", "group commit", OpKind::SyncFile, ".data")),
    ]);
}

#[test]
fn mistakes_of_publication_are_found() {
    each_is_found([
        (
            "conformance",
            built("put-applied-twice", "publication", (Step::ApplyPut, Action::Repeat)),
        ),
        ("conformance", left_out("batch-not-read-back", "publication", Step::ReadBatchBack)),
        ("histories", left_out("forgotten-tombstone", "publication", Step::ApplyTombstone)),
    ]);
}

#[test]
fn mistakes_of_sealing_and_hinting_are_found() {
    let manifest = "beginning a file, sealing";
    each_is_found([
        ("histories", left_out("file-not-named", "beginning a file", Step::NameFile)),
        ("damage", left_out("sealed-file-not-named", "sealing", Step::NameSealedFile)),
        ("histories", skipping("wrong-length", "sealing", OpKind::Finish, ".data")),
        ("histories", left_out("hinted-tombstone-lost", "hinting", Step::LoadHintedTombstone)),
        ("damage", left_out("any-hint-believed", "hinting", Step::CheckHint)),
        ("crash", skipping("names-not-synced", "beginning a file", OpKind::SyncDir, "store")),
        ("crash", skipping("manifest-not-synced", manifest, OpKind::SyncFile, "MANIFEST")),
    ]);
}

#[test]
fn mistakes_of_recovery_are_found() {
    each_is_found([
        ("crash", left_out("file-behind-torn-one-kept", "recovery", Step::EndLogAtTear)),
        ("crash-scripts", swapped("sealed-before-discarding", "recovery", Step::DiscardTail)),
        ("histories", left_out("tombstone-not-loaded", "recovery", Step::LoadLoggedTombstone)),
        ("conformance", left_out("numbers-start-over", "recovery", Step::ResumeNumbering)),
        ("conformance", left_out("leftover-not-awaited", "opening", Step::AwaitLeftover)),
    ]);
}

#[test]
fn mistakes_on_a_full_disk_are_found() {
    each_is_found([
        ("full-disk", left_out("full-disk-poisons", "edit", Step::SpareOnFullDisk)),
        ("full-disk", left_out("orphans-kept", "recovery", Step::RemoveOrphans)),
    ]);
}

#[test]
fn mistakes_of_merging_are_found() {
    each_is_found([
        ("crash-scripts", left_out("log-not-synced", "merging, 4", Step::SyncLogBeforeEdit)),
        ("histories", left_out("output-not-named", "merging, 5", Step::NameOutput)),
        (
            "faults+simulation+damage",
            swapped("retired-before-the-edit", "merging, 7", Step::EditManifest),
        ),
        ("histories", left_out("views-lose-files", "merging, 7", Step::HoldInputs)),
        ("histories", left_out("relocated-blindly", "merging, 6", Step::CompareSequence)),
    ]);
}

#[test]
fn mistakes_of_dropping_tombstones_and_of_expiry_are_found() {
    each_is_found([
        ("simulation", left_out("tombstone-dropped", "tombstones", Step::GuardTombstone)),
        ("simulation", left_out("expired-put-dropped", "expiry", Step::GuardExpiredPut)),
        ("histories", left_out("expired-inside-views", "expiry", Step::LimitHorizonToViews)),
        ("simulation", left_out("dropped-with-the-first", "expiry", Step::CheckLastExpiry)),
    ]);
}

#[test]
fn a_witness_that_is_not_written_or_not_checked_is_found() {
    let unwritten = skipping("witness-not-written", "group commit", OpKind::Write, ".data");
    let unchecked = left_out("witness-not-checked", "recovery", Step::CheckClaims);
    each_is_found([("damage", unwritten), ("damage", unchecked)]);
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
