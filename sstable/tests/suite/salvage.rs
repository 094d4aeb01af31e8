//! What is left of damaged tables.

use std::path::Path;

use durable::Fs;
use kv::{Cursor, Error};
use sstable::{SalvageCursor, SalvageHints, Skipped};

use crate::damage::fixtures;
use crate::fixture::{Fixture, Model, PATH, key, open};

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

fn all_of(model: &Model) -> Entries {
    model.iter().map(|(entry, value)| (key(entry), value.clone())).collect()
}

/// Everything that can be read, and what was skipped.
fn salvage(fixture: &Fixture, hints: SalvageHints) -> (Entries, Vec<Skipped>) {
    let file = fixture.disk.open(Path::new(PATH)).expect("it is there");
    let mut cursor = SalvageCursor::open(&file, hints).expect("the disk works");
    let mut found = Vec::new();
    while cursor.next().expect("damage is skipped") {
        let (key, value) = cursor.entry().expect("the block was checked");
        found.push((key.to_vec(), value.to_vec()));
    }
    assert_eq!(cursor.entries(), found.len() as u64);
    (found, cursor.skipped().to_vec())
}

/// The hints of a manifest.
fn hints(fixture: &Fixture) -> SalvageHints {
    let table = open(&fixture.disk, &sstable::ReadOptions::default()).expect("it is whole");
    let entries = Some(fixture.model.len() as u64);
    SalvageHints { id: Some(table.id()), key_layout: table.key_layout(), entries }
}

#[test]
fn of_a_whole_table_everything_is_read_and_nothing_is_skipped() {
    for fixture in fixtures() {
        let hints = hints(&fixture);
        let bare = SalvageHints { id: None, entries: None, ..hints };
        for hints in [hints, bare] {
            assert_eq!(salvage(&fixture, hints), (all_of(&fixture.model), Vec::new()));
        }
    }
}

/// A damaged data block costs its entries; a damaged index, filter or footer costs nothing.
#[test]
fn a_changed_byte_costs_at_most_the_entries_of_its_block() {
    for fixture in fixtures() {
        let (right, hints, whole) = (fixture.bytes(), hints(&fixture), all_of(&fixture.model));
        for at in 0..right.len() {
            let mut bytes = right.clone();
            bytes[at] ^= 1 << (at % 8);
            fixture.disk.set_contents(Path::new(PATH), bytes);
            let (found, skipped) = salvage(&fixture, hints);
            let lost: Vec<&(Vec<u8>, Vec<u8>)> =
                whole.iter().filter(|entry| !found.contains(entry)).collect();
            assert_eq!(found.len() + lost.len(), whole.len(), "byte {at}: one is invented");
            if lost.is_empty() {
                continue;
            }
            let [skipped] = &skipped[..] else { panic!("byte {at}: {skipped:?}") };
            assert!(skipped.bytes.contains(&(at as u64)), "byte {at}: {skipped:?}");
            let first = whole.iter().position(|entry| entry == lost[0]).expect("it was there");
            assert_eq!(
                whole[first..first + lost.len()].iter().collect::<Vec<_>>(),
                lost,
                "one block"
            );
            let after = first.checked_sub(1).map(|before| whole[before].0.clone());
            let before = whole.get(first + lost.len()).map(|behind| behind.0.clone());
            assert_eq!((&skipped.after, &skipped.before), (&after, &before), "byte {at}");
        }
        fixture.disk.set_contents(Path::new(PATH), right);
    }
}

/// Nothing is known but the bytes, as without a manifest.
#[test]
fn without_hints_nothing_is_invented_and_what_is_lost_is_named() {
    for fixture in fixtures() {
        let (right, whole) = (fixture.bytes(), all_of(&fixture.model));
        let bare = SalvageHints { id: None, entries: None, ..hints(&fixture) };
        for at in 0..right.len() {
            let mut bytes = right.clone();
            bytes[at] ^= 0x10;
            fixture.disk.set_contents(Path::new(PATH), bytes);
            let (found, skipped) = salvage(&fixture, bare);
            assert!(found.iter().all(|entry| whole.contains(entry)), "byte {at}: one is invented");
            assert!(found.len() == whole.len() || !skipped.is_empty(), "byte {at}: not named");
        }
        fixture.disk.set_contents(Path::new(PATH), right);
    }
}

#[test]
fn of_a_table_that_was_cut_its_first_blocks_are_read() {
    for fixture in fixtures() {
        let (right, hints, whole) = (fixture.bytes(), hints(&fixture), all_of(&fixture.model));
        let mut before = 0;
        for len in (0..right.len()).step_by(7) {
            fixture.disk.set_contents(Path::new(PATH), right[..len].to_vec());
            let (found, skipped) = salvage(&fixture, hints);
            assert_eq!(found[..], whole[..found.len()]);
            assert!(found.len() >= before, "a longer rest has no fewer entries");
            assert!(found.len() == whole.len() || len <= 64 || !skipped.is_empty(), "{len}");
            before = found.len();
        }
        assert!(before > 0);
        fixture.disk.set_contents(Path::new(PATH), right);
    }
}

#[test]
fn a_salvage_goes_forward_only() {
    let fixture = fixtures().next().expect("there is one");
    let file = fixture.disk.open(Path::new(PATH)).expect("it is there");
    let mut cursor = SalvageCursor::open(&file, hints(&fixture)).expect("the disk works");
    assert!(matches!(cursor.prev(), Err(Error::Unsupported(_))));
    assert!(matches!(cursor.seek_ge(b"key of a table"), Err(Error::Unsupported(_))));
    assert!(matches!(cursor.seek_lt(b"key of a table"), Err(Error::Unsupported(_))));
}
