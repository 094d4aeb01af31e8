//! Walks of all sides: the first one is checked, and the steps of the later ones are measured.

use std::hint::black_box;

use kv::{Cursor, Direction};

use crate::data::{Keys, belongs, value_of};

/// Steps over the entries of `fresh` that begin anew at the end.
///
/// Before it returns, a first walk compares every key and every value with `keys`. So all pages are in memory, and a table has
/// checked its blocks.
pub(crate) fn steps<C: Cursor>(
    fresh: impl Fn() -> C,
    keys: &Keys,
    direction: Direction,
) -> impl FnMut(usize) {
    let step = move |cursor: &mut C| {
        let moved = match direction {
            Direction::Forward => cursor.next(),
            Direction::Backward => cursor.prev(),
        };
        moved.expect("a walk that works")
    };
    let mut cursor = fresh();
    for key in in_order(keys, direction) {
        assert!(step(&mut cursor), "a walk over all keys");
        check(key, cursor.entry().expect("an entry that can be read"));
    }
    move |calls| {
        for _ in 0..calls {
            if !step(&mut cursor) {
                cursor = fresh();
                assert!(step(&mut cursor), "a table with entries");
            }
            use_up(cursor.entry().expect("an entry that can be read"));
        }
    }
}

pub(crate) fn in_order(keys: &Keys, direction: Direction) -> Box<dyn Iterator<Item = &[u8]> + '_> {
    match direction {
        Direction::Forward => Box::new(keys.iter()),
        Direction::Backward => Box::new(keys.iter().rev()),
    }
}

pub(crate) fn check(expected: &[u8], (key, value): (&[u8], &[u8])) {
    assert!(key == expected && value == value_of(expected), "the entries of the other sides");
}

/// Reads as much of an entry as each side has to: a byte of its key, and the front of its value.
#[inline]
pub(crate) fn use_up((key, value): (&[u8], &[u8])) {
    black_box(belongs(key, value));
}
