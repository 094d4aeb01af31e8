//! Back-pressure: writers are held back before waste or files outgrow the speed of merging.
//!
//! The *pressure* is the greater of two shares: the bytes that the sealed files waste, of
//! [`MergeOptions::limit_percent`] of their bytes; and the number of sealed files, of the most that a store can have. It is
//! measured when a file was filled or sealed, and when a merge has ended.
//!
//! [`durable::throttle`] slows writers from 85 % on, at the rate at which merges free space. At 100 % they wait for a merge.
//! There is something to merge, because the limit is above the trigger. If merging stops without success, or the wait has
//! lasted [`LONGEST_WAIT`](durable::throttle::LONGEST_WAIT), the write returns `Stalled`.
//!
//! Merging stops when a step of it finds nothing to merge, or fails. Only a step that has begun after the wait ends it: an
//! earlier one may not have seen the file for which the writer waits. The writer requests such a step.
//!
//! A batch of tombstones is let through: deleting is how a user makes space.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use durable::Env;
use durable::sync::atomic::AtomicU64;
use durable::throttle::{Admission, HARD_LIMIT, Throttle};
use kv::{Error, Result};

use crate::background::{Background, Task};
use crate::file_handle::MAX_FILES;
use crate::options::MergeOptions;
use crate::store::Store;

/// The sealed files, in sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) wasted_bytes: u64,
}

/// Holds writers back.
#[derive(Debug)]
pub(crate) struct BackPressure {
    store: Arc<Store>,
    background: Arc<Background>,
    data_file_bytes: u64,
    /// `None`: nothing is merged in the background, so writers wait for nothing.
    merge: Option<MergeOptions>,
    throttle: Throttle,
    steps: MergeSteps,
}

/// Which steps of merging have begun, and which have stopped it. Steps run one at a time.
#[derive(Debug, Default)]
struct MergeSteps {
    begun: AtomicU64,
    /// The number of the newest step that has stopped merging, because it has failed or found nothing to merge.
    newest_stop: AtomicU64,
}

impl MergeSteps {
    /// Begins a step, and returns its number.
    fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Step `number` has stopped merging.
    fn stop(&self, number: u64) {
        debug_assert!(number > 0 && number <= self.begun(), "the step has begun");
        self.newest_stop.fetch_max(number, Ordering::AcqRel);
    }

    /// The number of the newest step.
    fn begun(&self) -> u64 {
        self.begun.load(Ordering::Acquire)
    }

    /// Whether a step after step `number` has stopped merging.
    fn have_stopped_since(&self, number: u64) -> bool {
        self.newest_stop.load(Ordering::Acquire) > number
    }
}

/// The pressure in thousandths of the limit. Pure.
fn level(load: Load, data_file_bytes: u64, merge: &MergeOptions) -> u64 {
    debug_assert!(load.wasted_bytes <= load.bytes, "a file wastes no more than itself");
    // A store of a few files wastes much of itself between two merges, and little of the disk.
    let all = load.bytes.max(data_file_bytes * 4);
    let limit = all * u64::from(merge.limit_percent.max(merge.trigger_percent).max(1));
    debug_assert!(limit > 0, "the limit of a store of any size");
    let of_waste =
        u128::from(load.wasted_bytes) * 100 * u128::from(HARD_LIMIT) / u128::from(limit.max(1));
    let of_files = load.files * HARD_LIMIT / (MAX_FILES as u64 * 9 / 10);
    (of_waste as u64).max(of_files)
}

impl BackPressure {
    pub(crate) fn new(
        store: Arc<Store>,
        background: Arc<Background>,
        data_file_bytes: u64,
        merge: Option<MergeOptions>,
    ) -> Self {
        let (throttle, steps) = (Throttle::default(), MergeSteps::default());
        Self { store, background, data_file_bytes, merge, throttle, steps }
    }

    /// In thousandths of the limit; from 1000 on writers wait.
    pub(crate) fn level(&self) -> u64 {
        self.throttle.level()
    }

    /// Writes that were slowed.
    pub(crate) fn slowed(&self) -> u64 {
        self.throttle.slowed()
    }

