//! Two sides that take turns.

use std::fmt;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The time of a turn.
#[derive(Clone, Copy)]
pub(crate) struct Time {
    wall: Duration,
    /// Of the thread that measures: without the time in which the disk was busy, or another thread had its core.
    cpu: Duration,
}

impl Time {
    #[inline]
    pub(crate) fn of(act: impl FnOnce()) -> Self {
        let (wall, cpu) = (Instant::now(), thread_cpu());
        act();
        Self { wall: wall.elapsed(), cpu: thread_cpu().saturating_sub(cpu) }
    }
}

/// The times of two sides: a pair for each turn.
pub(crate) struct Comparison {
    entries: usize,
    pairs: Vec<[Time; 2]>,
}

impl Comparison {
    /// Runs both sides `turns` times, with `entries` entries in each turn of a side. Every second turn, the other side goes
    /// first.
    pub(crate) fn of(
        turns: usize,
        entries: usize,
        mut ours: impl FnMut() -> Time,
        mut other: impl FnMut() -> Time,
    ) -> Self {
        let mut turn = |turn| {
            if turn % 2 == 0 {
                let ours = ours();
                [ours, other()]
            } else {
                let other = other();
                [ours(), other]
            }
        };
        Self { entries, pairs: (0..turns).map(&mut turn).collect() }
    }

    /// The same for sides that do as many entries as they are told: steps and look-ups. Their loops lie in themselves, so that
    /// an entry costs no call.
    pub(crate) fn of_calls(
        turns: usize,
        calls: usize,
        mut ours: impl FnMut(usize),
        mut other: impl FnMut(usize),
    ) -> Self {
        Self::of(turns, calls, || Time::of(|| ours(calls)), || Time::of(|| other(calls)))
    }

    /// Writes the medians of both sides in nanoseconds an entry, and the ratios of the turns.
    fn write(&self, f: &mut fmt::Formatter<'_>, time: impl Fn(&Time) -> Duration) -> fmt::Result {
        let an_entry = |time: Duration| time.as_nanos() as f64 / self.entries as f64;
        let times = |side: usize| self.pairs.iter().map(move |pair| pair[side]);
        let [ours, other] = [0, 1]
            .map(|side| -> Vec<f64> { times(side).map(|one| an_entry(time(&one))).collect() });
        let ratios = ours.iter().zip(&other).map(|(ours, other)| ours / other).collect();
        let [low, ratio, high] = quartiles(ratios);
        let [[_, ours, _], [_, other, _]] = [quartiles(ours), quartiles(other)];
        write!(f, "{ours:>8.1}{other:>8.1}  {ratio:.2} [{low:.2}, {high:.2}]")
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, |time| time.wall)?;
        self.write(f, |time| time.cpu)
    }
}

/// The processor time of this thread.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("a time that is not negative")
}

/// The lower quartile, the median and the upper quartile.
fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    assert!(!values.is_empty(), "a comparison has turns");
    values.sort_unstable_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[(values.len() - 1) * quarter / 4])
}
