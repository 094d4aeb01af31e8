//! Background work, as a parameter: a thread pool in production, a queue stepped by hand in tests.
//!
//! A [`Job`] is one small step of some work. Work that takes many steps submits its next step at the end of each, so that
//! other jobs run in between.
//!
//! **Classes.** A job is [`JobClass::Urgent`] when a caller may soon wait for it, and [`JobClass::Bulk`] otherwise. An
//! urgent job waits for the urgent jobs before it and for at most one bulk step, whatever the number of threads. Bulk jobs
//! do not starve: after 16 urgent jobs in a row the next bulk job runs. It waits only for queued urgent jobs that have
//! already waited for a bulk step (see `queue.rs`).
//!
//! **Panics.** Each job carries a handler that its owner must give. If the job panics, the executor catches the panic,
//! tells the handler and goes on with other jobs. [`JobGroup`] counts the jobs of one owner. A wait for the group
//! reports the first panic, so nobody takes work that panicked for work that is done.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

mod group;
mod manual;
mod pool;
mod queue;

pub use group::JobGroup;
pub use manual::ManualExecutor;
pub use pool::ThreadPool;

/// Runs jobs. Jobs of one class start in the order in which they were submitted.
pub trait Executor: fmt::Debug + Send + Sync {
    /// Queues a job.
    fn submit(&self, job: Job);

    /// Queues a job once `delay` has passed on the executor's [`Clock`](crate::Clock).
    fn submit_after(&self, delay: Duration, job: Job);

    /// How many jobs can run at the same time on threads of its own.
    fn threads(&self) -> usize;

    /// Waits until `done` returns `true`. Calls it again after each job that ends, and every 100 ms, so that `done` may
    /// also look at a clock. An executor without threads of its own runs queued jobs meanwhile.
    ///
    /// Returns `false` when `done` still does, but the executor has no job left that it could run. Only an executor
    /// without threads gives up in this way.
    ///
    /// # Panics
    /// When a job's panic handler has panicked: that failure has no other owner. In debug builds also when the calling
    /// thread holds a ranked lock, which a job may need.
    #[must_use]
    fn wait_until(&self, done: &dyn Fn() -> bool) -> bool;
}

/// How soon a job has to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobClass {
    /// A caller may soon wait for this job: it waits for at most one bulk step.
    Urgent,
    /// Work that is done when there is time. Each job is a step of a few milliseconds.
    Bulk,
}

/// One piece of background work.
pub struct Job {
    class: JobClass,
    name: &'static str,
    run: Box<dyn FnOnce() + Send>,
    on_panic: Box<dyn FnOnce(JobFailure) + Send>,
}

impl Job {
    /// A job called `name` in messages. If it panics, the executor calls `on_panic` instead of ending the process; the
    /// handler must make the failure visible to whoever depends on the job.
    pub fn new(
        class: JobClass,
        name: &'static str,
        run: impl FnOnce() + Send + 'static,
        on_panic: impl FnOnce(JobFailure) + Send + 'static,
    ) -> Self {
        Self { class, name, run: Box::new(run), on_panic: Box::new(on_panic) }
    }

    /// How soon it has to run.
    pub fn class(&self) -> JobClass {
        self.class
    }

    /// Its name in messages.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs the job. For executors.
    ///
    /// # Errors
    /// The panic of the job. Its handler was told.
    ///
    /// # Panics
    /// When the handler panics.
    pub fn run(self) -> Result<(), JobFailure> {
        let Self { name, run, on_panic, .. } = self;
        // The job's captures are gone either way, and its owner decides whether its own state can still be used.
        let Err(payload) = catch_unwind(AssertUnwindSafe(run)) else { return Ok(()) };
        let failure = JobFailure { job: name, reason: format!("panicked: {}", text_of(&*payload)) };
        on_panic(failure.clone());
        Err(failure)
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut job = f.debug_struct("Job");
        job.field("name", &self.name).field("class", &self.class).finish_non_exhaustive()
    }
}

/// The text of a panic, if it has one.
fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a value that is not text".into())
}

/// A job that did not do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobFailure {
    /// The name of the job.
    pub job: &'static str,
    /// Why, as the end of a sentence that begins with the job: for example "panicked: index out of bounds".
    pub reason: String,
}

impl fmt::Display for JobFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "background job {} {}", self.job, self.reason)
    }
}

impl std::error::Error for JobFailure {}

#[cfg(all(test, not(shuttle)))]
mod tests;
