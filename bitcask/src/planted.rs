//! Mistakes on purpose, for the tests that prove that each would be found.
//!
//! Only the feature `planted` can switch one on, and nothing but this crate's own tests asks for that feature. Without it
//! `Options::has` is constantly false and the branches are gone. Mistakes that are a file system call left out need no
//! code here: `durable::Inject` leaves it out.

use crate::options::Options;

/// One mistake, in the step of the protocol that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mistake {
    /// Append: the last record of a batch is not written.
    ForgetLastRecordOfBatch,
    /// Group commit: a synced write is acknowledged before it is durable.
    AcknowledgeBeforeSync,
    /// Group commit: a write whose sync failed is acknowledged.
    AcknowledgeFailedSync,
    /// Publication: a deletion does not reach the keydir.
    ForgetDeletion,
    /// Beginning a file: the manifest does not hear of it.
    ForgetToNameFile,
    /// Sealing: the manifest gets a wrong length.
    SealWithWrongLength,
    /// Hinting: a deletion in a hint is taken for a put.
    TakeHintedDeletionForPut,
    /// Hinting: a hint is believed without being held against the manifest.
    BelieveAnyHint,
    /// Recovery: files behind a torn one are kept.
    KeepFilesBehindTornOne,
    /// Recovery: the torn file is sealed before those behind it are removed.
    SealBeforeDiscarding,
    /// Recovery: deletions in the tail of the log are not loaded.
    LoadWithoutDeletions,
    /// Recovery: sequence numbers start over.
    RestartNumbers,
    /// Merging: what made a record dead may still be lost to a power cut when the record goes.
    MergeWithoutSyncingTheLog,
    /// Merging: a file is merged whose last writes the keydir does not know yet.
    MergeUnpublishedWrites,
    /// Merging: one edit takes the inputs out, a second one brings the outputs in.
    RemoveInputsFirst,
    /// Merging: a key that was written meanwhile is sent to the copy of its older record.
    RelocateWhateverIsThere,
    /// Merging: views do not hold the files that a merge takes out.
    LetViewsLoseFiles,
    /// Unlinking: the inputs of a merge stay.
    NeverUnlink,
    /// Unlinking: the inputs go before the manifest has forgotten them.
    UnlinkBeforeTheEdit,
    /// Deletions: one is forgotten whatever it hides.
    ForgetDeletionsTooEarly,
    /// Expiry: a put that has expired is forgotten whatever it hides.
    ForgetExpiredTooEarly,
    /// Expiry: a view's time goes on.
    LetExpireInsideViews,
    /// Expiry: a file is dropped when its first record has expired.
    DropFileWithFirstExpired,
}

impl Options {
    /// Whether the store is to make this mistake.
    #[cfg(feature = "planted")]
    pub(crate) fn has(&self, mistake: Mistake) -> bool {
        self.planted == Some(mistake)
    }

    /// Whether the store is to make this mistake.
    #[cfg(not(feature = "planted"))]
    #[expect(clippy::unused_self, reason = "the other build looks at it")]
    pub(crate) fn has(&self, _: Mistake) -> bool {
        false
    }
}