    /// Writes that waited.
    pub(crate) fn stalled(&self) -> u64 {
        self.throttle.stalled()
    }

    /// Whether writers are never held back, so that nothing need be measured.
    pub(crate) fn is_off(&self) -> bool {
        self.merge.is_none()
    }

    /// Sets the pressure to that of `load`.
    pub(crate) fn measure(&self, load: Load) {
        if let Some(merge) = &self.merge {
            let level = level(load, self.data_file_bytes, merge);
            self.throttle.set_level(level);
        }
    }

    /// A merge has freed `bytes` in `elapsed`.
    pub(crate) fn drained(&self, bytes: u64, elapsed: Duration) {
        self.throttle.drained(bytes, elapsed);
    }

    /// A step of merging begins: a look for a merge, or a step of the one in progress. Returns its number.
    pub(crate) fn begin_merge_step(&self) -> u64 {
        self.steps.begin()
    }

    /// Step `number` has failed, or there was nothing to merge. Ends the wait of writers that waited before it began.
    pub(crate) fn merging_stopped(&self, number: u64) {
        self.steps.stop(number);
    }

    /// Lets a write of `bytes` in: at once, after a pause, or after a merge, by the pressure.
    ///
    /// # Errors
    /// `Stalled`; `Closed` and `Poisoned`, if that happens during the wait.
    #[inline]
    pub(crate) fn throttle(&self, bytes: u64) -> Result<()> {
        match self.throttle.admit(bytes) {
            Admission::Free => Ok(()),
            Admission::Pause(pause) => {
                self.store.env.clock.sleep(pause);
                Ok(())
            }
            Admission::Wait => self.wait_for_merges(),
        }
    }

    fn wait_for_merges(&self) -> Result<()> {
        let Env { clock, executor, .. } = &self.store.env;
        // Before the request: the step that is requested, or one that was queued already, has a higher number.
        let begun = self.steps.begun();
        self.background.request(Task::Merge);
        let gives_up = || {
            self.background.is_closed()
                || self.store.check().is_err()
                || self.steps.have_stopped_since(begun)
        };
        let is_low = self.throttle.wait(&**executor, &**clock, &gives_up);
        self.background.check_open()?;
        self.store.check()?;
        if is_low {
            return Ok(());
        }
        Err(Error::Stalled { signal: "dead space that merging has not freed yet" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: u64, wasted_each: u64) -> Load {
        Load { files, bytes: files * 1_000, wasted_bytes: files * wasted_each }
    }

    #[test]
    fn pressure_is_the_share_of_the_limit_that_is_wasted() {
        let merge = MergeOptions { limit_percent: 80, ..MergeOptions::default() };
        let level = |count, waste| level(files(count, waste), 1_000, &merge);
        assert_eq!(level(10, 0), 0);
        assert_eq!(level(10, 400), 500);
        assert_eq!(level(10, 800), 1_000);
        assert_eq!(level(1, 1_000), 312, "a small store may waste more of itself");
    }

    /// A look found nothing, then a file was sealed and a writer began to wait, and then the look ended: the write was refused
    /// although the next look would have found a merge.
    #[test]
    fn a_step_that_began_before_a_writer_waits_does_not_end_its_wait() {
        let steps = MergeSteps::default();
        let early = steps.begin();
        let begun = steps.begun();
        steps.stop(early);
        assert!(!steps.have_stopped_since(begun), "the step may not have seen the newest file");
        let requested = steps.begin();
        assert!(!steps.have_stopped_since(begun), "the step may find a merge");
        steps.stop(requested);
        assert!(steps.have_stopped_since(begun));
        assert!(!steps.have_stopped_since(steps.begun()), "the next writer requests a step anew");
    }

    /// Writers over the limit wait for a merge, and such a merge exists: some file is over the trigger.
    #[test]
    fn over_the_limit_there_is_always_something_to_merge() {
        let merge = MergeOptions { limit_percent: 10, ..MergeOptions::default() };
        for waste in 0..1_000 {
            if level(files(10, waste), 1_000, &merge) >= HARD_LIMIT {
                assert!(waste * 100 >= 1_000 * u64::from(merge.trigger_percent));
            }
        }
    }
}
