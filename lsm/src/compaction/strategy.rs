//! The trait of all strategies.

use super::busy::Busy;
use super::file::Key;
use super::plan::Plan;
use super::tree::Tree;

/// How necessary a compaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A limit is reached by 85 %: worth doing while the device is idle.
    Eligible,
    /// A limit is reached.
    Mandatory,
}

impl Urgency {
    /// The least score of a level that is to be compacted.
    pub fn threshold(self) -> f64 {
        self.percent() as f64 / 100.0
    }

    /// The same in percent.
    pub fn percent(self) -> usize {
        match self {
            Self::Eligible => 85,
            Self::Mandatory => 100,
        }
    }
}

/// How far a level is from its limit: 1 is the limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// The level. Strategies without levels give one score, for level 0.
    pub level: usize,
    /// The share of the limit that is reached; finite and not negative.
    pub value: f64,
}

impl Score {
    pub(super) fn new(level: usize, value: f64) -> Self {
        debug_assert!(value.is_finite() && value >= 0.0, "a score is a share");
        Self { level, value }
    }
}

/// Chooses compactions. Implementations are pure: equal arguments give equal results.
pub trait Strategy<K: Key>: std::fmt::Debug + Send + Sync {
    /// The next compaction that is at least as necessary as `urgency` and can run beside those in flight.
    ///
    /// If a score reaches the threshold of `urgency` and no plan is in flight, there is one.
    fn pick(&self, tree: &Tree<K>, busy: &Busy<K>, urgency: Urgency) -> Option<Plan<K>>;

    /// Whether the level is so far over its limit that no compaction for the size of levels or the number of runs moves
    /// entries into it: it is compacted first.
    fn is_stopped(&self, _tree: &Tree<K>, _level: usize) -> bool {
        false
    }

    /// The score of each level.
    fn scores(&self, tree: &Tree<K>) -> Vec<Score>;

    /// An estimate of the bytes that compactions have to write before the tree is at rest.
    ///
    /// It has no jumps: a flush or a plan changes it by at most [`Self::debt_factor`] times the bytes that it adds and
    /// removes.
    fn debt(&self, tree: &Tree<K>) -> u64;

    /// The most that a byte in the tree adds to the debt.
    fn debt_factor(&self, tree: &Tree<K>) -> u64;

    /// The most that a plan reads, in bytes, unless one file with its overlaps has more. `None` for strategies that
    /// take whole runs.
    fn max_input_bytes(&self) -> Option<u64>;

    /// The length that output files should have, in bytes.
    fn target_file_bytes(&self) -> u64;

    /// The bytes of the next level that one output file may overlap.
    fn max_grandparent_bytes(&self) -> u64;
}
