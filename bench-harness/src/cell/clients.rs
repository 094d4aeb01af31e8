//! The operations of each thread of a phase: which calls are timed, and how much room their answers need.

use std::time::Duration;

use kv::Durability;

use super::Job;
use crate::client::{Arrivals, Room};
use crate::operation::{Operation, Step};
use crate::quantity::floor_to_u64;

/// Entries of scans in one window.
pub(super) const SCANNED_WINDOW: usize = TIMED_WINDOW_OPS as usize;
/// Calls of which one is timed: two looks at the clock cost as much as a fast call. A prime number, so that nothing
/// that an engine does at regular distances is always or never timed.
const STRIDE: u32 = 17;
/// Operations of all threads in one window. Only engines that make more in a phase are paused for the judge.
const WINDOW_OPS: u32 = 8 << 20;
/// The same where every call is timed, because it takes long, and for the entries of scans.
const TIMED_WINDOW_OPS: u32 = 1 << 20;
/// The most operations that any engine makes in a second on one thread, and where every call is timed.
const FASTEST: f64 = 25e6;
const FASTEST_TIMED: f64 = 2e6;

/// The operations of each thread of a phase.
pub(super) struct Clients {
    /// One stream a thread.
    pub(super) steps: Vec<Vec<Step>>,
    /// The stream of the background thread.
    pub(super) background: Option<Vec<Step>>,
    /// Whether picks count back from the newest key.
    pub(super) latest: bool,
    /// Scans stay within the keys that share this many bytes.
    pub(super) prefix_bytes: Option<usize>,
    /// Calls of which one is timed.
    pub(super) stride: u32,
    /// The schedule of each thread, where there is one.
    pub(super) arrivals: Vec<Arrivals>,
    /// The most operations of a window of each thread.
    pub(super) window_ops: u32,
}

impl Clients {
    /// Threads, the background included.
    pub(super) fn threads(&self) -> usize {
        self.steps.len() + usize::from(self.background.is_some())
    }

    fn all_steps(&self) -> impl Iterator<Item = &Vec<Step>> {
        self.steps.iter().chain(&self.background)
    }

    pub(super) fn has(&self, operation: Operation) -> bool {
        self.all_steps().any(|steps| steps.iter().any(|step| step.operation() == operation))
    }

    /// Whether any of the operations writes.
    pub(super) fn has_writes(&self) -> bool {
        Operation::ALL.into_iter().any(|operation| operation.is_write() && self.has(operation))
    }

    /// The room that each window needs, with `batch` writes in a batch.
    pub(super) fn room(&self, batch: usize) -> Room {
        let ops = self.window_ops as usize;
        let reads = Operation::ALL.into_iter().filter(|operation| operation.is_read());
        let has_reads = reads.into_iter().any(|operation| self.has(operation));
        let longest = |steps: &Vec<Step>| steps.iter().map(|step| step.extra()).max();
        let longest = self.all_steps().filter_map(longest).max().unwrap_or_default() as usize;
        Room {
            ops: self.window_ops,
            answers: if has_reads { ops } else { 0 },
            // A read-modify-write has two parts, and what is left of a batch is one more call.
            samples: 2 * ops / (self.stride as usize).max(batch) + 4,
            entries: if self.has(Operation::Scan) {
                ops.saturating_mul(longest).clamp(longest, (TIMED_WINDOW_OPS as usize).max(longest))
            } else {
                0
            },
        }
    }

    /// Decides which calls are timed, and how long a window is.
    pub(super) fn time_calls(
        mut self,
        job: &Job,
        batch: usize,
        max_steps: u32,
        time: Option<Duration>,
    ) -> Self {
        let is_slow =
            job.durability() == Durability::Sync || self.has(Operation::Scan) || batch > 1;
        self.stride = if is_slow || !self.arrivals.is_empty() { 1 } else { STRIDE };
        let (limit, fastest) = if self.stride == 1 && batch == 1 {
            (TIMED_WINDOW_OPS, FASTEST_TIMED)
        } else {
            (WINDOW_OPS, FASTEST)
        };
        let threads = self.threads() as u32;
        let in_time = time.map_or(f64::from(limit), |time| time.as_secs_f64() * fastest);
        let in_time = floor_to_u64(in_time.min(f64::from(limit))) as u32;
        // The background goes on for as long as the others take, so its steps are no limit.
        let steps = if self.background.is_some() { limit } else { max_steps };
        self.window_ops = (limit / threads).min(in_time).min(steps).max(1_000);
        self
    }
}
