//! The mistakes that are planted in a Bitcask, one for each step of each protocol, written down before the suites were run
//! against them. Each must be found.
//!
//! A mistake is data: a step and what happens to it, or a file system call that is left out. Files that are merged before
//! their last write is published, and keys that are relocated without a look under real concurrency, are found in
//! `tests/schedules`.
//!
//! `recovery_order.rs` has the swap of sealing and discarding, which random scripts find by luck only: a crash must come between the
//! two, in the recovery from another crash.
//!
//! Not here, because it is none: a hint file that is not synced. What a crash leaves of it fails its checksum, and the
//! data file is read instead.

use bitcask::planted::{Action, Step};
use durable::OpKind;
use torture::planted::{RealSuite, Wrong};

use super::subject::WrongStep;

/// One mistake.
pub(crate) type Mistake = torture::planted::Mistake<WrongStep>;

const fn skip(step: Step) -> Wrong<WrongStep> {
    Wrong::Step((step, Action::Skip))
}

const fn swap(step: Step) -> Wrong<WrongStep> {
    Wrong::Step((step, Action::Swap))
}

const IGNORED_FAILURE: Wrong<WrongStep> =
    Wrong::Step((Step::AwaitPublication, Action::IgnoreFailure));
const APPLIED_TWICE: Wrong<WrongStep> = Wrong::Step((Step::ApplyPut, Action::Repeat));
const UNSYNCED_DATA: Wrong<WrongStep> = Wrong::Calls(OpKind::SyncFile, ".data");
const UNSYNCED_NAMES: Wrong<WrongStep> = Wrong::Calls(OpKind::SyncDir, "store");
const UNSYNCED_MANIFEST: Wrong<WrongStep> = Wrong::Calls(OpKind::SyncFile, "MANIFEST");
const UNWRITTEN_CLAIMS: Wrong<WrongStep> = Wrong::Calls(OpKind::Write, ".data");
const UNFINISHED: Wrong<WrongStep> = Wrong::Calls(OpKind::Finish, ".data");

/// All mistakes, by protocol.
#[rustfmt::skip]
pub(crate) const MISTAKES: &[Mistake] = &[
    Mistake::new("histories", "append", "forgotten-record", skip(Step::LogRecords)).also_found_by(RealSuite::Kill),
    Mistake::new("full-disk", "append", "reserve-unused", skip(Step::UseReserve)),
    Mistake::new("visibility", "group commit", "visible-early", skip(Step::QueueUntilDurable)).also_found_by(RealSuite::Power),
    Mistake::new("visibility", "group commit", "failed-sync-acknowledged", IGNORED_FAILURE),
    Mistake::new("crash", "group commit", "data-not-synced", UNSYNCED_DATA).also_found_by(RealSuite::Power),
    Mistake::new("damage", "group commit", "witness-not-written", UNWRITTEN_CLAIMS),
    Mistake::new("conformance", "publication", "put-applied-twice", APPLIED_TWICE),
    Mistake::new("conformance", "publication", "batch-not-read-back", skip(Step::ReadBatchBack)),
    Mistake::new("histories", "publication", "forgotten-tombstone", skip(Step::ApplyTombstone)),
    Mistake::new("histories", "beginning a file", "file-not-named", skip(Step::NameFile)),
    Mistake::new("crash", "beginning a file", "names-not-synced", UNSYNCED_NAMES),
    Mistake::new("crash", "beginning a file", "manifest-not-synced", UNSYNCED_MANIFEST).also_found_by(RealSuite::Power),
    Mistake::new("damage", "sealing", "sealed-file-not-named", skip(Step::NameSealedFile)),
    Mistake::new("histories", "sealing", "wrong-length", UNFINISHED),
    Mistake::new("histories", "hinting", "hinted-tombstone-lost", skip(Step::LoadHintedTombstone)),
    Mistake::new("damage", "hinting", "any-hint-believed", skip(Step::CheckHint)),
    Mistake::new("damage", "recovery", "witness-not-checked", skip(Step::CheckClaims)),
    Mistake::new("crash", "recovery", "file-behind-torn-one-kept", skip(Step::EndLogAtTear)),
    Mistake::new("histories", "recovery", "tombstone-not-loaded", skip(Step::LoadLoggedTombstone)),
    Mistake::new("conformance", "recovery", "numbers-start-over", skip(Step::ResumeNumbering)).also_found_by(RealSuite::Kill),
    Mistake::new("conformance", "recovery", "leftover-not-awaited", skip(Step::AwaitLeftover)),
    Mistake::new("full-disk", "full disk", "full-disk-poisons", skip(Step::SpareOnFullDisk)),
    Mistake::new("full-disk", "full disk", "orphans-kept", skip(Step::RemoveOrphans)),
    Mistake::new("crash-scripts", "merging", "log-not-synced", skip(Step::SyncLogBeforeEdit)),
    Mistake::new("histories", "merging", "output-not-named", skip(Step::NameOutput)),
    Mistake::new("histories", "merging", "relocated-blindly", skip(Step::CompareSequence)),
    Mistake::new("faults+simulation+damage", "merging", "retired-before-the-edit", swap(Step::EditManifest)),
    Mistake::new("histories", "merging", "views-lose-files", skip(Step::HoldInputs)),
    Mistake::new("simulation", "tombstones", "tombstone-dropped", skip(Step::GuardTombstone)),
    Mistake::new("simulation", "expiry", "expired-put-dropped", skip(Step::GuardExpiredPut)),
    Mistake::new("histories", "expiry", "expired-inside-views", skip(Step::LimitHorizonToViews)),
    Mistake::new("simulation", "expiry", "dropped-with-the-first", skip(Step::CheckLastExpiry)),
];
