//! Which key an operation picks. Every distribution is a pure function of its parameters and a random stream, and is
//! tested against its exact probabilities.
//!
//! A skewed distribution draws a *rank*, 0 being the most popular; [`Scatter`] then says which key has that rank, so
//! that popular keys are spread over the key space. Two are different: `sequential` walks the keys in order, and
//! `latest` draws a *distance* back from the newest key, which only the operation loop knows.

mod hotspot;
mod ycsb_zipfian;
mod zipfian;

use std::fmt;
use std::str::FromStr;

use crate::random::{Random, Scatter};

use hotspot::Hotspot;
use ycsb_zipfian::YcsbZipfian;
pub(crate) use ycsb_zipfian::fnv_1a;
use zipfian::Zipfian;

/// The names of the distributions with their parameters, for `list` and for error messages.
pub(crate) const NAMES: [(&str, &str); 6] = [
    ("uniform", "every key equally likely"),
    ("sequential", "the keys one after the other"),
    ("zipfian:0.99", "true Zipf over the keys: rank r with weight r^-0.99"),
    ("ycsb-zipfian", "exactly YCSB's: Zipf over 10^10 items, hashed onto the keys; much flatter"),
    ("latest:0.99", "Zipf by age, the newest key first"),
    ("hotspot:0.2,0.8", "0.8 of the operations on 0.2 of the keys"),
];

/// The skew that YCSB made customary.
const DEFAULT_SKEW: f64 = 0.99;

/// A distribution as it is written in workload files.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum KeyChoice {
    /// Every key equally likely.
    Uniform,
    /// One key after the other.
    Sequential,
    /// True Zipf with this skew.
    Zipfian(f64),
    /// YCSB's scrambled Zipf, bit by bit.
    YcsbZipfian,
    /// Zipf with this skew over the distance from the newest key.
    Latest(f64),
    /// This share of the keys gets this share of the operations.
    Hotspot(f64, f64),
}

impl FromStr for KeyChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, parameters) = text.split_once(':').unwrap_or((text, ""));
        let numbers = parameters
            .split(',')
            .filter(|part| !part.is_empty())
            .map(|part| part.trim().parse::<f64>())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| format!("\"{parameters}\" in \"{text}\" is not a list of numbers"))?;
        let skew = |numbers: &[f64]| match numbers {
            [] => Ok(DEFAULT_SKEW),
            [skew] if *skew > 0.0 && *skew < 10.0 => Ok(*skew),
            _ => Err(format!("\"{text}\": the skew is one number between 0 and 10")),
        };
        match (name, &numbers[..]) {
            ("uniform", []) => Ok(Self::Uniform),
            ("sequential", []) => Ok(Self::Sequential),
            ("ycsb-zipfian", []) => Ok(Self::YcsbZipfian),
            ("zipfian", numbers) => skew(numbers).map(Self::Zipfian),
            ("latest", numbers) => skew(numbers).map(Self::Latest),
            ("hotspot", [keys, share])
                if *keys > 0.0 && *keys <= 1.0 && (0.0..=1.0).contains(share) =>
            {
                Ok(Self::Hotspot(*keys, *share))
            }
            ("hotspot", _) => {
                Err(format!("\"{text}\": write hotspot:KEYS,SHARE with 0 < KEYS <= 1"))
            }
            ("uniform" | "sequential" | "ycsb-zipfian", _) => {
                Err(format!("\"{text}\": {name} takes no parameter"))
            }
            _ => Err(crate::suggest::unknown("distribution", text, NAMES.map(|(name, _)| name))),
        }
    }
}

impl fmt::Display for KeyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Sequential => f.write_str("sequential"),
            Self::Zipfian(skew) => write!(f, "zipfian:{skew}"),
            Self::YcsbZipfian => f.write_str("ycsb-zipfian"),
            Self::Latest(skew) => write!(f, "latest:{skew}"),
            Self::Hotspot(keys, share) => write!(f, "hotspot:{keys},{share}"),
        }
    }
}

/// A distribution over a known number of keys, ready to draw from.
#[derive(Clone, Debug)]
pub(crate) struct Picker {
    count: u64,
    scatter: Scatter,
    draw: Draw,
}

#[derive(Clone, Debug)]
enum Draw {
    Uniform,
    Sequential { next: u64 },
    Zipfian(Zipfian),
    YcsbZipfian(YcsbZipfian),
    Latest(Zipfian),
    Hotspot(Hotspot),
}

