mod blocked;
mod forged;

use std::path::Path;

use durable::Fs as _;
use durable::coding::put_varint;
use durable::log::SegmentFormat;
use durable::manifest::State as _;
use kv::UnixMillis;

use super::sealed::{Expiring, MAX_LEN};
use super::*;
use crate::golden;

fn sealed() -> Sealed {
    Sealed {
        len: 4096,
        crc: 0xdead_beef,
        epoch: 2,
        edit_number: 17,
        records: 200,
        tombstones: 1,
        oldest: 5,
        newest: 9,
        hint: Some(Hint { len: 99, crc: 7 }),
        format: SegmentFormat::V1,
        tombstone_bytes: 0,
        expiring: Expiring::default(),
    }
}

fn state(sealed: Sealed) -> State {
    let files = [(0, Some(sealed)), (299, None)].into();
    State { next_file_id: 300, newest: 9, files, ..State::default() }
}

/// With all that format 2 has.
fn state_of_format_2() -> State {
    let expiring = Expiring { records: 3, bytes: 120, earliest: 1_000, latest: 2_000 };
    let mut state = state(Sealed { tombstone_bytes: 32, expiring, ..sealed() });
    state.blocked.push(Blocked { file: 0, blocker: 299, bytes: 32 });
    state
}

fn decode(format: u16, bytes: &[u8]) -> State {
    let mut reader = Reader::new(bytes, Path::new("golden"), 0);
    let state = State::decode_state(format, &mut reader).unwrap();
    reader.finish().unwrap();
    state
}

fn decode_edit(format: u16, bytes: &[u8]) -> Edit {
    let mut reader = Reader::new(bytes, Path::new("golden"), 0);
    let edit = State::decode_edit(format, &mut reader).unwrap();
    reader.finish().unwrap();
    edit
}

fn encode_edit(edit: &Edit) -> Vec<u8> {
    let mut bytes = Vec::new();
    State::encode_edit(edit, &mut bytes);
    bytes
}

/// One edit of each kind that format 2 has.
fn edits_of_format_2() -> [Edit; 5] {
    let blocked = vec![Blocked { file: 300, blocker: 299, bytes: 40 }];
    let merge = Merge { outputs: vec![(300, sealed())], inputs: vec![0], blocked };
    [
        Change::Begin(299).into(),
        Change::Seal(299, sealed()).into(),
        Edit::remove(299),
        Edit::reserve(300),
        Edit::merge(merge),
    ]
}

#[test]
fn a_state_of_format_1_is_read() {
    let [golden] = golden::lines(include_str!("../../tests/golden/state-1.hex"));
    assert_eq!(decode(1, &golden), state(sealed()));
}

#[test]
fn a_state_of_format_2_is_read_with_the_time_zero() {
    let [golden] = golden::lines(include_str!("../../tests/golden/state-2.hex"));
    assert_eq!(decode(2, &golden), state_of_format_2());
}

#[test]
fn edits_of_format_2_are_read_with_the_time_zero() {
    let golden: [_; 5] = golden::lines(include_str!("../../tests/golden/edit-2.hex"));
    assert_eq!(golden.map(|bytes| decode_edit(2, &bytes)), edits_of_format_2());
}

#[test]
fn a_state_and_edits_of_format_3_are_read_with_segments_of_formats_1_and_2() {
    let [golden] = golden::lines(include_str!("../../tests/golden/state-3.hex"));
    let state = State { latest_time: NOW.0, ..state_of_format_2() };
    assert_eq!(decode(3, &golden), state);
    let golden: [_; 6] = golden::lines(include_str!("../../tests/golden/edit-3.hex"));
    let edits = edits_of_format_2().into_iter().chain([Edit::note_time()]);
    for (edit, golden) in edits.zip(golden) {
        assert_eq!(decode_edit(3, &golden), edit.at(NOW));
    }
}

