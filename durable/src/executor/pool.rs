//! A fixed number of threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::queue::JobQueue;
use super::{Executor, Job, text_of};
use crate::clock::Clock;
use crate::lock_order;
use crate::sync::{Condvar, Mutex, MutexGuard, assert_no_ranked_lock_is_held, spawn};

/// How long a thread waits before it looks again: at its condition, or whether a delayed job is due. The condition or
/// the clock may have moved without a job.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A fixed number of threads, started when there are jobs for them. Dropping the pool lets the running jobs end, drops
/// the queued ones, and does not wait.
#[derive(Debug)]
pub struct ThreadPool {
    shared: Arc<Shared>,
}

impl ThreadPool {
    /// A pool of `threads`, at least one, whose delayed jobs go by `clock`.
    pub fn new(threads: usize, clock: Arc<dyn Clock>) -> Self {
        let state = Mutex::ranked(lock_order::JOB_QUEUE, PoolState::default());
        let (work, progress) = (Condvar::new(), Condvar::new());
        Self { shared: Arc::new(Shared { threads: threads.max(1), clock, state, work, progress }) }
    }
}

impl Executor for ThreadPool {
    fn submit(&self, job: Job) {
        let mut state = self.shared.state.lock();
        state.queue.push(job);
        self.shared.start_threads(&mut state);
        self.shared.work.notify_one();
    }

    fn submit_after(&self, delay: Duration, job: Job) {
        let due = self.shared.clock.elapsed().saturating_add(delay);
        let mut state = self.shared.state.lock();
        state.queue.push_delayed(due, job);
        self.shared.start_threads(&mut state);
        // All idle threads look at the clock from now on, so the time is kept although one of them takes a job.
        self.shared.work.notify_all();
    }

    fn threads(&self) -> usize {
        self.shared.threads
    }

    fn wait_until(&self, done: &dyn Fn() -> bool) -> bool {
        assert_no_ranked_lock_is_held("waiting for background work");
        loop {
            // Read before `done` is called: a job that ends in between changes the count, so its signal is not missed.
            let ended = self.shared.state.lock().ended;
            if done() {
                return true;
            }
            let mut state = self.shared.state.lock();
            if let Some(failure) = state.handler_panic.clone() {
                drop(state);
                panic!("{failure}");
            }
            if state.ended == ended {
                self.shared.progress.wait_for(&mut state, LOOK_AGAIN);
            }
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.is_closed = true;
        let jobs = state.queue.take_all();
        self.shared.work.notify_all();
        drop(state);
        drop(jobs);
    }
}

#[derive(Debug)]
struct Shared {
    threads: usize,
    clock: Arc<dyn Clock>,
    state: Mutex<PoolState>,
    /// Signalled when a job arrives and when the pool is dropped.
    work: Condvar,
    /// Signalled when a job ends.
    progress: Condvar,
}

#[derive(Debug, Default)]
struct PoolState {
    queue: JobQueue,
    /// Threads that were started, and how many of them wait for a job.
    started: usize,
    idle: usize,
    /// Jobs that have ended.
    ended: u64,
    /// The panic of a panic handler: nobody else was told of it.
    handler_panic: Option<String>,
    is_closed: bool,
}

impl Shared {
    /// Starts threads until each job that is ready, or is going to be, has one or all have been started.
    fn start_threads(self: &Arc<Self>, state: &mut PoolState) {
        let wanted = state.queue.ready() + usize::from(state.queue.next_due().is_some());
        if state.started < self.threads && wanted > state.idle {
            state.started += 1;
            let shared = Arc::clone(self);
            spawn("durable-background", move || shared.work_until_closed());
        }
    }

    fn work_until_closed(self: &Arc<Self>) {
        let mut state = self.state.lock();
        while !state.is_closed {
            match state.queue.start(self.clock.elapsed()) {
                Some(job) => {
                    // Several delayed jobs may have come due at once.
                    if state.queue.ready() > 0 {
                        self.start_threads(&mut state);
                        self.work.notify_one();
                    }
                    drop(state);
                    state = self.run(job);
                }
                None => self.wait_for_work(&mut state),
            }
        }
    }

    fn run(&self, job: Job) -> MutexGuard<'_, PoolState> {
        let (class, name) = (job.class(), job.name());
        // `Job::run` catches the panic of the job and tells its handler. This catches the panic of the handler.
        let ran = catch_unwind(AssertUnwindSafe(|| job.run()));
        let mut state = self.state.lock();
        if let Err(payload) = ran {
            let text = text_of(&*payload);
            state.handler_panic = Some(format!("the panic handler of job {name} panicked: {text}"));
        }
        state.queue.end(class);
        state.ended += 1;
        self.progress.notify_all();
        state
    }

    fn wait_for_work(&self, state: &mut MutexGuard<'_, PoolState>) {
        state.idle += 1;
        match state.queue.next_due() {
            Some(due) => {
                let left = due.saturating_sub(self.clock.elapsed());
                self.work.wait_for(state, left.min(LOOK_AGAIN));
            }
            None => self.work.wait(state),
        }
        state.idle -= 1;
    }
}
