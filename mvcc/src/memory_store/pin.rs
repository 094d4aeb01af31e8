//! A pinned snapshot of the in-memory store.

use std::sync::Arc;

use durable::sync::atomic::{AtomicBool, Ordering};
use kv::{Cursor, Error, KeyRange, Result, SequenceNumber};

use super::Shared;
use super::cursor::VersionCursor;
use crate::store::{NewerSeen, Pin, VersionRead};

/// Keeps its snapshot readable until it is revoked or dropped.
#[derive(Debug)]
pub(super) struct MemoryPin {
    shared: Arc<Shared>,
    sequence: SequenceNumber,
    is_revoked: AtomicBool,
}

impl MemoryPin {
    /// The snapshot has been registered.
    pub(super) fn new(shared: Arc<Shared>, sequence: SequenceNumber) -> Self {
        Self { shared, sequence, is_revoked: AtomicBool::new(false) }
    }

    /// Whether everything that was read so far can be relied on. Call it after the read.
    pub(super) fn check(&self) -> Result<()> {
        if self.is_revoked() { Err(Error::SnapshotTooOld) } else { Ok(()) }
    }

    pub(super) fn versions(&self) -> &super::Versions {
        &self.shared.versions
    }
}

impl Pin for MemoryPin {
    fn sequence(&self) -> SequenceNumber {
        self.sequence
    }

    fn get_at(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<VersionRead> {
        let (value, read) = self.versions().get(key, self.sequence);
        self.check()?;
        debug_assert!(read.version <= self.sequence, "the snapshot sees the version");
        // Without a lock, so that `found` may take its time.
        value.inspect(|value| found(value));
        Ok(read)
    }

    fn scan_at(
        self: Arc<Self>,
        range: KeyRange,
        newer: Option<NewerSeen>,
    ) -> Result<Box<dyn Cursor>> {
        range.check()?;
        self.check()?;
        Ok(Box::new(VersionCursor::new(self, range, newer)))
    }

    fn revoke(&self) {
        // Before the snapshot leaves the list: a read that misses a version finds the flag.
        if !self.is_revoked.swap(true, Ordering::AcqRel) {
            self.shared.pins.revoke(self.sequence);
        }
    }

    fn is_revoked(&self) -> bool {
        self.is_revoked.load(Ordering::Acquire)
    }
}

impl Drop for MemoryPin {
    fn drop(&mut self) {
        if !self.is_revoked() {
            self.shared.pins.release(self.sequence);
        }
    }
}
