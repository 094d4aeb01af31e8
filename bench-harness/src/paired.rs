//! The paired comparison of two series of blocks: the one test from which every ratio, place and winner follows.
//!
//! Both numbers of a pair come from the same block, so that drift over time cancels out. The logarithms of the ratios are
//! averaged without the tenth that is largest and the tenth that is smallest. The test is Yuen's t (Biometrika 61, 1974):
//! the variance comes from the values with the extreme ones pulled in, and the degrees of freedom from the number
//! of values that are kept. A block in which the machine paused for one engine then neither moves the ratio nor hides a
//! difference. More is not left out: on recorded blocks (`results/calibration`) noise was nearly normal, and each block
//! left out cost power. Below [`TRIMMED_FROM`] blocks nothing is left out, and the test is the t-test of the mean.

use crate::statistics::mean;
use crate::{probe, student};

/// The least number of blocks of which the extreme ones are left out.
const TRIMMED_FROM: usize = 10;
/// Of the blocks, one in so many is left out at each end.
const TRIMMED_PART: usize = 10;

/// The speed of an engine in one block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BlockSpeed {
    /// The block.
    pub(crate) block: u32,
    /// Operations a second, or openings.
    pub(crate) speed: f64,
    /// The disk's own time for a sync beside the phase, in nanoseconds; `None` where nothing waits for it.
    pub(crate) disk_sync_ns: Option<f64>,
}

impl BlockSpeed {
    /// Whether both belong to one block and ran at the same disk speed, as far as their probes say.
    fn is_comparable_with(&self, other: &Self) -> bool {
        let syncs = self.disk_sync_ns.zip(other.disk_sync_ns);
        self.block == other.block && !syncs.is_some_and(|(one, other)| probe::differ(one, other))
    }
}

/// The ratio of two engines over their common blocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Paired {
    log_ratio: f64,
    /// Standard error of the logarithm and its degrees of freedom; none from one block.
    spread: Option<(f64, u32)>,
}

impl Paired {
    /// Compares `of` with `to`, both with at most one speed a block; `None` if they share no block at the same disk speed.
    pub(crate) fn of(of: &[BlockSpeed], to: &[BlockSpeed]) -> Option<Self> {
        debug_assert!(has_one_speed_a_block(of) && has_one_speed_a_block(to));
        let partner = |of: &BlockSpeed| to.iter().find(|to| of.is_comparable_with(to));
        let pairs = of.iter().filter_map(|of| Some((of.speed, partner(of)?.speed)));
        let pairs = pairs.filter(|(of, to)| *of > 0.0 && *to > 0.0);
        Self::of_logs(pairs.map(|(of, to)| of.ln() - to.ln()).collect())
    }

    /// The trimmed mean of the logarithms of ratios, with its standard error.
    fn of_logs(mut logs: Vec<f64>) -> Option<Self> {
        if logs.is_empty() {
            return None;
        }
        logs.sort_by(f64::total_cmp);
        let cut = if logs.len() < TRIMMED_FROM { 0 } else { logs.len() / TRIMMED_PART };
        let kept = &logs[cut..logs.len() - cut];
        assert!(!kept.is_empty(), "most blocks are kept");
        let log_ratio = mean(kept);
        if logs.len() < 2 {
            return Some(Self { log_ratio, spread: None });
        }
        // The variance of a trimmed mean follows from the values with the extreme ones pulled in, not left out.
        let (least, most) = (kept[0], kept[kept.len() - 1]);
        let pulled_in: Vec<_> = logs.iter().map(|log| log.clamp(least, most)).collect();
        let middle = mean(&pulled_in);
        let squares = pulled_in.iter().map(|log| (log - middle).powi(2)).sum::<f64>();
        assert!(kept.len() > 1, "at most two of ten are left out");
        let (count, degrees) = (kept.len() as f64, kept.len() as u32 - 1);
        let error = (squares / (count * (count - 1.0))).sqrt();
        debug_assert!(error >= 0.0 || error.is_nan(), "a variance is not negative");
        Some(Self { log_ratio, spread: Some((error, degrees)) })
    }

