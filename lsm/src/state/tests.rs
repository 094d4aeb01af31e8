#[cfg(not(shuttle))]
mod migration;

use durable::manifest::State as _;
use kv::UnixMillis;

use super::*;
use crate::boundary::Boundary;
use crate::compaction::Expiry;
use crate::golden;
use crate::internal_key::{Kind, Trailer, encoded};
use crate::range_tombstones::DeletedRange;

fn facts(smallest: &[u8], largest: &[u8], oldest: u64, newest: u64) -> TableFacts {
    TableFacts {
        len: 4096,
        crc: 7,
        table_id: [5; 16],
        entries: 3,
        tombstones: 1,
        oldest,
        newest,
        hidden: 1,
        dense_bytes: 300,
        created: 1_000,
        smallest: encoded(smallest, Trailer::new(newest, Kind::Put)),
        largest: encoded(largest, Trailer::new(oldest, Kind::Put)),
        ranges: None,
        expiry: None,
    }
}

/// Facts of a table with range tombstones besides its entries.
fn with_ranges(facts: TableFacts, start: &[u8], end: Option<&[u8]>) -> TableFacts {
    let hull = DeletedRange { start: start.to_vec(), end: end.map(<[u8]>::to_vec) };
    TableFacts { ranges: Some(RangeFacts { fragments: 2, hull }), ..facts }
}

/// Facts of a table with nothing but range tombstones.
fn ranges_alone(start: &[u8], end: Option<&[u8]>, newest: u64) -> TableFacts {
    let (smallest, largest) = (Vec::new(), Vec::new());
    let facts = facts(start, start, newest, newest);
    let facts = TableFacts { smallest, largest, entries: 0, tombstones: 0, hidden: 0, ..facts };
    with_ranges(facts, start, end)
}

fn flush(flushed: u64, tables: Vec<(u64, TableFacts)>, logs: Vec<u64>) -> Edit {
    Edit::of(Change::Flush { flushed, tables, logs })
}

fn compact(
    (level, rank): (u64, u64),
    gone: Vec<u64>,
    history_floor: u64,
    tables: Vec<(u64, TableFacts)>,
) -> Edit {
    Edit::of(Change::Compact(Replacement { level, rank, gone, history_floor, tables }))
}

/// Facts as format 1 had them.
fn without_the_facts_of_format_2(mut state: State) -> State {
    for table in state.tables.values_mut() {
        (table.facts.hidden, table.facts.dense_bytes, table.facts.created) = (0, 0, 0);
    }
    state
}

/// Two logs, and a flush of the first.
fn some() -> State {
    let mut state = State::default();
    for edit in [
        Edit::of(Change::BeginLog(1)),
        Edit::of(Change::BeginLog(2)),
        Edit::reserve(3),
        flush(9, vec![(3, facts(b"a", b"b", 1, 9))], vec![1]),
    ] {
        state.apply(&edit).unwrap();
    }
    state
}

/// The state of [`some`] with a run whose tables have range tombstones.
fn some_with_ranges() -> State {
    let mut state = some();
    for id in [4, 5] {
        state.apply(&Edit::reserve(id)).unwrap();
    }
    state.apply(&flush(12, tables_with_ranges(), vec![2])).unwrap();
    state
}

fn tables_with_ranges() -> Vec<(u64, TableFacts)> {
    let first = with_ranges(facts(b"b", b"c", 10, 12), b"a", Some(b"m"));
    vec![(4, first), (5, ranges_alone(b"m", None, 11))]
}

