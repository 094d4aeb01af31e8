//! How a cursor moves, bounds and gaps included.

use kv::memory::MemoryEngine;
use kv::{Cursor, Direction, Durability, Entries, Error, KeyRange, Kv, Result};

fn engine_with(keys: &[&str]) -> MemoryEngine {
    let engine = MemoryEngine::new();
    for key in keys {
        engine.put(key.as_bytes(), b"v", Durability::None).unwrap();
    }
    engine
}

fn key_after(moved: Result<bool>, cursor: &dyn Cursor) -> Option<String> {
    moved.unwrap().then(|| String::from_utf8(cursor.key().to_vec()).unwrap())
}

macro_rules! step {
    ($cursor:ident . $op:ident ( $($arg:expr)? ) => $expected:expr) => {{
        let moved = $cursor.$op($($arg)?);
        let expected: Option<&str> = $expected;
        assert_eq!(key_after(moved, $cursor.as_ref()).as_deref(), expected);
    }};
}

#[test]
fn a_cursor_turns_around_in_the_gaps_at_both_ends() {
    let mut cursor = engine_with(&["a", "b"]).scan(KeyRange::all()).unwrap();
    step!(cursor.next() => Some("a"));
    step!(cursor.next() => Some("b"));
    step!(cursor.next() => None);
    step!(cursor.next() => None);
    step!(cursor.prev() => Some("b"));
    step!(cursor.prev() => Some("a"));
    step!(cursor.prev() => None);
    step!(cursor.prev() => None);
    step!(cursor.next() => Some("a"));
}

#[test]
fn a_fresh_cursor_starts_at_the_end_it_is_moved_from() {
    let mut cursor = engine_with(&["a", "b", "c"]).scan(KeyRange::new(..&b"c"[..])).unwrap();
    step!(cursor.prev() => Some("b"));
}

#[test]
fn seeks_stay_inside_the_bounds() {
    let engine = engine_with(&["a", "b", "c", "d"]);
    let mut cursor = engine.scan(KeyRange::new(&b"b"[..]..&b"d"[..])).unwrap();
    step!(cursor.seek_ge(b"a") => Some("b"));
    step!(cursor.seek_ge(b"bb") => Some("c"));
    step!(cursor.seek_ge(b"d") => None);
    step!(cursor.prev() => Some("c"));
    step!(cursor.seek_lt(b"z") => Some("c"));
    step!(cursor.seek_lt(b"b") => None);
    step!(cursor.next() => Some("b"));
    let mut empty = engine.scan(KeyRange::new(&b"b"[..]..&b"b"[..])).unwrap();
    step!(empty.next() => None);
    step!(empty.prev() => None);
}

#[test]
fn writes_after_the_scan_was_opened_are_not_seen() {
    let engine = engine_with(&["a", "b"]);
    let mut cursor = engine.scan(KeyRange::all()).unwrap();
    step!(cursor.next() => Some("a"));
    engine.delete(b"b", Durability::None).unwrap();
    engine.put(b"c", b"v", Durability::None).unwrap();
    step!(cursor.next() => Some("b"));
    step!(cursor.next() => None);
}

/// A cursor over the keys 0, 1, 2, ... of one byte, on which the value of key 2 cannot be read.
struct FailingValues {
    next: u8,
    values_read: u8,
}

impl Cursor for FailingValues {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        self.next = key[0];
        self.next()
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        self.next = key[0] - 1;
        self.next()
    }

    fn next(&mut self) -> Result<bool> {
        self.next += 1;
        Ok(self.next <= 5)
    }

    fn prev(&mut self) -> Result<bool> {
        unreachable!("the tests walk forward")
    }

    fn key(&self) -> &[u8] {
        &[[0], [1], [2], [3], [4]][usize::from(self.next - 1)]
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        self.values_read += 1;
        let failed = || Error::corruption("values", 0, "no value");
        if self.next == 3 { Err(failed()) } else { Ok((self.key(), b"v")) }
    }
}

#[test]
fn an_iterator_over_entries_ends_with_the_first_value_that_fails() {
    let cursor = Box::new(FailingValues { next: 0, values_read: 0 });
    let mut entries = Entries::new(cursor, Direction::Forward);
    assert_eq!(entries.next().unwrap().unwrap().0, [0][..]);
    assert_eq!(entries.next().unwrap().unwrap().0, [1][..]);
    assert!(entries.next().unwrap().unwrap_err().is_corruption());
    assert!(entries.next().is_none() && entries.next().is_none());
}

#[test]
fn a_walk_over_keys_survives_a_value_that_fails() {
    let mut cursor = FailingValues { next: 0, values_read: 0 };
    let boxed: &mut dyn Cursor = &mut cursor;
    let mut keys = Vec::new();
    while boxed.next().unwrap() {
        if boxed.key() == [2] {
            assert!(boxed.value().is_err() && boxed.entry().is_err());
            assert_eq!(boxed.key(), [2]);
        }
        keys.push(boxed.key()[0]);
    }
    assert_eq!(keys, [0, 1, 2, 3, 4]);
    assert_eq!(cursor.values_read, 2, "no value is read that nobody asked for");
}

#[test]
fn a_box_of_a_cursor_is_a_cursor() {
    fn first_and_last(mut cursor: impl Cursor) -> [(Vec<u8>, Vec<u8>); 2] {
        assert!(cursor.seek_ge(b"").unwrap() && !cursor.prev().unwrap() && cursor.next().unwrap());
        let first = (cursor.key().to_vec(), cursor.value().unwrap().to_vec());
        assert!(cursor.seek_lt(b"x").unwrap());
        [first, (cursor.key().to_vec(), cursor.entry().unwrap().1.to_vec())]
    }
    let cursor: Box<dyn Cursor> = engine_with(&["a", "b", "c"]).scan(KeyRange::all()).unwrap();
    let expected = [(b"a".to_vec(), b"v".to_vec()), (b"c".to_vec(), b"v".to_vec())];
    assert_eq!(first_and_last(cursor), expected);
}
