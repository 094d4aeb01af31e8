//! Back-pressure: writers are held back before waste or files outgrow what merging can keep up with.
//!
//! The *pressure* is the greater of two shares: what the sealed files waste of [`MergeOptions::limit_percent`] of their
//! bytes, and the sealed files of the most that a store can have. It is looked at when a file was sealed and when a merge
//! was done.
//!
//! - Below 85 % writers feel nothing.
//! - From there to 100 % they are slowed: a write waits for as long as merging takes to free as many bytes, at the rate
//!   that merges were last measured to have; a little less at 85 %, where the limit is far, and more at 100 %.
//! - At 100 % they wait. What they wait for is a merge, never another write: that there is something to merge follows
//!   from the limit, which is above the trigger. Each step of a merge wakes them. When the merges have failed, or the wait
//!   has lasted [`LONGEST_WAIT`], the write returns `Stalled`.
//!
//! Deletions are let through: they are how a user makes space.

use std::sync::atomic::Ordering;
use std::time::Duration;

use durable::sync::atomic::AtomicU64;
use kv::{Error, Result};

use crate::deleter::MAX_FILES;
use crate::engine::Inner;
use crate::merge::pick::Candidate;
use crate::options::MergeOptions;

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

/// What writers feel.
#[derive(Debug, Default)]
pub(crate) struct Pressure {
    /// In thousandths of the limit.
    level: AtomicU64,
    /// Bytes that merges free in a second; 0 before the first.
    drain_per_second: AtomicU64,
    /// Waits that are saved up.
    owed_ns: AtomicU64,
    /// Writes that were slowed.
    pub(crate) slowed: AtomicU64,
    /// Writes that waited.
    pub(crate) stalled: AtomicU64,
}

impl Pressure {
    /// In thousandths of the limit; from 1000 on writers wait.
    pub(crate) fn level(&self) -> u64 {
        self.level.load(Ordering::Acquire)
    }

    /// Looks at the sealed files anew.
    pub(crate) fn measure(&self, files: &[Candidate], data_file_bytes: u64, merge: &MergeOptions) {
        let level = level(files, data_file_bytes, merge);
        self.level.store(level, Ordering::Release);
    }

    /// A merge has freed `bytes` in `elapsed`.
    pub(crate) fn drained(&self, bytes: u64, elapsed: Duration) {
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
fn level(files: &[Candidate], data_file_bytes: u64, merge: &MergeOptions) -> u64 {
    let all: u64 = files.iter().map(|file| file.len).sum();
    let waste: u64 = files.iter().map(|file| file.waste.min(file.len)).sum();
    // A store of a few files wastes much of itself between two merges, and little of the disk.
    let all = all.max(data_file_bytes * 4);
    let limit = all * u64::from(merge.limit_percent.max(merge.trigger_percent).max(1));
    let of_waste = u128::from(waste) * 100 * u128::from(HARD) / u128::from(limit.max(1));
    let of_files = files.len() as u64 * HARD / (MAX_FILES as u64 * 9 / 10);
    (of_waste as u64).max(of_files)
}

impl Inner {
    /// Lets a write of `bytes` in, slowly or later when there is pressure.
    pub(crate) fn admit(&self, bytes: u64) -> Result<()> {
        let level = self.pressure.level();
        if level < SOFT {
            return Ok(());
        }
        if level < HARD {
            let pause = self.pressure.pause(bytes, level);
            if !pause.is_zero() {
                self.pressure.slowed.fetch_add(1, Ordering::Relaxed);
                self.options.env.clock.sleep(pause);
            }
            return Ok(());
        }
        self.wait_for_merges()
    }

    fn wait_for_merges(&self) -> Result<()> {
        self.pressure.stalled.fetch_add(1, Ordering::Relaxed);
        let clock = &self.options.env.clock;
        let (start, ended) = (clock.elapsed(), self.merging_ended());
        self.consider_merging();
        let is_over = || {
            self.pressure.level() < HARD
                || self.is_closed()
                || self.sync.check().is_err()
                || self.merging_ended() > ended
                || clock.elapsed().saturating_sub(start) > LONGEST_WAIT
        };
        // Whether the wait is over, or an executor without threads had nothing to run, is looked at below.
        let _is_over: bool = self.options.env.executor.wait_until(&is_over);
        self.check_open()?;
        self.sync.check()?;
        if self.pressure.level() < HARD {
            return Ok(());
        }
        Err(Error::Stalled { signal: "dead space that merging has not freed yet" })
    }

    /// How often merging has stopped, because one has failed or because there was nothing to merge.
    fn merging_ended(&self) -> u64 {
        let counters = &self.counters;
        counters.merges_failed.load(Ordering::Relaxed)
            + counters.merge_looks_in_vain.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(count: u64, waste: u64) -> Vec<Candidate> {
        (0..count).map(|id| Candidate { id, len: 1_000, waste, ..Candidate::default() }).collect()
    }

    #[test]
    fn pressure_is_the_share_of_the_limit_that_is_wasted() {
        let merge = MergeOptions { limit_percent: 80, ..MergeOptions::default() };
        let level = |count, waste| level(&files(count, waste), 1_000, &merge);
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
            if level(&files(10, waste), 1_000, &merge) >= HARD {
                assert!(waste * 100 >= 1_000 * u64::from(merge.trigger_percent));
            }
        }
    }

    #[test]
    fn a_slowed_writer_pauses_for_what_merging_takes_to_free_as_much() {
        let pressure = Pressure::default();
        assert_eq!(pressure.pause(1 << 20, SOFT), Duration::ZERO, "nothing was measured yet");
        pressure.drained(100_000_000, Duration::from_secs(1));
        assert_eq!(pressure.pause(1_200_000, SOFT), Duration::from_millis(10));
        assert_eq!(pressure.pause(800_000, HARD), Duration::from_millis(10));
        assert_eq!(pressure.pause(80_000, HARD), Duration::from_millis(1));
        let saved_up: Vec<Duration> = (0..3).map(|_| pressure.pause(32_000, HARD)).collect();
        assert_eq!(saved_up, [Duration::ZERO, Duration::ZERO, Duration::from_micros(1_200)]);
        assert_eq!(pressure.pause(u64::MAX, HARD), Duration::from_millis(20));
    }
}
