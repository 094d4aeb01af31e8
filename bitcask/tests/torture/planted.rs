//! One mistake for each step of append, group commit, publication, beginning, sealing, hinting, recovery, merging,
//! forgetting deletions, expiry and unlinking, written down before the suites were run against them. Each must be found.
//!
//! Files that are merged before their last write is published, and keys that are relocated blindly under real concurrency,
//! are found in `tests/schedules`.
//!
//! Not here, because it is none: a hint file that is not synced. What a crash leaves of it fails its checksum, and the
//! data file is read instead.

use std::path::PathBuf;
use std::sync::Arc;

use bitcask::planted::Mistake;
use bitcask::{Bitcask, Options};
use durable::{Env, ManualClock, ManualExecutor, OpKind, SeededEntropy, SimFs};
use kv::{Durability, Kv};
use torture::planted::{Planted, must_find};
use torture::{SUITES, Suite};

use crate::subject::BitcaskSubject;

fn built(name: &'static str, step: &'static str, mistake: Mistake) -> Planted {
    Planted::built(name, step, BitcaskSubject { mistake: Some(mistake) })
}

fn skipping(name: &'static str, step: &'static str, kind: OpKind, path: &'static str) -> Planted {
    Planted::skipping(name, step, BitcaskSubject::default(), kind, path)
}

fn each_is_found(bugs: impl IntoIterator<Item = Planted>) {
    // The crash suite visits by far the most states, so it comes last.
    let (mut suites, crash): (Vec<Suite>, Vec<Suite>) =
        SUITES.iter().copied().partition(|suite| suite.name != "crash");
    suites.extend(crash);
    for bug in bugs {
        must_find(&bug, &suites).unwrap_or_else(|missed| panic!("{missed}"));
    }
}

#[test]
fn mistakes_of_append_are_found() {
    each_is_found([built("forgotten-record", "append", Mistake::ForgetLastRecordOfBatch)]);
}

#[test]
fn mistakes_of_group_commit_are_found() {
    each_is_found([
        built("early-acknowledgement", "group commit", Mistake::AcknowledgeBeforeSync),
        built("failed-sync-acknowledged", "group commit", Mistake::AcknowledgeFailedSync),
        built("forgotten-deletion", "publication", Mistake::ForgetDeletion),
        skipping("data-not-synced", "group commit, sealing, recovery", OpKind::SyncFile, ".data"),
    ]);
}

#[test]
fn mistakes_of_sealing_and_hinting_are_found() {
    each_is_found([
        built("file-not-named", "beginning a file", Mistake::ForgetToNameFile),
        built("wrong-length", "sealing", Mistake::SealWithWrongLength),
        built("hinted-deletion-lost", "hinting", Mistake::TakeHintedDeletionForPut),
        built("any-hint-believed", "hinting", Mistake::BelieveAnyHint),
        skipping("names-not-synced", "beginning a file, hinting", OpKind::SyncDir, "store"),
        skipping("manifest-not-synced", "beginning a file, sealing", OpKind::SyncFile, "MANIFEST"),
    ]);
}

#[test]
fn mistakes_of_recovery_are_found() {
    each_is_found([
        built("file-behind-torn-one-kept", "recovery", Mistake::KeepFilesBehindTornOne),
        built("sealed-before-discarding", "recovery", Mistake::SealBeforeDiscarding),
        built("deletion-not-loaded", "recovery", Mistake::LoadWithoutDeletions),
        built("numbers-start-over", "recovery", Mistake::RestartNumbers),
    ]);
}

#[test]
fn mistakes_of_merging_are_found() {
    each_is_found([
        built("log-not-synced", "merging, 4", Mistake::MergeWithoutSyncingTheLog),
        built("inputs-out-first", "merging, 5", Mistake::RemoveInputsFirst),
        built("unlinked-before-the-edit", "merging, 7", Mistake::UnlinkBeforeTheEdit),
        built("views-lose-files", "merging, 7", Mistake::LetViewsLoseFiles),
    ]);
}

#[test]
fn mistakes_of_merging_that_need_writers_in_the_middle_are_found() {
    each_is_found([built("relocated-blindly", "merging, 6", Mistake::RelocateWhateverIsThere)]);
}

#[test]
fn mistakes_of_forgetting_and_expiry_are_found() {
    each_is_found([
        built("deletion-forgotten", "deletions", Mistake::ForgetDeletionsTooEarly),
        built("expired-forgotten", "expiry", Mistake::ForgetExpiredTooEarly),
        built("expired-inside-views", "expiry", Mistake::LetExpireInsideViews),
        built("dropped-with-the-first", "expiry", Mistake::DropFileWithFirstExpired),
    ]);
}

/// The data files on the disk after a merge that nobody reads beside, and those that the store knows of.
fn data_files_after_a_merge(mistake: Option<Mistake>) -> kv::Result<(usize, usize)> {
    let (disk, clock) = (SimFs::new(), Arc::new(ManualClock::new()));
    let executor = Arc::new(ManualExecutor::new(Arc::clone(&clock) as _));
    let env = Env {
        fs: Arc::new(disk.clone()),
        clock,
        executor: Arc::clone(&executor) as _,
        entropy: Arc::new(SeededEntropy::new(1)),
    };
    let mut options = Options::in_env(env).data_file_bytes(1024);
    options.planted = mistake;
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
    let (on_disk, known) = data_files_after_a_merge(Some(Mistake::NeverUnlink))?;
    assert!(on_disk > known + 1);
    Ok(())
}
