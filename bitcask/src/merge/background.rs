//! Merging in the background, one step in each job.
//!
//! A job is a request for a look at the files as they are now. Looks and steps happen under the lock of the merge in
//! progress. No request is lost:
//! - A job sets a flag before it tries the lock. If another thread holds the lock, that thread finds the flag after it
//!   releases the lock, and requests a new job for this one.
//! - A job that has the lock clears the flag, and then takes a step. It requests another job as long as merging makes
//!   progress. If the step fails, it requests another job if a file was sealed or found damaged since the last look.
//!
//! So a merge that would fail again, for example on a full disk, is not retried before a file is sealed or found damaged.

use std::sync::atomic::Ordering;

use super::{MAX_FILES_WORTH, Merge, Merger};
use crate::background::Task;

impl Merger {
    /// One step of the merge that is in progress, or else a look for the merge with the best benefit, and its first step.
    pub(crate) fn merge_in_background(&self) {
        self.step_requested.store(true, Ordering::SeqCst);
        let Some(mut current) = self.current.try_lock() else { return };
        self.step_requested.store(false, Ordering::SeqCst);
        let number = self.parts.pressure.begin_merge_step();
        let goes_on = self.step_or_look(&mut current);
        drop(current);
        if !goes_on {
            self.parts.store.refill_reserve();
            self.parts.pressure.merging_stopped(number);
        }
        // There is more to do; or a job met the lock in the meantime.
        if goes_on || self.step_requested.load(Ordering::SeqCst) {
            self.parts.background.request(Task::Merge);
        }
    }

    /// `false`: nothing is left to merge, or the step failed and nothing has changed since the last look.
    fn step_or_look(&self, current: &mut Option<Merge>) -> bool {
        if current.is_none() {
            let parts = &self.parts;
            if parts.background.is_closed() || parts.store.check().is_err() {
                return false;
            }
            self.triggers_at_last_look.store(self.triggers(), Ordering::Relaxed);
            let Some(options) = self.options else { return false };
            let max_bytes = self.data_file_bytes * MAX_FILES_WORTH;
            // A failure is counted; a damaged input is left out of the next look.
            *current = self.begin_best_merge(&options, max_bytes).ok().flatten();
        }
        // An error is counted in the statistics; a failure of the disk has already poisoned the store.
        let is_ok = current.is_some() && self.step(current).is_ok();
        is_ok || self.triggers() > self.triggers_at_last_look.load(Ordering::Relaxed)
    }

    /// How often something has happened after which a look may find another merge: a file was sealed, or a file was found
    /// damaged and is left out from then on.
    fn triggers(&self) -> u64 {
        self.parts.sealer.sealed() + self.parts.damaged.sealed().len() as u64
    }
}
