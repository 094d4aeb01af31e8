//! What the manifest of a Bitcask says: which data files there are, and what is known of the sealed ones.
//!
//! # State, format 3
//!
//! A snapshot is: next file id, newest sequence number, number of files, varints; then for each file its id, varint, one
//! byte that says whether it is sealed, and if so the fields of [`Sealed`]; then the number of entries of
//! [`State::blocked`], and each of them: file, blocker, bytes, varints.
//!
//! An edit is one byte and what belongs to it:
//!
//! | byte | edit |
//! |---|---|
//! | 1 begin, 3 remove, 4 reserve | id, varint |
//! | 2 seal | id, varint; the fields of [`Sealed`] |
//! | 5 merge | number of outputs, varint; id, varint, and the fields of [`Sealed`] of each; number of inputs and their ids, varints; number of blocked deletions and each of them as above |
//!
//! Format 2 did not say where the records of a sealed file start. Format 1 had no expiry and no merging: neither `blocked`, nor the last two fields of [`Sealed`], nor edits 4 and 5.

mod sealed;

use std::collections::BTreeMap;

use durable::coding::{Reader, put_varint};
use durable::manifest::{self, EngineTag};
use durable::publish::PublishedFile;
use durable::store_dir::NamePattern;
use kv::Result;
use serde::Serialize;
use serde_json::{Value, json};

use crate::files::{DATA, HINT, HINT_TEMPORARY};
pub(crate) use sealed::{Hint, Sealed};

/// File ids and sequence numbers are below this, which no store lives long enough to reach.
const LIMIT: u64 = 1 << 48;

/// Which files make up the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct State {
    /// No file has had this id or a higher one.
    pub(crate) next_file_id: u64,
    /// The newest sequence number in any data file that was ever sealed.
    pub(crate) newest: u64,
    /// The data files; `None` is one that was being written.
    pub(crate) files: BTreeMap<u64, Option<Sealed>>,
    /// Deletions that the last merge had to keep.
    pub(crate) blocked: Vec<Blocked>,
}

/// Deletions in a file that cannot go, because an older put of their keys may be in another one. Both files are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Blocked {
    /// The data file that has the deletions.
    pub(crate) file: u64,
    /// The data file that may have the puts. When it goes, the deletions may go, too.
    pub(crate) blocker: u64,
    /// How many bytes the deletions take.
    pub(crate) bytes: u64,
}

/// A change of the files. One that adds a file can only be made from the proof that it was synced and named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Edit(Change);

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
enum Change {
    Begin(u64),
    Seal(u64, Sealed),
    Remove(u64),
    Reserve(u64),
    Merge(Merge),
}

/// One merge: outputs in, inputs out, at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Merge {
    outputs: Vec<(u64, Sealed)>,
    inputs: Vec<u64>,
    blocked: Vec<Blocked>,
}

impl Merge {
    /// A merge without outputs so far that takes `inputs` out. As it is, it drops them.
    pub(crate) fn of(inputs: Vec<u64>) -> Self {
        Self { inputs, ..Self::default() }
    }

    /// Adds the output that `file` is the proof of, sealed.
    pub(crate) fn add(
        &mut self,
        file: &PublishedFile,
        hint: Option<(PublishedFile, Hint)>,
        sealed: Sealed,
    ) {
        let id = proven_id(file);
        self.outputs.push((id, sealed.with_hint(id, hint)));
    }

    /// Deletions in an output that had to be kept.
    pub(crate) fn block(&mut self, blocked: &[Blocked]) {
        self.blocked.extend_from_slice(blocked);
    }
}

impl Edit {
    /// A new data file, to be appended to.
    pub(crate) fn begin(file: &PublishedFile) -> Self {
        Self(Change::Begin(proven_id(file)))
    }

    /// The data file is whole and no longer changes. Sealing again replaces its entry, for example after its hint was
    /// lost.
    pub(crate) fn seal(
        file: &PublishedFile,
        hint: Option<(PublishedFile, Hint)>,
        sealed: Sealed,
    ) -> Self {
        let id = proven_id(file);
        Self(Change::Seal(id, sealed.with_hint(id, hint)))
    }

