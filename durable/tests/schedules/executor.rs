//! Schedules of the thread pool: jobs, their classes, their panics and those who wait for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use durable::sync::Mutex;
use durable::sync::atomic::{AtomicUsize, Ordering};
use durable::{Executor, JobClass, JobGroup, ManualClock, ThreadPool};

fn pool(threads: usize) -> Arc<dyn Executor> {
    Arc::new(ThreadPool::new(threads, Arc::new(ManualClock::new())))
}

fn group(executor: &Arc<dyn Executor>) -> JobGroup {
    JobGroup::new(Arc::clone(executor), |_| ())
}

#[test]
fn whoever_waits_for_a_group_finds_all_its_jobs_done_and_is_woken() {
    let scenario = || {
        let (executor, ran) = (pool(2), Arc::new(AtomicUsize::new(0)));
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let (group, ran) = (group(&executor), Arc::clone(&ran));
                shuttle::thread::spawn(move || {
                    let own = Arc::new(AtomicUsize::new(0));
                    for class in [JobClass::Bulk, JobClass::Urgent, JobClass::Bulk] {
                        let (own, ran) = (Arc::clone(&own), Arc::clone(&ran));
                        group.submit(class, "counts", move || {
                            own.fetch_add(1, Ordering::SeqCst);
                            ran.fetch_add(1, Ordering::SeqCst);
                        });
                    }
                    group.wait().unwrap();
                    assert_eq!(own.load(Ordering::SeqCst), 3);
                })
            })
            .collect();
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!(ran.load(Ordering::SeqCst), 6);
    };
    shuttle::check_random(scenario, 2_000);
    shuttle::check_pct(scenario, 2_000, 3);
}

#[test]
fn delayed_jobs_that_are_due_run_although_other_jobs_arrive() {
    let scenario = || {
        let (executor, ran) = (pool(2), Arc::new(AtomicUsize::new(0)));
        let group = group(&executor);
        for _ in 0..2 {
            let ran = Arc::clone(&ran);
            group.submit_after(Duration::ZERO, JobClass::Bulk, "delayed", move || {
                ran.fetch_add(1, Ordering::SeqCst);
            });
        }
        group.submit(JobClass::Urgent, "urgent", || ());
        assert!(executor.wait_until(&|| ran.load(Ordering::SeqCst) == 2));
    };
    shuttle::check_random(scenario, 2_000);
    shuttle::check_pct(scenario, 2_000, 3);
}

/// One thread, bulk work that submits its next step at the end of each, and an urgent job at any moment.
#[test]
fn an_urgent_job_waits_for_one_bulk_step_at_most_whenever_it_arrives() {
    let scenario = || {
        let executor = pool(1);
        let group = group(&executor);
        let started = Arc::new(AtomicUsize::new(0));
        bulk_step(&group, &started, 6);
        let started_before = started.load(Ordering::SeqCst);
        let waited = Arc::new(Mutex::new(0));
        let (slot, seen) = (Arc::clone(&waited), Arc::clone(&started));
        // The thread may start one step between the look at the counter and the submission, and runs it until it ends.
        group.submit(JobClass::Urgent, "urgent", move || {
            *slot.lock() = seen.load(Ordering::SeqCst) - started_before;
        });
        let started_at_submission = started.load(Ordering::SeqCst) - started_before;
        group.wait().unwrap();
        let waited = *waited.lock();
        assert!(waited <= started_at_submission + 1, "it waited for {waited} bulk steps");
    };
    shuttle::check_random(scenario, 2_000);
    shuttle::check_pct(scenario, 2_000, 3);
}

fn bulk_step(group: &JobGroup, started: &Arc<AtomicUsize>, steps: usize) {
    let (next, counter) = (group.clone(), Arc::clone(started));
    group.submit(JobClass::Bulk, "bulk", move || {
        counter.fetch_add(1, Ordering::SeqCst);
        shuttle::thread::yield_now();
        if steps > 1 {
            bulk_step(&next, &counter, steps - 1);
        }
    });
}

/// Shuttle ends an execution at the first panic that it sees, so the job's panic is one that it does not: the payload is
/// thrown without the panic hook.
#[test]
fn a_panic_is_known_before_the_job_counts_as_ended() {
    let scenario = || {
        let executor = pool(2);
        let told = Arc::new(AtomicUsize::new(0));
        let slot = Arc::clone(&told);
        let group = JobGroup::new(Arc::clone(&executor), move |_| {
            slot.fetch_add(1, Ordering::SeqCst);
        });
        group.submit(JobClass::Bulk, "panics", || {
            std::panic::resume_unwind(Box::new("expected by this test"));
        });
        group.submit(JobClass::Urgent, "returns", || ());
        let waited = catch_unwind(AssertUnwindSafe(|| group.wait()));
        let failure = waited.unwrap().unwrap_err();
        assert_eq!(failure.job, "panics");
        assert_eq!(told.load(Ordering::SeqCst), 1, "the owner was told first");
    };
    shuttle::check_random(scenario, 2_000);
    shuttle::check_pct(scenario, 2_000, 3);
}
