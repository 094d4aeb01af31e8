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

use bitcask::planted::{Action, Hook, Step};
use bitcask::{Bitcask, Options};
use durable::{Env, ManualClock, ManualExecutor, OpKind, SeededEntropy, SimFs};
use kv::{Durability, Kv};
use torture::planted::{Planted, must_find};
use torture::{SUITES, Suite};

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

fn each_is_found(bugs: impl IntoIterator<Item = Planted>) {
    // The crash suite visits by far the most states, so it comes last. No mistake concerns stray entries.
    let suites = SUITES.iter().copied().filter(|suite| suite.name != "strays");
    let (mut suites, crash): (Vec<Suite>, Vec<Suite>) =
        suites.partition(|suite| suite.name != "crash");
    suites.extend(crash);
    for bug in bugs {
        must_find(&bug, &suites).unwrap_or_else(|missed| panic!("{missed}"));
    }
}

#[test]
fn a_synced_batch_that_is_visible_too_early_is_found_by_held_writers() {
    let early = left_out("visible-early", "group commit", Step::QueueUntilDurable);
    must_find(&early, &[torture::visibility::SUITE]).unwrap_or_else(|missed| panic!("{missed}"));
}

#[test]
fn mistakes_of_append_are_found() {
    each_is_found([left_out("forgotten-record", "append", Step::LogRecords)]);
}

#[test]
fn mistakes_of_group_commit_are_found() {
    each_is_found([
        left_out("early-acknowledgement", "group commit", Step::QueueUntilDurable),
        built(
            "failed-sync-acknowledged",
            "group commit",
            (Step::AwaitPublication, Action::IgnoreFailure),
        ),
        left_out("forgotten-tombstone", "publication", Step::ApplyTombstone),
        skipping("data-not-synced", "group commit, sealing, recovery", OpKind::SyncFile, ".data"),
    ]);
}

#[test]
fn mistakes_of_sealing_and_hinting_are_found() {
    each_is_found([
        left_out("file-not-named", "beginning a file", Step::NameFile),
        left_out("sealed-file-not-named", "sealing", Step::NameSealedFile),
        skipping("wrong-length", "sealing", OpKind::Finish, ".data"),
        left_out("hinted-tombstone-lost", "hinting", Step::LoadHintedTombstone),
        left_out("any-hint-believed", "hinting", Step::CheckHint),
        skipping("names-not-synced", "beginning a file, hinting", OpKind::SyncDir, "store"),
        skipping("manifest-not-synced", "beginning a file, sealing", OpKind::SyncFile, "MANIFEST"),
    ]);
}

#[test]
fn mistakes_of_recovery_are_found() {
    each_is_found([
        left_out("file-behind-torn-one-kept", "recovery", Step::EndLogAtTear),
        swapped("sealed-before-discarding", "recovery", Step::DiscardTail),
        left_out("tombstone-not-loaded", "recovery", Step::LoadLoggedTombstone),
        left_out("numbers-start-over", "recovery", Step::ResumeNumbering),
    ]);
}

#[test]
fn mistakes_of_merging_are_found() {
    each_is_found([
        left_out("log-not-synced", "merging, 4", Step::SyncLogBeforeEdit),
        left_out("output-not-named", "merging, 5", Step::NameOutput),
        swapped("retired-before-the-edit", "merging, 7", Step::EditManifest),
        left_out("views-lose-files", "merging, 7", Step::HoldInputs),
    ]);
}

#[test]
fn mistakes_of_merging_that_need_writers_in_the_middle_are_found() {
    each_is_found([left_out("relocated-blindly", "merging, 6", Step::CompareSequence)]);
}

#[test]
fn mistakes_of_dropping_tombstones_and_of_expiry_are_found() {
    each_is_found([
        left_out("tombstone-dropped", "tombstones", Step::GuardTombstone),
        left_out("expired-put-dropped", "expiry", Step::GuardExpiredPut),
        left_out("expired-inside-views", "expiry", Step::LimitHorizonToViews),
        left_out("dropped-with-the-first", "expiry", Step::CheckLastExpiry),
    ]);
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
