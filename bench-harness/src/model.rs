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
        let state = Self(version << 1 | u32::from(present));
        debug_assert_eq!((state.version(), state.is_present()), (version, present), "reads back");
        state
    }

    /// The version of the last write to the key; 0 before the first.
    pub(crate) fn version(self) -> u32 {
        self.0 >> 1
    }

    /// Whether the last write was a put.
    pub(crate) fn is_present(self) -> bool {
        self.0 & 1 == 1
    }

    /// The state as a number, for a file.
    pub(crate) fn to_bits(self) -> u32 {
        self.0
    }

    /// The state that [`KeyState::to_bits`] made into `bits`.
    pub(crate) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

/// The states of a key that one read may have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// The newest state that was acknowledged before the read began.
    before: KeyState,
    /// The newest state whose write began before the read ended.
    after: KeyState,
    /// Whether one of the states after `before`, up to `after`, is a deletion.
    has_deletion: bool,
}

impl Bounds {
    /// No other state than `state`.
    pub(crate) fn exactly(state: KeyState) -> Self {
        Self { before: state, after: state, has_deletion: false }
    }

    /// The states from `before` to `after`; `last_deletion` is the version of the last deletion up to `after`, or 0.
    pub(crate) fn between(before: KeyState, after: KeyState, last_deletion: u32) -> Self {
        debug_assert!(
            before.version() <= after.version(),
            "a write begins before it is acknowledged"
        );
        debug_assert!(last_deletion <= after.version(), "a deletion is a write");
        Self { before, after, has_deletion: last_deletion > before.version() }
    }

    /// Whether the read may have found `version` (`None`: nothing).
    pub(crate) fn allow(self, version: Option<u32>) -> bool {
        let Self { before, after, has_deletion } = self;
        match version {
            None => !before.is_present() || has_deletion,
            Some(version) if version == before.version() => before.is_present(),
            Some(version) if version == after.version() => after.is_present(),
            Some(version) => (before.version()..after.version()).contains(&version),
        }
    }

    /// The answers that are right, for a message.
    pub(crate) fn expected(self) -> String {
        let Self { before, after, has_deletion } = self;
        if before != after {
            let or_nothing = if before.is_present() && !has_deletion { "" } else { " or nothing" };
            return format!("version {} to {}{or_nothing}", before.version(), after.version());
        }
        if before.is_present() { format!("version {}", before.version()) } else { "nothing".into() }
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

    /// A model of `capacity` keys whose first ones have the given states and sizes of values: all that a check needs.
    pub(crate) fn of_states(capacity: u32, known: &[(KeyState, u32)]) -> Self {
        assert!(known.len() <= capacity as usize, "an id in use is one that there can be");
        let mut model = Self::new(capacity);
        for (id, &(state, value_bytes)) in known.iter().enumerate() {
            model.states[id] = state;
            model.value_bytes[id] = value_bytes;
        }
        model.in_use = known.len() as u32;
        model
    }

    /// How many ids there can be.
    pub(crate) fn capacity(&self) -> u32 {
        self.states.len() as u32
    }

    /// The highest id in use, plus one.
    pub(crate) fn in_use(&self) -> u32 {
        self.in_use
    }

    /// The newest version in use: those of the next phase are newer.
    pub(crate) fn newest_version(&self) -> u32 {
        self.newest_version
    }

    /// Makes `version` the newest version, unless a newer one is known.
    pub(crate) fn raise_newest_version(&mut self, version: u32) {
        self.newest_version = self.newest_version.max(version);
    }

    /// The state of `id`.
    pub(crate) fn state(&self, id: u32) -> KeyState {
        self.states[id as usize]
    }

    /// The size of the newest value of `id`, in bytes; 0 if it was deleted.
    pub(crate) fn value_bytes(&self, id: u32) -> u32 {
        self.value_bytes[id as usize]
    }

    /// The states of all keys.
    pub(crate) fn states(&self) -> &[KeyState] {
        &self.states
    }

    /// Applies a write.
    pub(crate) fn write(&mut self, id: u32, state: KeyState, value_bytes: u32) {
        debug_assert!(state.is_present() || value_bytes == 0, "a deletion leaves no value");
        let known = &mut self.states[id as usize];
        debug_assert!(state.version() > known.version(), "writes to a key are in order");
        *known = state;
        self.value_bytes[id as usize] = value_bytes;
        self.in_use = self.in_use.max(id + 1);
    }

    /// The ids that are present now.
    pub(crate) fn present_ids(&self) -> impl Iterator<Item = u32> {
        (0..self.capacity()).filter(|&id| self.state(id).is_present())
    }

    /// The mean size of the values that are present, in bytes; `None` without any.
    pub(crate) fn mean_value_bytes(&self) -> Option<u32> {
        let sizes = self.present_ids().map(|id| u64::from(self.value_bytes[id as usize]));
        let (count, sum) = sizes.fold((0, 0), |(count, sum), size| (count + 1, sum + size));
        (count > 0).then(|| u32::try_from(sum / count).unwrap_or(u32::MAX))
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
        assert!(live.entries <= u64::from(self.in_use), "a present key is in use");
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

    fn present(version: u32) -> KeyState {
        KeyState::new(version, true)
    }

    fn deleted(version: u32) -> KeyState {
        KeyState::new(version, false)
    }

    fn check(bounds: Bounds, right: &[Option<u32>], wrong: &[Option<u32>]) {
        for answer in right {
            assert!(bounds.allow(*answer), "{answer:?} is right: {}", bounds.expected());
        }
        for answer in wrong {
            assert!(!bounds.allow(*answer), "{answer:?} is wrong: {}", bounds.expected());
        }
    }

    #[test]
    fn between_writes_exactly_one_answer_is_right() {
        let mut model = Model::new(1);
        model.write(0, present(1), 10);
        model.write(0, present(2), 10);
        let bounds = Bounds::exactly(model.state(0));
        check(bounds, &[Some(2)], &[None, Some(1), Some(3)]);
    }

    #[test]
    fn a_deleted_key_must_stay_away() {
        let mut model = Model::new(1);
        model.write(0, present(1), 10);
        model.write(0, deleted(2), 0);
        check(Bounds::exactly(model.state(0)), &[None], &[Some(1), Some(2)]);
        assert_eq!(model.present_ids().count(), 0);
    }

    #[test]
    fn during_an_overwrite_the_old_and_the_new_value_are_right_and_nothing_is_wrong() {
        let bounds = Bounds::between(present(1), present(2), 0);
        check(bounds, &[Some(1), Some(2)], &[None, Some(0), Some(3)]);
    }

    #[test]
    fn a_key_may_be_missing_if_it_was_deleted_between_two_puts() {
        let bounds = Bounds::between(present(1), present(5), 3);
        check(bounds, &[None, Some(1), Some(4), Some(5)], &[Some(6)]);
        let long_ago = Bounds::between(present(4), present(5), 3);
        check(long_ago, &[Some(4), Some(5)], &[None, Some(3)]);
    }

    #[test]
    fn during_the_first_put_and_during_a_deletion_a_key_may_be_missing() {
        let first = Bounds::between(KeyState::default(), present(1), 0);
        check(first, &[None, Some(1)], &[Some(0), Some(2)]);
        let deletion = Bounds::between(present(1), deleted(2), 2);
        check(deletion, &[None, Some(1)], &[Some(2)]);
    }
}
