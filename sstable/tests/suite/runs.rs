//! Cursors over runs of tables, which are opened when a walk needs them.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use durable::SeededEntropy;
use kv::{Cursor, Error, Result};
use sstable::{KeyLayout, MergingCursor, ReadOptions, Run, RunCursor, Table};

use crate::fixture::{Fixture, Model, SHAPES, entries, key, small, sought};
use crate::model::{ModelBounds, ModelCursor, as_keys, is_inverted, random_bounds, walk};

const ALL: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Unbounded, Bound::Unbounded);

/// A run on simulated disks, which counts how often a table is opened.
#[derive(Clone)]
struct Tables(Arc<Shared>);

struct Shared {
    tables: Vec<Fixture>,
    keys: Vec<[Vec<u8>; 2]>,
    /// How often a first or a last key was asked for.
    asked: AtomicUsize,
    opened: AtomicUsize,
    which: Mutex<BTreeSet<usize>>,
    is_broken: AtomicBool,
}

impl Tables {
    /// The entries of `model` in tables of `len` entries.
    fn new(model: &Model, len: usize, layout: KeyLayout) -> Self {
        let options = sstable::BuildOptions { key_layout: layout, ..small() };
        let entries: Vec<_> = model.clone().into_iter().collect();
        let tables = entries.chunks(len).map(|part| part.iter().cloned().collect());
        let tables: Vec<Fixture> = tables.map(|model| Fixture::new(model, options)).collect();
        let keys = tables.iter().map(|table| {
            let properties = &table.built.properties;
            [properties.smallest_key.clone(), properties.largest_key.clone()]
        });
        Self(Arc::new(Shared {
            keys: keys.collect(),
            asked: AtomicUsize::new(0),
            tables,
            opened: AtomicUsize::new(0),
            which: Mutex::default(),
            is_broken: AtomicBool::new(false),
        }))
    }

    /// Which tables were opened since the last call.
    fn take_opened(&self) -> Vec<usize> {
        let opened = std::mem::take(&mut *self.0.which.lock().expect("no test thread panicked"));
        assert_eq!(self.0.opened.swap(0, Ordering::Relaxed), opened.len(), "each one once");
        opened.into_iter().collect()
    }

    fn scan(&self, layout: KeyLayout, bounds: &ModelBounds) -> RunCursor<Self> {
        let (start, end) = as_keys(bounds);
        let bounds = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
        RunCursor::new(self.clone(), layout, bounds).expect("the bounds are in order")
    }

    fn all(&self) -> RunCursor<Self> {
        self.scan(KeyLayout::PLAIN, &(Bound::Unbounded, Bound::Unbounded))
    }
}

impl Run for Tables {
    fn table_count(&self) -> usize {
        self.0.tables.len()
    }

    fn smallest_key(&self, table: usize) -> &[u8] {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        &self.0.keys[table][0]
    }

    fn largest_key(&self, table: usize) -> &[u8] {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        &self.0.keys[table][1]
    }

    fn open_table(&self, table: usize) -> Result<Arc<Table>> {
        if self.0.is_broken.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        self.0.opened.fetch_add(1, Ordering::Relaxed);
        self.0.which.lock().expect("no test thread panicked").insert(table);
        Ok(self.0.tables[table].open(&ReadOptions::default()))
    }
}

#[test]
fn random_walks_show_the_entries_of_a_run_in_the_bounds() {
    let random = SeededEntropy::new(2);
    for suffix_len in [0, 8] {
        let layout = KeyLayout::with_suffix(suffix_len);
        for shape in 0..SHAPES {
            let model = entries(shape, 120, layout);
            let keys = sought(&model, layout);
            for len in [1, 2, 30, 200] {
                let tables = Tables::new(&model, len, layout);
                for _ in 0..8 {
                    let bounds = random_bounds(&keys, &random);
                    if !is_inverted(&bounds) {
                        let mut expected = ModelCursor::over(&model, &bounds);
                        let mut cursor = tables.scan(layout, &bounds);
                        walk(&mut cursor, &mut expected, &keys, &random, 150);
                    }
                }
            }
        }
    }
}

/// A hundred entries in ten tables.
fn ten_tables() -> (Vec<Vec<u8>>, Tables) {
    let model = entries(2, 100, KeyLayout::PLAIN);
    (model.keys().map(key).collect(), Tables::new(&model, 10, KeyLayout::PLAIN))
}

