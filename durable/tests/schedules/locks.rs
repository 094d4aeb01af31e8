//! The lock order under shuttle, where all tasks share one thread of the operating system.

use std::sync::Arc;

use durable::sync::{Condvar, Mutex, Rank};

const FIRST: Rank = Rank::new(1, "the first lock");
const SECOND: Rank = Rank::new(2, "the second lock");

#[test]
fn each_task_has_its_own_record_of_the_locks_that_it_holds() {
    let scenario = || {
        let locks = Arc::new((Mutex::ranked(FIRST, 0), Mutex::ranked(SECOND, 0)));
        let others = Arc::clone(&locks);
        let ascending = shuttle::thread::spawn(move || {
            *others.0.lock() += 1;
            *others.1.lock() += 1;
        });
        let mut second = locks.1.lock();
        shuttle::thread::yield_now();
        *second += 1;
        drop(second);
        *locks.0.lock() += 1;
        ascending.join().unwrap();
    };
    shuttle::check_random(scenario, 500);
}

#[test]
fn a_waiting_task_does_not_hold_the_rank_for_others() {
    let scenario = || {
        let state = Arc::new((Mutex::ranked(SECOND, false), Condvar::new()));
        let other = Arc::clone(&state);
        let signals = shuttle::thread::spawn(move || {
            drop(Mutex::ranked(FIRST, 0).lock());
            *other.0.lock() = true;
            other.1.notify_all();
        });
        let mut ready = state.0.lock();
        while !*ready {
            state.1.wait(&mut ready);
        }
        drop(ready);
        drop(Mutex::ranked(FIRST, 0).lock());
        signals.join().unwrap();
    };
    shuttle::check_random(scenario, 500);
}

#[test]
#[should_panic(expected = "the first lock")]
fn a_task_that_takes_locks_out_of_order_panics() {
    shuttle::check_random(
        || {
            let (first, second) = (Mutex::ranked(FIRST, 0), Mutex::ranked(SECOND, 0));
            let _held = second.lock();
            drop(first.lock());
        },
        1,
    );
}
