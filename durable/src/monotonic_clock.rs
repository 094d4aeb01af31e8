//! A time of day that never goes back, across openings of a store too.
//!
//! The clock of the system may be set back while a store is open, or between two openings. A value that has expired for
//! one reader must not come back for a later one, so an engine asks this clock instead. It remembers the latest time that
//! it returned; the engine persists [`MonotonicClock::latest`] with its state and passes it to the next opening as the
//! floor. After the clock was set back, time stands still until the clock has caught up. So it does after a clock that was
//! far ahead has been set right: the store cannot tell which of the two times was wrong.
//!
//! Not covered: times that were returned after the engine persisted the latest one and before a crash.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use kv::UnixMillis;

use crate::clock::Clock;
use crate::sync::atomic::AtomicU64;

/// A [`Clock`] whose time of day never goes back.
#[derive(Debug)]
pub struct MonotonicClock {
    clock: Arc<dyn Clock>,
    /// The latest time that was returned, in milliseconds, and at least the floor.
    latest_ms: AtomicU64,
}

impl MonotonicClock {
    /// The time of `clock`, and at least `floor`: the value of [`MonotonicClock::latest`] that an earlier opening
    /// persisted, or zero.
    pub fn new(clock: Arc<dyn Clock>, floor: UnixMillis) -> Self {
        Self { clock, latest_ms: AtomicU64::new(floor.0) }
    }

    /// The time of day. At least every time that was returned before, to any thread.
    pub fn now(&self) -> UnixMillis {
        let now = self.clock.now().0;
        let before = self.latest_ms.fetch_max(now, Ordering::AcqRel);
        UnixMillis(before.max(now))
    }

    /// The latest time that was returned, or the floor: persist it. Does not look at the clock, so that it never names a
    /// time that nobody has seen.
    pub fn latest(&self) -> UnixMillis {
        UnixMillis(self.latest_ms.load(Ordering::Acquire))
    }

    /// From now on the time is at least `floor`: a reader beside a writer has found it in the writer's state.
    pub fn raise(&self, floor: UnixMillis) {
        self.latest_ms.fetch_max(floor.0, Ordering::AcqRel);
    }

    /// The clock below.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::{Entropy as _, ManualClock, SeededEntropy};

    fn manual(floor: u64) -> (Arc<ManualClock>, MonotonicClock) {
        let clock = Arc::new(ManualClock::new());
        (Arc::clone(&clock), MonotonicClock::new(clock, UnixMillis(floor)))
    }

    #[test]
    fn a_clock_that_is_set_back_stands_still_until_it_has_caught_up() {
        let (clock, monotonic) = manual(0);
        for (set_to, expected) in [(100, 100), (40, 100), (99, 100), (101, 101)] {
            clock.set_now(UnixMillis(set_to));
            assert_eq!(monotonic.now(), UnixMillis(expected));
            assert_eq!(monotonic.latest(), UnixMillis(expected));
        }
    }

    #[test]
    fn a_raised_floor_holds_the_time_up_and_never_brings_it_back() {
        let (clock, monotonic) = manual(0);
        clock.set_now(UnixMillis(50));
        monotonic.raise(UnixMillis(80));
        assert_eq!(monotonic.now(), UnixMillis(80));
        monotonic.raise(UnixMillis(60));
        assert_eq!(monotonic.now(), UnixMillis(80));
        clock.set_now(UnixMillis(90));
        assert_eq!(monotonic.now(), UnixMillis(90));
    }

    #[test]
    fn the_next_opening_goes_on_from_the_persisted_time() {
        let (clock, first) = manual(0);
        clock.set_now(UnixMillis(500));
        assert_eq!(first.latest(), UnixMillis(0), "nobody has seen a time yet");
        assert_eq!(first.now(), UnixMillis(500));
        let (clock, second) = manual(first.latest().0);
        clock.set_now(UnixMillis(3));
        assert_eq!((second.latest(), second.now()), (UnixMillis(500), UnixMillis(500)));
    }

    #[test]
    fn whatever_the_clock_does_no_opening_sees_an_earlier_time_than_the_one_before() {
        let entropy = SeededEntropy::new(3);
        let mut floor = 0;
        for _ in 0..100 {
            let (clock, monotonic) = manual(floor);
            for _ in 0..50 {
                clock.set_now(UnixMillis(entropy.next_u64() % 10_000));
                let (before, now) = (monotonic.latest(), monotonic.now());
                assert!(now >= before && now.0 >= floor && now >= clock.now());
                assert_eq!(monotonic.latest(), now);
            }
            floor = monotonic.latest().0;
        }
    }
}
