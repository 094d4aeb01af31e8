//! How a cursor moves, bounds and gaps included.

use kv::memory::MemoryEngine;
use kv::{Cursor, Durability, KeyRange, Kv};

fn engine_with(keys: &[&str]) -> MemoryEngine {
    let engine = MemoryEngine::new();
    for key in keys {
        engine.put(key.as_bytes(), b"v", Durability::None).unwrap();
    }
    engine
}

fn key_after(moved: kv::Result<bool>, cursor: &dyn Cursor) -> Option<String> {
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
