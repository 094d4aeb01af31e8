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
    /// Append: a batch of tombstones that finds no space releases the disk reserve.
    UseReserve,
    /// An edit of the manifest that finds no space leaves the store as it was, and does not poison it.
    SpareOnFullDisk,
    /// A view reads its time under the lock that merges take for their horizon.
    ReadViewTime,
    /// Opening: the lock of a store of this process that was dropped is waited for.
    AwaitLeftover,
    /// Group commit: a batch of class `Sync` is queued until the log is durable, instead of becoming visible at once.
    QueueUntilDurable,
    /// Group commit: the writer waits until its batch is durable and visible, and reports a failure.
    AwaitPublication,
    /// Publication: a batch that waited for the disk is read back from the log.
    ReadBatchBack,
    /// Publication: a put enters the keydir.
    ApplyPut,
    /// Publication: a tombstone removes its key from the keydir.
    ApplyTombstone,
    /// Beginning a file: the manifest names the file before anything is appended to it.
    NameFile,
    /// Sealing: the manifest gets length and checksum of the sealed file.
    NameSealedFile,
    /// Loading: the bytes of a hint file are checked against the manifest.
    CheckHint,
    /// Loading: a tombstone in a hint file hides older puts of its key.
    LoadHintedTombstone,
    /// Recovery: a tombstone in the log hides older puts of its key.
    LoadLoggedTombstone,
    /// Recovery: the tail of the log is checked against the claims of its witnesses.
    CheckClaims,
    /// Recovery: the log ends at a torn file, and later files are discarded.
    EndLogAtTear,
    /// Recovery: files that the manifest does not name are removed.
    RemoveOrphans,
    /// Recovery: files that no longer count are discarded, newest first.
    DiscardTail,
    /// Recovery: the files that count are cut and sealed.
    SealTail,
    /// Recovery: sequence numbers go on after the highest one that was found.
    ResumeNumbering,
    /// Merging, 1: a file is left alone until the keydir knows its newest record.
    CheckPublished,
    /// Merging, 1: a file is dropped unread only if its last record has expired, not just its first.
    CheckLastExpiry,
    /// Merging, 2: nothing counts as expired that has not expired for every open view.
    LimitHorizonToViews,
    /// Merging, 2: a tombstone is kept while a file outside the merge may hold an older put of its key.
    GuardTombstone,
    /// Merging, 2: an expired put is kept as a tombstone by the same rule.
    GuardExpiredPut,
    /// Merging, 4: the log is synced, because the record that made another one dead may not be durable.
    SyncLogBeforeEdit,
    /// Merging, 5: an output enters the edit that takes the inputs out.
    NameOutput,
    /// Merging, 5: one edit brings the outputs in and takes the inputs out.
    EditManifest,
    /// Merging, 6: the keydir is pointed at the copies.
    Relocate,
    /// Merging, 6: a key is pointed at its copy only if its newest record is the copied one.
    CompareSequence,
    /// Merging, 7: open views hold the inputs.
    HoldInputs,
    /// Merging, 7: the inputs are unlinked after their last reader.
    RetireInputs,
}