#[test]
fn a_seek_opens_the_table_that_has_keys_on_both_sides_and_no_other() {
    let (keys, tables) = ten_tables();
    for (at, sought) in keys.iter().enumerate() {
        let mut cursor = tables.all();
        assert!(cursor.seek_ge(sought).unwrap() && cursor.key() == sought);
        let expected = if at.is_multiple_of(10) { vec![] } else { vec![at / 10] };
        assert_eq!(tables.take_opened(), expected);
        let mut cursor = tables.all();
        assert_eq!(cursor.seek_lt(sought).unwrap(), at > 0);
        let expected = if at.is_multiple_of(10) { vec![] } else { vec![at / 10] };
        assert_eq!(tables.take_opened(), expected);
        // A key between two entries, and between two tables now and then.
        let between = [sought.as_slice(), b"x"].concat();
        let mut cursor = tables.all();
        assert_eq!(cursor.seek_ge(&between).unwrap(), at < 99);
        let expected = if at % 10 == 9 { vec![] } else { vec![at / 10] };
        assert_eq!(tables.take_opened(), expected);
    }
}

#[test]
fn a_walk_opens_each_table_once_and_none_outside_the_bounds() {
    let (keys, tables) = ten_tables();
    let mut cursor = tables.all();
    for expected in &keys {
        assert!(cursor.next().unwrap() && cursor.key() == expected);
    }
    assert!(!cursor.next().unwrap());
    assert_eq!(tables.take_opened(), (0..10).collect::<Vec<_>>());
    for expected in keys.iter().rev() {
        assert!(cursor.prev().unwrap() && cursor.key() == expected);
    }
    assert!(!cursor.prev().unwrap());
    tables.take_opened();
    let split = |at: usize| (keys[at].clone(), Vec::new());
    let bounds = (Bound::Included(split(30)), Bound::Excluded(split(50)));
    let mut cursor = tables.scan(KeyLayout::PLAIN, &bounds);
    for expected in &keys[30..50] {
        assert!(cursor.next().unwrap() && cursor.key() == expected);
    }
    assert!(!cursor.next().unwrap());
    assert!(!cursor.seek_ge(&keys[60]).unwrap() && !cursor.seek_lt(&keys[20]).unwrap());
    assert_eq!(tables.take_opened(), [3, 4]);
}

#[test]
fn the_keys_at_the_ends_of_the_tables_are_known_without_opening_one() {
    let (keys, tables) = ten_tables();
    let mut cursor = tables.all();
    assert!(cursor.next().unwrap() && cursor.key() == keys[0]);
    assert!(cursor.seek_lt(&keys[40]).unwrap() && cursor.key() == keys[39]);
    assert!(cursor.next().unwrap() && cursor.key() == keys[40]);
    assert!(cursor.prev().unwrap() && cursor.key() == keys[39]);
    assert!(tables.take_opened().is_empty());
    assert_eq!(cursor.entry().unwrap().0, keys[39]);
    assert_eq!(tables.take_opened(), [3]);
    assert!(cursor.prev().unwrap() && cursor.key() == keys[38]);
    assert!(tables.take_opened().is_empty());
}

#[test]
fn a_merge_of_a_thousand_runs_opens_only_those_that_have_the_key_inside() {
    let model = entries(2, 2_000, KeyLayout::PLAIN);
    let keys: Vec<Vec<u8>> = model.keys().map(key).collect();
    let tables: Vec<Tables> = model
        .into_iter()
        .collect::<Vec<_>>()
        .chunks(2)
        .map(|part| Tables::new(&part.iter().cloned().collect(), 2, KeyLayout::PLAIN))
        .collect();
    let sources = tables.iter().map(Tables::all).collect();
    let mut cursor = MergingCursor::new(KeyLayout::PLAIN, sources);
    assert!(cursor.seek_ge(&keys[1_001]).unwrap() && cursor.key() == keys[1_001]);
    let opened = |tables: &[Tables]| -> Vec<usize> {
        let opened =
            |(at, table): (usize, &Tables)| (!table.take_opened().is_empty()).then_some(at);
        tables.iter().enumerate().filter_map(opened).collect()
    };
    assert_eq!(opened(&tables), [500]);
    for expected in &keys[1_002..1_012] {
        assert!(cursor.next().unwrap() && cursor.key() == expected);
    }
    assert_eq!(opened(&tables), [501, 502, 503, 504, 505]);
}

#[test]
fn a_table_that_cannot_be_opened_costs_one_value_or_ends_the_walk() {
    let (keys, tables) = ten_tables();
    let mut cursor = tables.all();
    tables.0.is_broken.store(true, Ordering::Relaxed);
    assert!(cursor.next().unwrap());
    assert!(matches!(cursor.entry(), Err(Error::Closed)));
    assert_eq!(cursor.key(), keys[0], "the cursor stays on its entry");
    tables.0.is_broken.store(false, Ordering::Relaxed);
    assert_eq!(cursor.entry().unwrap().0, keys[0]);
    assert!(cursor.seek_ge(&keys[10]).unwrap());
    tables.0.is_broken.store(true, Ordering::Relaxed);
    assert!(matches!(cursor.next(), Err(Error::Closed)));
    tables.0.is_broken.store(false, Ordering::Relaxed);
    assert!(matches!(cursor.next(), Err(Error::Closed)), "a failure stays");
    assert!(matches!(cursor.prev(), Err(Error::Closed)));
    assert!(matches!(cursor.seek_ge(&keys[0]), Err(Error::Closed)));
    assert!(matches!(cursor.seek_lt(&keys[0]), Err(Error::Closed)));
}

