//! The true Zipf distribution: rank r (from 0) has a probability in proportion to `(r + 1)^-skew`.
//!
//! Ranks are drawn by rejection-inversion (Hormann and Derflinger 1996). The integral of a hat function that can be inverted
//! bounds the sum of weights. A draw below the hat but above the bar of its rank is rejected. This is exact for every skew
//! and needs neither a table nor the zeta sum.

use crate::quantity::floor_to_u64;
use crate::random::Random;

/// A Zipf distribution over `count` ranks.
#[derive(Clone, Debug)]
pub(super) struct Zipfian {
    count: u64,
    skew: f64,
    /// The hat's integral at the left end of the first bar, which is drawn without rejection.
    low: f64,
    /// The hat's integral at the right end of the last bar.
    high: f64,
    /// A draw this close to its bar is accepted without computing the bar.
    acceptance_margin: f64,
}

impl Zipfian {
    /// Zipf over the ranks `0..count`; `count` and `skew` are positive.
    pub(super) fn new(count: u64, skew: f64) -> Self {
        assert!(count > 0 && skew > 0.0 && skew.is_finite(), "{count} keys, skew {skew}");
        let integral = |x| integral(skew, x);
        Self {
            count,
            skew,
            low: integral(1.5) - 1.0,
            high: integral(count as f64 + 0.5),
            acceptance_margin: 2.0 - inverse(skew, integral(2.5) - 2.0_f64.powf(-skew)),
        }
    }

    /// The next rank.
    pub(super) fn draw(&self, random: &mut Random) -> u64 {
        loop {
            let area = self.high + random.unit() * (self.low - self.high);
            let x = inverse(self.skew, area);
            let bar = (x + 0.5).floor().clamp(1.0, self.count as f64);
            let accepted = bar - x <= self.acceptance_margin
                || area >= integral(self.skew, bar + 0.5) - bar.powf(-self.skew);
            if accepted {
                return floor_to_u64(bar) - 1;
            }
        }
    }

    /// The exact probability of `rank`, by summing all weights.
    #[cfg(test)]
    pub(super) fn probability(&self, rank: u64) -> f64 {
        let weight = |rank: u64| ((rank + 1) as f64).powf(-self.skew);
        weight(rank) / (0..self.count).map(weight).sum::<f64>()
    }
}

/// The integral of `x^-skew` from 1 to `x`.
fn integral(skew: f64, x: f64) -> f64 {
    let exponent = 1.0 - skew;
    if exponent.abs() < 1e-9 { x.ln() } else { (x.powf(exponent) - 1.0) / exponent }
}

/// The `x` up to which the integral is `area`.
fn inverse(skew: f64, area: f64) -> f64 {
    let exponent = 1.0 - skew;
    if exponent.abs() < 1e-9 {
        area.exp()
    } else {
        (area * exponent + 1.0).max(0.0).powf(1.0 / exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::super::goodness_of_fit::{chi_square, generous_bound};
    use super::*;

    #[test]
    fn draws_follow_the_exact_probabilities_for_any_skew() {
        const DRAWS: u64 = 300_000;
        for skew in [0.5, 0.99, 1.0, 1.4, 3.0] {
            let zipfian = Zipfian::new(40, skew);
            let mut random = Random::new(3, &[]);
            let mut counts = [0; 40];
            for _ in 0..DRAWS {
                counts[zipfian.draw(&mut random) as usize] += 1;
            }
            let exact: Vec<_> = (0..40).map(|rank| zipfian.probability(rank)).collect();
            assert!(chi_square(&counts, &exact, DRAWS) < generous_bound(40), "skew {skew}");
        }
    }

    #[test]
    fn the_head_of_a_million_keys_gets_its_exact_share() {
        const DRAWS: u32 = 400_000;
        let zipfian = Zipfian::new(1_000_000, 0.99);
        let mut random = Random::new(4, &[]);
        let head = (0..DRAWS).filter(|_| zipfian.draw(&mut random) < 1_000).count();
        let share = head as f64 / f64::from(DRAWS);
        // 50.2 % by the exact sum; the quick formula of Gray et al. would give 51.0 %.
        assert!((share - 0.502).abs() < 0.004, "{share}");
    }
}
