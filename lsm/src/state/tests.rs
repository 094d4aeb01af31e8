use durable::manifest::State as _;

use super::*;
use crate::golden;
use crate::internal_key::{Kind, Trailer, encoded};

fn facts(smallest: &[u8], largest: &[u8], oldest: u64, newest: u64) -> TableFacts {
    TableFacts {
        len: 4096,
        crc: 7,
        table_id: [5; 16],
        entries: 3,
        tombstones: 1,
        oldest,
        newest,
        smallest: encoded(smallest, Trailer::new(newest, Kind::Put)),
        largest: encoded(largest, Trailer::new(oldest, Kind::Put)),
    }
}

fn flush(flushed: u64, tables: Vec<(u64, TableFacts)>, logs: Vec<u64>) -> Edit {
    Edit(Change::Flush { flushed, tables, logs })
}

/// Two logs, and a flush of the first.
fn some() -> State {
    let mut state = State::default();
    for edit in [
        Edit(Change::BeginLog(1)),
        Edit(Change::BeginLog(2)),
        Edit::reserve(3),
        flush(9, vec![(3, facts(b"a", b"b", 1, 9))], vec![1]),
    ] {
        state.apply(&edit).unwrap();
    }
    state
}

#[test]
fn a_flush_adds_a_newer_run_and_takes_logs_out_at_once() {
    let mut state = some();
    state.apply(&Edit::reserve(4)).unwrap();
    state.apply(&flush(12, vec![(4, facts(b"a", b"z", 10, 12))], vec![2])).unwrap();
    let ranks: Vec<_> = state.tables.iter().map(|(id, table)| (*id, table.rank)).collect();
    assert_eq!(ranks, [(3, 1), (4, 2)]);
    assert!(state.logs.is_empty());
    assert_eq!(state.flushed, 12);
}

#[test]
fn edits_that_contradict_the_state_are_refused() {
    let table = || facts(b"a", b"b", 10, 12);
    for refused in [
        Edit(Change::BeginLog(3)),
        Edit::reserve(2),
        Edit::reserve(FILE_ID_LIMIT),
        Edit::remove_logs(vec![1]),
        flush(8, Vec::new(), Vec::new()),
        flush(SEQUENCE_LIMIT, Vec::new(), Vec::new()),
        flush(12, vec![(3, table())], Vec::new()),
        flush(12, vec![(4, table())], Vec::new()),
        flush(11, vec![(2, table())], Vec::new()),
        flush(12, vec![(2, facts(b"a", b"b", 9, 12))], Vec::new()),
    ] {
        assert!(some().apply(&refused).is_err(), "{refused:?}");
    }
}

#[test]
fn the_encoding_is_the_one_of_format_1() {
    let [state, begin, reserve, remove, flushed] =
        golden::lines(include_str!("../../tests/golden/state-1.hex"));
    let mut out = Vec::new();
    some().encode_state(&mut out);
    assert_eq!(out, state);
    for (edit, golden) in [
        (Edit(Change::BeginLog(300)), begin),
        (Edit::reserve(7), reserve),
        (Edit::remove_logs(vec![1, 500]), remove),
        (flush(9, vec![(3, facts(b"a", b"b", 1, 9))], vec![1]), flushed),
    ] {
        let mut out = Vec::new();
        State::encode_edit(&edit, &mut out);
        assert_eq!(out, golden, "{edit:?}");
    }
}

#[test]
fn states_and_edits_read_back() {
    let mut out = Vec::new();
    some().encode_state(&mut out);
    let mut reader = Reader::new(&out, std::path::Path::new("state"), 0);
    assert_eq!(State::decode_state(1, &mut reader).unwrap(), some());
    reader.finish().unwrap();
    for edit in [
        Edit(Change::BeginLog(300)),
        Edit::reserve(7),
        Edit::remove_logs(vec![1, 500]),
        flush(9, vec![(3, facts(b"", b"b", 1, 9))], vec![1]),
    ] {
        let mut out = Vec::new();
        State::encode_edit(&edit, &mut out);
        let mut reader = Reader::new(&out, std::path::Path::new("edit"), 0);
        assert_eq!(State::decode_edit(1, &mut reader).unwrap(), edit);
        reader.finish().unwrap();
    }
}

#[test]
fn no_cut_or_changed_byte_of_a_state_panics() {
    let mut out = Vec::new();
    some().encode_state(&mut out);
    let decode = |bytes: &[u8]| {
        let mut reader = Reader::new(bytes, std::path::Path::new("state"), 0);
        let decoded = State::decode_state(1, &mut reader);
        decoded.and_then(|state| reader.finish().map(|()| state))
    };
    for len in 0..out.len() {
        assert!(decode(&out[..len]).is_err(), "cut to {len}");
    }
    for at in 0..out.len() {
        for bit in 0..8 {
            let mut changed = out.clone();
            changed[at] ^= 1 << bit;
            let found = decode(&changed);
            assert!(found.is_err() || found.is_ok_and(|state| state != some()), "bit {at}.{bit}");
        }
    }
}
