//! Jobs that run only when a test says so.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use super::queue::JobQueue;
use super::{Executor, Job, JobFailure};
use crate::clock::Clock;
use crate::lock_order;
use crate::sync::{Mutex, assert_no_ranked_lock_is_held};

/// Jobs that run only when a test says so, one at a time, in the order in which a pool of one thread runs them.
#[derive(Debug)]
pub struct ManualExecutor {
    clock: Arc<dyn Clock>,
    queue: Mutex<JobQueue>,
}

impl ManualExecutor {
    /// An empty queue, whose delayed jobs go by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, queue: Mutex::ranked(lock_order::JOB_QUEUE, JobQueue::default()) }
    }

    /// Runs the next job. `false`: there is none, or none whose time has come.
    ///
    /// # Panics
    /// When the job panics: after its handler was told, the test is.
    pub fn step(&self) -> bool {
        match self.run_next() {
            Some(Err(failure)) => resume_unwind(Box::new(failure.to_string())),
            ran => ran.is_some(),
        }
    }

    /// Runs jobs until there are none left, apart from delayed ones whose time has not come.
    ///
    /// # Panics
    /// When a job panics.
    pub fn run_all(&self) {
        while self.step() {}
    }

    /// Drops all jobs without running them, as the death of the process does. Queued jobs may hold their engine, and the
    /// engine its executor: without this, an engine that was dropped with work left would live for ever.
    pub fn forget(&self) {
        let jobs = self.queue.lock().take_all();
        drop(jobs);
    }

    fn run_next(&self) -> Option<Result<(), JobFailure>> {
        let now = self.clock.elapsed();
        let job = self.queue.lock().start(now)?;
        let class = job.class();
        let ran = job.run();
        self.queue.lock().end(class);
        Some(ran)
    }
}

impl Executor for ManualExecutor {
    fn submit(&self, job: Job) {
        self.queue.lock().push(job);
    }

    fn submit_after(&self, delay: Duration, job: Job) {
        let due = self.clock.elapsed().saturating_add(delay);
        self.queue.lock().push_delayed(due, job);
    }

    fn threads(&self) -> usize {
        0
    }

    /// The handlers of jobs that panic meanwhile are told, and the waiting goes on, as with a pool.
    fn wait_until(&self, done: &dyn Fn() -> bool) -> bool {
        assert_no_ranked_lock_is_held("waiting for background work");
        while !done() {
            if self.run_next().is_none() {
                return done();
            }
        }
        true
    }
}
