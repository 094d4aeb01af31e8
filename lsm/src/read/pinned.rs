//! Pinned states: a number and a time at which versions can be read, for snapshots and for transactions.
//!
//! **A read beside [`Pinned::revoke`].** A revoked pin sets its flag, and then leaves the list of pins. Only then can a
//! compaction drop a version that it needs. A read looks at the versions first and at the flag afterwards. So a read that
//! misses a dropped version finds the flag set.

use kv::{Cursor, Error, KeyRange, Result, SequenceNumber, Snapshot};

use durable::sync::atomic::{AtomicBool, Ordering};

use super::ViewCursor;
use super::get::{find, get, newest_version};
use super::newer_keys::{NewerKeys, NewerSeen};
use crate::expiring::ReadTime;
use crate::internal_key::Trailer;
use crate::pins::Pin;
use crate::version::View;

/// The state of the store after one batch, at one time. It goes on answering when the store is closed or dropped.
///
/// It keeps at most one version of each key that would be gone otherwise. A cursor over it keeps the memtables and tables
/// of the time at which it was made.
#[derive(Debug)]
pub struct Pinned {
    pin: Pin,
    is_revoked: AtomicBool,
}

/// The versions that a look-up has met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRead {
    /// The key has a value in the pinned state.
    pub is_found: bool,
    /// The number of the version that the pinned state shows, of a tombstone as well. `None`: it has no version of the key.
    pub version: Option<SequenceNumber>,
    /// The number of the newest version of the key, also if it is not visible yet. `None`: there is none.
    pub newest: Option<SequenceNumber>,
}

/// The newest version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewestVersion {
    /// The number of the batch that wrote it, or that deleted a range with the key.
    pub sequence: SequenceNumber,
    /// The batch deleted the key.
    pub is_tombstone: bool,
}

impl NewestVersion {
    pub(crate) fn of(trailer: Trailer) -> Self {
        Self { sequence: SequenceNumber(trailer.sequence()), is_tombstone: trailer.is_tombstone() }
    }
}

impl Pinned {
    pub(crate) fn new(pin: Pin) -> Self {
        Self { pin, is_revoked: AtomicBool::new(false) }
    }

    /// As [`Snapshot::get_with`], with the versions of the key that the look-up has met. The newest one is that of a moment
    /// during the call.
    ///
    /// A value that has expired at the time of the pin is a tombstone.
    ///
    /// # Errors
    /// `SnapshotTooOld` after [`Pinned::revoke`], and then `found` may have been called; as [`Snapshot::get_with`].
    pub fn get_at(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<VersionRead> {
        let (time, sequence) = (ReadTime::At(self.pin.now()), self.pin.sequence());
        let view = self.pin.versions().load();
        let shown = find(&view, key, sequence, time, found)?;
        let newer = newest_version(&view, key, sequence)?;
        self.check()?;
        let number = |trailer: Trailer| SequenceNumber(trailer.sequence());
        let version = shown.map(number);
        let is_found = shown.is_some_and(|shown| !shown.is_tombstone());
        let read = VersionRead { is_found, version, newest: newer.map(number).or(version) };
        debug_assert!(read.version <= read.newest, "nothing is newer than the newest version");
        Ok(read)
    }

    /// As [`Snapshot::scan`]. Some keys have a version that is newer than the pinned state. If `newer` is given, a move calls it
    /// for each such key that it passes or ends on. The call gets the key and the number of its newest version. That is the
    /// newest one when the cursor was made, or a later one. So the calls cover the part of the range that was searched.
    ///
    /// Keys that only a range tombstone is newer for are not named.
    ///
    /// The cursor answers after [`Pinned::revoke`] as before, because it keeps its memtables and tables.
    ///
    /// # Errors
    /// `SnapshotTooOld` after [`Pinned::revoke`]; as [`Snapshot::scan`].
    pub fn scan_at(&self, range: &KeyRange, newer: Option<NewerSeen>) -> Result<Box<dyn Cursor>> {
        let super_version = self.pin.versions().load_full();
        let view = View { super_version, sequence: self.pin.sequence(), now: self.pin.now() };
        self.check()?;
        Ok(Box::new(ViewCursor::new(view, range, newer.map(NewerKeys::new))?))
    }

    /// Gives the state up: compactions may drop its versions from now on. Later reads return `SnapshotTooOld`, and so does a
    /// read in progress that may have missed a version.
    pub fn revoke(&self) {
        // Before the pin goes: see the module.
        if !self.is_revoked.swap(true, Ordering::AcqRel) {
            self.pin.release();
        }
    }

    /// Whether [`Pinned::revoke`] was called.
    pub fn is_revoked(&self) -> bool {
        self.is_revoked.load(Ordering::Acquire)
    }

    /// Whether the reads so far can be relied on. Call it after the read.
    fn check(&self) -> Result<()> {
        if self.is_revoked() { Err(Error::SnapshotTooOld) } else { Ok(()) }
    }
}

impl Snapshot for Pinned {
    fn sequence(&self) -> SequenceNumber {
        SequenceNumber(self.pin.sequence())
    }

    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let time = ReadTime::At(self.pin.now());
        let view = self.pin.versions().load();
        let is_found = get(&view, key, self.pin.sequence(), time, found)?;
        self.check()?;
        Ok(is_found)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        self.scan_at(&range, None)
    }
}
