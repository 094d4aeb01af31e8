//! Background work that runs when a script says so, and dies with the process when a script kills it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use durable::{Clock, Executor, Job, JobFailure};

/// A queue of jobs without threads. Unlike [`durable::ManualExecutor`] it can run queued jobs out of order, as a pool of
/// several threads does.
#[derive(Debug)]
pub(crate) struct Stepper {
    clock: Arc<dyn Clock>,
    queue: Mutex<Queue>,
    /// The jobs that run now. A job that waits for another one runs it.
    running: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Queue {
    /// In the order of submission.
    jobs: VecDeque<QueuedJob>,
    /// The first job that panicked.
    failure: Option<JobFailure>,
}

#[derive(Debug)]
struct QueuedJob {
    /// The time before which the job may not run.
    due: Duration,
    job: Job,
}

impl Stepper {
    /// An empty queue, whose delayed jobs go by `clock`.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, queue: Mutex::default(), running: Arc::default() }
    }

    /// An empty queue for the next process, which counts the jobs that run in the same counter.
    pub(crate) fn successor(&self) -> Self {
        let (clock, running) = (Arc::clone(&self.clock), Arc::clone(&self.running));
        Self { clock, queue: Mutex::default(), running }
    }

    /// How many jobs run now: also those that a caller of the engine runs while it waits.
    pub(crate) fn running(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.running)
    }

    /// Runs the oldest job that is due. `false`: there is none.
    ///
    /// # Errors
    /// A job has panicked, now or earlier.
    pub(crate) fn step(&self) -> Result<bool, String> {
        self.step_at(0)
    }

    /// Runs one of the jobs that are due, as if it had been queued first. `false`: there is none.
    ///
    /// # Errors
    /// As [`Stepper::step`].
    pub(crate) fn step_at(&self, place: usize) -> Result<bool, String> {
        let has_run = self.run_one(place);
        match &self.queue().failure {
            Some(failure) => Err(failure.to_string()),
            None => Ok(has_run),
        }
    }

    /// Runs jobs until none is due, at most `limit`. `false`: the limit was reached.
    ///
    /// # Errors
    /// As [`Stepper::step`].
    pub(crate) fn drain(&self, limit: usize) -> Result<bool, String> {
        for _ in 0..limit {
            if !self.step()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Drops all jobs without running them. Queued jobs may hold their engine, which holds its executor: without this, an
    /// engine that was dropped with work left would live, and keep its lock, for ever.
    pub(crate) fn forget(&self) {
        let jobs = std::mem::take(&mut self.queue().jobs);
        drop(jobs);
    }

    fn run_one(&self, place: usize) -> bool {
        let Some(job) = self.take(place) else { return false };
        self.running.fetch_add(1, Ordering::SeqCst);
        let ended = job.run();
        let running = self.running.fetch_sub(1, Ordering::SeqCst);
        assert!(running > 0, "the job was counted");
        if let Err(failure) = ended {
            self.queue().failure.get_or_insert(failure);
        }
        true
    }

    /// Takes the job at `place`, modulo their number, of those that are due.
    fn take(&self, place: usize) -> Option<Job> {
        let now = self.clock.elapsed();
        let mut queue = self.queue();
        let due: Vec<usize> =
            (0..queue.jobs.len()).filter(|&at| queue.jobs[at].due <= now).collect();
        let at = *due.get(place % due.len().max(1))?;
        assert!(at < queue.jobs.len(), "a job that is due is in the queue");
        debug_assert!(queue.jobs[at].due <= now, "no job runs before its time");
        queue.jobs.remove(at).map(|queued| queued.job)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Executor for Stepper {
    fn submit(&self, job: Job) {
        self.submit_after(Duration::ZERO, job);
    }

    fn submit_after(&self, delay: Duration, job: Job) {
        let due = self.clock.elapsed().saturating_add(delay);
        self.queue().jobs.push_back(QueuedJob { due, job });
    }

    fn threads(&self) -> usize {
        0
    }

    fn wait_until(&self, done: &dyn Fn() -> bool) -> bool {
        while !done() {
            if !self.run_one(0) {
                return done();
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use durable::{JobClass, ManualClock};

    use super::*;

    fn job(run: impl FnOnce() + Send + 'static) -> Job {
        Job::new(JobClass::Bulk, "a job", run, |_| ())
    }

    #[test]
    fn forgetting_the_queue_drops_what_the_jobs_hold() {
        let stepper = Stepper::new(Arc::new(ManualClock::new()));
        let held = Arc::new(());
        let captured = Arc::clone(&held);
        stepper.submit(job(move || drop(captured)));
        assert_eq!(Arc::strong_count(&held), 2);
        stepper.forget();
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(stepper.step(), Ok(false));
    }

    #[test]
    fn a_job_counts_as_running_while_a_caller_that_waits_runs_it() {
        let first = Stepper::new(Arc::new(ManualClock::new()));
        let (stepper, running) = (first.successor(), first.running());
        let (seen, counter) = (Arc::new(AtomicUsize::new(0)), first.running());
        let sees = Arc::clone(&seen);
        let look = move || sees.store(counter.load(Ordering::SeqCst), Ordering::SeqCst);
        stepper.submit(job(look));
        assert!(!stepper.wait_until(&|| false), "nobody ends the wait");
        assert_eq!((seen.load(Ordering::SeqCst), running.load(Ordering::SeqCst)), (1, 0));
        stepper.submit(job(|| panic!("expected by this test")));
        assert!(stepper.step().is_err());
        assert_eq!(running.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_job_that_panics_fails_the_step_and_each_one_after_it() {
        let stepper = Stepper::new(Arc::new(ManualClock::new()));
        stepper.submit(job(|| panic!("expected by this test")));
        assert!(!stepper.wait_until(&|| false), "an engine that waits goes on");
        let told = "background job a job panicked: expected by this test";
        assert_eq!(stepper.step(), Err(told.into()));
        assert_eq!(stepper.drain(1), Err(told.into()));
    }

    #[test]
    fn delayed_jobs_run_when_the_clock_has_reached_their_time() {
        let clock = Arc::new(ManualClock::new());
        let stepper = Stepper::new(Arc::clone(&clock) as _);
        let has_run = Arc::new(AtomicBool::new(false));
        let runs = Arc::clone(&has_run);
        stepper
            .submit_after(Duration::from_secs(1), job(move || runs.store(true, Ordering::SeqCst)));
        assert_eq!(stepper.drain(10), Ok(true));
        assert!(!has_run.load(Ordering::SeqCst));
        clock.advance(Duration::from_secs(1));
        assert_eq!(stepper.step(), Ok(true));
        assert!(has_run.load(Ordering::SeqCst));
    }
}