impl Picker {
    /// A picker over the keys `0..count`; `count` is not 0.
    pub(crate) fn new(choice: KeyChoice, count: u64) -> Self {
        assert!(count > 0, "a pick needs a key");
        let draw = match choice {
            KeyChoice::Uniform => Draw::Uniform,
            KeyChoice::Sequential => Draw::Sequential { next: 0 },
            KeyChoice::Zipfian(skew) => Draw::Zipfian(Zipfian::new(count, skew)),
            KeyChoice::YcsbZipfian => Draw::YcsbZipfian(YcsbZipfian::new()),
            KeyChoice::Latest(skew) => Draw::Latest(Zipfian::new(count, skew)),
            KeyChoice::Hotspot(keys, share) => Draw::Hotspot(Hotspot::new(count, keys, share)),
        };
        Self { count, scatter: Scatter::new(count), draw }
    }

    /// The next pick in `0..count`: a key, or for `latest` the distance from the newest key.
    pub(crate) fn pick(&mut self, random: &mut Random) -> u64 {
        let pick = match &mut self.draw {
            Draw::Uniform => random.below(self.count),
            Draw::Sequential { next } => {
                let key = *next;
                *next = (key + 1) % self.count;
                key
            }
            Draw::Zipfian(zipfian) => self.scatter.place(zipfian.draw(random)),
            Draw::YcsbZipfian(zipfian) => zipfian.draw(random) % self.count,
            Draw::Latest(zipfian) => zipfian.draw(random),
            Draw::Hotspot(hotspot) => self.scatter.place(hotspot.draw(random)),
        };
        debug_assert!(pick < self.count, "{pick} of {} keys", self.count);
        pick
    }
}

/// Judges draws against exact probabilities.
#[cfg(test)]
pub(crate) mod goodness_of_fit {
    /// Pearson's statistic of `observed` counts against exact `probabilities` (which may leave out a tail).
    pub(crate) fn chi_square(observed: &[u64], probabilities: &[f64], draws: u64) -> f64 {
        let terms = observed.iter().zip(probabilities).map(|(&seen, probability)| {
            let expected = probability * draws as f64;
            (seen as f64 - expected).powi(2) / expected
        });
        terms.sum()
    }

    /// A bound that a right distribution passes except once in many thousand seeds: mean plus five deviations.
    pub(crate) fn generous_bound(cells: usize) -> f64 {
        let cells = cells as f64;
        cells + 5.0 * (2.0 * cells).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::goodness_of_fit::{chi_square, generous_bound};
    use super::*;

    const DRAWS: u64 = 200_000;

    fn counts(choice: KeyChoice, keys: u64) -> Vec<u64> {
        let mut random = Random::new(1, &[]);
        let mut picker = Picker::new(choice, keys);
        let mut counts = vec![0; keys as usize];
        for _ in 0..DRAWS {
            counts[picker.pick(&mut random) as usize] += 1;
        }
        counts
    }

    #[test]
    fn uniform_picks_every_key_equally_often() {
        let counts = counts(KeyChoice::Uniform, 100);
        assert!(chi_square(&counts, &[0.01; 100], DRAWS) < generous_bound(100));
    }

    #[test]
    fn sequential_walks_the_keys_in_order_and_starts_over() {
        let mut random = Random::new(1, &[]);
        let mut picker = Picker::new(KeyChoice::Sequential, 3);
        let picks: Vec<_> = (0..5).map(|_| picker.pick(&mut random)).collect();
        assert_eq!(picks, [0, 1, 2, 0, 1]);
    }

    #[test]
    fn scattered_zipf_keeps_the_probabilities_of_its_ranks() {
        let counts = counts(KeyChoice::Zipfian(0.99), 50);
        let scatter = Scatter::new(50);
        let by_rank: Vec<_> = (0..50).map(|rank| counts[scatter.place(rank) as usize]).collect();
        let exact: Vec<_> = (0..50).map(|rank| Zipfian::new(50, 0.99).probability(rank)).collect();
        assert!(chi_square(&by_rank, &exact, DRAWS) < generous_bound(50));
    }

    #[test]
    fn latest_draws_distances_by_zipf() {
        let counts = counts(KeyChoice::Latest(0.8), 50);
        let exact: Vec<_> = (0..50).map(|rank| Zipfian::new(50, 0.8).probability(rank)).collect();
        assert!(chi_square(&counts, &exact, DRAWS) < generous_bound(50));
    }

    #[test]
    fn what_is_shown_reads_back_and_nonsense_is_refused() {
        for (text, _) in NAMES {
            assert_eq!(text.parse::<KeyChoice>().unwrap().to_string(), text);
        }
        assert_eq!("zipfian".parse(), Ok(KeyChoice::Zipfian(0.99)));
        for nonsense in
            ["", "zipfain", "zipfian:x", "zipfian:-1", "hotspot:0.2", "uniform:3", "hotspot:0,1"]
        {
            assert!(nonsense.parse::<KeyChoice>().is_err(), "{nonsense}");
        }
    }
}
