//! What the manifest of a Bitcask says: which data files there are, and what is known of the sealed ones.
//!
//! # State, format 1
//!
//! A snapshot is: next file id, newest sequence number, number of files, varints; then for each file its id, varint, one byte that says
//! whether it is sealed, and if so the fields of [`Sealed`] in their order: length, varint; CRC-32, `u32`; open epoch,
//! edit number of the header, records, deletions, oldest and newest sequence number, varints; one byte that says whether there is a hint, and if so
//! its length, varint, and CRC-32, `u32`.
//!
//! An edit is one byte, 1 begin, 2 seal, 3 remove, and the id, varint; a seal has the fields of [`Sealed`] behind it.

use std::collections::BTreeMap;

use durable::coding::{Reader, put_u32, put_varint};
use durable::log::{SegmentIdentity, StoreId};
use durable::manifest::{self, EngineTag};
use durable::publish::PublishedFile;
use durable::store_dir::NamePattern;
use kv::Result;
use serde::Serialize;
use serde_json::{Value, json};

use crate::files::{DATA, HINT, HINT_TEMPORARY};
use crate::hint_file::Source;
use crate::record::Record;

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
}

/// A data file that no longer changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Sealed {
    pub(crate) len: u64,
    pub(crate) crc: u32,
    pub(crate) epoch: u64,
    pub(crate) edit_number: u64,
    pub(crate) records: u64,
    pub(crate) deletions: u64,
    /// 0 where there are no records.
    pub(crate) oldest: u64,
    pub(crate) newest: u64,
    pub(crate) hint: Option<Hint>,
}

/// The hint file of a data file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Hint {
    pub(crate) len: u64,
    pub(crate) crc: u32,
}

/// A change of the files. One that adds a file can only be made from the proof that it was synced and named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Edit {
    id: u64,
    change: Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Change {
    Begin,
    Seal(Sealed),
    Remove,
}

impl Edit {
    /// A new data file, to be appended to.
    pub(crate) fn begin(id: u64, _file: PublishedFile) -> Self {
        Self { id, change: Change::Begin }
    }

    /// The data file `id` is whole and no longer changes. Sealing again replaces what was known, a lost hint say.
    pub(crate) fn seal(
        id: u64,
        _file: PublishedFile,
        hint: Option<(PublishedFile, Hint)>,
        sealed: Sealed,
    ) -> Self {
        Self { id, change: Change::Seal(Sealed { hint: hint.map(|(_, hint)| hint), ..sealed }) }
    }

    /// The data file `id` is no longer part of the store.
    pub(crate) fn remove(id: u64) -> Self {
        Self { id, change: Change::Remove }
    }
}

impl manifest::State for State {
    type Edit = Edit;

    const ENGINE: EngineTag = EngineTag { id: 1, name: "bitcask" };
    const FORMAT: u16 = 1;
    const FILES: &'static [NamePattern] = &[DATA, HINT, HINT_TEMPORARY];

    fn apply(&mut self, edit: &Edit) -> std::result::Result<(), String> {
        let Edit { id, change } = *edit;
        match change {
            Change::Begin if id < self.next_file_id || id >= LIMIT => {
                return Err(format!(
                    "data file {id} is begun and was there before, or is too high"
                ));
            }
            Change::Seal(sealed) if sealed.newest >= LIMIT => {
                return Err(format!("data file {id} has write {}", sealed.newest));
            }
            Change::Begin => {
                self.next_file_id = id + 1;
                self.files.insert(id, None);
            }
            Change::Seal(sealed) => {
                let file = self.files.get_mut(&id);
                *file.ok_or_else(|| format!("data file {id} is sealed and not there"))? =
                    Some(sealed);
                self.newest = self.newest.max(sealed.newest);
            }
            Change::Remove => {
                let removed = self.files.remove(&id);
                removed.ok_or_else(|| format!("data file {id} is removed and not there"))?;
            }
        }
        Ok(())
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
    }

    fn decode_state(_format: u16, reader: &mut Reader<'_>) -> Result<Self> {
        let (next_file_id, newest) = (reader.varint()?, reader.varint()?);
        if next_file_id > LIMIT || newest >= LIMIT {
            return Err(reader.corruption("a number that no store reaches"));
        }
        let mut state = Self { next_file_id, newest, files: BTreeMap::new() };
        for _ in 0..reader.count(2)? {
            let id = reader.varint()?;
            let sealed = if flag(reader)? { Some(Sealed::decode(reader)?) } else { None };
            if id >= next_file_id || state.files.insert(id, sealed).is_some() {
                return Err(reader.corruption(format!("data file {id} cannot be there")));
            }
        }
        Ok(state)
    }

