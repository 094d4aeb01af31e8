use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::super::rank::assert_no_ranked_lock_is_held;
use super::*;

const FIRST: Rank = Rank::new(1, "the first lock");
const SECOND: Rank = Rank::new(2, "the second lock");

/// The message of the panic in `run`. `None`: it did not panic, as in release builds.
fn panic_of(run: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(run)).err()?;
    Some(panic.downcast_ref::<String>().expect("the message is formatted").clone())
}

fn expect_refused(run: impl FnOnce(), names: &[&str]) {
    let message = panic_of(run);
    assert_eq!(message.is_some(), cfg!(debug_assertions), "only debug builds check");
    for name in names {
        assert!(message.iter().all(|message| message.contains(name)), "{message:?}");
    }
}

#[test]
fn locks_are_taken_in_ascending_order_and_released_in_any() {
    let (first, second) = (Mutex::ranked(FIRST, 1), RwLock::ranked(SECOND, 2));
    let held = first.lock();
    let also_held = second.write();
    drop(held);
    drop(also_held);
    // Nothing is held any more, so the order starts anew.
    drop(second.read());
    drop(first.lock());
}

#[test]
fn a_thread_that_takes_locks_out_of_order_panics_with_both_names() {
    let (first, second) = (Mutex::ranked(FIRST, 1), RwLock::ranked(SECOND, 2));
    let names = ["the first lock", "the second lock"];
    {
        let _held = second.read();
        expect_refused(|| drop(first.lock()), &names);
    }
    {
        let _held = second.write();
        expect_refused(|| drop(first.lock()), &names);
    }
    let _held = first.lock();
    drop(second.read());
    drop(second.write());
}

#[test]
fn a_thread_that_takes_a_second_lock_of_one_rank_panics() {
    let shards = [RwLock::ranked(FIRST, 1), RwLock::ranked(FIRST, 2)];
    let _held = shards[0].read();
    expect_refused(|| drop(shards[1].read()), &["the first lock"]);
}

#[test]
fn trying_a_lock_is_not_checked_but_recorded() {
    let (first, second) = (Mutex::ranked(FIRST, 1), Mutex::ranked(SECOND, 2));
    let held = second.lock();
    let tried = first.try_lock();
    assert!(tried.is_some());
    drop(held);
    let shared = RwLock::ranked(FIRST, 3);
    expect_refused(|| drop(shared.read()), &["the first lock"]);
    drop(tried);
    let shared = shared.try_read();
    expect_refused(|| drop(first.lock()), &["the first lock"]);
    drop(shared);
    drop(first.lock());
}

#[test]
fn a_thread_that_finds_a_mutex_busy_makes_its_call_once_and_then_gets_the_mutex() {
    let (mutex, calls) = (Mutex::ranked(FIRST, 1), std::cell::Cell::new(0));
    let count = || calls.set(calls.get() + 1);
    *mutex.lock_spinning(count) += 1;
    assert_eq!(calls.get(), 0, "the mutex was free");
    std::thread::scope(|scope| {
        let (locked, is_locked) = std::sync::mpsc::channel();
        let mutex = &mutex;
        let (busy, is_busy) = std::sync::mpsc::channel();
        scope.spawn(move || {
            let mut held = mutex.lock();
            locked.send(()).expect("the other thread waits");
            is_busy.recv().expect("the other thread finds the mutex busy");
            *held += 10;
        });
        is_locked.recv().expect("the mutex is locked");
        let seen = *mutex.lock_spinning(|| {
            count();
            busy.send(()).expect("the other thread holds the mutex");
        });
        assert_eq!((seen, calls.get()), (12, 1));
    });
    let second = Mutex::ranked(SECOND, 0);
    let held = second.lock();
    expect_refused(|| drop(mutex.lock_spinning(|| ())), &["the first lock"]);
    drop(held);
}

#[test]
fn locks_without_a_rank_take_no_part_in_the_order() {
    let (ranked, unranked) = (Mutex::ranked(FIRST, 1), Mutex::new(2));
    let held = unranked.lock();
    let also_held = ranked.lock();
    drop(held);
    drop(unranked.lock());
    drop(also_held);
}

#[test]
fn each_thread_has_its_own_record() {
    let second = Mutex::ranked(SECOND, 2);
    let held = second.lock();
    std::thread::scope(|scope| {
        scope.spawn(|| drop(Mutex::ranked(FIRST, 1).lock()));
    });
    drop(held);
}

#[test]
fn waiting_for_a_condition_releases_the_rank_and_takes_it_again() {
    let state = Arc::new((Mutex::ranked(SECOND, false), Condvar::new()));
    let other = Arc::clone(&state);
    let mut ready = state.0.lock();
    super::super::spawn("signals", move || {
        *other.0.lock() = true;
        other.1.notify_all();
    });
    while !*ready {
        state.1.wait(&mut ready);
    }
    expect_refused(|| drop(Mutex::ranked(FIRST, 1).lock()), &["the second lock"]);
    drop(ready);
    drop(Mutex::ranked(FIRST, 1).lock());
}

#[test]
fn a_wait_that_would_take_its_mutex_again_out_of_order_panics_before_it_waits() {
    let (first, second) = (Mutex::ranked(FIRST, 1), Mutex::ranked(SECOND, 2));
    let mut waiting = first.lock();
    let held = second.lock();
    let wait = || Condvar::new().wait_for(&mut waiting, Duration::ZERO);
    expect_refused(wait, &["the first lock", "the second lock"]);
    drop(held);
}

#[test]
fn waiting_for_others_with_a_ranked_lock_panics_with_its_name() {
    assert_no_ranked_lock_is_held("waiting");
    let lock = Mutex::ranked(FIRST, 1);
    let _held = lock.lock();
    expect_refused(|| assert_no_ranked_lock_is_held("waiting"), &["waiting", "the first lock"]);
}

#[cfg(not(debug_assertions))]
#[test]
fn ranks_take_no_space_in_release_builds() {
    assert_eq!(size_of::<Mutex<u64>>(), size_of::<parking_lot::Mutex<u64>>());
    assert_eq!(size_of::<RwLock<u64>>(), size_of::<parking_lot::RwLock<u64>>());
    assert_eq!(size_of::<MutexGuard<'_, u64>>(), size_of::<parking_lot::MutexGuard<'_, u64>>());
}