#[test]
fn range_tombstones_are_within_the_bounds_of_their_table() {
    let tables = || tables_with_ranges();
    let key = |key: &'static [u8]| Boundary::at(key);
    assert_eq!(
        (tables()[0].1.first(), tables()[0].1.last()),
        (key(b"a"), Boundary::before(Some(&b"m"[..])))
    );
    assert_eq!((tables()[1].1.first(), tables()[1].1.last()), (key(b"m"), Boundary::End));
    // The first table ends in front of the key with which the second one begins.
    let (level, rank) = (3, 1);
    let mut state = some_with_ranges();
    state.apply(&Edit::move_tables((level, rank), vec![4, 5])).unwrap();
    let wider = vec![(5, ranges_alone(b"lz", None, 11))];
    assert!(two_runs().apply(&flush(14, wider.clone(), Vec::new())).is_err(), "too old");
    let mut state = some_with_ranges();
    state.apply(&Edit::reserve(6)).unwrap();
    let shared = vec![(6, ranges_alone(b"lz", None, 11))];
    assert!(state.apply(&compact((0, 2), vec![5], 0, shared)).is_err(), "they share a key");
}

#[test]
fn facts_that_contradict_each_other_are_not_sound() {
    let sound = || ranges_alone(b"a", Some(b"b"), 11);
    assert!(sound().is_sound());
    assert!(!TableFacts { ranges: None, ..sound() }.is_sound(), "a table has something");
    assert!(!TableFacts { entries: 1, ..sound() }.is_sound(), "an entry has a key");
    assert!(!ranges_alone(b"b", Some(b"b"), 11).is_sound(), "a range has keys");
    let entries = facts(b"a", b"b", 10, 12);
    assert!(!TableFacts { entries: 0, tombstones: 0, hidden: 0, ..entries }.is_sound());
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
        Edit::of(Change::BeginLog(3)),
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

/// The state of [`some`] with a second run.
fn two_runs() -> State {
    let mut state = some();
    state.apply(&Edit::reserve(4)).unwrap();
    state.apply(&flush(12, vec![(4, facts(b"a", b"z", 10, 12))], Vec::new())).unwrap();
    state.apply(&Edit::reserve(5)).unwrap();
    state
}

#[test]
fn a_compaction_replaces_its_inputs_and_raises_the_floor_of_the_history() {
    let mut state = two_runs();
    state.apply(&compact((6, 0), vec![3, 4], 11, vec![(5, facts(b"a", b"z", 5, 12))])).unwrap();
    let tables: Vec<_> =
        state.tables.iter().map(|(id, table)| (*id, table.level, table.rank)).collect();
    assert_eq!(tables, [(5, 6, 0)]);
    assert_eq!((state.history_floor, state.next_rank), (11, 3));
    // A compaction of older versions does not lower the floor, and one that leaves nothing is fine.
    state.apply(&compact((6, 0), vec![5], 4, Vec::new())).unwrap();
    assert!(state.tables.is_empty());
    assert_eq!(state.history_floor, 11);
}

#[test]
fn a_move_changes_the_place_of_tables_and_nothing_else() {
    let mut state = two_runs();
    let before = state.clone();
    state.apply(&Edit::move_tables((2, 7), vec![3])).unwrap();
    assert_eq!((state.tables[&3].level, state.tables[&3].rank), (2, 7));
    assert_eq!(state.tables[&3].facts, before.tables[&3].facts);
    assert_eq!((state.next_rank, state.history_floor), (8, 0), "later runs are newer");
}

#[test]
fn compactions_that_contradict_the_state_are_refused() {
    let table = || vec![(5, facts(b"a", b"b", 5, 12))];
    for refused in [
        compact((6, 0), Vec::new(), 0, table()),
        compact((6, 0), vec![9], 0, table()),
        compact((LEVELS, 0), vec![3], 0, table()),
        compact((6, u64::MAX), vec![3], 0, table()),
        compact((6, 0), vec![3], 13, table()),
        compact((6, 0), vec![3], 0, vec![(6, facts(b"a", b"b", 5, 12))]),
        compact((6, 0), vec![3], 0, vec![(4, facts(b"a", b"b", 5, 12))]),
        compact((6, 0), vec![3], 0, vec![(5, facts(b"a", b"b", 5, 13))]),
        // It shares a key with the table of run 2 that stays.
        compact((0, 2), vec![3], 0, table()),
        Edit::move_tables((0, 1), vec![4]),
        Edit::move_tables((1, 0), vec![9]),
        Edit::move_tables((LEVELS, 0), vec![3]),
    ] {
        assert!(two_runs().apply(&refused).is_err(), "{refused:?}");
    }
}

/// The state of [`some_with_ranges`] at a time, with a run that has entries that expire.
fn some_with_times() -> State {
    let mut state = some_with_ranges();
    state.apply(&Edit::reserve(6)).unwrap();
    state.apply(&flush(13, vec![(6, expiring())], Vec::new()).at(UnixMillis(700))).unwrap();
    state
}

fn expiring() -> TableFacts {
    let expiry = Expiry { entries: 2, earliest: 300, latest: 90_000 };
    TableFacts { expiry: Some(expiry), ..facts(b"d", b"e", 13, 13) }
}

#[test]
fn the_latest_time_never_goes_back() {
    let mut state = some_with_times();
    assert!(state.latest_time == 700 && state.has_expiring());
    for (noted, expected) in [(500, 700), (900, 900), (0, 900)] {
        state.apply(&Edit::note_time().at(UnixMillis(noted))).unwrap();
        assert_eq!(state.latest_time, expected);
    }
    assert!(!some_with_ranges().has_expiring());
}

#[test]
fn facts_about_what_expires_agree_with_the_entries() {
    let with = |entries, earliest, latest| TableFacts {
        expiry: Some(Expiry { entries, earliest, latest }),
        ..facts(b"a", b"b", 1, 9)
    };
    // Three entries, of which one is a tombstone.
    assert!(with(2, 5, 5).is_sound() && !with(3, 5, 5).is_sound() && !with(0, 5, 5).is_sound());
    assert!(!with(2, 6, 5).is_sound() && !with(u64::MAX, 5, 5).is_sound());
}

#[test]
fn the_encoding_is_the_one_of_format_4() {
    let [state, begin, reserve, remove, flushed, compacted, moved, noted] =
        golden::lines(include_str!("../../tests/golden/state-4.hex"));
    let mut out = Vec::new();
    some_with_times().encode_state(&mut out);
    assert_eq!(out, state);
    for (edit, golden) in [
        (Edit::of(Change::BeginLog(300)), begin),
        (Edit::reserve(7), reserve),
        (Edit::remove_logs(vec![1, 500]), remove),
        (flush(13, vec![(6, expiring())], vec![2]).at(UnixMillis(700)), flushed),
        (compact((6, 300), vec![3, 4], 9, vec![(5, facts(b"a", b"b", 1, 9))]), compacted),
        (Edit::move_tables((1, 300), vec![3, 4]), moved),
        (Edit::note_time().at(UnixMillis(5)), noted),
    ] {
        let mut out = Vec::new();
        State::encode_edit(&edit, &mut out);
        assert_eq!(out, golden, "{edit:?}");
    }
}

#[test]
fn states_and_edits_of_format_3_are_read() {
    let [state, begin, reserve, remove, flushed, compacted, moved] =
        golden::lines(include_str!("../../tests/golden/state-3.hex"));
    let mut reader = Reader::new(&state, std::path::Path::new("state"), 0);
    assert_eq!(State::decode_state(3, &mut reader).unwrap(), some_with_ranges());
    reader.finish().unwrap();
    for (bytes, edit) in [
        (begin, Edit::of(Change::BeginLog(300))),
        (reserve, Edit::reserve(7)),
        (remove, Edit::remove_logs(vec![1, 500])),
        (flushed, flush(12, tables_with_ranges(), vec![2])),
        (compacted, compact((6, 300), vec![3, 4], 9, vec![(5, facts(b"a", b"b", 1, 9))])),
        (moved, Edit::move_tables((1, 300), vec![3, 4])),
    ] {
        let mut reader = Reader::new(&bytes, std::path::Path::new("edit"), 0);
        assert_eq!(State::decode_edit(3, &mut reader).unwrap(), edit);
        reader.finish().unwrap();
    }
}

#[test]
fn states_and_edits_of_format_2_are_read() {
    let [state, begin, reserve, remove, flushed, compacted, moved] =
        golden::lines(include_str!("../../tests/golden/state-2.hex"));
    let mut reader = Reader::new(&state, std::path::Path::new("state"), 0);
    assert_eq!(State::decode_state(2, &mut reader).unwrap(), some());
    reader.finish().unwrap();
    for (bytes, edit) in [
        (begin, Edit::of(Change::BeginLog(300))),
        (reserve, Edit::reserve(7)),
        (remove, Edit::remove_logs(vec![1, 500])),
        (flushed, flush(9, vec![(3, facts(b"a", b"b", 1, 9))], vec![1])),
        (compacted, compact((6, 300), vec![3, 4], 9, vec![(5, facts(b"a", b"b", 1, 9))])),
        (moved, Edit::move_tables((1, 300), vec![3, 4])),
    ] {
        let mut reader = Reader::new(&bytes, std::path::Path::new("edit"), 0);
        assert_eq!(State::decode_edit(2, &mut reader).unwrap(), edit);
        reader.finish().unwrap();
    }
}

#[test]
fn states_and_edits_of_format_1_are_read() {
    let [state, begin, reserve, remove, flushed] =
        golden::lines(include_str!("../../tests/golden/state-1.hex"));
    let mut reader = Reader::new(&state, std::path::Path::new("state"), 0);
    let found = State::decode_state(1, &mut reader).unwrap();
    reader.finish().unwrap();
    assert_eq!(found, without_the_facts_of_format_2(some()));
    for edit in [&begin, &reserve, &remove, &flushed] {
        let mut reader = Reader::new(edit, std::path::Path::new("edit"), 0);
        let edit = State::decode_edit(1, &mut reader).unwrap();
        reader.finish().unwrap();
        if let Change::Flush { flushed, tables, .. } = &edit.change {
            assert_eq!((*flushed, tables[0].1.hidden), (9, 0));
        }
    }
    // Format 1 had no compaction.
    assert!(
        State::decode_edit(1, &mut Reader::new(&[6, 1, 1, 0], std::path::Path::new("edit"), 0))
            .is_err()
    );
}

#[test]
fn states_and_edits_read_back() {
    let mut out = Vec::new();
    some_with_times().encode_state(&mut out);
    let mut reader = Reader::new(&out, std::path::Path::new("state"), 0);
    assert_eq!(State::decode_state(State::FORMAT, &mut reader).unwrap(), some_with_times());
    reader.finish().unwrap();
    for edit in [
        Edit::of(Change::BeginLog(300)),
        Edit::reserve(7),
        Edit::remove_logs(vec![1, 500]),
        flush(9, vec![(3, facts(b"", b"b", 1, 9))], vec![1]),
        compact((6, 300), vec![3, 4], 9, vec![(5, facts(b"", b"b", 1, 9))]),
        compact((0, 1), vec![3], 0, Vec::new()),
        Edit::move_tables((1, 300), vec![3, 4]),
        Edit::note_time().at(UnixMillis(5)),
    ] {
        let mut out = Vec::new();
        State::encode_edit(&edit, &mut out);
        let mut reader = Reader::new(&out, std::path::Path::new("edit"), 0);
        assert_eq!(State::decode_edit(State::FORMAT, &mut reader).unwrap(), edit);
        reader.finish().unwrap();
    }
}

#[test]
fn no_cut_or_changed_byte_of_a_state_panics() {
    let mut out = Vec::new();
    some_with_times().encode_state(&mut out);
    let decode = |bytes: &[u8]| {
        let mut reader = Reader::new(bytes, std::path::Path::new("state"), 0);
        let decoded = State::decode_state(State::FORMAT, &mut reader);
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
            assert!(
                found.is_err() || found.is_ok_and(|state| state != some_with_times()),
                "bit {at}.{bit}"
            );
        }
    }
}
