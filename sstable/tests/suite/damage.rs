//! Damaged tables: every bit flipped, every length cut.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use durable::SimFs;
use kv::{Cursor, Result};
use sstable::{BlockCache, BuildOptions, Compression, ReadMode, ReadOptions, Table};

use crate::fixture::{Fixture, Model, PATH, all_options, entries, key, open};

/// Reads everything in every way. Each answer is right, or an error.
fn use_table(disk: &SimFs, options: &ReadOptions, model: &Model) -> Result<()> {
    let table = open(disk, options)?;
    let mut outcome = Ok(());
    let mut note = |result: Result<()>| {
        if result.is_err() {
            outcome = result;
        }
    };
    note(gets(&table, model));
    note(scan(&table, model, true));
    note(scan(&table, model, false));
    outcome
}

fn gets(table: &Arc<Table>, model: &Model) -> Result<()> {
    let mut outcome = Ok(());
    for (entry, value) in model {
        match table.get(&key(entry)) {
            Ok(found) => assert_eq!(found.as_ref(), Some(value), "a wrong answer for {entry:?}"),
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}

fn scan(table: &Arc<Table>, model: &Model, is_forward: bool) -> Result<()> {
    let mut expected: Vec<(Vec<u8>, &Vec<u8>)> =
        model.iter().map(|(entry, value)| (key(entry), value)).collect();
    if !is_forward {
        expected.reverse();
    }
    let mut expected = expected.into_iter();
    let mut cursor = table.scan((Bound::Unbounded, Bound::Unbounded))?;
    while if is_forward { cursor.next()? } else { cursor.prev()? } {
        let (key, value) = cursor.entry()?;
        assert_eq!(expected.next(), Some((key.to_vec(), &value.to_vec())), "a wrong entry");
    }
    assert_eq!(expected.next(), None, "entries are missing without an error");
    Ok(())
}

/// Small tables of each shape, with several index blocks.
pub(crate) fn fixtures() -> impl Iterator<Item = Fixture> {
    let options = all_options().into_iter().map(|options| BuildOptions {
        compression: match options.compression {
            Compression::None => Compression::None,
            _ => Compression::Lz4,
        },
        ..options
    });
    options
        .enumerate()
        .map(|(shape, options)| Fixture::new(entries(shape % 4, 24, options.key_layout), options))
}

fn modes() -> [ReadOptions; 2] {
    let cache = Some(Arc::new(BlockCache::new(1 << 20)));
    [ReadOptions::default(), ReadOptions { mode: ReadMode::Positional, cache }]
}

#[test]
fn no_flipped_bit_changes_an_answer_and_verify_finds_each() {
    for fixture in fixtures() {
        let right = fixture.bytes();
        let disk = fixture.disk.duplicate();
        for bit in 0..8 * right.len() {
            let mut bytes = right.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            disk.set_contents(Path::new(PATH), bytes);
            let options = &modes()[bit % 2];
            drop(use_table(&disk, options, &fixture.model));
            let verified = open(&disk, options).and_then(|table| table.verify());
            let error = verified.expect_err("the damage is found");
            assert!(error.is_corruption() || matches!(error, kv::Error::Unsupported(_)), "{error}");
        }
    }
}

#[test]
fn a_table_that_was_cut_or_grew_is_no_table() {
    for fixture in fixtures() {
        let right = fixture.bytes();
        let disk = fixture.disk.duplicate();
        for options in modes() {
            for len in 0..right.len() {
                disk.set_contents(Path::new(PATH), right[..len].to_vec());
                assert!(open(&disk, &options).unwrap_err().is_corruption(), "cut to {len}");
            }
            for more in [1, 64, 5_000] {
                let mut bytes = right.clone();
                bytes.resize(right.len() + more, 0);
                disk.set_contents(Path::new(PATH), bytes);
                assert!(open(&disk, &options).unwrap_err().is_corruption(), "{more} more");
            }
        }
    }
}

#[test]
fn a_table_that_continues_with_its_own_footer_is_refused() {
    for fixture in fixtures() {
        let mut bytes = fixture.bytes();
        bytes.extend_from_within(bytes.len() - 64..);
        let disk = fixture.disk.duplicate();
        disk.set_contents(Path::new(PATH), bytes);
        let error = open(&disk, &ReadOptions::default()).unwrap_err().to_string();
        assert!(error.contains("another length"), "{error}");
    }
}

#[test]
fn blocks_that_changed_their_places_are_found() {
    for fixture in fixtures() {
        let mut bytes = fixture.bytes();
        let half = (bytes.len() - 64) / 2;
        bytes[..2 * half].rotate_left(half);
        let disk = fixture.disk.duplicate();
        disk.set_contents(Path::new(PATH), bytes);
        for options in modes() {
            let used = use_table(&disk, &options, &fixture.model);
            assert!(used.unwrap_err().is_corruption());
        }
    }
}

#[test]
fn an_error_names_the_file_and_the_place() {
    let fixture = fixtures().next().unwrap();
    let mut bytes = fixture.bytes();
    bytes[20] ^= 1;
    let disk = fixture.disk.duplicate();
    disk.set_contents(Path::new(PATH), bytes);
    let error = use_table(&disk, &ReadOptions::default(), &fixture.model).unwrap_err().to_string();
    assert!(error.starts_with("table is damaged at byte 0: "), "{error}");
}
