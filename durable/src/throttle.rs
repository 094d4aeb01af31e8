//! Holding writers back before they outgrow the background work that cleans up behind them.
//!
//! The owner sets a *level*: how much of a limit is used up, in thousandths. Of several limits (dead bytes, number of
//! files, sealed bytes, compaction debt) it is the greatest share. The owner also reports how fast the background work
//! *drains*: so many bytes in so much time.
//!
//! - Below [`SOFT_LIMIT`] writers are not held back.
//! - From there to [`HARD_LIMIT`] a write pauses for as long as the background work takes to drain as many bytes. The
//!   rate is the last one measured, times 1.2 at the soft limit, falling to 0.8 at the hard limit. So the level settles in
//!   between. Nothing pauses before a rate was measured.
//! - From the hard limit on, writers wait until the level has fallen. Progress of the background work wakes them, never
//!   another write. The wait is bounded, and the owner gives it up earlier when the work has stopped.
//!
//! A pause of a few microseconds takes longer than it should, because a sleeping thread is woken late. So short pauses are
//! saved up, by all writers together, until they make [`SHORTEST_PAUSE`].

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock::Clock;
use crate::executor::Executor;
use crate::sync::atomic::AtomicU64;

/// The level in thousandths from which on writers are slowed.
pub const SOFT_LIMIT: u64 = 850;

/// The level in thousandths from which on writers wait.
pub const HARD_LIMIT: u64 = 1_000;

/// Pauses that are shorter are saved up. Ten times the cost of waking a thread.
pub const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// A write below the hard limit pauses no longer than this, so that one measurement of a slow drain stalls nobody.
pub const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// A write at the hard limit waits no longer than this.
pub const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How a write goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// At once.
    Free,
    /// After a pause of this length, on the owner's clock.
    Pause(Duration),
    /// After the level has fallen below the hard limit: [`Throttle::wait`].
    Wait,
}

/// A level, the measured rate at which it falls, and the pauses that writers owe to it.
#[derive(Debug, Default)]
pub struct Throttle {
    /// In thousandths of the limit.
    level: AtomicU64,
    /// Bytes per second; 0 before the first measurement.
    drain_rate: AtomicU64,
    /// Pauses that are saved up, in nanoseconds.
    owed_ns: AtomicU64,
    slowed: AtomicU64,
    stalled: AtomicU64,
}

impl Throttle {
    /// At level zero, without a measured rate.
    pub fn new() -> Self {
        Self::default()
    }

    /// The level, in thousandths of the limit.
    #[inline]
    pub fn level(&self) -> u64 {
        self.level.load(Ordering::Acquire)
    }

    /// Sets the level, in thousandths of the limit. Writers that wait look at it after the next job of the executor.
    pub fn set_level(&self, level: u64) {
        self.level.store(level, Ordering::Release);
    }

    /// Records that the background work has drained `bytes` in `elapsed`. The rate is the mean of this one and the rate
    /// before. A measurement that took no time is ignored.
    pub fn drained(&self, bytes: u64, elapsed: Duration) {
        let Some(rate) = (u128::from(bytes) * 1_000_000_000).checked_div(elapsed.as_nanos()) else {
            return;
        };
        let rate = u64::try_from(rate).unwrap_or(u64::MAX).max(1);
        let before = self.drain_rate.load(Ordering::Relaxed);
        let smoothed = if before == 0 { rate } else { before / 2 + rate / 2 };
        self.drain_rate.store(smoothed.max(1), Ordering::Relaxed);
    }

    /// How a write of `bytes` goes on now. Counts it as slowed or stalled.
    #[inline]
    pub fn admit(&self, bytes: u64) -> Admission {
        let level = self.level();
        if level < SOFT_LIMIT {
            return Admission::Free;
        }
        if level >= HARD_LIMIT {
            self.stalled.fetch_add(1, Ordering::Relaxed);
            return Admission::Wait;
        }
        let pause =
            self.take_pause(pause_for(bytes, level, self.drain_rate.load(Ordering::Relaxed)));
        if pause.is_zero() {
            return Admission::Free;
        }
        self.slowed.fetch_add(1, Ordering::Relaxed);
        Admission::Pause(pause)
    }

    /// Waits until the level is below the hard limit, `gives_up` returns `true`, or [`LONGEST_WAIT`] is over. Returns
    /// whether the level is below the hard limit. Looks again after each job of `executor`.
    ///
    /// # Panics
    /// As [`Executor::wait_until`].
    pub fn wait(
        &self,
        executor: &dyn Executor,
        clock: &dyn Clock,
        gives_up: &dyn Fn() -> bool,
    ) -> bool {
        let start = clock.elapsed();
        let is_too_long = || clock.elapsed().saturating_sub(start) > LONGEST_WAIT;
        let is_low = || self.level() < HARD_LIMIT;
        // An executor without threads that has nothing to run ends the wait too: the level cannot fall any more.
        let _is_over: bool = executor.wait_until(&|| is_low() || gives_up() || is_too_long());
        is_low()
    }

    /// How many writes have paused.
    pub fn slowed(&self) -> u64 {
        self.slowed.load(Ordering::Relaxed)
    }

    /// How many writes have waited at the hard limit.
    pub fn stalled(&self) -> u64 {
        self.stalled.load(Ordering::Relaxed)
    }

    /// Adds `pause` to the debt of the writers. Returns the pause that is due now: all that is owed once that is long enough, and
    /// at most the longest pause. The rest stays owed.
    fn take_pause(&self, pause: Duration) -> Duration {
        let ns = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
        let owed = self.owed_ns.fetch_add(ns, Ordering::Relaxed).saturating_add(ns);
        if Duration::from_nanos(owed) < SHORTEST_PAUSE {
            return Duration::ZERO;
        }
        // Another writer may have taken it in between; then nothing is left to be paid here.
        let taken = self.owed_ns.swap(0, Ordering::Relaxed);
        let due = taken.min(LONGEST_PAUSE.as_nanos() as u64);
        self.owed_ns.fetch_add(taken - due, Ordering::Relaxed);
        Duration::from_nanos(due)
    }
}

/// How long a write of `bytes` pauses at `level`, between the limits, when `drain_rate` bytes are drained per second. Zero
/// if no rate is known. Pure.
///
/// # Panics
/// In debug builds, when the level is not between the limits.
pub fn pause_for(bytes: u64, level: u64, drain_rate: u64) -> Duration {
    debug_assert!((SOFT_LIMIT..HARD_LIMIT).contains(&level), "writers pause between the limits");
    if drain_rate == 0 {
        return Duration::ZERO;
    }
    // The rate that writers may have, in percent of the drain rate.
    let percent = 120 - 40 * (level - SOFT_LIMIT) / (HARD_LIMIT - SOFT_LIMIT);
    let ns = u128::from(bytes) * 100_000_000_000 / (u128::from(drain_rate) * u128::from(percent));
    Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX)).min(LONGEST_PAUSE)
}

#[cfg(all(test, not(shuttle)))]
mod tests;
