//! One mistake for each step of append, group commit, publication, beginning, sealing, hinting and recovery, written down
//! before the suites were run against them. Each must be found.
//!
//! Not here, because it is none: a hint file that is not synced. What a crash leaves of it fails its checksum, and the
//! data file is read instead.

use bitcask::planted::Mistake;
use durable::OpKind;
use torture::planted::{Planted, SUITES, Suite, must_find};

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