    fn encode_edit(edit: &Edit, out: &mut Vec<u8>) {
        let (tag, sealed) = match edit.change {
            Change::Begin => (1, None),
            Change::Seal(sealed) => (2, Some(sealed)),
            Change::Remove => (3, None),
        };
        out.push(tag);
        put_varint(out, edit.id);
        if let Some(sealed) = sealed {
            sealed.encode(out);
        }
    }

    fn decode_edit(_format: u16, reader: &mut Reader<'_>) -> Result<Edit> {
        let (tag, id) = (reader.u8()?, reader.varint()?);
        let change = match tag {
            1 => Change::Begin,
            2 => Change::Seal(Sealed::decode(reader)?),
            3 => Change::Remove,
            other => return Err(reader.corruption(format!("an edit of unknown kind {other}"))),
        };
        Ok(Edit { id, change })
    }

    fn to_json(&self) -> Value {
        json!(self)
    }

    fn edit_to_json(edit: &Edit) -> Value {
        json!(edit)
    }
}

impl Sealed {
    /// A sealed file of that identity, without records so far.
    pub(crate) fn new(identity: SegmentIdentity) -> Self {
        let SegmentIdentity { epoch, edit_number, .. } = identity;
        Self { epoch, edit_number, ..Self::default() }
    }

    /// The identity of data file `id` of `store`, which this describes.
    pub(crate) fn identity(&self, store: StoreId, id: u64) -> SegmentIdentity {
        SegmentIdentity { store, id, epoch: self.epoch, edit_number: self.edit_number }
    }

    /// What a hint file for it must name.
    pub(crate) fn source(&self, store: StoreId, id: u64) -> Source {
        Source { store, id, len: self.len, crc: self.crc }
    }

    /// Counts one record.
    pub(crate) fn count(&mut self, sequence: u64, record: &Record<'_>) {
        if self.records == 0 {
            self.oldest = sequence;
        }
        self.newest = sequence;
        self.records += 1;
        self.deletions += u64::from(matches!(record, Record::Delete { .. }));
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.len);
        put_u32(out, self.crc);
        let counts = [self.records, self.deletions, self.oldest, self.newest];
        for field in [self.epoch, self.edit_number].into_iter().chain(counts) {
            put_varint(out, field);
        }
        out.push(u8::from(self.hint.is_some()));
        if let Some(hint) = self.hint {
            put_varint(out, hint.len);
            put_u32(out, hint.crc);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let mut sealed = Self {
            len: reader.varint()?,
            crc: reader.u32()?,
            epoch: reader.varint()?,
            edit_number: reader.varint()?,
            records: reader.varint()?,
            deletions: reader.varint()?,
            oldest: reader.varint()?,
            newest: reader.varint()?,
            hint: None,
        };
        if flag(reader)? {
            sealed.hint = Some(Hint { len: reader.varint()?, crc: reader.u32()? });
        }
        Ok(sealed)
    }
}

fn flag(reader: &mut Reader<'_>) -> Result<bool> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(reader.corruption(format!("a flag of {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use durable::manifest::State as _;

    use super::*;
    use crate::golden;

    #[test]
    fn the_encoding_is_the_one_of_format_1() {
        let [golden] = golden::lines(include_str!("../tests/golden/state-1.hex"));
        let sealed = Sealed {
            len: 4096,
            crc: 0xdead_beef,
            epoch: 2,
            edit_number: 17,
            records: 200,
            deletions: 1,
            oldest: 5,
            newest: 9,
            hint: Some(Hint { len: 99, crc: 7 }),
        };
        let files = [(0, Some(sealed)), (299, None)].into();
        let state = State { next_file_id: 300, newest: 9, files };
        let mut bytes = Vec::new();
        state.encode_state(&mut bytes);
        assert_eq!(bytes, golden);
        let mut reader = Reader::new(&golden, Path::new("golden"), 0);
        assert_eq!(State::decode_state(1, &mut reader).unwrap(), state);
    }
}
