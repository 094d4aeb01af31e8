//! The state of a store that is nothing but its manifest: some files, a note, and the features in use.

use std::collections::BTreeMap;

use durable::coding::{Reader, put_prefixed, put_u32, put_varint};
use durable::manifest::{EngineTag, Features, State};
use durable::store_dir::NamePattern;
use kv::Result;
use serde_json::{Value, json};

/// The toy as it is now.
pub(crate) type Toy = ToyOf<2>;

/// The toy as it was before notes and features came with format 2.
pub(crate) type OldToy = ToyOf<1>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ToyOf<const FORMAT: u16> {
    /// Lengths by number.
    pub(crate) files: BTreeMap<u64, u64>,
    pub(crate) note: String,
    pub(crate) required: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    Add { file: u64, len_bytes: u64 },
    Remove { file: u64 },
    Note(String),
    Require(u32),
}

pub(crate) const TOY_FILES: NamePattern = NamePattern::new("", ".toy");

/// The feature that the toy knows.
pub(crate) const SHINY: u32 = 4;

impl<const FORMAT: u16> State for ToyOf<FORMAT> {
    type Edit = Edit;

    const ENGINE: EngineTag = EngineTag { id: 200, name: "toy" };
    const FORMAT: u16 = FORMAT;
    const KNOWN_FEATURES: u32 = SHINY;
    const FILES: &'static [NamePattern] = &[TOY_FILES];

    fn features(&self) -> Features {
        Features { required: self.required, optional: 0 }
    }

    fn apply(&mut self, edit: &Edit) -> std::result::Result<(), String> {
        match edit {
            Edit::Add { file, len_bytes } => match self.files.insert(*file, *len_bytes) {
                None => Ok(()),
                Some(_) => Err(format!("file {file} is there already")),
            },
            Edit::Remove { file } => match self.files.remove(file) {
                Some(_) => Ok(()),
                None => Err(format!("file {file} is not there")),
            },
            Edit::Note(note) => {
                self.note.clone_from(note);
                Ok(())
            }
            Edit::Require(feature) => {
                self.required |= feature;
                Ok(())
            }
        }
    }

    fn encode_state(&self, out: &mut Vec<u8>) {
        put_varint(out, self.files.len() as u64);
        for (&file, &len_bytes) in &self.files {
            put_varint(out, file);
            put_varint(out, len_bytes);
        }
        if FORMAT >= 2 {
            put_prefixed(out, self.note.as_bytes());
            put_u32(out, self.required);
        }
    }

    fn decode_state(format: u16, reader: &mut Reader<'_>) -> Result<Self> {
        let mut files = BTreeMap::new();
        for _ in 0..reader.count(2)? {
            files.insert(reader.varint()?, reader.varint()?);
        }
        let (note, required) = match format {
            1 => (String::new(), 0),
            _ => (text(reader)?, reader.u32()?),
        };
        Ok(Self { files, note, required })
    }

    fn encode_edit(edit: &Edit, out: &mut Vec<u8>) {
        match edit {
            Edit::Add { file, len_bytes } => {
                out.push(1);
                put_varint(out, *file);
                put_varint(out, *len_bytes);
            }
            Edit::Remove { file } => {
                out.push(2);
                put_varint(out, *file);
            }
            Edit::Note(note) => {
                out.push(3);
                put_prefixed(out, note.as_bytes());
            }
            Edit::Require(feature) => {
                out.push(4);
                put_u32(out, *feature);
            }
        }
    }

    fn decode_edit(format: u16, reader: &mut Reader<'_>) -> Result<Edit> {
        match (reader.u8()?, format) {
            (1, _) => Ok(Edit::Add { file: reader.varint()?, len_bytes: reader.varint()? }),
            (2, _) => Ok(Edit::Remove { file: reader.varint()? }),
            (3, 2..) => Ok(Edit::Note(text(reader)?)),
            (4, 2..) => Ok(Edit::Require(reader.u32()?)),
            _ => Err(reader.corruption("an edit of an unknown kind")),
        }
    }

    fn to_json(&self) -> Value {
        json!({ "files": self.files, "note": self.note, "required": self.required })
    }

    fn edit_to_json(edit: &Edit) -> Value {
        match edit {
            Edit::Add { file, len_bytes } => json!({ "add": file, "len_bytes": len_bytes }),
            Edit::Remove { file } => json!({ "remove": file }),
            Edit::Note(note) => json!({ "note": note }),
            Edit::Require(feature) => json!({ "require": feature }),
        }
    }
}

fn text(reader: &mut Reader<'_>) -> Result<String> {
    let bytes = reader.prefixed()?.to_vec();
    String::from_utf8(bytes).map_err(|_| reader.corruption("a note that is not UTF-8"))
}
