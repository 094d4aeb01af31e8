use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::sync::{Mutex, Rank};
use crate::{ManualClock, SystemClock};

fn pool(threads: usize) -> Arc<dyn Executor> {
    Arc::new(ThreadPool::new(threads, Arc::new(SystemClock::new())))
}

fn manual() -> (Arc<ManualClock>, Arc<ManualExecutor>) {
    let clock = Arc::new(ManualClock::new());
    (Arc::clone(&clock), Arc::new(ManualExecutor::new(clock)))
}

/// A counter, and a job that adds one to it.
fn counting(count: &Arc<AtomicUsize>) -> impl FnOnce() + Send + use<> {
    let count = Arc::clone(count);
    move || {
        count.fetch_add(1, Ordering::SeqCst);
    }
}

fn quiet(executor: &Arc<dyn Executor>) -> JobGroup {
    JobGroup::new(Arc::clone(executor), |_| ())
}

#[test]
fn a_panicking_job_does_not_stop_the_executor_and_tells_its_handler() {
    for executor in [pool(1), manual().1] {
        let told = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&told);
        let panics = || panic!("expected by this test");
        executor.submit(Job::new(JobClass::Urgent, "panics", panics, move |failure| {
            *slot.lock() = Some(failure);
        }));
        let ran = Arc::new(AtomicUsize::new(0));
        executor.submit(Job::new(JobClass::Urgent, "counts", counting(&ran), |_| ()));
        assert!(executor.wait_until(&|| ran.load(Ordering::SeqCst) == 1));
        let failure = told.lock().take().expect("the handler was told");
        assert_eq!(failure.to_string(), "background job panics panicked: expected by this test");
    }
}

#[test]
fn waiting_for_a_group_reports_the_first_panic_of_its_jobs() {
    for executor in [pool(1), manual().1] {
        let seen_before_the_end = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&seen_before_the_end);
        let group = JobGroup::new(executor, move |_| {
            seen.fetch_add(1, Ordering::SeqCst);
        });
        let ran = Arc::new(AtomicUsize::new(0));
        group.submit(JobClass::Urgent, "first", || panic!("the first"));
        group.submit(JobClass::Urgent, "second", || panic!("the second"));
        group.submit(JobClass::Bulk, "counts", counting(&ran));
        let failure = group.wait().expect_err("two jobs panicked");
        assert_eq!((failure.job, &*failure.reason), ("first", "panicked: the first"));
        assert_eq!(seen_before_the_end.load(Ordering::SeqCst), 2);
        assert_eq!(ran.load(Ordering::SeqCst), 1);
        assert_eq!(group.check(), Err(failure), "a failure stays");
    }
}

#[test]
fn a_job_that_its_executor_drops_unrun_is_a_failure() {
    let (_, executor) = manual();
    let outer: Arc<dyn Executor> = Arc::clone(&executor) as _;
    let group = quiet(&outer);
    group.submit(JobClass::Bulk, "unlinks", || ());
    executor.forget();
    assert_eq!(group.unfinished(), 0);
    let failure = group.wait().expect_err("the job did not run");
    assert_eq!(failure.to_string(), "background job unlinks was dropped before it ran");
}

#[test]
fn a_job_that_waits_for_its_own_group_is_told_so_by_an_executor_without_threads() {
    let (_, executor) = manual();
    let outer: Arc<dyn Executor> = Arc::clone(&executor) as _;
    let group = quiet(&outer);
    let (inner, result) = (group.clone(), Arc::new(Mutex::new(None)));
    let slot = Arc::clone(&result);
    group.submit(JobClass::Bulk, "waits", move || *slot.lock() = Some(inner.wait()));
    executor.run_all();
    let failure = result.lock().take().expect("it ran").expect_err("it waited for itself");
    assert_eq!(failure.to_string(), "background job waits has not ended");
    assert_eq!(group.wait(), Ok(()));
}

#[test]
fn a_panic_in_a_handler_reaches_the_thread_that_waits() {
    let executor = pool(1);
    let handler = |_| panic!("nobody else can report this");
    executor.submit(Job::new(JobClass::Urgent, "panics", || panic!("first"), handler));
    let waited = catch_unwind(AssertUnwindSafe(|| executor.wait_until(&|| false)));
    let payload = waited.expect_err("the panic goes on");
    assert!(text_of(&*payload).contains("panic handler of job panics"));
}

#[test]
fn stepping_a_job_that_panics_tells_the_handler_and_then_the_test() {
    let (_, executor) = manual();
    let outer: Arc<dyn Executor> = Arc::clone(&executor) as _;
    let group = quiet(&outer);
    group.submit(JobClass::Urgent, "panics", || panic!("expected by this test"));
    let stepped = catch_unwind(AssertUnwindSafe(|| executor.step()));
    assert!(text_of(&*stepped.expect_err("the panic goes on")).contains("expected by this test"));
    assert!(group.check().is_err());
}

