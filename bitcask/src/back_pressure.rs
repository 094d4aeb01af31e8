//! Back-pressure: writers are held back before waste or files outgrow the speed of merging.
//!
//! The *pressure* is the greater of two shares: the bytes that the sealed files waste, of
//! [`MergeOptions::limit_percent`] of their bytes; and the number of sealed files, of the most that a store can have. It is
//! measured when a file was filled or sealed, and when a merge has ended.
//!
//! - Below 85 % writers are not held back.
//! - From 85 % to 100 % they are slowed: a write waits for as long as merging takes to free as many bytes, at the rate
//!   that was last measured; a little less at 85 %, where the limit is far, and more at 100 %.
//! - At 100 % they wait for a merge, never for another write. There is something to merge, because the limit is above the
//!   trigger. Each step of a merge wakes them. If merging stops without success, or the wait has lasted
//!   [`LONGEST_WAIT`], the write returns `Stalled`.
//!
//! A batch of tombstones is let through: deleting is how a user makes space.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use durable::sync::atomic::AtomicU64;
use kv::{Error, Result};

use crate::background::{Background, Task};
use crate::file_handle::MAX_FILES;
use crate::options::MergeOptions;
use crate::store::Store;

/// A share in thousandths, from which on writers are slowed.
const SOFT: u64 = 850;

/// A share in thousandths, from which on writers wait.
const HARD: u64 = 1_000;

/// A write waits no longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Waits shorter than this are saved up.
const SHORTEST_PAUSE_NS: u64 = 1_000_000;

/// A write pauses at most this long at a time while it is only slowed.
const LONGEST_PAUSE_NS: u64 = 20_000_000;

/// The sealed files, in sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) wasted_bytes: u64,
}

/// Holds writers back.
#[derive(Debug)]
pub(crate) struct BackPressure {
    store: Arc<Store>,
    background: Arc<Background>,
    data_file_bytes: u64,
    /// `None`: nothing is merged in the background, so writers wait for nothing.
    merge: Option<MergeOptions>,
    throttle: Throttle,
    /// How often merging has stopped, because a merge has failed or because there was nothing to merge.
    merging_stopped: AtomicU64,
}

/// How much writers are held back: a level, and the measured rate at which it falls.
#[derive(Debug, Default)]
struct Throttle {
    /// In thousandths of the limit.
    level: AtomicU64,
    /// Bytes that merges free in a second; 0 before the first.
    drain_per_second: AtomicU64,
    /// Waits that are saved up.
    owed_ns: AtomicU64,
    /// Writes that were slowed.
    slowed: AtomicU64,
    /// Writes that waited.
    stalled: AtomicU64,
}

impl Throttle {
    fn level(&self) -> u64 {
        self.level.load(Ordering::Acquire)
    }

    /// Merging has freed `bytes` in `elapsed`.
    fn drained(&self, bytes: u64, elapsed: Duration) {
        let Some(rate) = (u128::from(bytes) * 1_000_000_000).checked_div(elapsed.as_nanos()) else {
            return;
        };
        let rate = u64::try_from(rate).unwrap_or(u64::MAX).max(1);
        let before = self.drain_per_second.load(Ordering::Relaxed);
        let smoothed = if before == 0 { rate } else { before / 2 + rate / 2 };
        self.drain_per_second.store(smoothed.max(1), Ordering::Relaxed);
    }

    /// How long a write of `bytes` has to pause now. Short pauses are saved up.
    fn pause(&self, bytes: u64, level: u64) -> Duration {
        assert!((SOFT..=HARD).contains(&level), "below, writers do not pause; above, they wait");
        let drain = self.drain_per_second.load(Ordering::Relaxed);
        if drain == 0 {
            return Duration::ZERO;
        }
        // From 1.2 times the drain rate at 85 % to 0.8 times at 100 %.
        let percent = 120 - 40 * (level - SOFT) / (HARD - SOFT);
        let ns = u128::from(bytes) * 100_000_000_000 / (u128::from(drain) * u128::from(percent));
        let ns = u64::try_from(ns).unwrap_or(u64::MAX).min(LONGEST_PAUSE_NS);
        let owed = self.owed_ns.fetch_add(ns, Ordering::Relaxed) + ns;
        if owed < SHORTEST_PAUSE_NS {
            return Duration::ZERO;
        }
        self.owed_ns.store(0, Ordering::Relaxed);
        Duration::from_nanos(owed.min(LONGEST_PAUSE_NS))
    }
}

/// The pressure in thousandths of the limit. Pure.
fn level(load: Load, data_file_bytes: u64, merge: &MergeOptions) -> u64 {
    debug_assert!(load.wasted_bytes <= load.bytes, "a file wastes no more than itself");
    // A store of a few files wastes much of itself between two merges, and little of the disk.
    let all = load.bytes.max(data_file_bytes * 4);
    let limit = all * u64::from(merge.limit_percent.max(merge.trigger_percent).max(1));
    let of_waste =
        u128::from(load.wasted_bytes) * 100 * u128::from(HARD) / u128::from(limit.max(1));
    let of_files = load.files * HARD / (MAX_FILES as u64 * 9 / 10);
    (of_waste as u64).max(of_files)
}

