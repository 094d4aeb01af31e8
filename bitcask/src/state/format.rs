//! Encoding and decoding of states and edits. The tables are in the [module above](super).

use std::path::Path;

use durable::coding::{Reader, put_varint};
use kv::Result;

use super::edit::{Change, Edit, Merge};
use super::sealed::{self, Sealed};
use super::{Blocked, State};
use crate::files::FILE_ID_LIMIT;
use crate::record::SEQUENCE_LIMIT;

/// The first format with merges and expiry.
const WITH_MERGES: u16 = 2;

/// The first format with times.
const WITH_TIMES: u16 = 3;

/// The format that is written.
const NEWEST: u16 = <State as durable::manifest::State>::FORMAT;

pub(super) fn encode_state(state: &State, out: &mut Vec<u8>) {
    let start = out.len();
    debug_assert!(state.next_file_id <= FILE_ID_LIMIT && state.newest < SEQUENCE_LIMIT);
    debug_assert!(state.files.keys().all(|&id| id < state.next_file_id), "ids are given away");
    for field in [state.next_file_id, state.newest, state.latest_time, state.files.len() as u64] {
        put_varint(out, field);
    }
    for (&id, sealed) in &state.files {
        put_varint(out, id);
        out.push(u8::from(sealed.is_some()));
        if let Some(sealed) = sealed {
            sealed.encode(out);
        }
    }
    encode_blocked(state.blocked.entries(), out);
    let decoded = |reader: &mut Reader<'_>| decode_state(NEWEST, reader).ok();
    debug_assert_eq!(decoded(&mut reader_of(&out[start..])).as_ref(), Some(state), "reads back");
}

/// A reader of bytes that were just encoded.
fn reader_of(encoded: &[u8]) -> Reader<'_> {
    Reader::new(encoded, Path::new("state"), 0)
}

pub(super) fn decode_state(format: u16, reader: &mut Reader<'_>) -> Result<State> {
    let (next_file_id, newest) = (reader.varint()?, reader.varint()?);
    if next_file_id > FILE_ID_LIMIT || newest >= SEQUENCE_LIMIT {
        return Err(reader.corruption("a number that no store reaches"));
    }
    let latest_time = if format >= WITH_TIMES { reader.varint()? } else { 0 };
    let mut state = State { next_file_id, newest, latest_time, ..State::default() };
    for _ in 0..reader.count(2)? {
        let id = reader.varint()?;
        let is_sealed = sealed::flag(reader)?;
        let sealed = is_sealed.then(|| Sealed::decode(format, reader)).transpose()?;
        if id >= next_file_id || state.files.insert(id, sealed).is_some() {
            return Err(reader.corruption(format!("data file {id} cannot be there")));
        }
    }
    if format >= WITH_MERGES {
        state.blocked = decode_blocked(reader)?.into_iter().collect();
    }
    debug_assert!(state.files.keys().all(|&id| id < state.next_file_id), "ids were checked");
    Ok(state)
}

pub(super) fn encode_edit(edit: &Edit, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(match edit.change {
        Change::Begin(_) => 1,
        Change::Seal(..) => 2,
        Change::Remove(_) => 3,
        Change::Reserve(_) => 4,
        Change::Merge(_) => 5,
        Change::NoteTime => 6,
    });
    put_varint(out, edit.latest_time);
    match &edit.change {
        Change::Begin(id) | Change::Remove(id) | Change::Reserve(id) => put_varint(out, *id),
        Change::Seal(id, sealed) => {
            put_varint(out, *id);
            sealed.encode(out);
        }
        Change::Merge(merge) => encode_merge(merge, out),
        Change::NoteTime => {}
    }
    let decoded = |reader: &mut Reader<'_>| decode_edit(NEWEST, reader).ok();
    debug_assert_eq!(decoded(&mut reader_of(&out[start..])).as_ref(), Some(edit), "reads back");
}

pub(super) fn decode_edit(format: u16, reader: &mut Reader<'_>) -> Result<Edit> {
    let tag = reader.u8()?;
    let latest_time = if format >= WITH_TIMES { reader.varint()? } else { 0 };
    let change = match tag {
        1 => Change::Begin(reader.varint()?),
        2 => Change::Seal(reader.varint()?, Sealed::decode(format, reader)?),
        3 => Change::Remove(reader.varint()?),
        4 if format >= WITH_MERGES => Change::Reserve(reader.varint()?),
        5 if format >= WITH_MERGES => Change::Merge(decode_merge(format, reader)?),
        6 if format >= WITH_TIMES => Change::NoteTime,
        other => return Err(reader.corruption(format!("an edit of unknown kind {other}"))),
    };
    Ok(Edit { change, latest_time })
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

fn encode_merge(merge: &Merge, out: &mut Vec<u8>) {
    put_varint(out, merge.outputs.len() as u64);
    for (id, sealed) in &merge.outputs {
        put_varint(out, *id);
        sealed.encode(out);
    }
    put_varint(out, merge.inputs.len() as u64);
    merge.inputs.iter().for_each(|&id| put_varint(out, id));
    encode_blocked(&merge.blocked, out);
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
