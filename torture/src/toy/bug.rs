//! The bugs that can be planted in the toy.

/// A protocol step that the toy leaves out or does wrong, on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Recovery believes a frame whose checksum differs.
    ChecksumsIgnored,
    /// Recovery cuts the log at any bad frame, also if synced frames follow.
    DamageTakenForTornTail,
    /// Each operation of a batch is a frame of its own.
    BatchInPieces,
    /// Recovery applies puts only.
    DeletesForgotten,
    /// A compaction removes the old log before `CURRENT` names the new one.
    OldLogRemovedFirst,
    /// A failed compaction in the background is not reported.
    CompactionFailureSwallowed,
    /// A failed sync is reported, and the next write succeeds.
    WritesAfterFailedSync,
    /// Sequence numbers begin at 1 with each opening.
    NumbersRestart,
    /// Recovery continues in the old log, at the end of its good frames, instead of beginning a new one.
    TornTailKept,
    /// Recovery relies on directory entries that may not be durable.
    NamesNotSyncedAtOpening,
    /// The store is not locked.
    Unlocked,
    /// Readers can see half of a batch.
    BatchVisibleInPieces,
    /// Frames stay in the memory of the process until a sync, or until the engine is dropped in good order.
    FramesHeldBack,
    /// The last operation of a batch is not written.
    LastOperationForgotten,
    /// A writer whose sync is done publishes all waiting batches, also those that came after its sync began.
    WholeQueuePublished,
    /// A batch of class `Sync` is visible before it is durable. Its write returns after the sync.
    VisibleBeforeSync,
    /// A sync publishes one batch, and the other batches that it has made durable are acknowledged and not visible.
    AcknowledgedBeforeVisible,
    /// Recovery continues in the old log and serves frames that may not be durable.
    ServesWhatIsNotDurable,
    /// An opening that finds a log of a later number begins an empty store.
    StartsOverAtUnknownLog,
    /// An opening refuses any log with a large number, and does not say which one.
    LargeNumbersRefused,
    /// An opening removes all files that it does not know.
    ForeignFilesRemoved,
    /// An append that finds no space ends writing for good.
    FullDiskPoisons,
    /// The log counts an append that found no space.
    LengthAdvancesWithoutSpace,
    /// A write that found no space is refused, and readers see it.
    RefusedBatchShown,
    /// An opening leaves the logs that a compaction without space has begun.
    OrphansKept,
    /// A failed sync is reported, and the batches that waited for it become visible.
    PublishedDespiteFailedSync,
}
