//! Point look-ups.

use kv::Error;
use sstable::hash_stem;

use crate::fixture::{Fixture, Model, key, on_every_table, read_options, small, sought};

#[test]
fn a_get_returns_the_value_that_was_added_and_nothing_for_other_keys() {
    on_every_table(|fixture, table| {
        for entry in sought(&fixture.model, fixture.options.key_layout) {
            let found = table.get(&key(&entry)).unwrap();
            assert_eq!(found.as_ref(), fixture.model.get(&entry), "{entry:?}");
        }
    });
}

#[test]
fn the_newest_visible_version_is_the_first_entry_with_the_stem_from_the_key_on() {
    on_every_table(|fixture, table| {
        for entry in sought(&fixture.model, fixture.options.key_layout) {
            let mut found = None;
            let is_there = table.get_version_with(&key(&entry), &mut |suffix, value| {
                found = Some((suffix.to_vec(), value.to_vec()));
            });
            let first = fixture.model.range(entry.clone()..).next();
            let first = first.filter(|((stem, _), _)| *stem == entry.0);
            let expected = first.map(|((_, suffix), value)| (suffix.clone(), value.clone()));
            assert_eq!((is_there.unwrap(), found), (expected.is_some(), expected), "{entry:?}");
        }
    });
}

#[test]
fn the_filter_knows_every_stem_and_few_others() {
    on_every_table(|fixture, table| {
        for (stem, _) in fixture.model.keys() {
            assert!(table.may_contain(hash_stem(stem)).unwrap());
        }
        let foreign = (0..1_000_u32).filter(|number| {
            table.may_contain(hash_stem(format!("foreign {number}").as_bytes())).unwrap()
        });
        let has_filter = fixture.options.filter_bits_per_stem > 0 && !fixture.model.is_empty();
        let most = if has_filter { 60 } else { 1_000 };
        assert!(foreign.count() <= most, "of 1,000");
    });
}

#[test]
fn values_of_any_length_are_found() {
    let lens = [0, 1, 100, 255, 256, 4_000, 70_000, 300_000];
    let model: Model = lens
        .iter()
        .map(|len| ((format!("{len:07}").into_bytes(), Vec::new()), vec![*len as u8; *len]))
        .collect();
    let fixture = Fixture::new(model, small());
    for options in read_options() {
        let table = fixture.open(&options);
        for (entry, value) in &fixture.model {
            assert_eq!(table.get(&key(entry)).unwrap().as_ref(), Some(value));
        }
        table.verify().unwrap();
    }
}

#[test]
fn the_longest_keys_are_found() {
    let model: Model = (0..20_u8)
        .map(|at| {
            let mut stem = vec![b'x'; kv::MAX_KEY_LEN - usize::from(at % 2)];
            stem[kv::MAX_KEY_LEN - 10 + usize::from(at % 3)] = at;
            ((stem, Vec::new()), vec![at])
        })
        .collect();
    let fixture = Fixture::new(model, small());
    let table = fixture.open(&read_options()[0]);
    for (entry, value) in &fixture.model {
        assert_eq!(table.get(&key(entry)).unwrap().as_ref(), Some(value));
    }
    table.verify().unwrap();
}

#[test]
fn a_key_shorter_than_a_suffix_is_refused() {
    on_every_table(|fixture, table| {
        let len = fixture.options.key_layout.suffix_len();
        if let Some(short) = len.checked_sub(1) {
            let refused = table.get(&vec![0; short]);
            assert!(matches!(refused, Err(Error::InvalidArgument(_))));
            let refused = table.get_version_with(&vec![0; short], &mut |_, _| ());
            assert!(matches!(refused, Err(Error::InvalidArgument(_))));
        }
    });
}