#[test]
fn in_format_3_the_first_record_says_the_format_of_the_segment() {
    let [golden] = golden::lines(include_str!("../../tests/golden/state-3.hex"));
    // The last field of the sealed file: behind its expiring records, and in front of the next file.
    let at = golden.windows(2).position(|pair| pair == [0x40, 0xab]).unwrap();
    for (first_record, format) in [
        (&[0x40][..], Some(SegmentFormat::V1)),
        (&[0x80, 0x10], Some(SegmentFormat::V2)),
        (&[63], None),
        (&[0x80, 0x20], None),
    ] {
        let mut bytes = golden.clone();
        bytes.splice(at..=at, first_record.iter().copied());
        let read = State::decode_state(3, &mut Reader::new(&bytes, Path::new("state"), 0));
        match format {
            Some(format) => assert_eq!(read.unwrap().files[&0].unwrap().format, format),
            None => assert!(read.unwrap_err().is_corruption()),
        }
    }
}

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

/// With the format of new segments.
fn state_of_format_4() -> State {
    let mut state = State { latest_time: NOW.0, ..state_of_format_2() };
    let [first, second] = [SegmentFormat::V3, SegmentFormat::V4];
    state.files.insert(0, state.files[&0].map(|sealed| Sealed { format: first, ..sealed }));
    state.files.insert(1, Some(Sealed { format: second, ..sealed() }));
    state
}

#[test]
fn the_encoding_is_the_one_of_format_4() {
    let [golden] = golden::lines(include_str!("../../tests/golden/state-4.hex"));
    let mut bytes = Vec::new();
    state_of_format_4().encode_state(&mut bytes);
    assert_eq!(bytes, golden);
    assert_eq!(decode(4, &golden), state_of_format_4());

    let golden: [_; 6] = golden::lines(include_str!("../../tests/golden/edit-4.hex"));
    let edits = edits_of_format_2().into_iter().chain([Edit::note_time()]);
    for (edit, golden) in edits.map(|edit| edit.at(NOW)).zip(golden) {
        assert_eq!(encode_edit(&edit), golden);
        assert_eq!(decode_edit(4, &golden), edit);
    }
}

#[test]
fn a_sealed_file_of_a_segment_format_that_is_not_known_is_refused() {
    for (number, is_known) in [(0, false), (1, true), (4, true), (5, false)] {
        let mut bytes = Vec::new();
        sealed().encode_unchecked(&mut bytes);
        *bytes.last_mut().unwrap() = number;
        let mut reader = Reader::new(&bytes, Path::new("sealed"), 0);
        assert_eq!(Sealed::decode(4, &mut reader).is_ok(), is_known, "{number}");
    }
}

#[test]
fn older_formats_do_not_have_the_edits_of_later_ones() {
    for (format, tag) in [(1, 4), (1, 5), (2, 6), (3, 7), (4, 7), (4, 0)] {
        let bytes = [tag, 1, 1, 1];
        let mut reader = Reader::new(&bytes, Path::new("edit"), 0);
        let refused = State::decode_edit(format, &mut reader).unwrap_err();
        assert!(refused.to_string().contains("unknown kind"), "{format}, {tag}: {refused}");
    }
}

#[test]
fn the_time_of_a_state_never_goes_back() {
    let mut state = state(sealed());
    for (noted, expected) in [(5, 5), (3, 5), (0, 5), (9, 9)] {
        state.apply(&Edit::note_time().at(UnixMillis(noted))).unwrap();
        assert_eq!(state.latest_time(), UnixMillis(expected));
    }
    assert!(!state.has_expiring());
    assert!(state_of_format_2().has_expiring());
}

#[test]
fn a_state_with_a_number_that_no_store_reaches_is_refused() {
    let good = State::default();
    let bad = [
        State { next_file_id: FILE_ID_LIMIT + 1, ..good.clone() },
        State { newest: SEQUENCE_LIMIT, ..good.clone() },
        State { files: [(0, None)].into(), ..good },
    ];
    for state in bad {
        let mut bytes = Vec::new();
        for field in [state.next_file_id, state.newest, 0, state.files.len() as u64] {
            put_varint(&mut bytes, field);
        }
        bytes.extend([0, 0, 0]);
        let mut reader = Reader::new(&bytes, Path::new("state"), 0);
        assert!(State::decode_state(4, &mut reader).unwrap_err().is_corruption());
    }
}

