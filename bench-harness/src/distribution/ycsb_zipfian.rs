//! YCSB's "zipfian" request distribution, bit by bit, for numbers that can be compared with other YCSB runs.
//!
//! It is not Zipf over the keys: it draws from 10^10 items with Gray's quick formula (1994) and a fixed zeta, and
//! hashes the item onto the keys with FNV-1a. With a million keys the hottest gets 3.8 % of the operations where true
//! Zipf gives it 6.5 %. Source: YCSB core, `ScrambledZipfianGenerator`.

use crate::quantity::floor_to_u64;
use crate::random::Random;

/// The items drawn from, whatever the number of keys.
const ITEMS: f64 = 1e10;
/// The sum of all weights of that many items.
const ZETA: f64 = 26.469_028_201_783_02;
/// YCSB's constant.
const SKEW: f64 = 0.99;

/// The distribution; the caller takes a draw modulo the number of keys.
#[derive(Clone, Debug)]
pub(super) struct YcsbZipfian {
    /// The draws below this belong to the first two items.
    two: f64,
    alpha: f64,
    eta: f64,
}

impl YcsbZipfian {
    /// The distribution with YCSB's constants.
    pub(super) fn new() -> Self {
        let two = 1.0 + 0.5_f64.powf(SKEW);
        Self {
            two,
            alpha: 1.0 / (1.0 - SKEW),
            eta: (1.0 - (2.0 / ITEMS).powf(1.0 - SKEW)) / (1.0 - two / ZETA),
        }
    }

    /// The next item, hashed.
    pub(super) fn draw(&self, random: &mut Random) -> u64 {
        fnv_1a(self.item(random.unit()))
    }

    /// The item that the random number `unit` stands for.
    fn item(&self, unit: f64) -> u64 {
        let area = unit * ZETA;
        if area < 1.0 {
            0
        } else if area < self.two {
            1
        } else {
            floor_to_u64(ITEMS * (self.eta * unit - self.eta + 1.0).powf(self.alpha))
        }
    }

    /// The exact probability of `item` under the formula: the length of the interval of random numbers it stands for.
    #[cfg(test)]
    fn probability(&self, item: u64) -> f64 {
        let start = |item: u64| {
            let by_formula =
                ((item as f64 / ITEMS).powf(1.0 / self.alpha) + self.eta - 1.0) / self.eta;
            by_formula.max(self.two / ZETA)
        };
        match item {
            0 => 1.0 / ZETA,
            1 => (self.two - 1.0) / ZETA,
            item => start(item + 1) - start(item),
        }
    }
}

/// FNV-1a over the eight bytes of `value`, low byte first, made positive as a Java `long` would be.
pub(crate) fn fnv_1a(value: u64) -> u64 {
    let hash = value.to_le_bytes().into_iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211)
    });
    hash.cast_signed().unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::super::goodness_of_fit::{chi_square, generous_bound};
    use super::*;

    const DRAWS: u64 = 400_000;

    #[test]
    fn items_follow_the_exact_probabilities_of_the_formula() {
        let zipfian = YcsbZipfian::new();
        let mut random = Random::new(5, &[]);
        let mut counts = [0; 30];
        for _ in 0..DRAWS {
            if let Some(count) = counts.get_mut(zipfian.item(random.unit()) as usize) {
                *count += 1;
            }
        }
        let exact: Vec<_> = (0..30).map(|item| zipfian.probability(item)).collect();
        assert!(chi_square(&counts, &exact, DRAWS) < generous_bound(30));
    }

    #[test]
    fn the_hottest_of_a_million_keys_gets_what_ycsb_gives_it() {
        let zipfian = YcsbZipfian::new();
        let mut random = Random::new(6, &[]);
        let hottest = fnv_1a(0) % 1_000_000;
        let hits = (0..DRAWS).filter(|_| zipfian.draw(&mut random) % 1_000_000 == hottest).count();
        let share = hits as f64 / DRAWS as f64;
        assert!((share - 0.0378).abs() < 0.002, "{share}");
    }

    #[test]
    fn the_hash_is_the_one_of_ycsb() {
        // Offset basis times prime to the eighth power, folded by hand.
        assert_eq!(fnv_1a(0), 0xa8c7_f832_281a_39c5_u64.cast_signed().unsigned_abs());
    }
}
