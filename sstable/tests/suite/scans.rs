//! Cursors: random walks with changes of direction, inside bounds.

use std::ops::Bound;
use std::sync::Arc;

use durable::SeededEntropy;
use kv::{Cursor, Error};
use sstable::{Table, TableCursor};

use crate::fixture::{Fixture, key, on_every_table, sought};
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
        let reopened = fixture.open(&sstable::ReadOptions::default());
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
