//! The seam between transactions and the store that keeps their versions.
//!
//! A store keeps several versions of a key, each with the sequence number of the batch that wrote it. It makes the
//! numbers, in one commit section, and it collects the versions that nobody can read any more. It knows no transaction.

use std::fmt;
use std::sync::Arc;

use kv::{Capabilities, Cursor, Durability, KeyRange, Result, SequenceNumber, Stats, WriteBatch};

/// A store of versions.
///
/// Every call may come from any thread at any time. All writes come through [`VersionedStore::commit_with`].
///
/// # Which versions a store keeps
///
/// A snapshot can be read if a [`Pin`] holds it, or if its number is at least the *floor*: the smaller of the visible number
/// and the number of the last [`VersionedStore::retain_from`]. A store keeps each version that a readable snapshot sees, and
/// drops the others when it likes. [`Horizon`](crate::Horizon) is the rule. So a pin costs at most one version of each key,
/// however long it is held and however often the key is written.
pub trait VersionedStore: Send + Sync {
    /// Writes `batch` atomically, if `validate` agrees, and returns its number. The batch holds puts and deletes only.
    ///
    /// The store calls `validate` at most once, inside the commit section, with the number that the batch will get. Everything
    /// that can fail without a failure of the disk comes before: after `validate` has returned `Ok`, only an error that
    /// poisons the store keeps the batch from being written. If `validate` fails, nothing was written and no number was taken.
    ///
    /// For an empty batch the store still calls `validate` inside the commit section, with the number that the next batch will
    /// get. It writes nothing, and returns the newest visible number.
    ///
    /// When the call returns, the number is visible: the next [`VersionedStore::pin_newest`] contains the batch.
    ///
    /// # Errors
    /// That of `validate`. Otherwise as [`Kv::write`](kv::Kv::write).
    fn commit_with(
        &self,
        batch: &WriteBatch,
        durability: Durability,
        validate: Validate<'_>,
    ) -> Result<SequenceNumber>;

    /// The newest version of `key`, if its number is greater than `above`. May be called by `validate`, and then sees every
    /// batch that has got a number so far, visible or not.
    ///
    /// The answer is exact for every `above` that a pin holds. So a store keeps a tombstone while a pin is older, even if no
    /// version is left that the tombstone hides.
    ///
    /// # Errors
    /// Any read error of the store.
    fn newest_version(&self, key: &[u8], above: SequenceNumber) -> Result<Option<NewestVersion>>;

    /// Pins the newest visible state. Neither waits for a commit nor returns a number that a smaller one follows.
    ///
    /// # Errors
    /// [`Error::Closed`](kv::Error::Closed).
    fn pin_newest(&self) -> Result<Arc<dyn Pin>>;

    /// Pins the state after batch `sequence`.
    ///
    /// # Errors
    /// [`Error::SnapshotTooOld`](kv::Error::SnapshotTooOld) below the floor;
    /// [`Error::InvalidArgument`](kv::Error::InvalidArgument) for a number that is not visible yet;
    /// [`Error::Closed`](kv::Error::Closed).
    fn pin_at(&self, sequence: SequenceNumber) -> Result<Arc<dyn Pin>>;

    /// Keeps every state from `sequence` on readable, and gives up those before it. A number less than an earlier one
    /// changes nothing. Before the first call every state since the store was opened is kept.
    fn retain_from(&self, sequence: SequenceNumber);

    /// The versions that are kept for readers of the past.
    fn history(&self) -> HistoryUse;

    /// As [`Kv::sync`](kv::Kv::sync).
    ///
    /// # Errors
    /// As there.
    fn sync(&self) -> Result<()>;

    /// As [`Kv::close`](kv::Kv::close). Pins go on answering.
    ///
    /// # Errors
    /// As there.
    fn close(&self) -> Result<()>;

    /// The limits of keys and values, and the strongest durability.
    fn capabilities(&self) -> Capabilities;

    /// The counters of the store.
    fn stats(&self) -> Stats;
}

/// A store that its owner keeps a handle on, for upkeep of its own.
impl<S: VersionedStore + ?Sized> VersionedStore for Arc<S> {
    fn commit_with(
        &self,
        batch: &WriteBatch,
        durability: Durability,
        validate: Validate<'_>,
    ) -> Result<SequenceNumber> {
        (**self).commit_with(batch, durability, validate)
    }

