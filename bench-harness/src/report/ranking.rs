//! Places and ratios of one phase, from the same paired tests, so that they cannot contradict each other.
//!
//! Every pair of ranked engines is tested once. The p-values of a phase are adjusted for their number with Holm's method
//! (Scandinavian Journal of Statistics 6, 1979). The interval of a ratio gets the level that its pair had: it excludes 1
//! exactly where the difference is shown.
//! The place of an engine is one more than the number of engines that are shown to be faster, directly or through others.
//! Tests connect engines. Only the largest group of connected engines has places: others were compared with none of them.

use crate::paired::{BlockSpeed, Paired};
use crate::statistics::LEVEL;

/// The comparison of an engine with another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// How many times faster.
    pub(crate) ratio: f64,
    /// The interval of the ratio; none from one block.
    pub(crate) interval: Option<(f64, f64)>,
    /// Whether the blocks show that one of the two is faster.
    pub(crate) is_shown: bool,
}

/// All comparisons of a phase. An engine is known by its index in the list of contestants.
#[derive(Clone, Debug)]
pub(crate) struct Ranking {
    places: Vec<Option<usize>>,
    verdicts: Vec<Vec<Option<Verdict>>>,
}

/// An engine to compare.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contestant<'c> {
    /// Whether it may have a place.
    pub(crate) is_ranked: bool,
    /// At most one speed a block.
    pub(crate) speeds: &'c [BlockSpeed],
}

/// A test of two ranked engines.
struct Pair {
    left: usize,
    right: usize,
    paired: Paired,
    p: f64,
}

