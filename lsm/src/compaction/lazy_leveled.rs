//! Lazy leveling: the levels above the last are tiered, the last level is one run.
//!
//! Level 0 collects `l0_runs` runs and the others `fan_out`; then all runs of the level become one new run of the next. The
//! levels between 0 and the last may have `1 / (fan_out - 1)` of the bytes of the last. Above that they all go into it. So old
//! versions take as much space as with leveled compaction, and the upper levels cost as little writing as tiered ones.
//!
//! Source: Dayan and Idreos, *Dostoevsky*, SIGMOD 2018, with K = T - 1 and Z = 1. Departure: the paper's last level is full at a
//! fixed size. Here the levels are measured against the size that the last level has.

use super::busy::Busy;
use super::draft::{self, Draft, Motion};
use super::file::Key;
use super::invalid_options::InvalidOptions;
use super::leveled::settle;
use super::options::LazyLeveledOptions;
use super::plan::{Plan, Reason};
use super::reclaim;
use super::run::{Level, Place, Rank, Run};
use super::size_tiered::merge_all;
use super::strategy::{Score, Strategy, Urgency};
use super::tree::Tree;

/// Lazy leveling.
#[derive(Clone, Debug)]
pub struct LazyLeveled {
    options: LazyLeveledOptions,
}

impl LazyLeveled {
    /// The strategy with these parameters.
    ///
    /// # Errors
    /// A parameter is out of its range.
    pub fn new(options: LazyLeveledOptions) -> Result<Self, InvalidOptions> {
        options.validate()?;
        Ok(Self { options })
    }

    fn batch_bytes(&self) -> u64 {
        self.options.flush_bytes.saturating_mul(self.options.l0_runs as u64)
    }

    /// How far the levels between 0 and the last have used up their share of the last level's size.
    fn space_score<K: Key>(&self, tree: &Tree<K>) -> f64 {
        let last = tree.last_level();
        let between: u64 = tree.levels()[1..last].iter().map(Level::bytes).sum();
        let room =
            (tree.levels()[last].bytes() / (self.options.fan_out - 1)).max(self.batch_bytes());
        debug_assert!(room > 0, "a memtable has bytes");
        between as f64 / room as f64
    }

    fn score<K: Key>(&self, tree: &Tree<K>, level: usize) -> f64 {
        let runs = tree.levels()[level].runs().len() as f64;
        let last = tree.last_level();
        match level {
            0 => {
                let bytes = tree.levels()[0].bytes() as f64 / (2 * self.batch_bytes()) as f64;
                bytes.max(runs / self.options.l0_runs as f64)
            }
            // The last level is over its limit if it is more than one run, or if the levels above it are too large.
            level if level == last => {
                let space = self.space_score(tree);
                let space = if tree.levels()[last].is_empty() { 0.0 } else { space };
                if runs > 1.0 { space.max(1.0) } else { space }
            }
            _ => runs / self.options.fan_out as f64,
        }
    }

    /// The levels between 0 and the last, with the last, as one run.
    fn pick_last<K: Key>(tree: &Tree<K>, busy: &Busy<K>) -> Option<Plan<K>> {
        let all = tree.runs().filter(|(place, _)| place.level > 0);
        let all: Vec<(Place, &Run<K>)> = all.collect();
        let plan = merge_all(tree, busy, Reason::Size, &all);
        plan.or_else(|| {
            let last = all.iter().copied().filter(|(place, _)| place.level == tree.last_level());
            let last: Vec<_> = last.collect();
            if last.len() > 1 { merge_all(tree, busy, Reason::Runs, &last) } else { None }
        })
    }

    /// All runs of `level` as a new run of the next level; as the run of the last level if nothing is deeper than they
    /// are, or into that run if it is next.
    fn pick_level<K: Key>(tree: &Tree<K>, busy: &Busy<K>, level: usize) -> Option<Plan<K>> {
        let (last, next) = (tree.last_level(), level + 1);
        debug_assert!(next <= last, "the last level has none below");
        let output = if tree.levels()[next..].iter().all(Level::is_empty) {
            Place { level: last, rank: Rank(0) }
        } else if next == last {
            return Self::pick_last(tree, busy).or_else(|| Self::pick_into(tree, busy, level));
        } else {
            Place { level: next, rank: tree.next_rank() }
        };
        debug_assert!(tree.run(output).is_none(), "the output is a run of its own");
        let sources = tree.runs().filter(|(place, _)| place.level == level).map(draft::whole);
        let (sources, motion) = (sources.collect(), Motion::MoveIfClean);
        Draft { reason: Reason::Runs, sources, output, motion }.plan(tree, busy)
    }

    /// All runs of `level` and of the next one, the last, as one run.
    fn pick_into<K: Key>(tree: &Tree<K>, busy: &Busy<K>, level: usize) -> Option<Plan<K>> {
        debug_assert_eq!(level + 1, tree.last_level(), "nothing lies between the two");
        let both = tree.runs().filter(|(place, _)| place.level >= level);
        merge_all(tree, busy, Reason::Size, &both.collect::<Vec<_>>())
    }
}

impl<K: Key> Strategy<K> for LazyLeveled {
    fn pick(&self, tree: &Tree<K>, busy: &Busy<K>, urgency: Urgency) -> Option<Plan<K>> {
        let large = self.batch_bytes().saturating_mul(2);
        let free = reclaim::pick_obsolete(tree, busy).or_else(|| settle(tree, busy, large));
        if free.is_some() {
            return free;
        }
        let is_due = |level: &usize| self.score(tree, *level) >= urgency.threshold();
        let due = (0..=tree.last_level()).rev().filter(is_due);
        let of_level = |level: usize| {
            if level == tree.last_level() {
                Self::pick_last(tree, busy)
            } else {
                Self::pick_level(tree, busy, level)
            }
        };
        due.into_iter()
            .find_map(of_level)
            .or_else(|| reclaim::pick(tree, busy, &self.options.reclaim, urgency))
    }

    fn scores(&self, tree: &Tree<K>) -> Vec<Score> {
        let levels = 0..=tree.last_level();
        levels.map(|level| Score::new(level, self.score(tree, level))).collect()
    }

    /// The bytes over the room of each tiered level go to the next, and each stands for `fan_out` bytes: those that are
    /// merged with it in a tiered level, or that are rewritten in the last one.
    fn debt(&self, tree: &Tree<K>) -> u64 {
        let (mut debt, mut carried) = (0_u64, 0_u64);
        let mut run_bytes = self.options.flush_bytes;
        for level in 0..tree.last_level() {
            debug_assert!(run_bytes > 0, "rooms grow from level to level");
            let runs = if level == 0 { self.options.l0_runs as u64 } else { self.options.fan_out };
            let bytes = tree.levels()[level].bytes().saturating_add(carried);
            carried = bytes.saturating_sub(run_bytes.saturating_mul(runs - 1));
            debt = debt.saturating_add(carried.saturating_mul(self.options.fan_out));
            run_bytes = run_bytes.saturating_mul(runs);
        }
        debt
    }

    fn debt_factor(&self, tree: &Tree<K>) -> u64 {
        tree.last_level() as u64 * self.options.fan_out
    }

    fn max_input_bytes(&self) -> Option<u64> {
        None
    }

    fn target_file_bytes(&self) -> u64 {
        self.options.file_bytes
    }

    fn max_grandparent_bytes(&self) -> u64 {
        u64::MAX
    }
}
