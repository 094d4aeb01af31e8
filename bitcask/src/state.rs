//! The state that the manifest of a Bitcask keeps: the list of data files, and the facts about the sealed ones.
//!
//! # State, format 4
//!
//! A snapshot is: next file id, newest sequence number, [`State::latest_time`], number of files, varints; then for each
//! file its id, varint, one byte that says whether it is sealed, and if so the fields of [`Sealed`]; then the number of
//! entries of [`State::blocked`], and each of them: file, blocker, bytes, varints.
//!
//! An edit is one byte, the latest time, varint, and the fields of the edit:
//!
//! | byte | edit |
//! |---|---|
//! | 1 begin, 3 remove, 4 reserve | id, varint |
//! | 2 seal | id, varint; the fields of [`Sealed`] |
//! | 5 merge | number of outputs, varint; id, varint, and the fields of [`Sealed`] of each; number of inputs and their ids, varints; number of entries of `blocked` and each of them as above |
//! | 6 note the time | nothing |
//!
//! Format 3 had another last field of [`Sealed`]. Format 2 had no times, no edit 6, and not the last field of [`Sealed`]. Format 1 had no expiry and no merging either:
//! neither `blocked`, nor the two fields of [`Sealed`] before that, nor edits 4 and 5.

mod blocked;
mod edit;
mod format;
mod sealed;

use std::collections::BTreeMap;

use durable::coding::Reader;
use durable::manifest::{self, EngineTag};
use durable::store_dir::NamePattern;
use kv::{Result, UnixMillis};
use serde::Serialize;
use serde_json::{Value, json};

use crate::files::{DATA, FILE_ID_LIMIT, HINT, HINT_TEMPORARY};
use crate::record::SEQUENCE_LIMIT;
pub(crate) use blocked::{Blocked, BlockedTombstones};
use edit::Change;
pub(crate) use edit::{Edit, Merge};
pub(crate) use sealed::{Hint, Sealed};

/// Which files make up the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct State {
    /// No file has had this id or a higher one. At most [`FILE_ID_LIMIT`].
    pub(crate) next_file_id: u64,
    /// The newest sequence number in any data file that was ever sealed. Below [`SEQUENCE_LIMIT`].
    pub(crate) newest: u64,
    /// The latest time of day, in milliseconds since 1970, that the store had read from its clock when the last edit was
    /// made. The time of the store never goes back behind it, whatever the clock says in a later opening: a value that
    /// has expired for a reader stays expired. A crash loses the times that were read after the last edit.
    pub(crate) latest_time: u64,
    /// The data files; `None` is one that was being written.
    pub(crate) files: BTreeMap<u64, Option<Sealed>>,
    /// Tombstones that the last merge had to keep.
    pub(crate) blocked: BlockedTombstones,
}

/// Why an edit contradicts the state.
type Refusal = String;

impl State {
    /// Whether a sealed file has puts that expire. If none has, the time means nothing to the store.
    pub(crate) fn has_expiring(&self) -> bool {
        self.files.values().flatten().any(|sealed| sealed.expiring.records > 0)
    }

    fn give_away(&mut self, id: u64) -> std::result::Result<(), Refusal> {
        if id < self.next_file_id || id >= FILE_ID_LIMIT {
            return Err(format!("data file {id} is begun and was there before, or is too high"));
        }
        self.next_file_id = id + 1;
        debug_assert!(self.next_file_id <= FILE_ID_LIMIT, "ids have a limit");
        debug_assert!(!self.is_there(id), "an id is given away once");
        Ok(())
    }

    fn add_sealed(&mut self, id: u64, sealed: Sealed) -> std::result::Result<(), Refusal> {
        if sealed.newest >= SEQUENCE_LIMIT {
            return Err(format!("data file {id} has write {}", sealed.newest));
        }
        debug_assert!(id < self.next_file_id, "the id was given away");
        self.newest = self.newest.max(sealed.newest);
        self.files.insert(id, Some(sealed));
        debug_assert!(self.newest < SEQUENCE_LIMIT, "the number of the file was checked");
        Ok(())
    }

    fn remove(&mut self, id: u64) -> std::result::Result<(), Refusal> {
        let removed = self.files.remove(&id);
        removed.ok_or_else(|| format!("data file {id} is removed and not there"))?;
        self.blocked.remove_file(id);
        Ok(())
    }

    fn merge(&mut self, merge: &Merge) -> std::result::Result<(), Refusal> {
        for &(id, sealed) in &merge.outputs {
            if id >= self.next_file_id || self.is_there(id) {
                return Err(format!("data file {id} comes out of a merge and was not reserved"));
            }
            self.add_sealed(id, sealed)?;
        }
        merge.inputs.iter().try_for_each(|&id| self.remove(id))?;
        for Blocked { file, blocker, .. } in &merge.blocked {
            if !(self.is_there(*file) && self.is_there(*blocker)) {
                return Err(format!("data file {file} is blocked by {blocker}, and one is gone"));
            }
        }
        debug_assert!(merge.inputs.iter().all(|&id| !self.is_there(id)), "inputs are gone");
        merge.blocked.iter().for_each(|&blocked| self.blocked.push(blocked));
        Ok(())
    }

    fn is_there(&self, id: u64) -> bool {
        self.files.contains_key(&id)
    }
}

impl manifest::State for State {
    type Edit = Edit;

    const ENGINE: EngineTag = EngineTag { id: 1, name: "bitcask" };
    const FORMAT: u16 = 4;
    const FILES: &'static [NamePattern] = &[DATA, HINT, HINT_TEMPORARY];

    fn apply(&mut self, edit: &Edit) -> std::result::Result<(), Refusal> {
        match &edit.change {
            Change::Begin(id) => {
                self.give_away(*id)?;
                self.files.insert(*id, None);
            }
            Change::Seal(id, _) if !self.is_there(*id) => {
                return Err(format!("data file {id} is sealed and not there"));
            }
            Change::Seal(id, sealed) => self.add_sealed(*id, *sealed)?,
            Change::Remove(id) => self.remove(*id)?,
            Change::Reserve(id) => self.give_away(*id)?,
            Change::Merge(merge) => self.merge(merge)?,
            Change::NoteTime => {}
        }
        self.latest_time = self.latest_time.max(edit.latest_time);
        debug_assert!(self.next_file_id <= FILE_ID_LIMIT && self.newest < SEQUENCE_LIMIT);
        debug_assert!(self.files.keys().all(|&id| id < self.next_file_id), "ids are given away");
        Ok(())
    }

    fn encode_state(&self, out: &mut Vec<u8>) {
        format::encode_state(self, out);
    }

    fn decode_state(format: u16, reader: &mut Reader<'_>) -> Result<Self> {
        format::decode_state(format, reader)
    }

    fn encode_edit(edit: &Edit, out: &mut Vec<u8>) {
        format::encode_edit(edit, out);
    }

    fn decode_edit(format: u16, reader: &mut Reader<'_>) -> Result<Edit> {
        format::decode_edit(format, reader)
    }

    fn to_json(&self) -> Value {
        json!(self)
    }

    fn edit_to_json(edit: &Edit) -> Value {
        json!(edit)
    }
}

impl State {
    /// [`State::latest_time`] as a time.
    pub(crate) fn latest_time(&self) -> UnixMillis {
        UnixMillis(self.latest_time)
    }
}

#[cfg(test)]
mod tests;