impl BackPressure {
    pub(crate) fn new(
        store: Arc<Store>,
        background: Arc<Background>,
        data_file_bytes: u64,
        merge: Option<MergeOptions>,
    ) -> Self {
        let (throttle, merging_stopped) = (Throttle::default(), AtomicU64::new(0));
        Self { store, background, data_file_bytes, merge, throttle, merging_stopped }
    }

    /// In thousandths of the limit; from 1000 on writers wait.
    pub(crate) fn level(&self) -> u64 {
        self.throttle.level()
    }

    /// Writes that were slowed.
    pub(crate) fn slowed(&self) -> u64 {
        self.throttle.slowed.load(Ordering::Relaxed)
    }

    /// Writes that waited.
    pub(crate) fn stalled(&self) -> u64 {
        self.throttle.stalled.load(Ordering::Relaxed)
    }

    /// Whether writers are never held back, so that nothing need be measured.
    pub(crate) fn is_off(&self) -> bool {
        self.merge.is_none()
    }

    /// Sets the pressure to that of `load`.
    pub(crate) fn measure(&self, load: Load) {
        if let Some(merge) = &self.merge {
            let level = level(load, self.data_file_bytes, merge);
            self.throttle.level.store(level, Ordering::Release);
        }
    }

    /// A merge has freed `bytes` in `elapsed`.
    pub(crate) fn drained(&self, bytes: u64, elapsed: Duration) {
        self.throttle.drained(bytes, elapsed);
    }

    /// A merge has failed, or there was nothing to merge.
    pub(crate) fn merging_stopped(&self) {
        self.merging_stopped.fetch_add(1, Ordering::Release);
    }

    /// Lets a write of `bytes` in: at once, after a pause, or after a merge, by the pressure.
    ///
    /// # Errors
    /// `Stalled`; `Closed` and `Poisoned`, if that happens during the wait.
    pub(crate) fn throttle(&self, bytes: u64) -> Result<()> {
        let level = self.throttle.level();
        if level < SOFT {
            return Ok(());
        }
        if level >= HARD {
            return self.wait_for_merges();
        }
        let pause = self.throttle.pause(bytes, level);
        if !pause.is_zero() {
            self.throttle.slowed.fetch_add(1, Ordering::Relaxed);
            self.store.env.clock.sleep(pause);
        }
        Ok(())
    }

    fn wait_for_merges(&self) -> Result<()> {
        self.throttle.stalled.fetch_add(1, Ordering::Relaxed);
        let clock = &self.store.env.clock;
        let stopped = || self.merging_stopped.load(Ordering::Acquire);
        let (start, stopped_before) = (clock.elapsed(), stopped());
        self.background.request(Task::Merge);
        let is_over = || {
            self.throttle.level() < HARD
                || self.background.is_closed()
                || self.store.check().is_err()
                || stopped() > stopped_before
                || clock.elapsed().saturating_sub(start) > LONGEST_WAIT
        };
        // Whether the wait is over, or an executor without threads had nothing to run, is looked at below.
        let _is_over: bool = self.store.env.executor.wait_until(&is_over);
        self.background.check_open()?;
        self.store.check()?;
        if self.throttle.level() < HARD {
            return Ok(());
        }
        Err(Error::Stalled { signal: "dead space that merging has not freed yet" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: u64, wasted_each: u64) -> Load {
        Load { files, bytes: files * 1_000, wasted_bytes: files * wasted_each }
    }

    #[test]
    fn pressure_is_the_share_of_the_limit_that_is_wasted() {
        let merge = MergeOptions { limit_percent: 80, ..MergeOptions::default() };
        let level = |count, waste| level(files(count, waste), 1_000, &merge);
        assert_eq!(level(10, 0), 0);
        assert_eq!(level(10, 400), 500);
        assert_eq!(level(10, 800), 1_000);
        assert_eq!(level(1, 1_000), 312, "a small store may waste more of itself");
    }

    /// What writers wait for is there: over the limit there is a file over the trigger.
    #[test]
    fn over_the_limit_there_is_always_something_to_merge() {
        let merge = MergeOptions { limit_percent: 10, ..MergeOptions::default() };
        for waste in 0..1_000 {
            if level(files(10, waste), 1_000, &merge) >= HARD {
                assert!(waste * 100 >= 1_000 * u64::from(merge.trigger_percent));
            }
        }
    }

    #[test]
    fn a_slowed_writer_pauses_for_what_merging_takes_to_free_as_much() {
        let throttle = Throttle::default();
        assert_eq!(throttle.pause(1 << 20, SOFT), Duration::ZERO, "nothing was measured yet");
        throttle.drained(100_000_000, Duration::from_secs(1));
        assert_eq!(throttle.pause(1_200_000, SOFT), Duration::from_millis(10));
        assert_eq!(throttle.pause(800_000, HARD), Duration::from_millis(10));
        assert_eq!(throttle.pause(80_000, HARD), Duration::from_millis(1));
        let saved_up: Vec<Duration> = (0..3).map(|_| throttle.pause(32_000, HARD)).collect();
        assert_eq!(saved_up, [Duration::ZERO, Duration::ZERO, Duration::from_micros(1_200)]);
        assert_eq!(throttle.pause(u64::MAX, HARD), Duration::from_millis(20));
    }
}
