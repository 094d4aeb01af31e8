//! Background work that runs when a script says so, and dies with the process when a script kills it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use durable::{Executor, Job};

/// A queue of jobs without threads.
///
/// Unlike [`durable::ManualExecutor`] it can forget its queue. Queued jobs hold on to their engine, which holds on to
/// its executor: without forgetting, an engine that was dropped with work left would live, and keep its lock, for ever.
#[derive(Debug, Default)]
pub(crate) struct Stepper {
    jobs: Mutex<VecDeque<Job>>,
}

impl Stepper {
    /// Runs the oldest job. `false`: there was none.
    pub(crate) fn step(&self) -> bool {
        self.step_at(0)
    }

    /// Runs one of the jobs, as if it had been queued first. `false`: there are none.
    pub(crate) fn step_at(&self, place: usize) -> bool {
        let mut jobs = self.jobs();
        let place = place % jobs.len().max(1);
        let job = jobs.remove(place);
        drop(jobs);
        job.map(|job| (job.run)()).is_some()
    }

    /// Runs jobs until there are none left, at most `limit`. `false`: the limit was reached.
    pub(crate) fn drain(&self, limit: usize) -> bool {
        (0..limit).any(|_| !self.step())
    }

    /// Drops all jobs without running them.
    pub(crate) fn forget(&self) {
        let jobs = std::mem::take(&mut *self.jobs());
        drop(jobs);
    }

    fn jobs(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Executor for Stepper {
    fn submit(&self, job: Job) {
        self.jobs().push_back(job);
    }

    fn wait_until(&self, done: &dyn Fn() -> bool) {
        while !done() && self.step() {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn forgetting_the_queue_drops_what_the_jobs_hold() {
        let stepper = Stepper::default();
        let held = Arc::new(());
        let captured = Arc::clone(&held);
        stepper.submit(Job::new("holds", move || drop(captured)));
        assert_eq!(Arc::strong_count(&held), 2);
        stepper.forget();
        assert_eq!(Arc::strong_count(&held), 1);
        assert!(!stepper.step());
    }
}