/// Ten tables as [`ten_tables`] has them, one of which states another first (0) or last (1) key.
fn stating(table: usize, end: usize, key: &[u8]) -> Tables {
    let (_, mut tables) = ten_tables();
    let shared = Arc::get_mut(&mut tables.0).expect("nobody else has the tables");
    shared.keys[table][end] = key.to_vec();
    tables
}

#[test]
fn a_walk_asks_for_the_keys_of_the_tables_that_it_comes_to() {
    let model = entries(2, 1_000, KeyLayout::PLAIN);
    let keys: Vec<Vec<u8>> = model.keys().map(key).collect();
    let tables = Tables::new(&model, 1, KeyLayout::PLAIN);
    let asked = || tables.0.asked.swap(0, Ordering::Relaxed);
    let mut cursor = tables.all();
    assert_eq!(asked(), 0, "a fresh cursor has looked at no table");
    for sought in &keys {
        assert!(cursor.seek_ge(sought).unwrap());
        // Ten keys of a binary search, and those of the table and of its neighbors.
        assert!(asked() <= 24);
        assert_eq!(cursor.seek_lt(sought).unwrap(), *sought != keys[0]);
        assert!(asked() <= 24);
    }
    let mut cursor = tables.all();
    for _ in &keys {
        assert!(cursor.next().unwrap());
        assert!(asked() <= 16);
    }
}

#[test]
fn tables_that_are_not_in_order_end_the_walk_that_comes_to_them() {
    let (keys, _) = ten_tables();
    let refuses = |result: Result<bool>| matches!(result, Err(Error::InvalidArgument(_)));
    let between = |at: usize| [keys[at].as_slice(), b"x"].concat();
    // The last key of table 3 lies inside table 4; the first key of table 4, inside table 3; table 3 ends before it begins.
    for (table, end, stated) in [(3, 1, &keys[45]), (4, 0, &keys[35]), (3, 1, &keys[25])] {
        let tables = stating(table, end, stated);
        let mut cursor = tables.all();
        let mut seen = 0;
        while cursor.next().is_ok_and(|is_on_entry| is_on_entry) {
            assert_eq!(cursor.key(), keys[seen]);
            seen += 1;
        }
        assert!((20..40).contains(&seen), "{seen}");
        assert!(refuses(cursor.next()), "a failure stays");
        let mut cursor = tables.all();
        let mut seen = keys.len();
        while cursor.prev().is_ok_and(|is_on_entry| is_on_entry) {
            seen -= 1;
            assert_eq!(cursor.key(), keys[seen]);
        }
        assert!((35..=60).contains(&seen), "{seen}");
        assert!(refuses(cursor.prev()), "a failure stays");
        assert!(refuses(tables.all().seek_ge(&between(33))));
        assert!(refuses(tables.all().seek_lt(&between(33))));
        let mut cursor = tables.all();
        assert!(cursor.seek_ge(&keys[90]).unwrap() && cursor.key() == keys[90]);
    }
    let mut short = RunCursor::new(ten_tables().1, KeyLayout::with_suffix(255), ALL).unwrap();
    assert!(refuses(short.next()), "keys shorter than a suffix");
}

#[test]
fn a_run_that_states_other_keys_than_its_tables_have_is_damaged() {
    let (keys, tables) = ten_tables();
    let early = [keys[29].as_slice(), b"x"].concat();
    let mut cursor = stating(3, 0, &early).all();
    assert!(cursor.seek_ge(&early).unwrap() && cursor.key() == early);
    assert!(cursor.entry().is_err_and(|error| error.is_corruption()));
    assert!(cursor.next().is_err_and(|error| error.is_corruption()));
    let late = [keys[39].as_slice(), b"x"].concat();
    let mut cursor = stating(3, 1, &late).all();
    assert!(cursor.seek_lt(&keys[40]).unwrap() && cursor.key() == late);
    assert!(cursor.prev().is_err_and(|error| error.is_corruption()));
    let mut other = RunCursor::new(tables, KeyLayout::with_suffix(1), ALL).unwrap();
    assert!(other.next().unwrap());
    assert!(other.entry().is_err_and(|error| error.is_corruption()), "another layout");
}
