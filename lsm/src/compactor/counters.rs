//! Counts of compactions.

use std::sync::atomic::Ordering;

use durable::sync::atomic::AtomicU64;

use super::compaction::Counts;
use crate::boundary::Boundary;
use crate::compaction::{Action, Plan};
use crate::state::LEVELS;

/// Counts of compactions since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct CompactionCounters {
    pub(crate) compactions: AtomicU64,
    pub(crate) moves: AtomicU64,
    pub(crate) drops: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) hidden_dropped: AtomicU64,
    pub(crate) tombstones_dropped: AtomicU64,
    pub(crate) ranges_dropped: AtomicU64,
    /// By the level that the bytes were read from, or written to.
    pub(crate) levels: [LevelCounters; LEVELS as usize],
}

/// Counts of one level, in bytes.
#[derive(Debug, Default)]
pub(crate) struct LevelCounters {
    pub(crate) read: AtomicU64,
    pub(crate) written: AtomicU64,
    /// Of files that came into the level as they were.
    pub(crate) moved: AtomicU64,
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

impl CompactionCounters {
    /// `plan` is installed, with outputs of `written` bytes.
    pub(super) fn count(&self, plan: &Plan<Boundary>, written: u64, counts: Counts) {
        debug_assert!(plan.action == Action::Rewrite || written == 0, "only a rewrite writes");
        let into = &self.levels[plan.output.level];
        match plan.action {
            Action::Move => {
                add(&self.moves, 1);
                add(&into.moved, plan.input_bytes());
            }
            Action::Drop => add(&self.drops, 1),
            Action::Rewrite => {
                add(&self.compactions, 1);
                add(&into.written, written);
                for input in &plan.inputs {
                    add(&self.levels[input.place.level].read, input.bytes());
                }
            }
        }
        add(&self.hidden_dropped, counts.hidden_dropped);
        add(&self.tombstones_dropped, counts.tombstones_dropped);
        add(&self.ranges_dropped, counts.ranges_dropped);
    }

    pub(super) fn count_failure(&self) {
        add(&self.failed, 1);
    }
}
