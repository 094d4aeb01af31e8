//! The footprint of a Zipf distribution whose popular keys are spread over the key space.
//!
//! Ranks of similar popularity make a class, the first thousand ranks one each. A class of `n` keys with the probability
//! `p` each has `n * (1 - exp(-window * p))` of them in a window. The sum over the classes is computed at points that are
//! evenly spaced in the logarithm of the window, and interpolated between.

use super::footprint::{Density, Footprint};
use crate::quantity::floor_to_u64;

/// Ranks with a class of their own.
const EXACT: u64 = 1_000;
/// The growth of a class from one to the next.
const GROWTH: f64 = 1.02;
/// Windows at which the share of keys is computed.
const POINTS: usize = 4_000;
/// The most by which sums of shares may be wrong.
const ROUNDING: f64 = 1e-9;

/// The footprint of Zipf's distribution with a skew.
#[derive(Clone, Debug)]
pub(super) struct ZipfianFootprint {
    /// The share of keys at each point; the first point is a window of one operation.
    shares: Vec<f64>,
    /// The logarithm of the ratio of adjacent windows.
    step: f64,
    entry_bytes: f64,
    complete: f64,
}

/// Keys of about the same popularity.
struct Class {
    /// How many there are.
    keys: f64,
    /// The weight of each in the distribution.
    weight: f64,
}

fn classes(keys: u64, skew: f64) -> Vec<Class> {
    let exact =
        (1..=keys.min(EXACT)).map(|rank| Class { keys: 1.0, weight: (rank as f64).powf(-skew) });
    let mut classes: Vec<Class> = exact.collect();
    let integral =
        |x: f64| if (skew - 1.0).abs() < 1e-9 { x.ln() } else { x.powf(1.0 - skew) / (1.0 - skew) };
    let (mut from, end) = (EXACT as f64 + 0.5, keys as f64 + 0.5);
    while from < end {
        let to = (from * GROWTH).min(end);
        classes
            .push(Class { keys: to - from, weight: (integral(to) - integral(from)) / (to - from) });
        from = to;
    }
    classes
}

impl ZipfianFootprint {
    pub(super) fn new(keys: u64, skew: f64, entry_bytes: f64) -> Self {
        let classes = classes(keys, skew);
        let total: f64 = classes.iter().map(|class| class.keys * class.weight).sum();
        let rarest = classes.last().map_or(1.0, |class| class.weight / total);
        let complete = 30.0 / rarest;
        let step = complete.ln() / (POINTS - 1) as f64;
        let share = |point: usize| {
            let window = (step * point as f64).exp();
            let present = |class: &Class| class.keys * -f64::exp_m1(-window * class.weight / total);
            classes.iter().map(present).sum::<f64>() / keys as f64
        };
        let shares: Vec<f64> = (0..POINTS).map(share).collect();
        let rises = |pair: &[f64]| pair[0] <= pair[1] + ROUNDING;
        assert!(shares.windows(2).all(rises), "a longer window has more keys");
        assert!(shares[POINTS - 1] <= 1.0 + ROUNDING, "no window has more than all keys");
        Self { shares, step, entry_bytes, complete }
    }
}

impl Footprint for ZipfianFootprint {
    fn at(&self, window: f64) -> Density {
        let entries = if window <= 1.0 {
            self.shares[0] * window.max(0.0)
        } else {
            let at = (window.ln() / self.step).min((POINTS - 1) as f64);
            let left = (floor_to_u64(at) as usize).min(POINTS - 2);
            let (low, high) = (self.shares[left], self.shares[left + 1]);
            low + (high - low) * (at - left as f64)
        };
        Density { entries, bytes: entries * self.entry_bytes, ..Density::default() }
    }

    fn complete(&self) -> f64 {
        self.complete
    }

    fn operation_bytes(&self) -> f64 {
        self.entry_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_points_are_close_to_the_sum_over_all_ranks() {
        let (keys, skew) = (200_000_u64, 0.99);
        let footprint = ZipfianFootprint::new(keys, skew, 100.0);
        let weight = |rank: u64| (rank as f64).powf(-skew);
        let total: f64 = (1..=keys).map(weight).sum();
        for window in [1.0, 10.0, 1_234.0, 50_000.0, 3e6, 1e8] {
            let present = |rank| -f64::exp_m1(-window * weight(rank) / total);
            let exact = (1..=keys).map(present).sum::<f64>() / keys as f64;
            let found = footprint.at(window).entries;
            assert!((found / exact - 1.0).abs() < 1e-3, "{window}: {found} for {exact}");
        }
    }
}
