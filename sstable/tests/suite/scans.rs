//! Cursors: random walks with changes of direction, inside bounds.

use std::ops::Bound;
use std::sync::Arc;

use durable::{Entropy, SeededEntropy};
use kv::{Cursor, Error};
use sstable::{Table, TableCursor};

use crate::fixture::{Fixture, Model, key, on_every_table, sought};

/// Where a walk over a list stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Fresh,
    Before,
    On(usize),
    After,
}

type Entry = ((Vec<u8>, Vec<u8>), Vec<u8>);
type ModelKey = (Vec<u8>, Vec<u8>);

/// The cursor that the documentation of `kv::Cursor` describes, over a list.
struct ModelCursor {
    entries: Vec<Entry>,
    at: At,
}

impl ModelCursor {
    fn over(model: &Model, bounds: &(Bound<ModelKey>, Bound<ModelKey>)) -> Self {
        let inside = |key: &ModelKey| std::ops::RangeBounds::contains(bounds, key);
        let entries = model.iter().filter(|(key, _)| inside(key));
        let entries = entries.map(|(key, value)| (key.clone(), value.clone())).collect();
        Self { entries, at: At::Fresh }
    }

    /// Stands on the first entry from `index` on.
    fn forward(&mut self, index: usize) -> bool {
        self.at = if index < self.entries.len() { At::On(index) } else { At::After };
        self.at != At::After
    }

    /// Stands on the last entry before `index`.
    fn backward(&mut self, index: usize) -> bool {
        self.at = index.checked_sub(1).map_or(At::Before, At::On);
        self.at != At::Before
    }

    fn next(&mut self) -> bool {
        match self.at {
            At::Fresh | At::Before => self.forward(0),
            At::On(index) => self.forward(index + 1),
            At::After => false,
        }
    }

    fn prev(&mut self) -> bool {
        match self.at {
            At::Fresh | At::After => self.backward(self.entries.len()),
            At::On(index) => self.backward(index),
            At::Before => false,
        }
    }

    fn count_less(&self, key: &ModelKey) -> usize {
        self.entries.partition_point(|(other, _)| other < key)
    }
}

/// Takes `steps` random moves with both cursors.
fn walk(
    cursor: &mut TableCursor,
    model: &mut ModelCursor,
    keys: &[ModelKey],
    random: &SeededEntropy,
    steps: usize,
) {
    for _ in 0..steps {
        let number = random.next_u64();
        let sought = &keys[(number >> 8) as usize % keys.len()];
        let (moved, expected) = match number % 10 {
            0..4 => (cursor.next(), model.next()),
            4..8 => (cursor.prev(), model.prev()),
            8 => {
                let index = model.count_less(sought);
                (cursor.seek_ge(&key(sought)), model.forward(index))
            }
            _ => {
                let index = model.count_less(sought);
                (cursor.seek_lt(&key(sought)), model.backward(index))
            }
        };
        assert_eq!(moved.expect("the disk is whole"), expected, "{:?}", model.at);
        if let At::On(index) = model.at {
            let (expected, value) = &model.entries[index];
            assert_eq!(cursor.key(), key(expected));
            assert_eq!(
                cursor.entry().expect("it is in the block"),
                (&key(expected)[..], &value[..])
            );
        }
    }
}

fn random_bounds(keys: &[ModelKey], random: &SeededEntropy) -> (Bound<ModelKey>, Bound<ModelKey>) {
    let bound = || {
        let number = random.next_u64();
        let key = keys[(number >> 8) as usize % keys.len()].clone();
        match number % 3 {
            0 => Bound::Unbounded,
            1 => Bound::Included(key),
            _ => Bound::Excluded(key),
        }
    };
    (bound(), bound())
}

fn is_inverted(bounds: &(Bound<ModelKey>, Bound<ModelKey>)) -> bool {
    let key = |bound: &Bound<ModelKey>| match bound {
        Bound::Included(key) | Bound::Excluded(key) => Some(key.clone()),
        Bound::Unbounded => None,
    };
    key(&bounds.0).zip(key(&bounds.1)).is_some_and(|(start, end)| start > end)
}

fn scan(
    table: &Arc<Table>,
    bounds: &(Bound<ModelKey>, Bound<ModelKey>),
) -> kv::Result<TableCursor> {
    let joined = [&bounds.0, &bounds.1].map(|bound| bound.as_ref().map(key));
    let [start, end] = &joined;
    table.scan((start.as_ref().map(|key| &key[..]), end.as_ref().map(|key| &key[..])))
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
