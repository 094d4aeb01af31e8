//! The operations of each thread of a phase: which calls are timed, and how much memory their answers need.
//!
//! A window should hold the whole phase, because the judge pauses the clock between two windows. Its memory is touched before
//! the engine is opened, so it is no larger than the fastest engine fills in the time of the phase.

use std::time::Duration;

use kv::Durability;

use super::Job;
use crate::client::{Arrivals, WindowCapacity};
use crate::operation::{Operation, Step};
use crate::quantity::floor_to_u64;

/// Entries of scans in one window of a thread.
pub(super) const SCAN_ENTRIES_PER_WINDOW: usize = TIMED_WINDOW_OPS as usize;
/// One call in this many is timed: two looks at the clock cost as much as a fast call. A prime number, so that nothing
/// that an engine does at regular distances is always or never timed.
const STRIDE: u32 = 17;
/// Operations of all threads in one window. The judge pauses only engines that make more in a phase.
const WINDOW_OPS: u32 = 8 << 20;
/// The same where every call is timed, because each takes long.
const TIMED_WINDOW_OPS: u32 = 1 << 20;
/// The least operations of a thread in one window.
const LEAST_WINDOW_OPS: u32 = 1_000;
/// The most operations that any engine makes in a second on one thread, and where every call is timed.
const FASTEST: f64 = 25e6;
const FASTEST_TIMED: f64 = 2e6;

/// The operations of each thread of a phase.
pub(super) struct PhaseStreams {
    /// One stream a thread.
    pub(super) steps: Vec<Vec<Step>>,
    /// The stream of the background thread.
    pub(super) background: Option<Vec<Step>>,
    /// Whether picks count back from the newest key.
    pub(super) latest: bool,
    /// Scans stay within the keys that share this many bytes.
    pub(super) prefix_bytes: Option<usize>,
    /// One call in this many is timed.
    pub(super) stride: u32,
    /// The schedule of each thread, where there is one.
    pub(super) arrivals: Vec<Arrivals>,
    /// The most operations of a window of each thread.
    pub(super) window_ops: u32,
}

impl PhaseStreams {
    /// The stream of a phase that runs on one thread without a schedule.
    pub(super) fn of_one_thread(steps: Vec<Step>) -> Self {
        Self {
            steps: vec![steps],
            background: None,
            latest: false,
            prefix_bytes: None,
            stride: 1,
            arrivals: Vec::new(),
            window_ops: 0,
        }
    }

    /// Threads, the background included.
    pub(super) fn threads(&self) -> usize {
        self.steps.len() + usize::from(self.background.is_some())
    }

    /// The stream of each thread; that of the background is the last one.
    pub(super) fn all_steps(&self) -> impl Iterator<Item = &Vec<Step>> {
        self.steps.iter().chain(&self.background)
    }

    /// Whether `operation` is in one of the streams.
    pub(super) fn has_operation(&self, operation: Operation) -> bool {
        self.all_steps().any(|steps| steps.iter().any(|step| step.operation() == operation))
    }

    /// Whether any of the operations writes.
    pub(super) fn has_writes(&self) -> bool {
        let is_written =
            |operation: Operation| operation.is_write() && self.has_operation(operation);
        Operation::ALL.into_iter().any(is_written)
    }

    /// The capacity that each window needs, with `batch` writes in a batch.
    pub(super) fn window_capacity(&self, batch: usize) -> WindowCapacity {
        assert!(self.window_ops > 0 && self.stride > 0 && batch > 0, "the windows have a size");
        let ops = self.window_ops as usize;
        let is_read = |operation: Operation| operation.is_read() && self.has_operation(operation);
        let has_reads = Operation::ALL.into_iter().any(is_read);
        let longest = |steps: &Vec<Step>| steps.iter().map(|step| step.length()).max();
        let longest = self.all_steps().filter_map(longest).max().unwrap_or_default() as usize;
        let batch = self.least_batch(batch);
        WindowCapacity {
            ops: self.window_ops,
            answers: if has_reads { ops } else { 0 },
            // A read-modify-write has two parts, and the rest of a batch is one more call.
            samples: 2 * ops / (self.stride as usize).max(batch) + 4,
            entries: if self.has_operation(Operation::Scan) {
                let most = SCAN_ENTRIES_PER_WINDOW.max(longest);
                ops.saturating_mul(longest).clamp(longest, most)
            } else {
                0
            },
        }
    }

    /// The fewest operations of a call: the background makes single calls beside the batches of the others.
    fn least_batch(&self, batch: usize) -> usize {
        if self.background.is_some() { 1 } else { batch }
    }

    /// Decides which calls are timed, and how long a window is.
    pub(super) fn with_timing_and_window(
        mut self,
        job: &Job,
        batch: usize,
        max_steps: u32,
        time: Option<Duration>,
    ) -> Self {
        let is_slow = job.durability() == Durability::Sync
            || self.has_operation(Operation::Scan)
            || batch > 1;
        self.stride = if is_slow || !self.arrivals.is_empty() { 1 } else { STRIDE };
        let (most_ops, fastest) = if self.stride == 1 && self.least_batch(batch) == 1 {
            (TIMED_WINDOW_OPS, FASTEST_TIMED)
        } else {
            (WINDOW_OPS, FASTEST)
        };
        let threads = self.threads() as u32;
        let in_time = time.map_or(f64::from(most_ops), |time| time.as_secs_f64() * fastest);
        let in_time = floor_to_u64(in_time.min(f64::from(most_ops))) as u32;
        // The background runs for as long as the others, so its steps do not bound a window.
        let steps = if self.background.is_some() { most_ops } else { max_steps };
        self.window_ops = (most_ops / threads).min(in_time).min(steps).max(LEAST_WINDOW_OPS);
        assert!(
            self.stride > 0 && self.window_ops <= most_ops,
            "the windows of a phase are bounded"
        );
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_of_a_background_beside_batches_has_a_sample() {
        let put = || vec![Step::new(Operation::Put, 0, 100)];
        let mut streams = PhaseStreams { window_ops: 1_000, ..PhaseStreams::of_one_thread(put()) };
        assert!(streams.window_capacity(100).samples < 100);
        streams.background = Some(put());
        assert!(streams.window_capacity(100).samples >= 1_000);
    }
}
