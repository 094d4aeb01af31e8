//! Leveled compaction: each level below 0 is one run, and `fan_out` times as large as the one above.
//!
//! A level over its target gives one file, and its neighbours as far as they cost nothing more, to the next level: the file
//! that overlaps the fewest bytes there, for each byte of its own. All of level 0 goes into the base level. While the
//! base level is busy, runs of level 0 become one run there.
//!
//! Source: `LevelDB` impl.md, Compactions; dynamic level sizes as in `RocksDB`. Departures:
//! - Deeper levels go first as long as level 0 has few runs: score-first order rewrites the first level again and again
//!   while level 0 is behind.
//! - A level that another strategy left with several runs is joined into one run file by file.
//! - A large run that another strategy left in level 0 settles in a deep level without being rewritten.
//! - A level far over its target takes nothing from above until it is smaller (`stop_percent`). Otherwise each compaction into
//!   it would rewrite more than it brings. Levels above the base are exempt: they have only files that another strategy
//!   left, and level 0 must not wait for them.

mod pick;
mod targets;

use super::busy::Busy;
use super::file::Key;
use super::invalid_options::InvalidOptions;
use super::options::LeveledOptions;
use super::plan::Plan;
use super::reclaim;
use super::strategy::{Score, Strategy, Urgency};
use super::tree::Tree;

pub(super) use pick::settle;
use targets::Targets;

/// Leveled compaction (LCS).
#[derive(Clone, Debug)]
pub struct Leveled {
    options: LeveledOptions,
}

impl Leveled {
    /// The strategy with these parameters.
    ///
    /// # Errors
    /// A parameter is out of its range.
    pub fn new(options: LeveledOptions) -> Result<Self, InvalidOptions> {
        options.validate()?;
        Ok(Self { options })
    }

    fn l0_score<K: Key>(&self, tree: &Tree<K>) -> f64 {
        let level = &tree.levels()[0];
        let runs = level.runs().len() as f64 / self.options.l0_runs as f64;
        runs.max(level.bytes() as f64 / self.options.base_bytes.max(self.l0_batch()) as f64)
    }

    /// The bytes that `l0_runs` full files have.
    fn l0_batch(&self) -> u64 {
        self.options.file_bytes.saturating_mul(self.options.l0_runs as u64)
    }

    fn stops<K: Key>(&self, tree: &Tree<K>, level: usize, targets: &Targets) -> bool {
        // The last level has no level to drain into, and levels above the base are exempt.
        if level < targets.base || level == tree.last_level() {
            return false;
        }
        // The target of the base can be below one compaction of level 0, which must always have room.
        let is_base = level == targets.base;
        let least = if is_base { self.l0_batch() } else { 0 };
        let target = targets.bytes[level].max(least);
        debug_assert!(target > 0, "the base and the levels below it have targets");
        let bytes = u128::from(tree.levels()[level].bytes());
        bytes * 100 >= u128::from(target) * u128::from(self.options.stop_percent)
    }

    fn level_score<K: Key>(&self, tree: &Tree<K>, level: usize, targets: &Targets) -> f64 {
        debug_assert!(level > 0, "level 0 has a score of its own");
        let bytes = tree.levels()[level].bytes();
        let is_crowded = tree.levels()[level].runs().len() > 1;
        let value = if level == tree.last_level() || bytes == 0 {
            0.0
        } else if targets.bytes[level] == 0 {
            1.0 + bytes as f64 / self.options.base_bytes as f64
        } else {
            bytes as f64 / targets.bytes[level] as f64
        };
        if is_crowded { value.max(1.0) } else { value }
    }

    fn score<K: Key>(&self, tree: &Tree<K>, level: usize, targets: &Targets) -> Score {
        let value =
            if level == 0 { self.l0_score(tree) } else { self.level_score(tree, level, targets) };
        Score::new(level, value)
    }

    /// The levels that are to be compacted, the first one first.
    fn order<K: Key>(&self, tree: &Tree<K>, targets: &Targets, urgency: Urgency) -> Vec<Score> {
        let l0_first = tree.levels()[0].runs().len() >= self.options.l0_soft_runs;
        let scores = (0..=tree.last_level()).rev().map(|level| self.score(tree, level, targets));
        let mut due: Vec<Score> =
            scores.filter(|score| score.value >= urgency.threshold()).collect();
        let is_eligible_only = |score: &Score| score.value < Urgency::Mandatory.threshold();
        // Stable: the deepest level stays first among those of the same kind.
        due.sort_by_key(|score| (is_eligible_only(score), l0_first && score.level > 0));
        debug_assert!(due.is_sorted_by_key(is_eligible_only), "mandatory compactions come first");
        due
    }
}

impl<K: Key> Strategy<K> for Leveled {
    fn pick(&self, tree: &Tree<K>, busy: &Busy<K>, urgency: Urgency) -> Option<Plan<K>> {
        let free = reclaim::pick_obsolete(tree, busy).or_else(|| self.settle(tree, busy));
        if free.is_some() {
            return free;
        }
        let targets = Targets::of(tree, &self.options);
        let due = self.order(tree, &targets, urgency);
        let is_l0_due = due.iter().any(|score| score.level == 0);
        let of_level = |score: &Score| match score.level {
            0 => self.pick_l0(tree, busy, &targets),
            level => self.pick_level(tree, busy, level, &targets),
        };
        // If the base takes nothing and all that could drain it is busy, runs of level 0 still become fewer.
        let intra_l0 = || if is_l0_due { self.pick_intra_l0(tree, busy) } else { None };
        due.iter()
            .find_map(of_level)
            .or_else(intra_l0)
            .or_else(|| reclaim::pick(tree, busy, &self.options.reclaim, urgency))
    }

    fn is_stopped(&self, tree: &Tree<K>, level: usize) -> bool {
        level > 0 && self.stops(tree, level, &Targets::of(tree, &self.options))
    }

    fn scores(&self, tree: &Tree<K>) -> Vec<Score> {
        let targets = Targets::of(tree, &self.options);
        (0..=tree.last_level()).map(|level| self.score(tree, level, &targets)).collect()
    }

    /// The bytes over the target of each level go down, with those that come from above, and rewrite `fan_out` bytes of
    /// the next level each. All of level 0 counts: with only the runs over its limit, the estimate would jump by all
    /// of level 0 when the limit is reached.
    fn debt(&self, tree: &Tree<K>) -> u64 {
        let targets = Targets::of(tree, &self.options);
        let (mut debt, mut carried) = (0_u64, 0_u64);
        for level in 0..tree.last_level() {
            let bytes = tree.levels()[level].bytes().saturating_add(carried);
            debug_assert!(bytes >= carried, "what comes from above is in the level");
            carried = bytes.saturating_sub(targets.smooth(level, &self.options));
            debt = debt.saturating_add(carried.saturating_mul(self.options.fan_out + 1));
        }
        debt
    }

    fn debt_factor(&self, tree: &Tree<K>) -> u64 {
        tree.last_level() as u64 * (self.options.fan_out + 1)
    }

    fn max_input_bytes(&self) -> Option<u64> {
        Some(self.options.max_input_bytes)
    }

    fn target_file_bytes(&self) -> u64 {
        self.options.file_bytes
    }

    fn max_grandparent_bytes(&self) -> u64 {
        self.options.max_grandparent_files.saturating_mul(self.options.file_bytes)
    }
}
