//! The edits of the state.

use durable::publish::PublishedFile;
use kv::UnixMillis;
use serde::Serialize;

use super::Blocked;
#[cfg(doc)]
use super::State;
use super::sealed::{Hint, Sealed};
use crate::files::DATA;

/// A change of the files. One that adds a file can only be made from the proof that it was synced and named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Edit {
    pub(super) change: Change,
    /// See [`State::latest_time`]. 0 until [`Edit::at`].
    pub(super) latest_time: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Change {
    Begin(u64),
    Seal(u64, Sealed),
    Remove(u64),
    Reserve(u64),
    Merge(Merge),
    NoteTime,
}

/// One merge: outputs in, inputs out, at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Merge {
    pub(super) outputs: Vec<(u64, Sealed)>,
    pub(super) inputs: Vec<u64>,
    pub(super) blocked: Vec<Blocked>,
}

impl Edit {
    /// A new data file, to be appended to.
    pub(crate) fn begin(file: &PublishedFile) -> Self {
        Change::Begin(proven_id(file)).into()
    }

    /// The data file is whole and no longer changes. Sealing again replaces its entry, for example after its hint was
    /// lost.
    pub(crate) fn seal(
        file: &PublishedFile,
        hint: Option<(PublishedFile, Hint)>,
        sealed: Sealed,
    ) -> Self {
        let id = proven_id(file);
        let len = sealed.len;
        let sealed = sealed.with_hint(id, hint);
        assert_eq!(file.len_bytes(), len, "the proof is of the whole file");
        Change::Seal(id, sealed).into()
    }

    /// The data file `id` is no longer part of the store.
    pub(crate) fn remove(id: u64) -> Self {
        Change::Remove(id).into()
    }

    /// The id is given away: a file with it that the manifest does not name was never part of the store.
    pub(crate) fn reserve(id: u64) -> Self {
        Change::Reserve(id).into()
    }

    /// Outputs in, inputs out.
    pub(crate) fn merge(merge: Merge) -> Self {
        Change::Merge(merge).into()
    }

    /// Nothing but the time changes.
    pub(crate) fn note_time() -> Self {
        Change::NoteTime.into()
    }

    /// The same edit, with the latest time that the store has read from its clock. Every edit of an open store has it.
    pub(crate) fn at(self, latest_time: UnixMillis) -> Self {
        debug_assert_eq!(self.latest_time, 0, "an edit gets its time once");
        Self { latest_time: latest_time.0, ..self }
    }
}

impl From<Change> for Edit {
    fn from(change: Change) -> Self {
        Self { change, latest_time: 0 }
    }
}

impl Merge {
    /// A merge without outputs so far that takes `inputs` out. As it is, it drops them.
    pub(crate) fn of(inputs: Vec<u64>) -> Self {
        Self { inputs, ..Self::default() }
    }

    /// Adds an output, sealed.
    pub(crate) fn add(
        &mut self,
        file: &PublishedFile,
        hint: Option<(PublishedFile, Hint)>,
        sealed: Sealed,
    ) {
        let id = proven_id(file);
        assert!(self.outputs.iter().all(|(other, _)| *other != id), "an output is added once");
        assert!(!self.inputs.contains(&id), "no output is an input");
        assert_eq!(file.len_bytes(), sealed.len, "the proof is of the whole file");
        self.outputs.push((id, sealed.with_hint(id, hint)));
    }

    /// Tombstones in an output that had to be kept.
    pub(crate) fn block(&mut self, blocked: &[Blocked]) {
        let is_output = |id| self.outputs.iter().any(|(output, _)| *output == id);
        assert!(blocked.iter().all(|blocked| is_output(blocked.file)), "outputs have tombstones");
        assert!(blocked.iter().all(|blocked| blocked.file != blocked.blocker), "two files");
        self.blocked.extend_from_slice(blocked);
    }

    /// Tombstones outside the merge that an input blocked are blocked by the first output from now on: its filter may be
    /// wrong about the same keys. `blocked` are the entries of the state before the merge.
    pub(crate) fn pass_on(&mut self, blocked: &[Blocked]) {
        let Some(&(output, _)) = self.outputs.first() else { return };
        let is_input = |id: u64| self.inputs.contains(&id);
        let outside = blocked.iter().filter(|one| is_input(one.blocker) && !is_input(one.file));
        let passed_on: Vec<Blocked> =
            outside.map(|&one| Blocked { blocker: output, ..one }).collect();
        debug_assert!(passed_on.iter().all(|one| one.file != output), "an output is new");
        self.blocked.extend(passed_on);
    }
}

/// The id of the data file that `file` is the proof of.
fn proven_id(file: &PublishedFile) -> u64 {
    file.number(DATA).expect("the proof is of a data file")
}