    fn newest_version(&self, key: &[u8], above: SequenceNumber) -> Result<Option<NewestVersion>> {
        (**self).newest_version(key, above)
    }

    fn pin_newest(&self) -> Result<Arc<dyn Pin>> {
        (**self).pin_newest()
    }

    fn pin_at(&self, sequence: SequenceNumber) -> Result<Arc<dyn Pin>> {
        (**self).pin_at(sequence)
    }

    fn retain_from(&self, sequence: SequenceNumber) {
        (**self).retain_from(sequence);
    }

    fn history(&self) -> HistoryUse {
        (**self).history()
    }

    fn sync(&self) -> Result<()> {
        (**self).sync()
    }

    fn close(&self) -> Result<()> {
        (**self).close()
    }

    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    fn stats(&self) -> Stats {
        (**self).stats()
    }
}

/// The check of a batch inside the commit section. Its argument is the number that the batch will get.
pub type Validate<'v> = &'v mut dyn FnMut(SequenceNumber) -> Result<()>;

/// A snapshot that the store keeps readable until the pin is revoked or dropped.
pub trait Pin: Send + Sync {
    /// The number of the snapshot.
    fn sequence(&self) -> SequenceNumber;

    /// Calls `found` with the value of `key` in the snapshot, if there is one, and tells which versions the key has.
    ///
    /// # Errors
    /// [`Error::SnapshotTooOld`](kv::Error::SnapshotTooOld) after [`Pin::revoke`], also if `found` was called; any read error of the store.
    fn get_at(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<VersionRead>;

    /// Calls `found` with the value of `key` in the snapshot and returns `true`, or returns `false`. Costs less than
    /// [`Pin::get_at`] where a store can leave the newest version out.
    ///
    /// # Errors
    /// As [`Pin::get_at`].
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.get_at(key, found).map(|read| read.is_found)
    }

    /// A cursor over the entries of the snapshot in `range`. It holds the pin.
    ///
    /// Some keys have a version that is newer than the snapshot. If `newer` is given, a move calls it for each such key that it
    /// passes or ends on. The call gets the key and the number of its newest version. So the calls cover exactly the part of the
    /// range that was searched.
    ///
    /// # Errors
    /// As [`Kv::scan`](kv::Kv::scan), and as [`Pin::get_at`].
    fn scan_at(
        self: Arc<Self>,
        range: KeyRange,
        newer: Option<NewerSeen>,
    ) -> Result<Box<dyn Cursor>>;

    /// Gives the snapshot up. Later reads through the pin and later moves of its cursors return
    /// [`Error::SnapshotTooOld`](kv::Error::SnapshotTooOld). So does a read in progress that may have missed a version.
    fn revoke(&self);

    /// Whether the pin was revoked. As long as it was not, [`VersionedStore::newest_version`] above its number was exact.
    fn is_revoked(&self) -> bool;
}

/// Called with a key and the number of its newest version.
pub type NewerSeen = Box<dyn FnMut(&[u8], SequenceNumber) + Send>;

/// The versions that a point read has met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct VersionRead {
    /// Whether the key has a value in the snapshot.
    pub is_found: bool,
    /// The number of the version that the snapshot sees, a tombstone included; 0 if it sees none.
    pub version: SequenceNumber,
    /// The number of the newest version of the key, in the snapshot or not; 0 if there is none.
    pub newest: SequenceNumber,
}

/// The newest version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewestVersion {
    /// The number of the batch that wrote it.
    pub sequence: SequenceNumber,
    /// Whether the batch deleted the key.
    pub is_tombstone: bool,
}

/// The versions that are kept for readers of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct HistoryUse {
    /// Versions that a newer one has replaced, and tombstones.
    pub versions: u64,
    /// The memory or disk space that they take, about.
    pub bytes: u64,
    /// The collector has looked at all of them since the last pin was revoked, and has dropped those that it kept for it.
    pub is_settled: bool,
}

impl fmt::Debug for dyn Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pin")
            .field("sequence", &self.sequence())
            .field("is_revoked", &self.is_revoked())
            .finish()
    }
}
