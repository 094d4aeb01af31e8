//! The reads of one running transaction, shared with the tracker.

use std::sync::Arc;

use durable::sync::{Mutex, Rank};
use kv::{Direction, Target};

use super::read_set::{Edge, Extent, ReadSet, Scan};

/// The lock of a read set. The tracker takes it under its own, one read set at a time.
const READS: Rank = Rank::new(Rank::DURABLE - 40, "the reads of a transaction");

/// The reads of one running transaction. It has a lock of its own, so that transactions which read do not wait for each other, nor
/// for commits. Additions after the commit are ignored.
#[derive(Clone, Debug)]
pub struct Reads(Arc<Mutex<ReadSet>>);

impl Reads {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::ranked(READS, ReadSet::default())))
    }

    /// The transaction is going to read a key, or the keys of a range.
    pub fn add(&self, target: Target) {
        self.0.lock().add(target);
    }

    /// The transaction is going to read a key.
    pub(crate) fn add_key(&self, key: &[u8]) {
        self.0.lock().add_key(key);
    }

    /// A scan begins. It has read nothing.
    pub(crate) fn begin_scan(&self) -> Scan {
        self.0.lock().begin_scan()
    }

    /// The scan has sought, and has read the keys of `extent`.
    pub(crate) fn seek(&self, scan: Scan, extent: Extent) {
        self.0.lock().seek(scan, extent);
    }

    /// The scan has moved from where it was to `key`, and has read the keys between them.
    pub(crate) fn reach(&self, scan: Scan, key: &[u8], direction: Direction) {
        self.0.lock().reach(scan, key, direction);
    }

    /// The scan has found nothing more up to `end`, which is where its range ends in this direction.
    pub(crate) fn reach_end(&self, scan: Scan, end: Edge, direction: Direction) {
        self.0.lock().reach_end(scan, end, direction);
    }

    /// The scan has ended.
    pub(crate) fn end_scan(&self, scan: Scan) {
        self.0.lock().end_scan(scan);
    }

    /// Calls `look` with the reads so far.
    pub(super) fn look<T>(&self, look: impl FnOnce(&ReadSet) -> T) -> T {
        look(&self.0.lock())
    }

    /// The reads of a transaction that asks to commit.
    pub(super) fn take(&self) -> ReadSet {
        std::mem::take(&mut *self.0.lock())
    }
}
