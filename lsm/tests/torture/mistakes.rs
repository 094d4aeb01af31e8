//! The mistakes that are planted in an LSM tree, one for each step of each protocol, written down before the suites were run
//! against them. Each must be found.
//!
//! A mistake is data: a step and what happens to it, or a file system call that is left out. `planted.rs` has the mistakes
//! that break no promise of the contract, and cost disk space or syncs. `recovery.rs` and `compaction.rs` have those of recovery
//! and compaction that scripts miss.

use durable::OpKind;
use lsm::planted::{Action, Step};
use torture::planted::Wrong;

use crate::subject::WrongStep;

/// One mistake.
type Mistake = torture::planted::Mistake<WrongStep>;

const fn skip(step: Step) -> Wrong<WrongStep> {
    Wrong::Step((step, Action::Skip))
}

const fn swap(step: Step) -> Wrong<WrongStep> {
    Wrong::Step((step, Action::Swap))
}

const IGNORED_FAILURE: Wrong<WrongStep> =
    Wrong::Step((Step::AwaitPublication, Action::IgnoreFailure));
const UNSYNCED_LOG: Wrong<WrongStep> = Wrong::Calls(OpKind::SyncFile, ".log");
const UNSYNCED_TABLE: Wrong<WrongStep> = Wrong::Calls(OpKind::SyncFile, ".table");
const UNSYNCED_NAMES: Wrong<WrongStep> = Wrong::Calls(OpKind::SyncDir, "store");
const UNSYNCED_MANIFEST: Wrong<WrongStep> = Wrong::Calls(OpKind::SyncFile, "MANIFEST");
const UNWRITTEN_CLAIMS: Wrong<WrongStep> = Wrong::Calls(OpKind::Write, ".log");

/// All mistakes, by protocol.
#[rustfmt::skip]
pub(crate) const MISTAKES: &[Mistake] = &[
    Mistake::new("histories", "append", "forgotten-record", skip(Step::LogRecords)),
    Mistake::new("visibility", "group commit", "visible-early", skip(Step::QueueUntilDurable)),
    Mistake::new("visibility", "group commit", "failed-sync-acknowledged", IGNORED_FAILURE),
    Mistake::new("crash", "group commit", "log-not-synced", UNSYNCED_LOG),
    Mistake::new("damage", "group commit", "witness-not-written", UNWRITTEN_CLAIMS),
    Mistake::new("histories", "rotation", "segment-not-named", skip(Step::NameSegment)),
    Mistake::new("histories", "rotation", "empty-segment-kept", skip(Step::DiscardPrepared)),
    Mistake::new("crash", "rotation", "names-not-synced", UNSYNCED_NAMES),
    Mistake::new("crash", "rotation", "manifest-not-synced", UNSYNCED_MANIFEST),
    Mistake::new("histories", "retirement", "unflushed-segment-retired", skip(Step::KeepUnflushedSegments)),
    Mistake::new("faults", "retirement", "unlinked-before-the-edit", swap(Step::UnlinkSegments)),
    Mistake::new("histories", "flush", "number-not-reserved", skip(Step::ReserveTable)),
    Mistake::new("histories", "flush", "table-not-named", skip(Step::NameTables)),
    Mistake::new("crash", "flush", "table-not-synced", UNSYNCED_TABLE),
    Mistake::new("histories", "range tombstones", "lost-at-a-flush", skip(Step::FlushRanges)),
    Mistake::new("histories", "range tombstones", "lost-where-a-table-ends", skip(Step::SplitRanges)),
    Mistake::new("histories", "range tombstones", "dropped-too-early", skip(Step::GuardRangeTombstone)),
    Mistake::new("histories", "range tombstones", "ignored-on-the-way-backward", skip(Step::CoverBackward)),
    Mistake::new("histories", "range tombstones", "not-replayed", skip(Step::ReplayRanges)),
    Mistake::new("full-disk", "flush", "full-disk-poisons", skip(Step::SpareOnFullDisk)),
    Mistake::new("histories", "install", "flushed-memtable-kept", skip(Step::Install)),
    Mistake::new("histories", "compaction", "seen-version-dropped", skip(Step::KeepSeenVersions)),
    Mistake::new("histories", "compaction", "tombstone-dropped", skip(Step::GuardTombstone)),
    Mistake::new("histories", "compaction", "output-not-named", skip(Step::NameOutputs)),
    Mistake::new("conformance", "recovery", "leftover-not-awaited", skip(Step::AwaitLeftover)),
    Mistake::new("damage", "recovery", "missing-file-not-noticed", skip(Step::CheckPresent)),
    Mistake::new("damage", "recovery", "lost-edit-not-noticed", skip(Step::CheckOrphans)),
    Mistake::new("damage", "recovery", "witness-not-checked", skip(Step::CheckClaims)),
    Mistake::new("histories", "recovery", "flushed-batches-replayed", skip(Step::SkipFlushed)),
    Mistake::new("histories", "recovery", "tombstone-not-replayed", skip(Step::ReplayTombstone)),
    Mistake::new("full-disk", "recovery", "orphans-kept", skip(Step::RemoveOrphans)),
    Mistake::new("histories", "recovery", "replayed-batches-not-flushed", skip(Step::FlushReplayed)),
    Mistake::new("crash", "recovery", "logs-unlinked-first", swap(Step::FlushReplayed)),
    Mistake::new("conformance", "recovery", "numbers-start-over", skip(Step::ResumeNumbering)),
];
