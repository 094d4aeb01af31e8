//! A batch of several records is applied to the keydir one key at a time, and must be seen whole or not at all.
//!
//! The committer sets the barrier to the sequence number of the batch before it applies the first record, and to 0 after
//! the last. A get looks its key up first and at the barrier second. There are three cases:
//!
//! - The get has found a record of the batch. It waits until the barrier is lowered. From then on every get sees all of
//!   the batch.
//! - The get has found no record. The batch may have deleted the key, so the get waits, too.
//! - The get has found an older record. It comes before the batch and returns at once.
//!
//! Applying a batch touches memory only, so the wait is short.

use std::sync::atomic::Ordering;

use durable::sync::atomic::AtomicU64;
use durable::sync::yield_now;

/// The sequence number of the batch that is being applied, or 0. Written inside the commit section.
#[derive(Debug, Default)]
pub(crate) struct BatchBarrier {
    sequence: AtomicU64,
}

impl BatchBarrier {
    /// Raises the barrier for batch `sequence` of `records`, until the guard is dropped. A batch of one record needs none.
    #[inline]
    pub(crate) fn raise(&self, sequence: u64, records: usize) -> Option<RaisedBarrier<'_>> {
        assert!(sequence > 0, "0 means that no batch is being applied");
        (records > 1).then(|| {
            debug_assert_eq!(self.sequence.load(Ordering::Relaxed), 0, "one batch at a time");
            self.sequence.store(sequence, Ordering::Release);
            RaisedBarrier(self)
        })
    }

    /// Waits for the batch that is being applied, unless the record of write `found` is older than the batch.
    #[inline]
    pub(crate) fn wait_unless_older(&self, found: Option<u64>) {
        let applying = self.sequence.load(Ordering::Acquire);
        if applying == 0 || found.is_some_and(|found| found < applying) {
            return;
        }
        while self.sequence.load(Ordering::Acquire) == applying {
            yield_now();
        }
    }
}

/// A batch that is being applied. Dropping it lowers the barrier.
#[derive(Debug)]
pub(crate) struct RaisedBarrier<'a>(&'a BatchBarrier);

impl Drop for RaisedBarrier<'_> {
    fn drop(&mut self) {
        self.0.sequence.store(0, Ordering::Release);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_get_waits_only_for_the_batch_whose_record_it_has_found() {
        let barrier = BatchBarrier::default();
        assert!(barrier.raise(7, 1).is_none(), "one record is seen whole anyway");
        let raised = barrier.raise(7, 2);
        barrier.wait_unless_older(Some(6));
        drop(raised);
        barrier.wait_unless_older(Some(7));
        barrier.wait_unless_older(None);
    }
}
