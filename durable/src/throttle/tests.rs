use std::sync::Arc;

use super::*;
use crate::{Entropy as _, JobClass, JobGroup, ManualClock, ManualExecutor, SeededEntropy};

fn at(level: u64, bytes_per_second: u64) -> Throttle {
    let throttle = Throttle::new();
    throttle.set_level(level);
    throttle.drained(bytes_per_second, Duration::from_secs(1));
    throttle
}

#[test]
fn a_slowed_writer_pauses_for_as_long_as_its_bytes_take_to_drain() {
    assert_eq!(pause_for(1 << 20, SOFT_LIMIT, 0), Duration::ZERO, "nothing was measured yet");
    let rate = 100_000_000;
    assert_eq!(pause_for(1_200_000, SOFT_LIMIT, rate), Duration::from_millis(10));
    assert_eq!(pause_for(1_000_000, 925, rate), Duration::from_millis(10));
    assert_eq!(pause_for(u64::MAX, SOFT_LIMIT, 1), LONGEST_PAUSE);
}

#[test]
fn pauses_grow_with_the_write_and_the_level_and_shrink_with_the_rate() {
    let entropy = SeededEntropy::new(5);
    let below = |bound: u64| entropy.next_u64() % bound;
    for _ in 0..10_000 {
        let (bytes, rate) = (below(1 << 24), 1 + below(1 << 30));
        let level = SOFT_LIMIT + below(HARD_LIMIT - SOFT_LIMIT - 1);
        let pause = pause_for(bytes, level, rate);
        assert!(pause <= pause_for(bytes + 1 + below(1 << 20), level, rate));
        assert!(pause <= pause_for(bytes, level + 1, rate));
        assert!(pause >= pause_for(bytes, level, rate + 1 + below(1 << 20)));
        assert!(pause <= LONGEST_PAUSE);
    }
}

#[test]
fn below_the_soft_limit_nobody_pauses_and_at_the_hard_limit_everybody_waits() {
    assert_eq!(at(SOFT_LIMIT - 1, 1).admit(u64::MAX), Admission::Free);
    assert_eq!(at(SOFT_LIMIT, 1).admit(u64::MAX), Admission::Pause(LONGEST_PAUSE));
    let throttle = at(HARD_LIMIT, 1 << 40);
    assert_eq!(throttle.admit(0), Admission::Wait);
    assert_eq!((throttle.slowed(), throttle.stalled()), (0, 1));
}

/// Short pauses are saved up, and none is lost: in sum writers pause for what they owe.
#[test]
fn saved_up_pauses_are_paid_in_full() {
    let entropy = SeededEntropy::new(9);
    let throttle = at(SOFT_LIMIT, 100_000_000);
    let (mut owed, mut paid) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..10_000 {
        let bytes = entropy.next_u64() % 100_000;
        owed += pause_for(bytes, SOFT_LIMIT, 100_000_000);
        if let Admission::Pause(pause) = throttle.admit(bytes) {
            assert!(pause >= SHORTEST_PAUSE && pause <= LONGEST_PAUSE);
            paid += pause;
        }
        assert!(paid <= owed && owed < paid + SHORTEST_PAUSE, "{owed:?} owed, {paid:?} paid");
    }
}

#[test]
fn the_rate_follows_the_measurements_and_ignores_one_that_took_no_time() {
    let throttle = at(SOFT_LIMIT, 1_000);
    throttle.drained(1 << 40, Duration::ZERO);
    assert_eq!(throttle.drain_rate.load(Ordering::Relaxed), 1_000);
    throttle.drained(3_000, Duration::from_secs(1));
    assert_eq!(throttle.drain_rate.load(Ordering::Relaxed), 2_000);
    throttle.drained(u64::MAX, Duration::from_nanos(1));
    throttle.drained(0, Duration::from_secs(1));
    assert!(throttle.drain_rate.load(Ordering::Relaxed) > 0, "0 would mean unknown");
}

/// A writer that never stops, and work that drains a tenth of what the writer could write: the level settles between the
/// limits, and the writer is not stalled.
#[test]
fn a_writer_is_slowed_to_the_rate_of_the_background_work() {
    for drain in [1_000_000, 20_000_000, 400_000_000_u64] {
        let throttle = at(0, drain);
        // The limit is what drains in a second. Debt is counted in the nanoseconds that it takes to drain.
        let (write, limit_ns) = (4_096, 1_000_000_000_u64);
        let write_ns = write * 1_000_000_000 / drain;
        let mut debt_ns = 0_u64;
        for _ in 0..200_000 {
            // A write takes a tenth of the time that its bytes take to drain.
            let mut took_ns = write_ns / 10;
            match throttle.admit(write) {
                Admission::Free => {}
                Admission::Pause(pause) => took_ns += pause.as_nanos() as u64,
                Admission::Wait => panic!("stalled"),
            }
            debt_ns = (debt_ns + write_ns).saturating_sub(took_ns);
            throttle.set_level(debt_ns * HARD_LIMIT / limit_ns);
        }
        assert!(throttle.level() >= SOFT_LIMIT, "the writer uses what there is");
        assert_eq!(throttle.stalled(), 0);
    }
}

#[test]
fn a_wait_ends_when_the_level_has_fallen_the_owner_gives_up_or_nothing_is_left_to_run() {
    let clock = Arc::new(ManualClock::new());
    let executor = Arc::new(ManualExecutor::new(Arc::clone(&clock) as _));
    let throttle = Arc::new(at(HARD_LIMIT, 1));
    let wait = |gives_up: &dyn Fn() -> bool| throttle.wait(&*executor, &*clock, gives_up);
    assert!(!wait(&|| false), "no job is left that could lower the level");
    assert!(!wait(&|| true));
    let group = JobGroup::new(Arc::clone(&executor) as _, |_| ());
    let lowered = Arc::clone(&throttle);
    group.submit(JobClass::Bulk, "drains", move || lowered.set_level(HARD_LIMIT - 1));
    assert!(wait(&|| false), "the job has lowered the level");
}

#[test]
fn a_wait_is_bounded_although_jobs_go_on_without_progress() {
    fn tick(group: &JobGroup, clock: &Arc<ManualClock>) {
        let (next, hand) = (group.clone(), Arc::clone(clock));
        group.submit(JobClass::Bulk, "ticks", move || {
            hand.advance(Duration::from_secs(1));
            tick(&next, &hand);
        });
    }
    let clock = Arc::new(ManualClock::new());
    let executor = Arc::new(ManualExecutor::new(Arc::clone(&clock) as _));
    let group = JobGroup::new(Arc::clone(&executor) as _, |_| ());
    tick(&group, &clock);
    assert!(!at(HARD_LIMIT, 1).wait(&*executor, &*clock, &|| false));
    assert_eq!(clock.elapsed(), LONGEST_WAIT + Duration::from_secs(1));
    executor.forget();
}
