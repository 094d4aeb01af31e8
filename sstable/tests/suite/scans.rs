//! Cursors: random walks with changes of direction, inside bounds.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use durable::{Inject, Plan, SeededEntropy};
use kv::{Cursor, Error};
use sstable::{KeyLayout, ReadMode, ReadOptions, Table, TableCursor};

use crate::fixture::{Fixture, PATH, entries, key, on_every_table, open, small, sought};
use crate::model::{ModelBounds, ModelCursor, as_keys, is_inverted, random_bounds, walk};

fn scan(table: &Arc<Table>, bounds: &ModelBounds) -> kv::Result<TableCursor> {
    let (start, end) = as_keys(bounds);
    table.scan((start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice)))
}

fn walks(fixture: &Fixture, table: &Arc<Table>, random: &SeededEntropy) {
    let keys = sought(&fixture.model, fixture.options.key_layout);
    for _ in 0..8 {
        let bounds = random_bounds(&keys, random);
        let cursor = scan(table, &bounds);
        if is_inverted(&bounds) {
            assert!(matches!(cursor, Err(Error::InvalidArgument(_))));
            continue;
        }
        let mut model = ModelCursor::over(&fixture.model, &bounds);
        walk(&mut cursor.expect("the bounds are in order"), &mut model, &keys, random, 120);
    }
}

#[test]
fn random_walks_show_the_entries_in_the_bounds_whatever_the_directions() {
    let random = SeededEntropy::new(1);
    on_every_table(|fixture, table| walks(fixture, table, &random));
}

#[test]
fn whole_walks_show_every_entry_once_in_both_directions() {
    on_every_table(|fixture, table| {
        let all = (Bound::Unbounded, Bound::Unbounded);
        let expected: Vec<Vec<u8>> = fixture.model.keys().map(key).collect();
        let mut forward = table.scan(all).unwrap();
        let mut seen = Vec::new();
        while forward.next().unwrap() {
            seen.push(forward.key().to_vec());
        }
        assert_eq!(seen, expected);
        let mut backward = table.scan(all).unwrap();
        while backward.prev().unwrap() {
            assert_eq!(seen.pop().as_deref(), Some(backward.key()));
        }
        assert_eq!(seen.len(), 0);
    });
}

#[test]
fn a_cursor_keeps_the_table_open() {
    on_every_table(|fixture, table| {
        let mut cursor = scan(table, &(Bound::Unbounded, Bound::Unbounded)).unwrap();
        let reopened = fixture.open(&ReadOptions::default());
        let mut other = scan(&reopened, &(Bound::Unbounded, Bound::Unbounded)).unwrap();
        drop(reopened);
        loop {
            let (moved, expected) = (other.next().unwrap(), cursor.next().unwrap());
            assert_eq!(moved, expected);
            if !moved {
                break;
            }
            assert_eq!(other.key(), cursor.key());
        }
    });
}

#[test]
fn a_walk_reads_a_block_outside_its_bounds_only_if_they_end_with_a_block() {
    let fixture = Fixture::new(entries(2, 400, KeyLayout::PLAIN), small());
    let fs = Inject::over_sim(fixture.disk.clone(), Plan::none());
    let table = open(&fs, &ReadOptions { mode: ReadMode::Positional, cache: None }).unwrap();
    let blocks = fixture.built.properties.data_blocks;
    assert!((50..200).contains(&blocks), "a block has several entries: {blocks}");
    for is_forward in [true, false] {
        let mut beyond = 0;
        for entry in fixture.model.keys() {
            let one = (Bound::Included(entry.clone()), Bound::Included(entry.clone()));
            let mut cursor = scan(&table, &one).unwrap();
            let mut step = || {
                let before = fs.calls();
                let moved = if is_forward { cursor.next() } else { cursor.prev() };
                (moved.unwrap(), fs.calls() - before)
            };
            let (moved, reads) = step();
            assert!(moved && reads <= 2, "an index block and a data block: {reads}");
            let (moved, reads) = step();
            assert!(!moved && reads <= 2);
            beyond += u64::from(reads > 0);
        }
        assert_eq!(
            beyond,
            blocks - 1,
            "the last entry of each block but one has a block behind it"
        );
    }
}

#[test]
fn a_key_without_a_suffix_is_an_invalid_argument_and_ends_no_walk() {
    let layout = KeyLayout::with_suffix(8);
    let options = sstable::BuildOptions { key_layout: layout, ..small() };
    let fixture = Fixture::new(entries(0, 20, layout), options);
    let table = fixture.open(&ReadOptions::default());
    let mut cursor = scan(&table, &(Bound::Unbounded, Bound::Unbounded)).unwrap();
    assert!(matches!(cursor.seek_ge(b"short"), Err(Error::InvalidArgument(_))));
    assert!(matches!(cursor.seek_lt(b"short"), Err(Error::InvalidArgument(_))));
    assert!(cursor.next().unwrap());
    assert!(matches!(
        table.scan((Bound::Included(b"short"), Bound::Unbounded)),
        Err(Error::InvalidArgument(_))
    ));
}

#[test]
fn a_seek_outside_of_the_bounds_reads_no_block_between() {
    let fixture = Fixture::new(entries(2, 400, KeyLayout::PLAIN), small());
    let fs = Inject::over_sim(fixture.disk.clone(), Plan::none());
    let table = open(&fs, &ReadOptions { mode: ReadMode::Positional, cache: None }).unwrap();
    let keys: Vec<_> = fixture.model.keys().cloned().collect();
    let bounds = (Bound::Included(keys[200].clone()), Bound::Included(keys[210].clone()));
    let mut cursor = scan(&table, &bounds).unwrap();
    let before = fs.calls();
    assert!(cursor.seek_ge(&key(&keys[3])).unwrap() && cursor.key() == key(&keys[200]));
    assert!(cursor.seek_lt(&key(&keys[390])).unwrap() && cursor.key() == key(&keys[210]));
    assert!(fs.calls() - before <= 6, "two seeks read {} blocks", fs.calls() - before);
}

#[test]
fn a_walk_that_failed_stays_failed() {
    let fixture = Fixture::new(entries(2, 100, KeyLayout::PLAIN), small());
    let keys: Vec<_> = fixture.model.keys().map(key).collect();
    let mut bytes = fixture.bytes();
    // A byte of a data block in the middle.
    bytes[2_000] ^= 1;
    fixture.disk.set_contents(Path::new(PATH), bytes);
    for is_forward in [true, false] {
        let table = fixture.open(&ReadOptions::default());
        let mut cursor = scan(&table, &(Bound::Unbounded, Bound::Unbounded)).unwrap();
        let mut seen = 0;
        let failure = loop {
            match if is_forward { cursor.next() } else { cursor.prev() } {
                Ok(moved) => assert!(moved, "the walk comes to the damage"),
                Err(error) => break error,
            }
            seen += 1;
        };
        assert!(failure.is_corruption() && (10..90).contains(&seen), "{failure} behind {seen}");
        let again = [
            cursor.next(),
            cursor.prev(),
            cursor.seek_ge(&keys[0]),
            cursor.seek_lt(&keys[99]),
            cursor.prev(),
            cursor.next(),
        ];
        for again in again {
            assert_eq!(again.unwrap_err().to_string(), failure.to_string());
        }
    }
}