impl Ranking {
    /// Compares all engines of a phase.
    pub(crate) fn new(engines: &[Contestant<'_>]) -> Self {
        let count = engines.len();
        let all = (0..count).flat_map(|left| (0..left).map(move |right| (left, right)));
        let all = all.filter_map(|(left, right)| {
            let paired = Paired::of(engines[left].speeds, engines[right].speeds)?;
            Some((left, right, paired))
        });
        let all: Vec<_> = all.collect();
        let mut verdicts = vec![vec![None; count]; count];
        for &(left, right, paired) in &all {
            verdicts[left][right] = Some(single(paired));
            verdicts[right][left] = Some(single(paired.inverse()));
        }
        let pairs = ranked_pairs(engines, &all);
        let mut faster = FasterRelation::new(count);
        for (pair, multiplier) in pairs.iter().zip(multipliers(&pairs)) {
            let is_shown = pair.p * multiplier < LEVEL && faster.insert_unless_contradicted(pair);
            put_ranked(&mut verdicts, pair, LEVEL / multiplier, is_shown);
        }
        assert!(faster.is_acyclic(), "no engine is faster than itself");
        let connected = largest_group(engines, &pairs);
        let has_place = |at: usize| connected.contains(&at) && engines[at].speeds.len() > 1;
        let place = |at| has_place(at).then(|| 1 + faster.count_above(at));
        let places: Vec<_> = (0..count).map(place).collect();
        assert!(places.iter().flatten().all(|place| (1..=count).contains(place)));
        let goes_both_ways = |at: usize| {
            (0..count).all(|other| verdicts[at][other].is_some() == verdicts[other][at].is_some())
        };
        debug_assert!((0..count).all(goes_both_ways), "a comparison goes both ways");
        Self { places, verdicts }
    }

    /// The place of an engine, from 1. `None` if it is not ranked, or was measured in one block alone. `None` also if no test
    /// connects it with the engines that have places.
    pub(crate) fn place(&self, engine: usize) -> Option<usize> {
        self.places[engine]
    }

    /// The speed of `engine` in speeds of `other`; `None` where they share no block, or are one.
    pub(crate) fn verdict(&self, engine: usize, other: usize) -> Option<Verdict> {
        self.verdicts[engine][other]
    }
}

impl Verdict {
    /// The ratio and its interval, at `level`.
    fn new(paired: Paired, level: f64, is_shown: bool) -> Self {
        let interval = paired.interval(level);
        assert!(!is_shown || interval.is_some(), "one block shows nothing");
        Self { ratio: paired.ratio(), interval, is_shown }
    }
}

/// The comparison of a pair that is no part of the ranking: a single test.
fn single(paired: Paired) -> Verdict {
    Verdict::new(paired, LEVEL, paired.p().is_some_and(|p| p < LEVEL))
}

/// Puts the verdicts of a pair of ranked engines, both ways.
fn put_ranked(verdicts: &mut [Vec<Option<Verdict>>], pair: &Pair, level: f64, is_shown: bool) {
    let both =
        [(pair.left, pair.right, pair.paired), (pair.right, pair.left, pair.paired.inverse())];
    for (of, to, paired) in both {
        let mut verdict = Verdict::new(paired, level, is_shown);
        // A difference that contradicts stronger ones is not shown, so its interval would claim too much.
        verdict.interval = verdict.interval.filter(|range| excludes_one(*range) == is_shown);
        verdicts[of][to] = Some(verdict);
    }
}

fn excludes_one((low, high): (f64, f64)) -> bool {
    low > 1.0 || high < 1.0
}

/// Of all comparisons, those of two ranked engines that share at least two blocks, the surest difference first.
fn ranked_pairs(engines: &[Contestant<'_>], all: &[(usize, usize, Paired)]) -> Vec<Pair> {
    let pair = |&(left, right, paired): &(usize, usize, Paired)| {
        let is_ranked = engines[left].is_ranked && engines[right].is_ranked;
        let p = paired.p().filter(|_| is_ranked)?;
        Some(Pair { left, right, paired, p })
    };
    let mut pairs: Vec<_> = all.iter().filter_map(pair).collect();
    pairs.sort_by(|left, right| left.p.total_cmp(&right.p));
    assert!(pairs.iter().all(|pair| (0.0..=1.0).contains(&pair.p)), "a p-value is a probability");
    pairs
}

/// The largest group of ranked engines that tested pairs connect; empty if two groups are the largest.
fn largest_group(engines: &[Contestant<'_>], pairs: &[Pair]) -> Vec<usize> {
    let mut groups: Vec<Vec<usize>> =
        (0..engines.len()).filter(|at| engines[*at].is_ranked).map(|at| vec![at]).collect();
    for pair in pairs {
        let is_joined =
            |group: &mut Vec<usize>| group.contains(&pair.left) || group.contains(&pair.right);
        let joined: Vec<_> = groups.extract_if(.., is_joined).flatten().collect();
        groups.push(joined);
    }
    groups.sort_by_key(Vec::len);
    let largest = groups.pop().unwrap_or_default();
    let has_equal = groups.last().is_some_and(|group| group.len() == largest.len());
    if has_equal { Vec::new() } else { largest }
}

/// Holm's factors: with each p-value times its factor, the chance of one false difference in the phase is at most that
/// of a single test. The pairs are sorted by p-value.
fn multipliers(pairs: &[Pair]) -> Vec<f64> {
    let mut largest: f64 = 0.0;
    let factor = |(at, pair): (usize, &Pair)| {
        let step = (pairs.len() - at) as f64;
        // Adjusted p-values never decrease along the list.
        let factor = if pair.p > 0.0 { step.max(largest / pair.p) } else { step };
        largest = pair.p * factor;
        factor
    };
    let factors: Vec<_> = pairs.iter().enumerate().map(factor).collect();
    debug_assert!(factors.iter().all(|factor| *factor >= 1.0), "an adjustment makes no p smaller");
    factors
}

/// Which engine is shown to be faster than which, directly or through others.
struct FasterRelation {
    /// For each engine, whether each other one is faster; closed under "faster than".
    above: Vec<Vec<bool>>,
}

impl FasterRelation {
    fn new(count: usize) -> Self {
        Self { above: vec![vec![false; count]; count] }
    }

    /// Inserts the difference of `pair`, unless stronger ones say the opposite. Returns whether it did.
    fn insert_unless_contradicted(&mut self, pair: &Pair) -> bool {
        let is_left = pair.paired.ratio() > 1.0;
        let (fast, slow) = if is_left { (pair.left, pair.right) } else { (pair.right, pair.left) };
        if self.above[fast][slow] {
            return false;
        }
        let count = self.above.len();
        let faster: Vec<_> = (0..count).filter(|at| *at == fast || self.above[fast][*at]).collect();
        for below in 0..count {
            if below == slow || self.above[below][slow] {
                for &at in &faster {
                    self.above[below][at] = true;
                }
            }
        }
        true
    }

    /// Whether no engine is above itself: each difference that was inserted agrees with all others.
    fn is_acyclic(&self) -> bool {
        (0..self.above.len()).all(|at| !self.above[at][at])
    }

    /// How many engines are shown to be faster than `engine`.
    fn count_above(&self, engine: usize) -> usize {
        self.above[engine].iter().filter(|is_above| **is_above).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn ranking(engines: &[Vec<BlockSpeed>]) -> Ranking {
        let all = engines.iter().map(|speeds| Contestant { is_ranked: true, speeds });
        Ranking::new(&all.collect::<Vec<_>>())
    }

    fn blocks(speeds: &[f64]) -> Vec<BlockSpeed> {
        (1..).zip(speeds.iter().copied()).map(BlockSpeed::from).collect()
    }

    /// Engines whose speeds lie near each other, some with blocks missing.
    fn random_engines(random: &mut Random) -> Vec<Vec<BlockSpeed>> {
        let count = 2 + random.below(6);
        let last = 1 + random.below(11) as u32;
        let noise = 0.2 * random.unit();
        let engine = |_| {
            let speed = 1.0 + 0.4 * random.unit();
            let missing = random.below(40) as u32;
            let speeds = (1..=last).filter(|block| *block != missing);
            let speeds = speeds.map(|block| (block, speed * (noise * random.unit()).exp()).into());
            speeds.collect()
        };
        (0..count).map(engine).collect()
    }

    #[test]
    fn places_and_ratios_never_contradict_each_other() {
        let mut shown = 0;
        for run in 0..3_000 {
            let engines = random_engines(&mut Random::new(run, &[1]));
            let ranking = ranking(&engines);
            for left in 0..engines.len() {
                for right in 0..engines.len() {
                    let Some(verdict) = ranking.verdict(left, right) else { continue };
                    let back = ranking.verdict(right, left).unwrap();
                    assert_eq!(verdict.is_shown, back.is_shown);
                    assert!((verdict.ratio * back.ratio - 1.0).abs() < 1e-9);
                    let excludes = verdict.interval.is_some_and(excludes_one);
                    assert_eq!(excludes, verdict.is_shown, "run {run}: {verdict:?}");
                    if verdict.is_shown {
                        shown += 1;
                        let places = (ranking.place(left), ranking.place(right));
                        assert_eq!(
                            verdict.ratio > 1.0,
                            places.0 < places.1,
                            "run {run}: {places:?}"
                        );
                    }
                }
            }
            for at in 0..engines.len() {
                let is_below_another = (0..engines.len()).any(|other| {
                    ranking.verdict(at, other).is_some_and(|v| v.is_shown && v.ratio < 1.0)
                });
                let place = ranking.place(at);
                assert!(place.is_none_or(|place| (place > 1) == is_below_another), "run {run}");
            }
        }
        assert!(shown > 1_000, "{shown}");
    }

    #[test]
    fn one_block_gives_no_places() {
        let ranking = ranking(&[blocks(&[100.0]), blocks(&[1.0])]);
        assert_eq!((ranking.place(0), ranking.place(1)), (None, None));
        let verdict = ranking.verdict(0, 1).unwrap();
        assert!(!verdict.is_shown && verdict.interval.is_none());
        assert!((verdict.ratio - 100.0).abs() < 1e-9);
    }

    #[test]
    fn a_shared_drift_hides_no_place() {
        // The intervals of the two speeds overlap; their ratio is the same in each block.
        let slow = blocks(&[100.0, 200.0, 400.0]);
        let fast = blocks(&[121.0, 240.0, 482.0]);
        let ranking = ranking(&[slow, fast]);
        assert_eq!((ranking.place(0), ranking.place(1)), (Some(2), Some(1)));
    }

    #[test]
    fn a_difference_that_one_test_shows_is_not_shown_among_many() {
        let slow = blocks(&[100.0, 100.0, 100.0, 100.0]);
        let fast = blocks(&[102.0, 104.0, 106.0, 109.0]);
        let alone = ranking(&[slow.clone(), fast.clone()]);
        assert!(alone.verdict(1, 0).unwrap().is_shown);
        // Engines that nothing tells from each other add comparisons.
        let noisy = |at: usize| {
            let mut speeds = [50.0, 200.0, 90.0, 120.0];
            speeds.rotate_left(at);
            blocks(&speeds)
        };
        let many = ranking(&[slow, fast, noisy(0), noisy(1), noisy(2), noisy(3)]);
        assert!(!many.verdict(1, 0).unwrap().is_shown);
        assert!((0..6).all(|at| many.place(at) == Some(1)));
    }

    #[test]
    fn differences_in_a_circle_do_not_all_count() {
        let pair = |left, right, p: f64| Pair {
            left,
            right,
            paired: Paired::of(&blocks(&[2.0]), &blocks(&[1.0])).unwrap(),
            p,
        };
        let mut faster = FasterRelation::new(3);
        assert!(faster.insert_unless_contradicted(&pair(0, 1, 0.001)));
        assert!(faster.insert_unless_contradicted(&pair(1, 2, 0.002)));
        assert!(!faster.insert_unless_contradicted(&pair(2, 0, 0.003)));
        assert_eq!([0, 1, 2].map(|at| faster.count_above(at)), [0, 1, 2]);
    }

    #[test]
    fn an_engine_that_was_compared_with_no_other_has_no_place() {
        // It ran at another disk speed than the others in every block, or in other blocks.
        let others = [blocks(&[100.0, 101.0, 102.0]), blocks(&[50.0, 51.0, 52.0])];
        let late = (4..=6).map(|block| (block, 900.0 + f64::from(block)).into()).collect();
        let [first, second] = others;
        let ranking = ranking(&[first, second, late]);
        assert_eq!((ranking.place(0), ranking.place(1)), (Some(1), Some(2)));
        assert_eq!(ranking.place(2), None, "a place without any test");
    }

    #[test]
    fn two_engines_that_share_no_block_have_no_places_and_one_alone_has() {
        let early = blocks(&[100.0, 101.0, 102.0]);
        let late: Vec<_> = (4..=6).map(|block| BlockSpeed::from((block, 900.0))).collect();
        let ranking_of_two = ranking(&[early.clone(), late]);
        assert_eq!((ranking_of_two.place(0), ranking_of_two.place(1)), (None, None));
        assert_eq!(ranking(&[early]).place(0), Some(1));
    }

    #[test]
    fn engines_that_a_third_connects_have_places() {
        let of = |blocks: std::ops::RangeInclusive<u32>, speed: f64| {
            blocks.map(|block| (block, speed + f64::from(block)).into()).collect::<Vec<_>>()
        };
        let ranking = ranking(&[of(1..=3, 100.0), of(1..=6, 500.0), of(4..=6, 2000.0)]);
        assert_eq!([0, 1, 2].map(|at| ranking.place(at)), [Some(3), Some(2), Some(1)]);
    }

    #[test]
    fn a_comparison_with_an_engine_that_is_not_ranked_is_a_test_at_the_level() {
        let (one, other) = (blocks(&[1.1, 1.2, 1.07]), blocks(&[1.0; 3]));
        let p = Paired::of(&one, &other).unwrap().p().unwrap();
        assert!((LEVEL..2.0 * LEVEL).contains(&p), "{p}");
        let of = |is_ranked, speeds| Contestant { is_ranked, speeds };
        let ranking = Ranking::new(&[of(true, &one[..]), of(false, &other[..])]);
        assert!(!ranking.verdict(0, 1).unwrap().is_shown);
    }

    /// The speeds of blocks with these logarithms.
    fn exp(logs: [f64; 3]) -> Vec<BlockSpeed> {
        blocks(&logs.map(f64::exp))
    }

    /// A pair of the engines 0 and 1, with this p-value and these logarithms of its ratios.
    fn pair_of(p: f64, logs: [f64; 3]) -> Pair {
        let paired = Paired::of(&exp(logs), &exp([0.0; 3])).unwrap();
        Pair { left: 0, right: 1, paired, p }
    }

    /// Whether the logarithms of the two ends of `interval` are `middle` minus and plus `half`.
    fn is_around(interval: Option<(f64, f64)>, middle: f64, half: f64) -> bool {
        let (low, high) = interval.unwrap();
        (low.ln() - (middle - half)).abs() < 1e-4 && (high.ln() - (middle + half)).abs() < 1e-4
    }

    #[test]
    fn an_engine_alone_has_a_place_from_two_blocks_on() {
        // No other engine is there that a test could be missing with: the number of blocks decides.
        assert_eq!(ranking(&[blocks(&[100.0])]).place(0), None);
        assert_eq!(ranking(&[blocks(&[100.0, 101.0])]).place(0), Some(1));
    }

    #[test]
    fn an_adjusted_p_value_is_not_below_that_of_a_surer_difference() {
        let pairs = [0.02, 0.021, 0.5].map(|p| pair_of(p, [0.9, 1.0, 1.1]));
        // 3 x 0.02 = 0.06. 2 x 0.021 = 0.042 is less, so the second becomes 0.06, too. 1 x 0.5 is more.
        let expected = [3.0, 0.06 / 0.021, 1.0];
        for (factor, expected) in multipliers(&pairs).into_iter().zip(expected) {
            assert!((factor - expected).abs() < 1e-12, "{factor} is not {expected}");
        }
    }

    #[test]
    fn a_difference_that_contradicts_surer_ones_has_a_ratio_and_no_interval() {
        // Mean 1, deviation 0.1, standard error 0.1 / sqrt(3); the quantile for two degrees of freedom is 4.302_65.
        let pair = pair_of(0.003, [0.9, 1.0, 1.1]);
        let verdict = |is_shown| {
            let mut verdicts = vec![vec![None; 2]; 2];
            put_ranked(&mut verdicts, &pair, LEVEL, is_shown);
            verdicts[0][1].unwrap()
        };
        let (contradicted, shown): (Verdict, Verdict) = (verdict(false), verdict(true));
        assert_eq!((contradicted.interval, contradicted.is_shown), (None, false));
        assert!((contradicted.ratio.ln() - 1.0).abs() < 1e-12);
        assert!(is_around(shown.interval, 1.0, 4.302_65 * 0.1 / 3.0_f64.sqrt()), "{shown:?}");
    }

    #[test]
    fn the_interval_has_the_level_divided_by_the_factor_of_its_pair() {
        let engines = [exp([0.0; 3]), exp([2.9, 3.0, 3.1]), exp([-1.0, 0.0, 1.0])];
        let ranking = ranking(&engines);
        // Two degrees of freedom: p = 1 - t / sqrt(2 + t^2), so a level L has t = sqrt(2) (1 - L) / sqrt(L (2 - L)).
        // 1 and 0: mean 3, error 0.1 / sqrt(3), p = 0.000_37, the surest of three. L = 0.05 / 3 = 1 / 60 has
        // t = sqrt(2) x 59 / sqrt(119) = 7.648_86.
        let surest = ranking.verdict(1, 0).unwrap();
        assert!(surest.is_shown);
        assert!(is_around(surest.interval, 3.0, 7.648_86 * 0.1 / 3.0_f64.sqrt()), "{surest:?}");
        // 1 and 2: logarithms 3.9, 3.0 and 2.1, error 0.9 / sqrt(3), p = 0.029, the second. L = 0.05 / 2 has t = 6.205_35.
        let second = ranking.verdict(1, 2).unwrap();
        assert!(!second.is_shown, "0.029 x 2 is above the level");
        assert!(is_around(second.interval, 3.0, 6.205_35 * 0.9 / 3.0_f64.sqrt()), "{second:?}");
        assert_eq!([0, 1, 2].map(|at| ranking.place(at)), [Some(2), Some(1), Some(1)]);
    }
}
