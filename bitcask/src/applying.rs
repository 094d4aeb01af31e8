//! A batch of several records enters the keydir one key at a time, and must be seen whole or not at all.
//!
//! While it does, its sequence number stands here. A read that comes upon a record of that batch, or finds nothing where
//! the batch may just have deleted, waits until the batch is in: then all later reads see all of it. A read that finds
//! an older record comes before the batch. Nothing but memory is touched while others wait.

use std::sync::atomic::Ordering;

use durable::sync::atomic::AtomicU64;
use durable::sync::yield_now;

/// The sequence number of the batch that is entering the keydir, or 0.
#[derive(Debug, Default)]
pub(crate) struct Applying {
    sequence: AtomicU64,
}

impl Applying {
    /// Announces batch `sequence` of `records`, until the guard is dropped. One record needs no announcement.
    pub(crate) fn begin(&self, sequence: u64, records: usize) -> Option<Announced<'_>> {
        (records > 1).then(|| {
            self.sequence.store(sequence, Ordering::Release);
            Announced(self)
        })
    }

    /// Waits for the batch that is entering, unless a record of write `found` is older than it.
    pub(crate) fn wait_unless_older(&self, found: Option<u64>) {
        let entering = self.sequence.load(Ordering::Acquire);
        if entering == 0 || found.is_some_and(|found| found < entering) {
            return;
        }
        while self.sequence.load(Ordering::Acquire) == entering {
            yield_now();
        }
    }
}

/// A batch that is entering; dropping it says that it is in.
#[derive(Debug)]
pub(crate) struct Announced<'a>(&'a Applying);

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        self.0.sequence.store(0, Ordering::Release);
    }
}
