//! The position of one thread in its stream: which key the next operation touches, and which version a write makes.
//!
//! The client moves through the stream while the clock runs; the judge moves through it again afterwards. Nothing depends
//! on the answers of the engine or on the speed of other threads, so both see the same operations.

use crate::operation::{Operation, Step};

/// A position in the stream of one thread.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StreamPosition {
    /// The number of this thread, below `threads`.
    pub(crate) thread: u32,
    /// Threads of the phase, the background included; at least 1.
    pub(crate) threads: u32,
    /// Whether picks count back from the newest key.
    pub(crate) latest: bool,
    /// The first id that no earlier phase used.
    pub(crate) first_new: u32,
    /// How many ids there can be.
    pub(crate) capacity: u32,
    /// The newest version that earlier phases may have written.
    pub(crate) base_version: u32,
    /// Operations taken so far.
    pub(crate) taken: u32,
    /// The next step; the stream starts over at its end.
    pub(crate) at: usize,
    /// New keys taken so far.
    pub(crate) inserts: u32,
}

/// An operation with its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlannedOperation {
    /// The kind of call.
    pub(crate) operation: Operation,
    /// The key.
    pub(crate) id: u32,
    /// The length of a scan, or the size of a value.
    pub(crate) length: u32,
    /// The version that a write makes. The versions of a key ascend, because each key has one writer.
    pub(crate) version: u32,
}

impl StreamPosition {
    /// The next step.
    pub(crate) fn peek(&self, steps: &[Step]) -> Step {
        steps[self.at]
    }

    /// Takes the next step; `None` when the keys to insert have run out.
    #[expect(
        clippy::inline_always,
        reason = "a call would return its result in memory: a tenth of the loop"
    )]
    #[inline(always)]
    pub(crate) fn next(&mut self, steps: &[Step]) -> Option<PlannedOperation> {
        let step = steps[self.at];
        let operation = step.operation();
        let id = match operation {
            Operation::Get | Operation::GetMiss | Operation::Scan => self.picked(step),
            Operation::Put | Operation::Delete | Operation::ReadModifyWrite => {
                self.owned(self.picked(step))
            }
            Operation::Insert => self.next_new()?,
        };
        debug_assert!(id < self.capacity, "every id has a key");
        debug_assert!(self.thread < self.threads, "a thread is one of its phase");
        self.at = if self.at + 1 == steps.len() { 0 } else { self.at + 1 };
        self.taken += 1;
        let version = self.base_version + self.taken;
        debug_assert!(version > self.base_version, "versions ascend from phase to phase");
        Some(PlannedOperation { operation, id, length: step.length(), version })
    }

    /// Whether this thread is the only one that writes `id`.
    pub(crate) fn owns(&self, id: u32) -> bool {
        self.threads == 1 || id % self.threads == self.thread
    }

    /// The picked key. With `latest`, the newest key is an estimate: the thread assumes that all threads insert equally
    /// fast.
    fn picked(&self, step: Step) -> u32 {
        if !self.latest {
            return step.pick();
        }
        let count = self.first_new.saturating_add(self.inserts.saturating_mul(self.threads));
        let count = count.clamp(1, self.capacity);
        count - 1 - step.pick() % count
    }

    /// Of the keys near `id`, the one that this thread may write.
    fn owned(&self, id: u32) -> u32 {
        if self.threads == 1 {
            return id;
        }
        let owned = id - id % self.threads + self.thread;
        let owned = if owned < self.capacity { owned } else { self.thread };
        debug_assert!(self.owns(owned), "each key has one writer");
        owned
    }

    /// The next key that was never put and belongs to this thread.
    fn next_new(&mut self) -> Option<u32> {
        let first = self.first_new.next_multiple_of(self.threads) + self.thread;
        debug_assert!(first >= self.first_new && first % self.threads == self.thread);
        let id = first + self.inserts * self.threads;
        if id >= self.capacity {
            return None;
        }
        debug_assert!(self.owns(id), "each key has one writer");
        self.inserts += 1;
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(thread: u32, threads: u32) -> StreamPosition {
        StreamPosition {
            thread,
            threads,
            first_new: 10,
            capacity: 100,
            ..StreamPosition::default()
        }
    }

    #[test]
    fn every_key_has_exactly_one_writer() {
        let steps: Vec<_> = (0..100).map(|id| Step::new(Operation::Put, id, 0)).collect();
        for thread in 0..3 {
            let mut position = position(thread, 3);
            for _ in 0..100 {
                let id = position.next(&steps).unwrap().id;
                assert!(id < 100 && position.owns(id), "{id}");
            }
        }
    }

    #[test]
    fn versions_ascend_over_the_end_of_the_stream() {
        let steps = [Step::new(Operation::Put, 1, 0), Step::new(Operation::Get, 2, 0)];
        let mut position = StreamPosition { base_version: 7, ..position(0, 1) };
        let versions: Vec<_> = (0..5).map(|_| position.next(&steps).unwrap().version).collect();
        assert_eq!(versions, [8, 9, 10, 11, 12]);
    }

    #[test]
    fn the_latest_keys_count_back_from_the_newest_of_all_threads() {
        // Ten keys were there, and each of three threads has inserted two.
        let position = StreamPosition { latest: true, inserts: 2, ..position(0, 3) };
        let id = |pick| {
            let mut position = position;
            position.next(&[Step::new(Operation::Get, pick, 0)]).unwrap().id
        };
        assert_eq!([id(0), id(3), id(16)], [15, 12, 15]);
    }

    #[test]
    fn inserts_end_when_the_keys_do() {
        let steps = [Step::new(Operation::Insert, 0, 0)];
        let mut position = position(1, 2);
        let ids: Vec<_> =
            std::iter::from_fn(|| position.next(&steps)).map(|step| step.id).collect();
        assert_eq!((ids[0], ids.len(), *ids.last().unwrap()), (11, 45, 99));
    }
}