    /// The data file `id` is no longer part of the store.
    pub(crate) fn remove(id: u64) -> Self {
        Self(Change::Remove(id))
    }

    /// The id is given away: a file with it that the manifest does not name was never part of the store.
    pub(crate) fn reserve(id: u64) -> Self {
        Self(Change::Reserve(id))
    }

    /// Outputs in, inputs out.
    pub(crate) fn merge(merge: Merge) -> Self {
        Self(Change::Merge(merge))
    }
}

impl State {
    /// The bytes of deletions in `file` that its last merge had to keep, and would have to keep again.
    pub(crate) fn blocked_bytes(&self, file: u64) -> u64 {
        self.blocked
            .iter()
            .filter(|blocked| blocked.file == file)
            .map(|blocked| blocked.bytes)
            .sum()
    }

    /// The bytes of deletions elsewhere that `file` keeps from going.
    pub(crate) fn blocking_bytes(&self, file: u64) -> u64 {
        let blocking = self.blocked.iter().filter(|blocked| blocked.blocker == file);
        blocking.map(|blocked| blocked.bytes).sum()
    }

    fn give_away(&mut self, id: u64) -> std::result::Result<(), String> {
        if id < self.next_file_id || id >= LIMIT {
            return Err(format!("data file {id} is begun and was there before, or is too high"));
        }
        self.next_file_id = id + 1;
        Ok(())
    }

    fn add_sealed(&mut self, id: u64, sealed: Sealed) -> std::result::Result<(), String> {
        if sealed.newest >= LIMIT {
            return Err(format!("data file {id} has write {}", sealed.newest));
        }
        self.newest = self.newest.max(sealed.newest);
        self.files.insert(id, Some(sealed));
        Ok(())
    }

    fn remove(&mut self, id: u64) -> std::result::Result<(), String> {
        let removed = self.files.remove(&id);
        removed.ok_or_else(|| format!("data file {id} is removed and not there"))?;
        self.blocked.retain(|blocked| blocked.file != id && blocked.blocker != id);
        Ok(())
    }

    fn merge(&mut self, merge: &Merge) -> std::result::Result<(), String> {
        for &(id, sealed) in &merge.outputs {
            if id >= self.next_file_id || self.files.contains_key(&id) {
                return Err(format!("data file {id} comes out of a merge and was not reserved"));
            }
            self.add_sealed(id, sealed)?;
        }
        merge.inputs.iter().try_for_each(|&id| self.remove(id))?;
        for blocked in &merge.blocked {
            if !(self.is_there(blocked.file) && self.is_there(blocked.blocker)) {
                return Err(format!(
                    "data file {} is blocked, or by one, that is gone",
                    blocked.file
                ));
            }
        }
        self.blocked.extend(&merge.blocked);
        Ok(())
    }

    fn is_there(&self, id: u64) -> bool {
        self.files.contains_key(&id)
    }
}

impl manifest::State for State {
    type Edit = Edit;

    const ENGINE: EngineTag = EngineTag { id: 1, name: "bitcask" };
    const FORMAT: u16 = 3;
    const FILES: &'static [NamePattern] = &[DATA, HINT, HINT_TEMPORARY];

    fn apply(&mut self, edit: &Edit) -> std::result::Result<(), String> {
        match &edit.0 {
            Change::Begin(id) => {
                self.give_away(*id)?;
                self.files.insert(*id, None);
                Ok(())
            }
            Change::Seal(id, _) if !self.is_there(*id) => {
                Err(format!("data file {id} is sealed and not there"))
            }
            Change::Seal(id, sealed) => self.add_sealed(*id, *sealed),
            Change::Remove(id) => self.remove(*id),
            Change::Reserve(id) => self.give_away(*id),
            Change::Merge(merge) => self.merge(merge),
        }
    }

    fn encode_state(&self, out: &mut Vec<u8>) {
        put_varint(out, self.next_file_id);
        put_varint(out, self.newest);
        put_varint(out, self.files.len() as u64);
        for (&id, sealed) in &self.files {
            put_varint(out, id);
            out.push(u8::from(sealed.is_some()));
            if let Some(sealed) = sealed {
                sealed.encode(out);
            }
        }
        encode_blocked(&self.blocked, out);
    }

