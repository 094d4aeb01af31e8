//! One piece of work in several threads at once: the caller's and those of an [`Executor`].
//!
//! The work is a closure that takes items from a shared list until the list is empty. So it does not matter how many
//! threads run it. [`fan_out`] counts reports, not departures: a run that panics leaves without a report, and then the
//! call fails.

use std::io;
use std::path::Path;
use std::sync::Arc;

use kv::{Error, Result};

use crate::executor::{Executor, Job, JobClass};
use crate::sync::Mutex;

/// Runs `work` in this thread and in up to `helpers` threads of `executor`, and returns the result of each run. A helper
/// that the executor starts after this thread's run has ended does nothing, so a busy executor delays nobody.
///
/// `job` names the work in thread dumps; `op` and `path` name it in the error.
///
/// # Errors
/// The first error of any run; `Io` for `op` on `path` when a run ended without a report, because it panicked.
pub fn fan_out<T: Send + 'static>(
    executor: &dyn Executor,
    job: &'static str,
    (op, path): (&'static str, &Path),
    helpers: usize,
    work: impl Fn() -> Result<T> + Send + Sync + 'static,
) -> Result<Vec<T>> {
    let crew = Arc::new(Crew { roll: Mutex::new(Roll::of(Arc::new(work))) });
    for _ in 0..helpers.min(executor.threads()) {
        let crew = Arc::clone(&crew);
        // A run that panics leaves no report, which fails the call below.
        executor.submit(Job::new(JobClass::Urgent, job, move || crew.join(), |_| ()));
    }
    let own = {
        let _dismissal = Dismissal(&crew);
        crew.join_and_run()
    };
    debug_assert!(own, "the crew is dismissed after this run");
    // Only an executor without threads gives up before, and it got no jobs.
    let has_ended = executor.wait_until(&|| crew.roll.lock().running == 0);
    debug_assert!(has_ended, "an executor with threads waits");
    let mut roll = crew.roll.lock();
    if roll.running > 0 || roll.reports.len() < roll.started {
        let what = "a thread ended without a report: it panicked";
        return Err(Error::io(op, path, io::Error::other(what)));
    }
    debug_assert_eq!(roll.reports.len(), roll.started, "a run reports once");
    std::mem::take(&mut roll.reports).into_iter().collect()
}

type Work<T> = dyn Fn() -> Result<T> + Send + Sync;

/// The threads that run one piece of work.
struct Crew<T> {
    roll: Mutex<Roll<T>>,
}

struct Roll<T> {
    /// `None` from the moment when nobody is to begin any more. So a job that is still queued keeps nothing alive.
    work: Option<Arc<Work<T>>>,
    started: usize,
    running: usize,
    reports: Vec<Result<T>>,
}

impl<T> Roll<T> {
    fn of(work: Arc<Work<T>>) -> Self {
        Self { work: Some(work), started: 0, running: 0, reports: Vec::new() }
    }
}

impl<T> Crew<T> {
    /// A helper's part.
    fn join(&self) {
        self.join_and_run();
    }

    /// Runs the work once and files the report. `false`: the crew was dismissed before.
    fn join_and_run(&self) -> bool {
        let work = {
            let mut roll = self.roll.lock();
            let Some(work) = roll.work.clone() else { return false };
            roll.started += 1;
            roll.running += 1;
            work
        };
        let _departure = Departure(self);
        let report = work();
        drop(work);
        self.roll.lock().reports.push(report);
        true
    }
}

/// Counts a run out, also when it panics.
struct Departure<'c, T>(&'c Crew<T>);

impl<T> Drop for Departure<'_, T> {
    fn drop(&mut self) {
        self.0.roll.lock().running -= 1;
    }
}

/// Lets nobody else begin, also when the caller's own run panics.
struct Dismissal<'c, T>(&'c Crew<T>);

impl<T> Drop for Dismissal<'_, T> {
    fn drop(&mut self) {
        let work = self.0.roll.lock().work.take();
        drop(work);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread;

    use super::*;
    use crate::{ManualClock, ManualExecutor, SystemClock, ThreadPool};

    fn pool(threads: usize) -> ThreadPool {
        ThreadPool::new(threads, Arc::new(SystemClock::new()))
    }

    fn run<T: Send + 'static>(
        executor: &dyn Executor,
        work: impl Fn() -> Result<T> + Send + Sync + 'static,
    ) -> Result<Vec<T>> {
        fan_out(executor, "test", ("count", Path::new("here")), 3, work)
    }

    #[test]
    fn every_item_is_taken_once_whatever_the_number_of_threads() {
        for threads in 1..4 {
            let (pool, next) = (pool(threads), AtomicUsize::new(0));
            let take = move || {
                let items = std::iter::repeat_with(|| next.fetch_add(1, Ordering::SeqCst));
                Ok(items.take_while(|&item| item < 100).sum::<usize>())
            };
            let reports = run(&pool, take).unwrap();
            assert!(reports.len() <= 1 + threads);
            assert_eq!(reports.iter().sum::<usize>(), (0..100_usize).sum::<usize>());
        }
    }

    #[test]
    fn a_run_that_panics_fails_the_call() {
        let (pool, caller) = (pool(2), thread::current().id());
        let panicked = AtomicBool::new(false);
        let refused = run(&pool, move || {
            if thread::current().id() != caller {
                panicked.store(true, Ordering::SeqCst);
                panic!("expected by this test");
            }
            while !panicked.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            Ok(())
        });
        assert!(refused.unwrap_err().to_string().starts_with("count here: a thread ended"));
    }

    #[test]
    fn an_error_of_any_run_is_the_result() {
        let (pool, caller) = (pool(2), thread::current().id());
        let failed = AtomicBool::new(false);
        let result = run(&pool, move || {
            if thread::current().id() != caller {
                failed.store(true, Ordering::SeqCst);
                return Err(Error::Closed);
            }
            while !failed.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            Ok(())
        });
        assert!(matches!(result, Err(Error::Closed)));
    }

    /// The pool's only thread is busy until the call has returned.
    #[test]
    fn a_busy_executor_delays_nobody_and_keeps_nothing_alive() {
        let (pool, released) = (pool(1), Arc::new(AtomicBool::new(false)));
        let gate = Arc::clone(&released);
        let wait = move || {
            while !gate.load(Ordering::SeqCst) {
                thread::yield_now();
            }
        };
        pool.submit(Job::new(JobClass::Urgent, "busy", wait, |_| ()));
        let token = Arc::new(());
        let held = Arc::clone(&token);
        let reports = run(&pool, move || {
            assert_eq!(Arc::strong_count(&held), 2);
            Ok(())
        });
        assert_eq!(reports.unwrap().len(), 1);
        assert_eq!(Arc::strong_count(&token), 1, "a queued job does not hold the work");
        released.store(true, Ordering::SeqCst);
    }

    #[test]
    fn an_executor_without_threads_gets_no_jobs() {
        let executor = ManualExecutor::new(Arc::new(ManualClock::new()));
        assert_eq!(run(&executor, || Ok(7)).unwrap(), [7]);
        assert!(!executor.step());
    }
}
