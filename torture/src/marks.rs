//! What was promised at each operation of a run on a simulated disk.
//!
//! After each step the number of operations so far is noted beside what the oracle calls promised. A crash at operation
//! `p` must leave what was promised by the last step that had ended by then, and may leave what the next one had begun.

use durable::SimFs;
use kv::UnixMillis;

use crate::run::Run;

/// The notes of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks(Vec<Mark>);

/// What held after a step.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// So many operations had been recorded.
    ops: usize,
    promise: Promise,
}

/// What a crash must leave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    /// At least this batch after a power cut.
    pub(crate) synced: usize,
    /// At least this batch after the death of the process.
    pub(crate) handed_over: usize,
    /// At most this batch.
    pub(crate) issued: usize,
    /// The time of day.
    pub(crate) now: UnixMillis,
}

impl Marks {
    /// Notes what holds now, when a step, or the opening, has ended.
    pub(crate) fn note(&mut self, run: &Run<'_>, sim: &SimFs) {
        let promise = Promise {
            synced: run.history.synced,
            handed_over: run.history.handed_over,
            issued: run.history.issued(),
            now: run.now(),
        };
        self.0.push(Mark { ops: sim.ops(), promise });
    }

    /// How many operations there were when `steps` steps had ended.
    pub(crate) fn ops_after(&self, steps: usize) -> usize {
        self.0[steps].ops
    }

    /// What a crash at `point` must leave; before the end of the opening, what `opening` says.
    pub(crate) fn promise_at(&self, point: usize, opening: Promise) -> Promise {
        let ended = self.0.partition_point(|mark| mark.ops <= point);
        let Some(last) = ended.checked_sub(1).map(|last| self.0[last].promise) else {
            return opening;
        };
        let begun = self.0[ended.min(self.0.len() - 1)].promise.issued;
        Promise { issued: begun, ..last }
    }
}
