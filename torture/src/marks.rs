//! The promise at each operation of a run on a simulated disk.
//!
//! After each step the number of operations so far is recorded beside the promise of the oracle. A crash at operation `p` must
//! keep the promise of the last step that had ended by then. It may also leave batches that the next step had begun.

use durable::SimFs;
use kv::UnixMillis;

use crate::run::EngineRun;

/// The promise after each step of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks(Vec<Mark>);

/// The promise after one step.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// So many operations had been recorded.
    ops: usize,
    promise: Promise,
}

/// The batches that a crash must leave.
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
    /// Records the promise at the end of a step, or of the opening.
    pub(crate) fn note(&mut self, run: &EngineRun<'_>, sim: &SimFs) {
        let promise = Promise {
            synced: run.history.synced,
            handed_over: run.history.handed_over,
            issued: run.history.issued(),
            now: run.now(),
        };
        assert!(promise.synced <= promise.issued, "only batches that were begun are promised");
        assert!(promise.handed_over <= promise.issued, "only batches that were begun are promised");
        let ops = sim.ops();
        assert!(self.0.last().is_none_or(|last| last.ops <= ops), "operations are only added");
        self.0.push(Mark { ops, promise });
    }

    /// How many operations there were when `steps` steps had ended.
    pub(crate) fn ops_after(&self, steps: usize) -> usize {
        self.0[steps].ops
    }

    /// The promise that a crash at `point` must keep. Before the end of the opening it is `opening`.
    pub(crate) fn promise_at(&self, point: usize, opening: Promise) -> Promise {
        let ended = self.0.partition_point(|mark| mark.ops <= point);
        let Some(last) = ended.checked_sub(1).map(|last| self.0[last].promise) else {
            return opening;
        };
        let begun = self.0[ended.min(self.0.len() - 1)].promise.issued;
        assert!(last.synced <= begun, "the next step takes no promise back");
        Promise { issued: begun, ..last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise(synced: usize, issued: usize) -> Promise {
        Promise { synced, handed_over: synced, issued, now: UnixMillis(1) }
    }

    #[test]
    fn a_crash_keeps_the_promise_of_the_last_step_and_may_have_begun_the_next() {
        let mark = |ops, synced| Mark { ops, promise: promise(synced, synced) };
        let marks = Marks(vec![mark(3, 0), mark(5, 1), mark(9, 2)]);
        let at = |point| {
            let promise = marks.promise_at(point, promise(7, 7));
            (promise.synced, promise.issued)
        };
        assert_eq!(
            [2, 3, 4, 5, 8, 9, 12].map(at),
            [(7, 7), (0, 1), (0, 1), (1, 2), (1, 2), (2, 2), (2, 2)]
        );
    }
}
