//! Two sides that take turns.

use std::fmt;
use std::time::{Duration, Instant};

/// The times of two sides, in nanoseconds an entry, in pairs.
pub(crate) struct Comparison {
    ours: Vec<f64>,
    other: Vec<f64>,
}

impl Comparison {
    /// Runs both sides `turns` times. They return the time that a turn with `entries` entries took. Every other time, the
    /// second one goes first.
    pub(crate) fn of(
        turns: usize,
        entries: usize,
        mut ours: impl FnMut() -> Duration,
        mut other: impl FnMut() -> Duration,
    ) -> Self {
        let mut times = Self { ours: Vec::new(), other: Vec::new() };
        let an_entry = |time: Duration| time.as_nanos() as f64 / entries as f64;
        for turn in 0..turns {
            if turn % 2 == 0 {
                times.ours.push(an_entry(ours()));
                times.other.push(an_entry(other()));
            } else {
                times.other.push(an_entry(other()));
                times.ours.push(an_entry(ours()));
            }
        }
        times
    }
}

/// Compares steps of two walks, or look-ups, `entries` of them in a turn.
pub(crate) fn in_turns(
    turns: usize,
    entries: usize,
    mut ours: impl FnMut(),
    mut other: impl FnMut(),
) -> Comparison {
    Comparison::of(turns, entries, || timed(entries, &mut ours), || timed(entries, &mut other))
}

#[inline]
fn timed(entries: usize, mut act: impl FnMut()) -> Duration {
    let started = Instant::now();
    for _ in 0..entries {
        act();
    }
    started.elapsed()
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ratios = self.ours.iter().zip(&self.other).map(|(ours, other)| ours / other).collect();
        let [low, ratio, high] = quarters(ratios);
        let [_, ours, _] = quarters(self.ours.clone());
        let [_, other, _] = quarters(self.other.clone());
        write!(f, "{ours:>8.1}{other:>8.1}  {ratio:.2} [{low:.2}, {high:.2}]")
    }
}

/// The lower quarter, the median and the upper quarter.
fn quarters(mut values: Vec<f64>) -> [f64; 3] {
    assert!(!values.is_empty(), "a comparison has turns");
    values.sort_unstable_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[(values.len() - 1) * quarter / 4])
}
