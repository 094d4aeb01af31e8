//! The verdicts of the comparison on runs that are made from recorded blocks.

use std::ops::Add;

use super::record::PhaseRecord;
use crate::paired::BlockSpeed;
use crate::random::{Random, hash_name};
use crate::report::{Contestant, Ranking};

/// The runs that are drawn from the blocks of a phase: disjoint runs are few, and their rates vary by chance.
const DRAWN_RUNS: usize = 1_000;
/// The seed of the drawing.
const SEED: u64 = 7;

/// How many runs led to which verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    /// Runs that were compared.
    runs: u32,
    /// Of two equal engines, the first was called slower.
    first_called: u32,
    /// The second was called slower.
    second_called: u32,
    /// The engine that is 10 % slower was called slower, than the first and than the second.
    slow_10_called: u32,
    /// The engine that is 20 % slower was, the same way.
    slow_20_called: u32,
}

impl Rates {
    /// The verdicts on neighbouring blocks, each of which is part of one run. Blocks that do not fill a run are left out.
    pub(super) fn of_disjoint_runs(phase: &PhaseRecord, blocks: usize) -> Self {
        assert!(blocks > 1, "one block shows nothing");
        let mut rates = Self::default();
        let all = phase.blocks();
        all.chunks_exact(blocks).for_each(|run| rates.add_run(&phase.only(run)));
        assert_eq!(rates.runs as usize, all.len() / blocks);
        rates
    }

    /// The verdicts on random choices of blocks, in half of which, at random, the equal engines have changed names. So a
    /// difference that the whole record shows between them by chance does not count again in each run. Runs share blocks:
    /// they vary less than as many disjoint ones.
    pub(super) fn of_drawn_runs(phase: &PhaseRecord, blocks: usize) -> Self {
        assert!(blocks > 1, "one block shows nothing");
        let mut random = Random::new(SEED, &[hash_name(&phase.name), blocks as u64]);
        let mut all = phase.blocks();
        let mut rates = Self::default();
        if all.len() >= blocks {
            for _ in 0..DRAWN_RUNS {
                random.shuffle(&mut all);
                let run = phase.only(&all[..blocks]);
                rates.add_run(&run.with_equals_swapped(|_| random.below(2) == 0));
            }
        }
        rates
    }

    fn add_run(&mut self, run: &PhaseRecord) {
        let [first, second, tenth, fifth] = &run.speeds;
        self.runs += 1;
        self.first_called += u32::from(is_called_slower(first, second));
        self.second_called += u32::from(is_called_slower(second, first));
        for equal in [first, second] {
            self.slow_10_called += u32::from(is_called_slower(tenth, equal));
            self.slow_20_called += u32::from(is_called_slower(fifth, equal));
        }
        assert!(self.first_called + self.second_called <= self.runs, "one of two is slower");
    }

    /// Runs that were compared.
    pub(super) fn runs(self) -> u32 {
        self.runs
    }

    /// The shares of runs that call the first, and the second, of two equal engines slower.
    pub(super) fn falsely_called(self) -> [f64; 2] {
        [self.first_called, self.second_called].map(|count| self.share(count))
    }

    /// The share of comparisons that call the engine slower which is 10 % slower.
    pub(super) fn slow_10_called(self) -> f64 {
        self.share(self.slow_10_called) / 2.0
    }

    /// The same for the engine that is 20 % slower.
    pub(super) fn slow_20_called(self) -> f64 {
        self.share(self.slow_20_called) / 2.0
    }

    fn share(self, count: u32) -> f64 {
        let share = f64::from(count) / f64::from(self.runs.max(1));
        assert!((0.0..=2.0).contains(&share), "a run has at most two verdicts of a kind");
        share
    }
}

impl Add for Rates {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            runs: self.runs + other.runs,
            first_called: self.first_called + other.first_called,
            second_called: self.second_called + other.second_called,
            slow_10_called: self.slow_10_called + other.slow_10_called,
            slow_20_called: self.slow_20_called + other.slow_20_called,
        }
    }
}

/// Whether the table of a phase with these two engines shows the first to be slower.
fn is_called_slower(engine: &[BlockSpeed], than: &[BlockSpeed]) -> bool {
    let contestant = |speeds| Contestant { is_ranked: true, speeds };
    let verdict = Ranking::new(&[contestant(engine), contestant(than)]).verdict(0, 1);
    verdict.is_some_and(|verdict| verdict.is_shown && verdict.ratio < 1.0)
}