#[test]
fn waiting_on_a_manual_executor_runs_its_jobs_and_says_when_there_are_none_left() {
    let (_, executor) = manual();
    let ran = Arc::new(AtomicUsize::new(0));
    for _ in 0..3 {
        executor.submit(Job::new(JobClass::Urgent, "counts", counting(&ran), |_| ()));
    }
    assert!(executor.wait_until(&|| ran.load(Ordering::SeqCst) == 2));
    assert_eq!(ran.load(Ordering::SeqCst), 2);
    assert!(!executor.wait_until(&|| false), "nothing is left that could make it true");
    assert_eq!(ran.load(Ordering::SeqCst), 3);
}

#[test]
fn a_manual_executor_runs_delayed_jobs_when_its_clock_reaches_their_time() {
    let (clock, executor) = manual();
    let outer: Arc<dyn Executor> = Arc::clone(&executor) as _;
    let (group, ran) = (quiet(&outer), Arc::new(AtomicUsize::new(0)));
    group.submit_after(Duration::from_secs(2), JobClass::Bulk, "counts", counting(&ran));
    executor.run_all();
    assert_eq!(group.wait(), Ok(()), "waiting does not wait for the delay");
    clock.advance(Duration::from_secs(1));
    executor.run_all();
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    clock.advance(Duration::from_secs(1));
    executor.run_all();
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}

#[test]
fn a_pool_runs_delayed_jobs_of_its_clock_although_its_threads_are_idle() {
    let clock = Arc::new(ManualClock::new());
    let executor: Arc<dyn Executor> = Arc::new(ThreadPool::new(2, Arc::clone(&clock) as _));
    let (group, ran) = (quiet(&executor), Arc::new(AtomicUsize::new(0)));
    let early = Arc::clone(&ran);
    group.submit_after(Duration::from_hours(1), JobClass::Bulk, "counts", counting(&ran));
    group.submit(JobClass::Bulk, "looks", move || assert_eq!(early.load(Ordering::SeqCst), 0));
    assert_eq!(group.wait(), Ok(()));
    clock.advance(Duration::from_hours(1));
    assert!(executor.wait_until(&|| ran.load(Ordering::SeqCst) == 1));
}

/// One thread: while it runs a bulk step, an urgent job and more bulk steps arrive.
#[test]
fn an_urgent_job_of_a_pool_of_one_thread_waits_for_the_running_bulk_step_only() {
    let executor = pool(1);
    let (group, order) = (quiet(&executor), Arc::new(Mutex::new(Vec::new())));
    let (go, gate) = std::sync::mpsc::channel();
    let push = |name| {
        let order = Arc::clone(&order);
        move || order.lock().push(name)
    };
    let (began, first) = (Arc::new(AtomicUsize::new(0)), push("bulk 1"));
    let counted = counting(&began);
    group.submit(JobClass::Bulk, "bulk 1", move || {
        counted();
        gate.recv().expect("the test sends");
        first();
    });
    while began.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    group.submit(JobClass::Bulk, "bulk 2", push("bulk 2"));
    group.submit(JobClass::Urgent, "urgent", push("urgent"));
    go.send(()).expect("the job waits");
    group.wait().expect("no job fails");
    assert_eq!(*order.lock(), ["bulk 1", "urgent", "bulk 2"]);
}

/// Dropping what a queued job holds may take other locks, which come before the lock of the queue.
#[test]
fn dropping_the_queue_of_an_executor_holds_no_lock() {
    struct LocksWhenDropped(Mutex<()>);
    impl Drop for LocksWhenDropped {
        fn drop(&mut self) {
            drop(self.0.lock());
        }
    }
    let never_due = || {
        let held = LocksWhenDropped(Mutex::ranked(Rank::new(1, "the first lock"), ()));
        Job::new(JobClass::Bulk, "never due", move || drop(held), |_| ())
    };
    let pool = ThreadPool::new(1, Arc::new(SystemClock::new()));
    pool.submit_after(Duration::from_hours(1), never_due());
    drop(pool);
    let (_, executor) = manual();
    executor.submit_after(Duration::from_hours(1), never_due());
    executor.submit(never_due());
    executor.forget();
    assert!(!executor.step());
}

#[test]
fn a_delayed_job_does_not_keep_its_executor_alive() {
    let pool: Arc<dyn Executor> = Arc::new(ThreadPool::new(1, Arc::new(SystemClock::new())));
    let weak = Arc::downgrade(&pool);
    let group = quiet(&pool);
    group.submit_after(Duration::from_hours(1), JobClass::Bulk, "never due", || ());
    drop((pool, group));
    assert!(weak.upgrade().is_none());
}
