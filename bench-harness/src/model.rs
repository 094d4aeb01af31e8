//! The answers that the engine must give: for each key the version and the presence that its last write left.
//!
//! The judge applies the writes of a window in the order in which their threads made them (see [`crate::judge`]).

use crate::keys::KeySpace;

/// The state of a key: which write was its last, and whether that one left it present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyState(u32);

impl KeyState {
    /// The state after a write of `version`.
    pub(crate) fn new(version: u32, present: bool) -> Self {
        assert!(version <= u32::MAX >> 1, "too many operations for the numbers of versions");
        Self(version << 1 | u32::from(present))
    }

    /// The version of the last write to the key; 0 before the first.
    pub(crate) fn version(self) -> u32 {
        self.0 >> 1
    }

    /// Whether the last write was a put.
    pub(crate) fn is_present(self) -> bool {
        self.0 & 1 == 1
    }
}

/// The expected content of an engine.
#[derive(Debug)]
pub(crate) struct Model {
    states: Vec<KeyState>,
    value_bytes: Vec<u32>,
    /// How many ids are in use: loaded or inserted so far.
    in_use: u32,
    /// The newest version that any thread may have written.
    newest_version: u32,
}

impl Model {
    /// An empty model for `capacity` keys with all of its memory touched: the memory that grows later is the engine's.
    pub(crate) fn new(capacity: u32) -> Self {
        let count = capacity as usize;
        let mut states = vec![KeyState(u32::MAX); count];
        let mut value_bytes = vec![u32::MAX; count];
        // Memory that is 0 from the start would be resident only once it is written to.
        std::hint::black_box((&mut states, &mut value_bytes));
        states.fill(KeyState::default());
        value_bytes.fill(0);
        Self { states, value_bytes, in_use: 0, newest_version: 0 }
    }

    /// How many ids there can be.
    pub(crate) fn capacity(&self) -> u32 {
        self.states.len() as u32
    }

    /// How many ids are in use.
    pub(crate) fn in_use(&self) -> u32 {
        self.in_use
    }

    /// The newest version in use: those of the next phase are newer.
    pub(crate) fn newest_version(&self) -> u32 {
        self.newest_version
    }

    /// Notes that versions up to `version` are in use.
    pub(crate) fn use_versions(&mut self, version: u32) {
        self.newest_version = self.newest_version.max(version);
    }

    /// The state of `id`.
    pub(crate) fn state(&self, id: u32) -> KeyState {
        self.states[id as usize]
    }

    /// The states of all keys.
    pub(crate) fn states(&self) -> &[KeyState] {
        &self.states
    }

    /// Applies a write.
    pub(crate) fn write(&mut self, id: u32, state: KeyState, value_bytes: u32) {
        let known = &mut self.states[id as usize];
        debug_assert!(state.version() > known.version(), "writes to a key are in order");
        *known = state;
        self.value_bytes[id as usize] = value_bytes;
        self.in_use = self.in_use.max(id + 1);
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

    /// The ids that are present now.
    pub(crate) fn present_ids(&self) -> impl Iterator<Item = u32> {
        (0..self.capacity()).filter(|&id| self.state(id).is_present())
    }

    /// How many entries are present, and the bytes of their keys and values.
    pub(crate) fn live(&self, keys: &KeySpace) -> Live {
        let mut live = Live::default();
        let mut key = Vec::new();
        for id in self.present_ids() {
            keys.write_key(id, &mut key);
            live.entries += 1;
            live.key_bytes += key.len() as u64;
            live.value_bytes += u64::from(self.value_bytes[id as usize]);
        }
        live
    }
}

/// The entries that the engine holds by the model.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Live {
    /// Present entries.
    pub(crate) entries: u64,
    /// Bytes of their keys.
    pub(crate) key_bytes: u64,
    /// Bytes of their newest values.
    pub(crate) value_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_writes_exactly_one_answer_is_right() {
        let mut model = Model::new(1);
        model.write(0, KeyState::new(1, true), 10);
        model.write(0, KeyState::new(2, true), 10);
        let state = model.state(0);
        assert!(Model::allows(state, state, Some(2)));
        for wrong in [None, Some(1), Some(3)] {
            assert!(!Model::allows(state, state, wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_deleted_key_must_stay_away() {
        let mut model = Model::new(1);
        model.write(0, KeyState::new(1, true), 10);
        model.write(0, KeyState::new(2, false), 0);
        let state = model.state(0);
        assert!(Model::allows(state, state, None));
        assert!(!Model::allows(state, state, Some(1)));
        assert_eq!(model.present_ids().count(), 0);
    }

    #[test]
    fn during_a_write_both_the_old_and_the_new_value_are_right() {
        let (before, after) = (KeyState::new(1, true), KeyState::new(2, true));
        assert!(Model::allows(before, after, Some(1)));
        assert!(Model::allows(before, after, Some(2)));
        assert!(!Model::allows(before, after, Some(3)));
    }
}
