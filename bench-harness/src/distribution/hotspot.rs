//! A hot set: a share of the operations falls evenly on the first ranks, the rest evenly on the others.

use crate::quantity::floor_to_u64;
use crate::random::Random;

/// A hot set over `count` ranks.
#[derive(Clone, Debug)]
pub(super) struct Hotspot {
    count: u64,
    hot: u64,
    share: f64,
}

impl Hotspot {
    /// `share` of the operations on the fraction `keys` of `count` ranks; at least one rank is hot.
    pub(super) fn new(count: u64, keys: f64, share: f64) -> Self {
        let hot = floor_to_u64((count as f64 * keys).round()).clamp(1, count);
        assert!((0.0..=1.0).contains(&share), "{share} is a share");
        Self { count, hot, share }
    }

    /// The next rank.
    pub(super) fn draw(&self, random: &mut Random) -> u64 {
        let in_hot_set = random.unit() < self.share;
        if in_hot_set || self.hot == self.count {
            random.below(self.hot)
        } else {
            self.hot + random.below(self.count - self.hot)
        }
    }

    /// The exact probability of `rank`.
    #[cfg(test)]
    fn probability(&self, rank: u64) -> f64 {
        if rank < self.hot {
            self.share / self.hot as f64
        } else {
            (1.0 - self.share) / (self.count - self.hot) as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::goodness_of_fit::{chi_square, generous_bound};
    use super::*;

    #[test]
    fn draws_follow_the_exact_probabilities() {
        const DRAWS: u64 = 200_000;
        let hotspot = Hotspot::new(50, 0.2, 0.8);
        let mut random = Random::new(8, &[]);
        let mut counts = [0; 50];
        for _ in 0..DRAWS {
            counts[hotspot.draw(&mut random) as usize] += 1;
        }
        let exact: Vec<_> = (0..50).map(|rank| hotspot.probability(rank)).collect();
        assert!(chi_square(&counts, &exact, DRAWS) < generous_bound(50));
    }

    #[test]
    fn a_share_of_one_never_leaves_the_hot_set() {
        let hotspot = Hotspot::new(1000, 0.01, 1.0);
        let mut random = Random::new(9, &[]);
        assert!((0..10_000).all(|_| hotspot.draw(&mut random) < 10));
    }
}
