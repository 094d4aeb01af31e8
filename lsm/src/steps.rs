//! The protocol steps that have a name, so that a test can leave one out: see [`durable::steps`].

/// Runs the steps of this engine.
pub(crate) type Steps = durable::steps::Steps<Step>;

/// One step of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(
    not(feature = "planted"),
    expect(unreachable_pub, reason = "tests name steps, with the feature")
)]
pub enum Step {
    /// Append: the records of a batch are encoded into one append.
    LogRecords,
    /// Group commit: a batch of class `Sync` is queued until the log is durable, instead of becoming visible at once.
    QueueUntilDurable,
    /// Group commit: the writer waits until its batch is durable and visible, and reports a failure.
    AwaitPublication,
    /// Beginning a segment: the manifest names the segment before anything is appended to it.
    NameSegment,
    /// Rotation: a prepared segment that is too small leaves the log before the next one is begun.
    DiscardPrepared,
    /// Retirement: a segment stays until every batch of it is in a table.
    KeepUnflushedSegments,
    /// Retirement: the segments leave the group commit.
    RetireSegments,
    /// Retirement: the segments are unlinked after the edit that removes them.
    UnlinkSegments,
    /// Flush, 1: the manifest knows the number of a table before the table is begun.
    ReserveTable,
    /// Flush, 1: the tables get the range tombstones of the memtable.
    FlushRanges,
    /// Flush, 1, and compaction, 2: a range tombstone is cut where a table ends, and the next table gets the rest.
    SplitRanges,
    /// Flush, 2: all tables of the memtable enter one edit.
    NameTables,
    /// Flush, 3, and compaction, 4: the super version gets the tables, and loses the memtable or the inputs.
    Install,
    /// Compaction, 1: from now on nobody begins to read below the number up to which versions go.
    RaiseFloor,
    /// Compaction, 2: a version stays that a snapshot or a later reader sees.
    KeepSeenVersions,
    /// Compaction, 2: a tombstone stays while it may hide an older entry outside the compaction.
    GuardTombstone,
    /// Compaction, 2: a range tombstone stays while it may hide an older entry outside the compaction.
    GuardRangeTombstone,
    /// Compaction, 3: all outputs enter one edit.
    NameOutputs,
    /// Compaction, 3: the edit says below which number states can no longer be read.
    RecordFloor,
    /// Compaction, 5: the inputs are unlinked after their last reader.
    RetireInputs,
    /// Flush: a failure for want of a resource poisons nothing.
    SpareOnFullDisk,
    /// Checkpoint, 1: every batch that was written before is flushed.
    FlushForCheckpoint,
    /// Checkpoint, 4: each table is linked into the new directory.
    LinkTables,
    /// Reader, 2: every table is opened at once.
    OpenTables,
    /// Reader, 2: a table that is open is kept only if the store is still in the same opening.
    KeepTables,
    /// Opening: the lock of a store of this process that was dropped is waited for.
    AwaitLeftover,
    /// Recovery, 2: the files that the manifest names are there, with their lengths.
    CheckPresent,
    /// Recovery, 2: no file proves that the manifest has lost an edit.
    CheckOrphans,
    /// Recovery, 3: the tail of a log is compared with the claims of its witness.
    CheckClaims,
    /// Recovery, 3: no batch is missing between two others, or between tables and logs.
    CheckFollows,
    /// Recovery, 3: batches that a table has are skipped.
    SkipFlushed,
    /// Recovery, 3: a tombstone in the log hides older puts of its key.
    ReplayTombstone,
    /// Recovery, 3: a range tombstone in the log hides older entries.
    ReplayRanges,
    /// Walks: an entry that a range tombstone covers is passed over on the way backward.
    CoverBackward,
    /// Recovery, 5: orphans are removed, after the manifest was opened for writing.
    RemoveOrphans,
    /// Recovery, 6: the batches of the logs are written to tables, before the logs are unlinked.
    FlushReplayed,
    /// Recovery, 7: the logs are unlinked.
    UnlinkReplayed,
    /// Recovery: sequence numbers go on after the newest batch in a table.
    ResumeNumbering,
}
