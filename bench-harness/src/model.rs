//! The answers that the engine must give: for each key the newest version that was issued and the newest that was acknowledged.
//!
//! Every key has one writing thread (see [`Model::owned`]), so its versions are written in order. A reader looks at
//! `acked` before its call and at `issued` after it: the answer must lie between the two, and with one thread they are
//! the same, so that the answer is known exactly.

use std::sync::atomic::{AtomicU32, Ordering};

/// The state of a key: how often it was written, and whether the last write left it present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyState(u32);

impl KeyState {
    /// The number of the last write to the key; 0 before the first.
    pub(crate) fn version(self) -> u32 {
        self.0 >> 1
    }

    /// Whether the last write was a put.
    pub(crate) fn is_present(self) -> bool {
        self.0 & 1 == 1
    }

    /// The state after one more write.
    fn after_write(self, present: bool) -> Self {
        debug_assert!(self.version() < u32::MAX >> 1, "a key was written too often");
        Self((self.version() + 1) << 1 | u32::from(present))
    }
}

/// The expected content of an engine.
#[derive(Debug)]
pub(crate) struct Model {
    acked: Vec<AtomicU32>,
    issued: Vec<AtomicU32>,
    value_bytes: Vec<AtomicU32>,
    /// How many ids are in use: loaded or inserted so far. Picks lie below it.
    in_use: AtomicU32,
}

impl Model {
    /// An empty model for `capacity` keys.
    pub(crate) fn new(capacity: u32) -> Self {
        let zeros = || (0..capacity).map(|_| AtomicU32::new(0)).collect();
        Self { acked: zeros(), issued: zeros(), value_bytes: zeros(), in_use: AtomicU32::new(0) }
    }

    /// How many ids there can be.
    pub(crate) fn capacity(&self) -> u32 {
        self.acked.len() as u32
    }

    /// How many ids are in use.
    pub(crate) fn in_use(&self) -> u32 {
        self.in_use.load(Ordering::Acquire)
    }

    /// Takes every id below `count` into use.
    pub(crate) fn use_up_to(&self, count: u32) {
        self.in_use.fetch_max(count.min(self.capacity()), Ordering::AcqRel);
    }

    /// The key near `id` that `thread` of `threads` may write.
    pub(crate) fn owned(id: u32, thread: u32, threads: u32, count: u32) -> u32 {
        debug_assert!(thread < threads);
        let owned = id - id % threads + thread;
        if owned < count { owned } else { thread }
    }

    /// Announces a write to `id` and returns the state that it leads to.
    pub(crate) fn issue(&self, id: u32, present: bool) -> KeyState {
        let before = KeyState(self.issued[id as usize].load(Ordering::Acquire));
        let after = before.after_write(present);
        self.issued[id as usize].store(after.0, Ordering::Release);
        after
    }

    /// Notes that the write to `id` that leads to `state` was acknowledged.
    pub(crate) fn acknowledge(&self, id: u32, state: KeyState, value_bytes: usize) {
        debug_assert!(state.version() > self.acked(id).version(), "writes to a key are in order");
        debug_assert!(state.version() <= self.issued(id).version(), "a write that nobody issued");
        self.value_bytes[id as usize].store(value_bytes as u32, Ordering::Release);
        self.acked[id as usize].store(state.0, Ordering::Release);
        self.use_up_to(id + 1);
    }

    /// The newest acknowledged state of `id`: a read that starts now must see this state or a newer one.
    pub(crate) fn acked(&self, id: u32) -> KeyState {
        KeyState(self.acked[id as usize].load(Ordering::Acquire))
    }

    /// The newest announced state of `id`: a read that has just ended cannot have seen a newer one.
    pub(crate) fn issued(&self, id: u32) -> KeyState {
        KeyState(self.issued[id as usize].load(Ordering::Acquire))
    }

    /// Whether a read that began at `before` and ended at `after` may have found `version` (`None`: nothing).
    pub(crate) fn allows(before: KeyState, after: KeyState, version: Option<u32>) -> bool {
        match version {
            Some(_) if before == after && !before.is_present() => false,
            Some(version) => (before.version()..=after.version()).contains(&version) && version > 0,
            // Between two different states there may have been a deletion.
            None => before != after || !before.is_present(),
        }
    }

    /// The size of the last acknowledged value of `id`.
    pub(crate) fn value_bytes(&self, id: u32) -> usize {
        self.value_bytes[id as usize].load(Ordering::Acquire) as usize
    }

    /// The ids that are present now.
    pub(crate) fn present_ids(&self) -> impl Iterator<Item = u32> {
        (0..self.capacity()).filter(|&id| self.acked(id).is_present())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_writes_exactly_one_answer_is_right() {
        let model = Model::new(1);
        let state = model.issue(0, true);
        model.acknowledge(0, state, 10);
        let state = model.issue(0, true);
        model.acknowledge(0, state, 10);
        let (before, after) = (model.acked(0), model.issued(0));
        assert!(Model::allows(before, after, Some(2)));
        for wrong in [None, Some(1), Some(3)] {
            assert!(!Model::allows(before, after, wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_deleted_key_must_stay_away() {
        let model = Model::new(1);
        let state = model.issue(0, true);
        model.acknowledge(0, state, 10);
        let state = model.issue(0, false);
        model.acknowledge(0, state, 0);
        assert!(Model::allows(model.acked(0), model.issued(0), None));
        assert!(!Model::allows(model.acked(0), model.issued(0), Some(1)));
        assert_eq!(model.present_ids().count(), 0);
    }

    #[test]
    fn during_a_write_both_the_old_and_the_new_value_are_right() {
        let model = Model::new(1);
        let state = model.issue(0, true);
        model.acknowledge(0, state, 10);
        let before = model.acked(0);
        model.issue(0, true);
        assert!(Model::allows(before, model.issued(0), Some(1)));
        assert!(Model::allows(before, model.issued(0), Some(2)));
        assert!(!Model::allows(before, model.issued(0), Some(3)));
    }

    #[test]
    fn every_key_has_exactly_one_writer() {
        for id in 0..100 {
            for thread in 0..3 {
                let owned = Model::owned(id, thread, 3, 100);
                assert!(owned < 100 && owned % 3 == thread);
            }
        }
    }
}