    fn decode_state(format: u16, reader: &mut Reader<'_>) -> Result<Self> {
        let (next_file_id, newest) = (reader.varint()?, reader.varint()?);
        if next_file_id > LIMIT || newest >= LIMIT {
            return Err(reader.corruption("a number that no store reaches"));
        }
        let mut state = Self { next_file_id, newest, ..Self::default() };
        for _ in 0..reader.count(2)? {
            let id = reader.varint()?;
            let sealed =
                if sealed::flag(reader)? { Some(Sealed::decode(format, reader)?) } else { None };
            if id >= next_file_id || state.files.insert(id, sealed).is_some() {
                return Err(reader.corruption(format!("data file {id} cannot be there")));
            }
        }
        if format > 1 {
            state.blocked = decode_blocked(reader)?;
        }
        Ok(state)
    }

    fn encode_edit(edit: &Edit, out: &mut Vec<u8>) {
        match &edit.0 {
            Change::Begin(id) => encode_tagged(1, *id, out),
            Change::Seal(id, sealed) => {
                encode_tagged(2, *id, out);
                sealed.encode(out);
            }
            Change::Remove(id) => encode_tagged(3, *id, out),
            Change::Reserve(id) => encode_tagged(4, *id, out),
            Change::Merge(merge) => {
                encode_tagged(5, merge.outputs.len() as u64, out);
                for (id, sealed) in &merge.outputs {
                    put_varint(out, *id);
                    sealed.encode(out);
                }
                put_varint(out, merge.inputs.len() as u64);
                merge.inputs.iter().for_each(|&id| put_varint(out, id));
                encode_blocked(&merge.blocked, out);
            }
        }
    }

    fn decode_edit(format: u16, reader: &mut Reader<'_>) -> Result<Edit> {
        let change = match reader.u8()? {
            1 => Change::Begin(reader.varint()?),
            2 => Change::Seal(reader.varint()?, Sealed::decode(format, reader)?),
            3 => Change::Remove(reader.varint()?),
            4 if format > 1 => Change::Reserve(reader.varint()?),
            5 if format > 1 => Change::Merge(decode_merge(format, reader)?),
            other => return Err(reader.corruption(format!("an edit of unknown kind {other}"))),
        };
        Ok(Edit(change))
    }

    fn to_json(&self) -> Value {
        json!(self)
    }

    fn edit_to_json(edit: &Edit) -> Value {
        json!(edit)
    }
}

/// The id of the data file that `file` is the proof of.
fn proven_id(file: &PublishedFile) -> u64 {
    file.number(DATA).expect("the proof is of a data file")
}

fn encode_tagged(tag: u8, number: u64, out: &mut Vec<u8>) {
    out.push(tag);
    put_varint(out, number);
}

fn encode_blocked(blocked: &[Blocked], out: &mut Vec<u8>) {
    put_varint(out, blocked.len() as u64);
    for &Blocked { file, blocker, bytes } in blocked {
        for field in [file, blocker, bytes] {
            put_varint(out, field);
        }
    }
}

fn decode_blocked(reader: &mut Reader<'_>) -> Result<Vec<Blocked>> {
    let blocked = |reader: &mut Reader<'_>| {
        let (file, blocker) = (reader.varint()?, reader.varint()?);
        Ok(Blocked { file, blocker, bytes: reader.varint()? })
    };
    (0..reader.count(3)?).map(|_| blocked(reader)).collect()
}

fn decode_merge(format: u16, reader: &mut Reader<'_>) -> Result<Merge> {
    let mut merge = Merge::default();
    for _ in 0..reader.count(2)? {
        let id = reader.varint()?;
        merge.outputs.push((id, Sealed::decode(format, reader)?));
    }
    for _ in 0..reader.count(1)? {
        merge.inputs.push(reader.varint()?);
    }
    merge.blocked = decode_blocked(reader)?;
    Ok(merge)
}

#[cfg(test)]
mod tests;
