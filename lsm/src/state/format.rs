//! Encoding and decoding of states and edits. The tables are in the [module above](super).

use std::path::Path;

use durable::coding::{Reader, put_varint};
use kv::Result;

use super::edit::{Change, Edit};
use super::{PlacedTable, State, TableFacts};
use crate::files::FILE_ID_LIMIT;
use crate::internal_key::SEQUENCE_LIMIT;

/// The fewest bytes of the facts about a table, with its number.
const LEAST_TABLE_BYTES: usize = 28;

pub(super) fn encode_state(state: &State, out: &mut Vec<u8>) {
    let start = out.len();
    for field in [state.next_file_id, state.flushed, state.next_rank] {
        put_varint(out, field);
    }
    encode_ids(state.logs.iter().copied(), out);
    put_varint(out, state.tables.len() as u64);
    for (&id, table) in &state.tables {
        for field in [id, table.level, table.rank] {
            put_varint(out, field);
        }
        table.facts.encode(out);
    }
    let decoded = |reader: &mut Reader<'_>| decode_state(reader).ok();
    debug_assert_eq!(decoded(&mut reader_of(&out[start..])).as_ref(), Some(state), "reads back");
}

/// A reader of bytes that were just encoded.
fn reader_of(encoded: &[u8]) -> Reader<'_> {
    Reader::new(encoded, Path::new("state"), 0)
}

pub(super) fn decode_state(reader: &mut Reader<'_>) -> Result<State> {
    let (next_file_id, flushed) = (reader.varint()?, reader.varint()?);
    let next_rank = reader.varint()?;
    if next_file_id > FILE_ID_LIMIT || flushed >= SEQUENCE_LIMIT {
        return Err(reader.corruption("a number that no store reaches"));
    }
    let mut state = State { next_file_id, flushed, next_rank, ..State::default() };
    for id in decode_ids(reader)? {
        if id >= next_file_id || !state.logs.insert(id) {
            return Err(reader.corruption(format!("log {id} cannot be there")));
        }
    }
    for _ in 0..reader.count(LEAST_TABLE_BYTES)? {
        let (id, level, rank) = (reader.varint()?, reader.varint()?, reader.varint()?);
        let table = PlacedTable { level, rank, facts: TableFacts::decode(reader)? };
        let is_flushed = table.facts.newest <= flushed;
        if id >= next_file_id || rank >= next_rank || !is_flushed || state.has_file(id) {
            return Err(reader.corruption(format!("table {id} cannot be there")));
        }
        state.tables.insert(id, table);
    }
    Ok(state)
}

pub(super) fn encode_edit(edit: &Edit, out: &mut Vec<u8>) {
    let start = out.len();
    match &edit.0 {
        Change::BeginLog(id) => {
            out.push(1);
            put_varint(out, *id);
        }
        Change::Reserve(id) => {
            out.push(2);
            put_varint(out, *id);
        }
        Change::RemoveLogs(logs) => {
            out.push(3);
            encode_ids(logs.iter().copied(), out);
        }
        Change::Flush { flushed, tables, logs } => {
            out.push(4);
            put_varint(out, *flushed);
            put_varint(out, tables.len() as u64);
            for (id, facts) in tables {
                put_varint(out, *id);
                facts.encode(out);
            }
            encode_ids(logs.iter().copied(), out);
        }
    }
    let decoded = |reader: &mut Reader<'_>| decode_edit(reader).ok();
    debug_assert_eq!(decoded(&mut reader_of(&out[start..])).as_ref(), Some(edit), "reads back");
}

pub(super) fn decode_edit(reader: &mut Reader<'_>) -> Result<Edit> {
    let change = match reader.u8()? {
        1 => Change::BeginLog(reader.varint()?),
        2 => Change::Reserve(reader.varint()?),
        3 => Change::RemoveLogs(decode_ids(reader)?),
        4 => {
            let flushed = reader.varint()?;
            let mut tables = Vec::new();
            for _ in 0..reader.count(LEAST_TABLE_BYTES)? {
                tables.push((reader.varint()?, TableFacts::decode(reader)?));
            }
            Change::Flush { flushed, tables, logs: decode_ids(reader)? }
        }
        other => return Err(reader.corruption(format!("an edit of unknown kind {other}"))),
    };
    Ok(Edit(change))
}

fn encode_ids(ids: impl ExactSizeIterator<Item = u64>, out: &mut Vec<u8>) {
    put_varint(out, ids.len() as u64);
    ids.for_each(|id| put_varint(out, id));
}

fn decode_ids(reader: &mut Reader<'_>) -> Result<Vec<u64>> {
    (0..reader.count(1)?).map(|_| reader.varint()).collect()
}