    /// The ratio.
    pub(crate) fn ratio(self) -> f64 {
        self.log_ratio.exp()
    }

    /// The chance of a ratio as far from 1 as this one, if the two are equally fast; `None` from one block.
    pub(crate) fn p(self) -> Option<f64> {
        let (error, degrees) = self.spread?;
        if self.log_ratio == 0.0 {
            return Some(1.0);
        }
        Some(student::two_sided(self.log_ratio / error, degrees))
    }

    /// The interval of the ratio that excludes 1 where [`Self::p`] is below `level`; `None` from one block.
    pub(crate) fn interval(self, level: f64) -> Option<(f64, f64)> {
        let (error, degrees) = self.spread?;
        let half = student::critical(level, degrees) * error;
        debug_assert!(half >= 0.0 || half.is_nan(), "an interval has its ratio in it");
        Some(((self.log_ratio - half).exp(), (self.log_ratio + half).exp()))
    }

    /// The same with the two series exchanged.
    pub(crate) fn inverse(self) -> Self {
        Self { log_ratio: -self.log_ratio, ..self }
    }
}

fn has_one_speed_a_block(speeds: &[BlockSpeed]) -> bool {
    let is_first = |at: usize| speeds[..at].iter().all(|other| other.block != speeds[at].block);
    (0..speeds.len()).all(is_first)
}

