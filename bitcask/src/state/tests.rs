use std::path::Path;

use durable::Fs as _;
use durable::manifest::State as _;
use kv::UnixMillis;

use super::sealed::Expiring;
use super::*;
use crate::golden;

fn sealed() -> Sealed {
    Sealed {
        len: 4096,
        crc: 0xdead_beef,
        epoch: 2,
        edit_number: 17,
        records: 200,
        deletions: 1,
        oldest: 5,
        newest: 9,
        hint: Some(Hint { len: 99, crc: 7 }),
        first_record: 64,
        ..Sealed::default()
    }
}

fn state(sealed: Sealed) -> State {
    let files = [(0, Some(sealed)), (299, None)].into();
    State { next_file_id: 300, newest: 9, files, blocked: Vec::new() }
}

fn decode(format: u16, bytes: &[u8]) -> State {
    let mut reader = Reader::new(bytes, Path::new("golden"), 0);
    let state = State::decode_state(format, &mut reader).unwrap();
    reader.finish().unwrap();
    state
}

#[test]
fn a_state_of_format_1_is_read() {
    let [golden] = golden::lines(include_str!("../../tests/golden/state-1.hex"));
    assert_eq!(decode(1, &golden), state(sealed()));
}

#[test]
fn the_encoding_is_the_one_of_format_3_and_format_2_is_read() {
    let [golden] = golden::lines(include_str!("../../tests/golden/state-3.hex"));
    let [before] = golden::lines(include_str!("../../tests/golden/state-2.hex"));
    let expiring = Expiring { records: 3, bytes: 120, earliest: 1_000, latest: 2_000 };
    let mut state = state(Sealed { deletion_bytes: 32, expiring, first_record: 2048, ..sealed() });
    state.blocked.push(Blocked { file: 0, blocker: 299, bytes: 32 });
    let mut bytes = Vec::new();
    state.encode_state(&mut bytes);
    assert_eq!(bytes, golden);
    assert_eq!(decode(3, &golden), state);
    state.files.insert(0, Some(Sealed { first_record: 64, ..state.files[&0].unwrap() }));
    assert_eq!(decode(2, &before), state);
}

#[test]
fn a_merge_survives_its_encoding_and_takes_blocked_deletions_out_with_their_files() {
    let mut state = state(sealed());
    state.apply(&Edit::reserve(300)).unwrap();
    let blocked = vec![Blocked { file: 300, blocker: 299, bytes: 40 }];
    let outputs = vec![(300, Sealed { newest: 12, ..sealed() })];
    let merge = Edit::merge(Merge { outputs, inputs: vec![0], blocked });
    let mut bytes = Vec::new();
    State::encode_edit(&merge, &mut bytes);
    let mut reader = Reader::new(&bytes, Path::new("edit"), 0);
    assert_eq!(State::decode_edit(3, &mut reader).unwrap(), merge);
    state.apply(&merge).unwrap();
    assert_eq!((state.newest, state.blocked_bytes(300)), (12, 40));
    assert_eq!(state.files.keys().copied().collect::<Vec<_>>(), [299, 300]);
    state.apply(&Edit::remove(299)).unwrap();
    assert_eq!(state.blocked_bytes(300), 0);
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
    let file = Sealed { records: 3, deletions: 1, expiring, ..Sealed::default() };
    assert!(file.is_expired(UnixMillis(20)) && !file.is_expired(UnixMillis(19)));
    let mixed = Sealed { deletions: 0, ..file };
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