#[test]
fn a_sealed_file_that_contradicts_itself_is_refused() {
    let good = sealed();
    let bad = [
        Sealed { len: MAX_LEN + 1, ..good },
        Sealed { oldest: good.newest + 1, ..good },
        Sealed { newest: SEQUENCE_LIMIT, ..good },
        Sealed { tombstones: good.records + 1, ..good },
        Sealed { expiring: Expiring { records: 1, bytes: 8, earliest: 2, latest: 1 }, ..good },
        Sealed { expiring: Expiring { records: 200, bytes: 8, earliest: 1, latest: 1 }, ..good },
    ];
    for (sealed, is_good) in [(good, true)].into_iter().chain(bad.map(|bad| (bad, false))) {
        let mut bytes = Vec::new();
        sealed.encode_unchecked(&mut bytes);
        let mut reader = Reader::new(&bytes, Path::new("sealed"), 0);
        assert_eq!(Sealed::decode(4, &mut reader).is_ok(), is_good, "{sealed:?}");
    }
}

#[test]
fn an_edit_that_contradicts_the_state_is_refused() {
    let mut at_the_end = state(sealed());
    at_the_end.next_file_id = FILE_ID_LIMIT;
    assert!(at_the_end.apply(&Edit::reserve(FILE_ID_LIMIT)).is_err());
    let mut state = state(sealed());
    let high = Sealed { newest: SEQUENCE_LIMIT, ..sealed() };
    let blocked = vec![Blocked { file: 299, blocker: 7, bytes: 1 }];
    let wrong: [Edit; 6] = [
        Change::Begin(299).into(),
        Edit::reserve(299),
        Edit::remove(1),
        Change::Seal(1, sealed()).into(),
        Change::Seal(0, high).into(),
        Edit::merge(Merge { blocked, ..Merge::default() }),
    ];
    for edit in wrong {
        assert!(state.clone().apply(&edit).is_err(), "{edit:?}");
    }
    state.apply(&Change::Begin(300).into()).unwrap();
    assert_eq!(state.next_file_id, 301);
}

#[test]
fn a_merge_survives_its_encoding_and_takes_blocked_tombstones_out_with_their_files() {
    let mut state = state(sealed());
    state.apply(&Edit::reserve(300)).unwrap();
    let blocked = vec![Blocked { file: 300, blocker: 299, bytes: 40 }];
    let outputs = vec![(300, Sealed { newest: 12, ..sealed() })];
    let merge = Edit::merge(Merge { outputs, inputs: vec![0], blocked });
    assert_eq!(decode_edit(4, &encode_edit(&merge)), merge);
    state.apply(&merge).unwrap();
    assert_eq!((state.newest, state.blocked.bytes_in(300)), (12, 40));
    assert_eq!(state.files.keys().copied().collect::<Vec<_>>(), [299, 300]);
    state.apply(&Edit::remove(299)).unwrap();
    assert_eq!(state.blocked.bytes_in(300), 0);
}

#[test]
fn a_merge_into_an_id_that_was_not_reserved_is_refused() {
    let mut state = state(sealed());
    let outputs = vec![(300, sealed())];
    state.apply(&Edit::merge(Merge { outputs, ..Merge::default() })).unwrap_err();
}

#[test]
fn bytes_expire_evenly_and_a_file_when_its_last_put_does() {
    let expiring = Expiring { records: 2, bytes: 100, earliest: 10, latest: 20 };
    let expired = [0, 10, 15, 20, 99].map(|now| expiring.expired_bytes(UnixMillis(now)));
    assert_eq!(expired, [0, 0, 50, 100, 100]);
    let file = Sealed { records: 3, tombstones: 1, expiring, ..sealed() };
    assert!(file.is_expired(UnixMillis(20)) && !file.is_expired(UnixMillis(19)));
    let mixed = Sealed { tombstones: 0, ..file };
    assert!(!mixed.is_expired(UnixMillis(99)), "one put never expires");
}

#[test]
#[should_panic(expected = "the hint belongs to the data file")]
fn a_file_is_not_sealed_with_the_hint_of_another_one() {
    let disk = durable::SimFs::new();
    disk.create_dir(Path::new("store")).unwrap();
    let published = |name: String| {
        let file = disk.create(&Path::new("store").join(name)).unwrap();
        durable::publish::publish_in_place(&disk, &*file).unwrap()
    };
    let hint = (published(HINT.name(8)), Hint { len: 0, crc: 0 });
    drop(Edit::seal(&published(DATA.name(7)), Some(hint), sealed()));
}
