//! Encoding and decoding of states and edits. The tables are in the [module above](super).

use std::path::Path;

use durable::coding::{Reader, put_varint};
use durable::manifest::State as _;
use kv::Result;

use super::edit::{Change, Edit};
use super::{LEVELS, PlacedTable, Replacement, State, TableFacts};
use crate::files::FILE_ID_LIMIT;
use crate::internal_key::SEQUENCE_LIMIT;

/// From this format on there are times.
const WITH_TIMES: u16 = 4;

/// The fewest bytes of the facts about a table, with its number, in any format.
const LEAST_TABLE_BYTES: usize = 28;

pub(super) fn encode_state(state: &State, out: &mut Vec<u8>) {
    let start = out.len();
    for field in [state.next_file_id, state.flushed, state.next_rank, state.history_floor] {
        put_varint(out, field);
    }
    put_varint(out, state.latest_time);
    encode_ids(state.logs.iter().copied(), out);
    put_varint(out, state.tables.len() as u64);
    for (&id, table) in &state.tables {
        for field in [id, table.level, table.rank] {
            put_varint(out, field);
        }
        table.facts.encode(out);
    }
    let decoded = |reader: &mut Reader<'_>| decode_state(State::FORMAT, reader).ok();
    debug_assert_eq!(decoded(&mut reader_of(&out[start..])).as_ref(), Some(state), "reads back");
}

/// A reader of bytes that were just encoded.
fn reader_of(encoded: &[u8]) -> Reader<'_> {
    Reader::new(encoded, Path::new("state"), 0)
}

pub(super) fn decode_state(format: u16, reader: &mut Reader<'_>) -> Result<State> {
    let (next_file_id, flushed) = (reader.varint()?, reader.varint()?);
    let next_rank = reader.varint()?;
    let history_floor = if format < 2 { 0 } else { reader.varint()? };
    let latest_time = if format < WITH_TIMES { 0 } else { reader.varint()? };
    if next_file_id > FILE_ID_LIMIT || flushed >= SEQUENCE_LIMIT || history_floor > flushed {
        return Err(reader.corruption("a number that no store reaches"));
    }
    let (logs, tables) = Default::default();
    let mut state =
        State { next_file_id, flushed, next_rank, history_floor, latest_time, logs, tables };
    for id in decode_ids(reader)? {
        if id >= next_file_id || !state.logs.insert(id) {
            return Err(reader.corruption(format!("log {id} cannot be there")));
        }
    }
    for _ in 0..reader.count(LEAST_TABLE_BYTES)? {
        let (id, level, rank) = (reader.varint()?, reader.varint()?, reader.varint()?);
        let table = PlacedTable { level, rank, facts: TableFacts::decode(format, reader)? };
        let is_flushed = table.facts.newest <= flushed;
        let has_place = level < LEVELS && rank < next_rank;
        if id >= next_file_id || !has_place || !is_flushed || state.has_file(id) {
            return Err(reader.corruption(format!("table {id} cannot be there")));
        }
        state.tables.insert(id, table);
    }
    Ok(state)
}

pub(super) fn encode_edit(edit: &Edit, out: &mut Vec<u8>) {
    let start = out.len();
    match &edit.change {
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
            encode_tables(tables, out);
            encode_ids(logs.iter().copied(), out);
        }
        Change::Compact(Replacement { level, rank, gone, history_floor, tables }) => {
            out.push(5);
            for field in [level, rank, history_floor] {
                put_varint(out, *field);
            }
            encode_ids(gone.iter().copied(), out);
            encode_tables(tables, out);
        }
        Change::Move { level, rank, tables } => {
            out.push(6);
            put_varint(out, *level);
            put_varint(out, *rank);
            encode_ids(tables.iter().copied(), out);
        }
        Change::NoteTime => out.push(7),
    }
    put_varint(out, edit.latest_time);
    let decoded = |reader: &mut Reader<'_>| decode_edit(State::FORMAT, reader).ok();
    debug_assert_eq!(decoded(&mut reader_of(&out[start..])).as_ref(), Some(edit), "reads back");
}

pub(super) fn decode_edit(format: u16, reader: &mut Reader<'_>) -> Result<Edit> {
    let change = match reader.u8()? {
        1 => Change::BeginLog(reader.varint()?),
        2 => Change::Reserve(reader.varint()?),
        3 => Change::RemoveLogs(decode_ids(reader)?),
        4 => Change::Flush {
            flushed: reader.varint()?,
            tables: decode_tables(format, reader)?,
            logs: decode_ids(reader)?,
        },
        5 if format >= 2 => Change::Compact(Replacement {
            level: reader.varint()?,
            rank: reader.varint()?,
            history_floor: reader.varint()?,
            gone: decode_ids(reader)?,
            tables: decode_tables(format, reader)?,
        }),
        6 if format >= 2 => Change::Move {
            level: reader.varint()?,
            rank: reader.varint()?,
            tables: decode_ids(reader)?,
        },
        7 if format >= WITH_TIMES => Change::NoteTime,
        other => return Err(reader.corruption(format!("an edit of unknown kind {other}"))),
    };
    let latest_time = if format < WITH_TIMES { 0 } else { reader.varint()? };
    Ok(Edit { change, latest_time })
}

fn encode_tables(tables: &[(u64, TableFacts)], out: &mut Vec<u8>) {
    put_varint(out, tables.len() as u64);
    for (id, facts) in tables {
        put_varint(out, *id);
        facts.encode(out);
    }
}

fn decode_tables(format: u16, reader: &mut Reader<'_>) -> Result<Vec<(u64, TableFacts)>> {
    let table =
        |reader: &mut Reader<'_>| Ok((reader.varint()?, TableFacts::decode(format, reader)?));
    (0..reader.count(LEAST_TABLE_BYTES)?).map(|_| table(reader)).collect()
}

fn encode_ids(ids: impl ExactSizeIterator<Item = u64>, out: &mut Vec<u8>) {
    put_varint(out, ids.len() as u64);
    ids.for_each(|id| put_varint(out, id));
}

fn decode_ids(reader: &mut Reader<'_>) -> Result<Vec<u64>> {
    (0..reader.count(1)?).map(|_| reader.varint()).collect()
}
