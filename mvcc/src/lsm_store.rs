//! The durable store of versions: an LSM tree.
//!
//! A version is an entry of the tree, and its number is the number of its batch. The commit section of the seam is the
//! commit queue of the tree. When the store is opened again, the numbers of commits go on where they were.
//!
//! The floor of the seam is the number from which on the tree retains every state. Before the first
//! [`VersionedStore::retain_from`] that is the state at the opening. Compactions drop what no pin and no retained state needs.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use durable::sync::atomic::{AtomicU64, Ordering};
use kv::{
    Capabilities, Cursor, Durability, Error, KeyRange, Kv as _, Result, SequenceNumber,
    Snapshot as _, Stats, WriteBatch,
};
use lsm::{Lsm, LsmStats, Pinned};

use crate::store::{
    HistoryUse, NewerSeen, NewestVersion, Pin, Validate, VersionRead, VersionedStore,
};

/// A store of versions in an LSM tree. See the [crate] for the rules and [`VersionedStore`] for the calls.
///
/// Range deletion and expiry are refused here. A tree that was written with them before is read as it is.
///
/// [`VersionedStore::history`] counts what lies in tables, and estimates its bytes. It is settled when a compaction has
/// ended since the last pin was revoked.
pub struct LsmStore(Arc<Shared>);

/// What pins keep alive.
struct Shared {
    engine: Lsm,
    /// The number that the past is kept from. The tree may still have older states; they are too old all the same, so that the
    /// answer does not depend on when compactions run.
    floor: AtomicU64,
    /// The number of the compaction, counted from 1, after which the versions of the last revoked pin are gone. 0: no pin was
    /// revoked.
    settled_after: AtomicU64,
}

/// A pinned state of the tree.
struct LsmPin {
    pinned: Pinned,
    store: Arc<Shared>,
}

/// A walk that ends when its pin is revoked.
struct PinnedCursor {
    pin: Arc<LsmPin>,
    cursor: Box<dyn Cursor>,
}

impl LsmStore {
    /// Opens the tree in the directory `path`, and creates it if there is none and the options say so.
    ///
    /// # Errors
    /// As [`Lsm::open`].
    pub fn open(path: impl AsRef<Path>, options: lsm::Options) -> Result<Self> {
        Lsm::open(path, options).map(Self::new)
    }

    /// A store in `engine`. From now on every state is kept, until [`VersionedStore::retain_from`] is called.
    pub fn new(engine: Lsm) -> Self {
        let floor = engine.newest_sequence();
        engine.retain_from(floor);
        let (floor, settled_after) = (AtomicU64::new(floor.0), AtomicU64::new(0));
        Self(Arc::new(Shared { engine, floor, settled_after }))
    }

    /// The tree, for its upkeep: flushes, checkpoints, statistics. Writes come through transactions only: a commit finds the
    /// conflicts with others, but its conflict cannot name them.
    pub fn engine(&self) -> &Lsm {
        &self.0.engine
    }

    fn pin(&self, pinned: Pinned) -> Arc<dyn Pin> {
        Arc::new(LsmPin { pinned, store: Arc::clone(&self.0) })
    }
}

/// Compactions that have ended and that may have dropped versions.
fn compactions(stats: &LsmStats) -> u64 {
    stats.compactions + stats.compaction_drops
}

impl VersionedStore for LsmStore {
    fn commit_with(
        &self,
        batch: &WriteBatch,
        durability: Durability,
        validate: Validate<'_>,
    ) -> Result<SequenceNumber> {
        self.capabilities().check(batch)?;
        self.0.engine.commit_with(batch, durability, validate)
    }

    fn newest_version(&self, key: &[u8], above: SequenceNumber) -> Result<Option<NewestVersion>> {
        let newest = self.0.engine.newest_version(key, above)?;
        Ok(newest.map(|lsm::NewestVersion { sequence, is_tombstone }| {
            debug_assert!(sequence > above, "the tree was asked for newer ones");
            NewestVersion { sequence, is_tombstone }
        }))
    }

    fn pin_newest(&self) -> Result<Arc<dyn Pin>> {
        Ok(self.pin(self.0.engine.pin_newest()?))
    }

    fn pin_at(&self, sequence: SequenceNumber) -> Result<Arc<dyn Pin>> {
        let floor = self.0.engine.newest_sequence().0.min(self.0.floor.load(Ordering::Acquire));
        if sequence.0 < floor {
            return Err(Error::SnapshotTooOld);
        }
        Ok(self.pin(self.0.engine.pin_at(sequence)?))
    }

    fn retain_from(&self, sequence: SequenceNumber) {
        self.0.floor.fetch_max(sequence.0, Ordering::AcqRel);
        self.0.engine.retain_from(sequence);
    }

    fn history(&self) -> HistoryUse {
        let stats = self.0.engine.statistics();
        let versions = stats.table_hidden + stats.table_tombstones;
        HistoryUse {
            versions,
            bytes: versions * stats.table_bytes.checked_div(stats.table_entries).unwrap_or(0),
            is_settled: self.0.settled_after.load(Ordering::Acquire) <= compactions(&stats),
        }
    }

    fn sync(&self) -> Result<()> {
        self.0.engine.sync()
    }

    fn close(&self) -> Result<()> {
        self.0.engine.close()
    }

    fn capabilities(&self) -> Capabilities {
        let of_tree = self.0.engine.capabilities();
        Capabilities::new(of_tree.scan, of_tree.durability)
            .with_max_value_len(of_tree.max_value_len)
    }

    fn stats(&self) -> Stats {
        self.0.engine.stats()
    }
}

impl LsmPin {
    fn check(&self) -> Result<()> {
        if self.is_revoked() { Err(Error::SnapshotTooOld) } else { Ok(()) }
    }
}

impl Pin for LsmPin {
    fn sequence(&self) -> SequenceNumber {
        self.pinned.sequence()
    }

    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.pinned.get_with(key, found)
    }

    fn get_at(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<VersionRead> {
        let lsm::VersionRead { is_found, version, newest } = self.pinned.get_at(key, found)?;
        let (version, newest) = (version.unwrap_or_default(), newest.unwrap_or_default());
        Ok(VersionRead { is_found, version, newest })
    }

    fn scan_at(
        self: Arc<Self>,
        range: KeyRange,
        newer: Option<NewerSeen>,
    ) -> Result<Box<dyn Cursor>> {
        let cursor = self.pinned.scan_at(&range, newer)?;
        Ok(Box::new(PinnedCursor { pin: self, cursor }))
    }

    fn revoke(&self) {
        if !self.is_revoked() {
            self.pinned.revoke();
            let ended = compactions(&self.store.engine.statistics());
            self.store.settled_after.fetch_max(ended + 1, Ordering::AcqRel);
        }
    }

    fn is_revoked(&self) -> bool {
        self.pinned.is_revoked()
    }
}

impl Cursor for PinnedCursor {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        self.pin.check()?;
        self.cursor.seek_ge(key)
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        self.pin.check()?;
        self.cursor.seek_lt(key)
    }

    fn next(&mut self) -> Result<bool> {
        self.pin.check()?;
        self.cursor.next()
    }

    fn prev(&mut self) -> Result<bool> {
        self.pin.check()?;
        self.cursor.prev()
    }

    fn key(&self) -> &[u8] {
        self.cursor.key()
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        self.cursor.entry()
    }
}

impl fmt::Debug for LsmStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LsmStore").field(&self.0.engine).finish()
    }
}
