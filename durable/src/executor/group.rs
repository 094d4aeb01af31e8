//! The jobs of one owner: which have not ended, and whether one has failed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Executor, Job, JobClass, JobFailure};
use crate::lock_order;
use crate::sync::Mutex;
use crate::sync::atomic::AtomicBool;

/// The jobs of one owner. Cheap to clone.
///
/// ```
/// use std::sync::Arc;
/// use durable::{JobClass, JobGroup, SystemClock, ThreadPool};
///
/// let pool = Arc::new(ThreadPool::new(1, Arc::new(SystemClock::new())));
/// let group = JobGroup::new(pool, |failure| println!("poison the store: {failure}"));
/// group.submit(JobClass::Urgent, "adds", || assert_eq!(1 + 1, 2));
/// group.wait()?;
/// # Ok::<_, durable::JobFailure>(())
/// ```
#[derive(Clone, Debug)]
pub struct JobGroup {
    executor: Arc<dyn Executor>,
    shared: Arc<Shared>,
}

impl JobGroup {
    /// A group without jobs. The thread that runs a job calls `on_panic` if the job panics, before the job counts as
    /// ended.
    pub fn new(
        executor: Arc<dyn Executor>,
        on_panic: impl Fn(&JobFailure) + Send + Sync + 'static,
    ) -> Self {
        let jobs = Mutex::ranked(lock_order::JOB_GROUP, Jobs::default());
        Self { executor, shared: Arc::new(Shared { jobs, on_panic: Box::new(on_panic) }) }
    }

    /// The executor that runs the jobs.
    pub fn executor(&self) -> &Arc<dyn Executor> {
        &self.executor
    }

    /// Queues a job.
    pub fn submit(&self, class: JobClass, name: &'static str, run: impl FnOnce() + Send + 'static) {
        let has_run = Arc::new(AtomicBool::new(false));
        let ticket = Ticket::new(Arc::clone(&self.shared), name, Arc::clone(&has_run));
        let run = move || {
            run();
            has_run.store(true, Ordering::Release);
        };
        // The handler owns the ticket, so the job counts as ended only after the handler has returned: nobody finds all
        // jobs ended before the failure is known.
        self.executor.submit(Job::new(class, name, run, move |failure| ticket.fail(failure)));
    }

    /// Queues a job once `delay` has passed. It counts as a job of the group from then on: waiting for the group does not
    /// wait for the delay. A job that its owner may outlive holds a `Weak` reference.
    pub fn submit_after(
        &self,
        delay: Duration,
        class: JobClass,
        name: &'static str,
        run: impl FnOnce() + Send + 'static,
    ) {
        // Weak, because the executor owns this job.
        let (executor, shared) = (Arc::downgrade(&self.executor), Arc::clone(&self.shared));
        let when_due = move || {
            if let Some(executor) = executor.upgrade() {
                Self { executor, shared }.submit(class, name, run);
            }
        };
        let shared = Arc::clone(&self.shared);
        let on_panic = move |failure| shared.fail(failure);
        self.executor.submit_after(delay, Job::new(class, name, when_due, on_panic));
    }

    /// How many jobs have not ended.
    pub fn unfinished(&self) -> usize {
        self.shared.jobs.lock().unfinished.len()
    }

    /// The first failure of a job.
    ///
    /// # Errors
    /// A job has panicked, or its executor dropped it before it ran.
    pub fn check(&self) -> Result<(), JobFailure> {
        self.shared.jobs.lock().failure.clone().map_or(Ok(()), Err)
    }

    /// Waits until all jobs have ended, those that are submitted meanwhile included.
    ///
    /// # Errors
    /// As [`JobGroup::check`]. Also when a job has not ended and an executor without threads has nothing to run: then
    /// another thread runs the job, or the job waits for itself.
    ///
    /// # Panics
    /// As [`Executor::wait_until`].
    pub fn wait(&self) -> Result<(), JobFailure> {
        // Another thread may submit a job right after the last one has ended, so the answer is not looked up again.
        if self.executor.wait_until(&|| self.unfinished() == 0) {
            return self.check();
        }
        let unfinished = self.shared.jobs.lock().unfinished.first().copied();
        match unfinished {
            Some(job) => Err(JobFailure { job, reason: "has not ended".into() }),
            None => self.check(),
        }
    }
}

struct Shared {
    jobs: Mutex<Jobs>,
    on_panic: Box<dyn Fn(&JobFailure) + Send + Sync>,
}

#[derive(Debug, Default)]
struct Jobs {
    /// The names of the jobs that have not ended.
    unfinished: Vec<&'static str>,
    /// The first one.
    failure: Option<JobFailure>,
}

impl Shared {
    fn fail(&self, failure: JobFailure) {
        (self.on_panic)(&failure);
        self.jobs.lock().failure.get_or_insert(failure);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("jobs", &self.jobs).finish_non_exhaustive()
    }
}

/// Counts one job in, and out when it is dropped.
struct Ticket {
    shared: Arc<Shared>,
    name: &'static str,
    /// The job has returned.
    has_run: Arc<AtomicBool>,
}

impl Ticket {
    fn new(shared: Arc<Shared>, name: &'static str, has_run: Arc<AtomicBool>) -> Self {
        shared.jobs.lock().unfinished.push(name);
        Self { shared, name, has_run }
    }

    fn fail(self, failure: JobFailure) {
        self.shared.fail(failure);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut jobs = self.shared.jobs.lock();
        // A job that panicked has left its failure already.
        if !self.has_run.load(Ordering::Acquire) && jobs.failure.is_none() {
            let reason = "was dropped before it ran".into();
            jobs.failure = Some(JobFailure { job: self.name, reason });
        }
        let place = jobs.unfinished.iter().position(|name| *name == self.name);
        debug_assert!(place.is_some(), "job {} ends once", self.name);
        place.map(|place| jobs.unfinished.swap_remove(place));
    }
}
