//! Background work, as a parameter: a thread pool in production, a queue stepped by hand in tests.
//!
//! A job is a small step that can stop between any two of its I/O operations. A job that panics must not take the
//! process or a lock with it: engines wrap their jobs so that a panic poisons the store, and the pool survives.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::sync::{Condvar, Mutex};

/// One piece of background work.
pub struct Job {
    /// For messages and thread dumps.
    pub name: &'static str,
    /// The work.
    pub run: Box<dyn FnOnce() + Send>,
}

impl Job {
    /// A job called `name`.
    pub fn new(name: &'static str, run: impl FnOnce() + Send + 'static) -> Self {
        Self { name, run: Box::new(run) }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Runs jobs, in the order of submission where there is one thread.
pub trait Executor: fmt::Debug + Send + Sync {
    /// Queues a job.
    fn submit(&self, job: Job);

    /// Waits until `done` says so, looking again after each finished job, and every now and then, so that `done` may also
    /// look at a clock. An executor without threads of its own runs queued jobs here, and gives up when there are none
    /// left.
    fn wait_until(&self, done: &dyn Fn() -> bool);

    /// How many jobs can run beside the calling thread. 0: jobs run only in [`Executor::wait_until`], or when a test
    /// steps them.
    fn threads(&self) -> usize {
        0
    }
}

/// How long a pool waits before it asks again whether to go on waiting.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A fixed number of threads, started with the first job. Dropping the pool lets the running jobs end, forgets the
/// queued ones, and does not wait.
#[derive(Debug)]
pub struct ThreadPool {
    shared: Arc<Shared>,
    threads: usize,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Signalled when a job arrives and when the pool is dropped.
    work: Condvar,
    /// Signalled when a job ends.
    progress: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    started: usize,
    idle: usize,
    closed: bool,
}

impl ThreadPool {
    /// A pool of `threads`, at least one.
    pub fn new(threads: usize) -> Self {
        Self { shared: Arc::default(), threads: threads.max(1) }
    }

    fn start_thread(&self) {
        let shared = Arc::clone(&self.shared);
        crate::sync::spawn("durable-background", move || shared.work_until_closed());
    }
}

impl Shared {
    fn work_until_closed(&self) {
        let mut queue = self.queue.lock();
        loop {
            if queue.closed {
                return;
            }
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                // The job has told its engine already; the thread lives on for the next job.
                let _panicked = catch_unwind(AssertUnwindSafe(job.run)).is_err();
                queue = self.queue.lock();
                self.progress.notify_all();
            } else {
                queue.idle += 1;
                self.work.wait(&mut queue);
                queue.idle -= 1;
            }
        }
    }
}

impl Executor for ThreadPool {
    fn submit(&self, job: Job) {
        let mut queue = self.shared.queue.lock();
        queue.jobs.push_back(job);
        if queue.started < self.threads && queue.jobs.len() > queue.idle {
            queue.started += 1;
            self.start_thread();
        }
        self.shared.work.notify_one();
    }

    fn wait_until(&self, done: &dyn Fn() -> bool) {
        let mut queue = self.shared.queue.lock();
        while !done() {
            self.shared.progress.wait_for(&mut queue, LOOK_AGAIN);
        }
    }

    fn threads(&self) -> usize {
        self.threads
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        let mut queue = self.shared.queue.lock();
        queue.closed = true;
        queue.jobs.clear();
        self.shared.work.notify_all();
    }
}

/// Jobs that run only when a test says so, one at a time.
#[derive(Debug, Default)]
pub struct ManualExecutor {
    jobs: Mutex<VecDeque<Job>>,
}

impl ManualExecutor {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs the oldest job. `false`: there was none.
    pub fn step(&self) -> bool {
        let job = self.jobs.lock().pop_front();
        job.map(|job| (job.run)()).is_some()
    }

    /// Runs jobs until there are none left.
    pub fn run_all(&self) {
        while self.step() {}
    }
}

impl Executor for ManualExecutor {
    fn submit(&self, job: Job) {
        self.jobs.lock().push_back(job);
    }

    fn wait_until(&self, done: &dyn Fn() -> bool) {
        while !done() && self.step() {}
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_panicking_job_does_not_stop_the_pool() {
        let pool = ThreadPool::new(1);
        let ran = Arc::new(AtomicUsize::new(0));
        pool.submit(Job::new("panics", || panic!("expected by this test")));
        let counter = Arc::clone(&ran);
        pool.submit(Job::new("counts", move || {
            counter.fetch_add(1, Ordering::SeqCst);
        }));
        pool.wait_until(&|| ran.load(Ordering::SeqCst) == 1);
    }

    #[test]
    fn waiting_on_a_manual_executor_runs_its_jobs_and_gives_up_without_any() {
        let executor = ManualExecutor::new();
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..3 {
            let counter = Arc::clone(&ran);
            executor.submit(Job::new("counts", move || {
                counter.fetch_add(1, Ordering::SeqCst);
            }));
        }
        executor.wait_until(&|| ran.load(Ordering::SeqCst) == 2);
        assert_eq!(ran.load(Ordering::SeqCst), 2);
        executor.wait_until(&|| false);
        assert_eq!(ran.load(Ordering::SeqCst), 3);
    }
}