/// A speed that does not depend on the disk's.
impl From<(u32, f64)> for BlockSpeed {
    fn from((block, speed): (u32, f64)) -> Self {
        Self { block, speed, disk_sync_ns: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const LEVEL: f64 = 0.05;

    fn blocks(speeds: &[(u32, f64)]) -> Vec<BlockSpeed> {
        speeds.iter().copied().map(BlockSpeed::from).collect()
    }

    #[test]
    fn a_block_in_which_the_two_ran_at_different_disk_speeds_is_no_evidence() {
        let beside = |block, speed, sync_ns| BlockSpeed {
            disk_sync_ns: Some(sync_ns),
            ..BlockSpeed::from((block, speed))
        };
        let of = [beside(1, 20.0, 100.0), beside(2, 900.0, 100.0), beside(3, 22.0, 149.0)];
        let to = [beside(1, 10.0, 140.0), beside(2, 10.0, 151.0), beside(3, 11.0, 100.0)];
        assert!((Paired::of(&of, &to).unwrap().ratio() - 2.0).abs() < 1e-12);
        assert_eq!(Paired::of(&of[1..2], &to[1..2]), None);
        // Without a probe on both sides, nothing speaks against the block.
        let unprobed = [BlockSpeed::from((2, 10.0))];
        assert!((Paired::of(&of, &unprobed).unwrap().ratio() - 90.0).abs() < 1e-9);
    }

    #[test]
    fn a_drift_that_both_share_leaves_the_ratio_exact() {
        let of = blocks(&[(1, 20.0), (2, 40.0), (3, 80.0)]);
        let to = blocks(&[(3, 40.0), (1, 10.0), (2, 20.0)]);
        let paired = Paired::of(&of, &to).unwrap();
        assert!((paired.ratio() - 2.0).abs() < 1e-12);
        assert!(paired.p().unwrap() < 1e-6);
    }

    #[test]
    fn one_block_has_a_ratio_and_shows_nothing() {
        let one = blocks(&[(1, 3.0)]);
        let paired = Paired::of(&one, &blocks(&[(1, 2.0), (2, 9.0)])).unwrap();
        assert!((paired.ratio() - 1.5).abs() < 1e-12);
        assert_eq!((paired.p(), paired.interval(LEVEL)), (None, None));
        assert_eq!(Paired::of(&one, &blocks(&[(2, 2.0)])), None);
    }

    #[test]
    fn a_block_that_paused_neither_moves_the_ratio_nor_hides_the_difference() {
        let to: Vec<_> = (1..=10).map(|block| BlockSpeed::from((block, 100.0))).collect();
        let fast = |block| BlockSpeed::from((block, 110.0 + f64::from(block % 3)));
        let mut of: Vec<_> = (1..=10).map(fast).collect();
        of[4].speed = 1.0;
        let paired = Paired::of(&of, &to).unwrap();
        assert!((1.10..1.12).contains(&paired.ratio()), "{paired:?}");
        assert!(paired.p().unwrap() < 0.001, "{paired:?}");
    }

    /// The standard normal distribution, from two uniform numbers.
    fn normal(random: &mut Random) -> f64 {
        let radius = (-2.0 * (1.0 - random.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * random.unit()).cos()
    }

    /// The noise of one engine in one block: Student's t with three degrees of freedom, 3 % wide, and a pause in one
    /// block of twenty.
    fn noise(random: &mut Random) -> f64 {
        let squares: f64 = (0..3).map(|_| normal(random).powi(2)).sum();
        let heavy = 0.03 * normal(random) / (squares / 3.0).sqrt();
        let pause = if random.unit() < 0.05 { -0.3 * (1.0 - random.unit()).ln() } else { 0.0 };
        heavy - pause
    }

    /// Of simulated runs with `blocks` blocks each, the share that calls an engine slower which has `speed` of the
    /// other's. Both share the drift of each block.
    fn share_called(blocks: u32, speed: f64) -> f64 {
        const RUNS: u64 = 2_000;
        let is_called = |run: u64| {
            let mut random = Random::new(20, &[run, u64::from(blocks), speed.to_bits()]);
            let mut drift = 0.0;
            let (mut of, mut to) = (Vec::new(), Vec::new());
            for block in 1..=blocks {
                drift += 0.2 * normal(&mut random);
                of.push((block, speed * (drift + noise(&mut random)).exp()).into());
                to.push((block, (drift + noise(&mut random)).exp()).into());
            }
            let paired = Paired::of(&of, &to).unwrap();
            paired.p().unwrap() < LEVEL && paired.ratio() < 1.0
        };
        (0..RUNS).filter(|run| is_called(*run)).count() as f64 / RUNS as f64
    }

    #[test]
    fn equal_engines_are_called_slower_in_at_most_one_run_of_twenty() {
        for blocks in [2, 3, 5, 9, 10, 15, 20] {
            let share = share_called(blocks, 1.0);
            assert!(share <= 0.05, "{blocks} blocks: {share}");
        }
    }

    #[test]
    fn the_blocks_of_run_call_an_engine_that_is_ten_percent_slower_in_at_least_four_runs_of_five() {
        let share = share_called(crate::plan::RUN_BLOCKS, 0.9);
        assert!(share >= 0.8, "{share}");
    }

    #[test]
    fn the_error_of_ten_blocks_is_that_of_yuen() {
        // Kept: 1 to 8. Pulled in: 1, 1 to 8, 8, whose squares sum up to 66.5.
        let paired = Paired::of_logs((0..10).map(f64::from).collect()).unwrap();
        let (error, degrees) = paired.spread.unwrap();
        assert!((paired.log_ratio - 4.5).abs() < 1e-12 && degrees == 7);
        assert!((error - (66.5_f64 / (8.0 * 7.0)).sqrt()).abs() < 1e-12, "{error}");
        let nine = Paired::of_logs((0..9).map(f64::from).collect()).unwrap();
        assert_eq!(nine.spread.unwrap().1, 8, "below ten blocks none is left out");
        let twenty = Paired::of_logs((0..20).map(f64::from).collect()).unwrap();
        assert_eq!(twenty.spread.unwrap().1, 15, "of twenty blocks four are left out");
    }

    #[test]
    fn equal_speeds_are_no_difference_and_a_block_without_a_speed_is_no_evidence() {
        let speeds = blocks(&[(1, 2.0), (2, 2.0), (3, 2.0)]);
        assert_eq!(Paired::of(&speeds, &speeds).unwrap().p(), Some(1.0));
        let stopped = blocks(&[(1, 0.0), (2, 2.0), (3, 2.0)]);
        assert!((Paired::of(&stopped, &speeds).unwrap().ratio() - 1.0).abs() < 1e-12);
    }
}
