//! A tree answers as a sorted map of the same entries does.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use kv::{Cursor as _, CursorPosition, Direction};

use super::super::{EntryCursor, EntryTree};
use super::keys::{Random, SHAPES, Shape};
use crate::internal_key::{self, Kind, Trailer};

/// A user key and the order of its versions.
type Key = (Vec<u8>, Reverse<Trailer>);

/// A tree, and what it must answer.
struct Pair {
    tree: Arc<EntryTree>,
    model: BTreeMap<Key, Vec<u8>>,
    shape: Shape,
    random: Random,
    newest: u64,
}

impl Pair {
    fn new(shape: Shape, seed: u64) -> Self {
        let (tree, model) = (Arc::default(), BTreeMap::new());
        Self { tree, model, shape, random: Random::new(seed), newest: 0 }
    }

    fn write(&mut self) {
        self.newest += 1;
        let user = self.shape.key(self.newest as usize, &self.random);
        let kind = if self.random.below(8) == 0 { Kind::Tombstone } else { Kind::Put };
        let len = [0_u64, 1, 7, 8, 100, 300, 5_000][self.random.below(7)];
        let len = if kind == Kind::Tombstone { 0 } else { len };
        let value: Vec<u8> = (0..len).map(|at| (at ^ self.newest) as u8).collect();
        let trailer = Trailer::new(self.newest, kind);
        self.tree.insert(&user, trailer, &value);
        self.model.insert((user, Reverse(trailer)), value);
    }

    /// A key that was written, or one like it.
    fn some_key(&self) -> Vec<u8> {
        let number = self.random.below(self.newest as usize + 2);
        let like_it = self.shape.key(number, &self.random);
        let from = (like_it.clone(), Reverse(Trailer::NEWEST));
        let written = self.model.range(from..).next();
        match self.random.below(3) {
            0 => like_it,
            _ => written.map_or(like_it, |((user, _), _)| user.clone()),
        }
    }

    fn some_internal_key(&self) -> Key {
        let trailer = match self.random.below(3) {
            0 => Trailer::NEWEST,
            1 => Trailer::OLDEST,
            _ => Trailer::new(1 + self.random.below(self.newest as usize + 1) as u64, Kind::Put),
        };
        (self.some_key(), Reverse(trailer))
    }

    fn check_get(&self) {
        let user = self.some_key();
        let sequence = self.random.below(self.newest as usize + 2) as u64;
        let mut value = None;
        let entry = self.tree.find(&user, Trailer::seen_at(sequence));
        let found = entry.map(|entry| {
            entry.with_value(&mut |bytes| value = Some(bytes.to_vec()));
            entry.trailer()
        });
        let from = (user.clone(), Reverse(Trailer::seen_at(sequence)));
        let expected = self.model.range(from..).next().filter(|((other, _), _)| *other == user);
        assert_eq!(found, expected.map(|((_, trailer), _)| trailer.0));
        assert_eq!(value.as_ref(), expected.map(|(_, value)| value));
    }

    /// Random moves of a cursor with random bounds.
    fn check_moves(&self, moves: usize) {
        let bounds = (self.some_bound(), self.some_bound());
        let entries: Vec<(&Key, &Vec<u8>)> =
            if is_range(&bounds) { self.model.range(bounds.clone()).collect() } else { Vec::new() };
        let encode = |(user, trailer): &Key| internal_key::encoded(user, trailer.0);
        let (start, end) = (bounds.0.as_ref().map(encode), bounds.1.as_ref().map(encode));
        let slices = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
        let mut cursor = EntryCursor::new(Arc::clone(&self.tree), slices);
        let mut position = CursorPosition::<usize>::default();
        for _ in 0..moves {
            let sought = self.some_internal_key();
            let expected = match self.random.below(8) {
                0 => {
                    let at = entries.partition_point(|(key, _)| **key < sought);
                    let is_found = cursor.seek_ge(&encode(&sought)).unwrap();
                    let found = (at < entries.len()).then_some(at);
                    assert_eq!(position.land(found, Direction::Forward), is_found);
                    is_found
                }
                1 => {
                    let at = entries.partition_point(|(key, _)| **key < sought);
                    let is_found = cursor.seek_lt(&encode(&sought)).unwrap();
                    assert_eq!(position.land(at.checked_sub(1), Direction::Backward), is_found);
                    is_found
                }
                2..5 => step(&mut position, entries.len(), Direction::Forward, || cursor.next()),
                _ => step(&mut position, entries.len(), Direction::Backward, || cursor.prev()),
            };
            if expected {
                let (key, value) = entries[*position.entry()];
                assert_eq!(cursor.key(), encode(key));
                assert_eq!(cursor.entry().unwrap(), (&encode(key)[..], &value[..]));
            }
        }
    }

    fn some_bound(&self) -> Bound<Key> {
        match self.random.below(4) {
            0 => Bound::Included(self.some_internal_key()),
            1 => Bound::Excluded(self.some_internal_key()),
            _ => Bound::Unbounded,
        }
    }

    /// Everything, as a flush reads it.
    fn check_all(&self) {
        let mut entries = self.model.iter();
        let all = self.tree.for_each(&mut |key, value| {
            let ((user, trailer), expected) = entries.next().expect("an entry that was written");
            assert_eq!(internal_key::split(key), Some((&user[..], trailer.0)));
            assert_eq!(value, expected);
            Ok(())
        });
        all.unwrap();
        assert!(entries.next().is_none(), "every entry is visited");
        assert_eq!(self.tree.len(), self.model.len() as u64);
    }
}

/// Whether a sorted map takes the bounds.
fn is_range((start, end): &(Bound<Key>, Bound<Key>)) -> bool {
    let (Bound::Included(from) | Bound::Excluded(from)) = start else { return true };
    let (Bound::Included(to) | Bound::Excluded(to)) = end else { return true };
    from < to
}

/// A step of a cursor and of its model.
fn step(
    position: &mut CursorPosition<usize>,
    entries: usize,
    direction: Direction,
    mut walk: impl FnMut() -> kv::Result<bool>,
) -> bool {
    let is_found = walk().unwrap();
    let expected = position.step_in(entries, direction);
    assert_eq!(expected.is_some_and(|found| position.land(found, direction)), is_found);
    is_found
}

#[test]
fn gets_and_walks_answer_as_a_sorted_map_does() {
    for (seed, shape) in SHAPES.into_iter().enumerate() {
        let mut pair = Pair::new(shape, seed as u64);
        pair.check_all();
        for write in 0..shape.writes() {
            pair.write();
            if write < 100 || write % 97 == 0 {
                (0..10).for_each(|_| pair.check_get());
                pair.check_moves(20);
            }
        }
        (0..2_000).for_each(|_| pair.check_get());
        (0..50).for_each(|_| pair.check_moves(60));
        pair.check_all();
    }
}

/// A cursor that is held while others write shows each entry that was there when it was made, once and in order.
#[test]
fn a_cursor_that_is_held_misses_and_repeats_nothing() {
    for (seed, shape) in SHAPES.into_iter().enumerate() {
        for direction in [Direction::Forward, Direction::Backward] {
            let mut pair = Pair::new(shape, 100 + seed as u64);
            (0..shape.writes() / 4).for_each(|_| pair.write());
            let (then, newest) = (pair.model.clone(), pair.newest);
            let unbounded = (Bound::Unbounded, Bound::Unbounded);
            let mut cursor = EntryCursor::new(Arc::clone(&pair.tree), unbounded);
            let mut seen: Vec<Key> = Vec::new();
            loop {
                let is_found = match direction {
                    Direction::Forward => cursor.next().unwrap(),
                    Direction::Backward => cursor.prev().unwrap(),
                };
                if !is_found {
                    break;
                }
                let (user, trailer) = internal_key::split(cursor.key()).unwrap();
                let key = (user.to_vec(), Reverse(trailer));
                assert_eq!(cursor.entry().unwrap().1, pair.model[&key], "a whole entry");
                seen.push(key);
                if pair.random.below(3) > 0 {
                    pair.write();
                }
            }
            if matches!(direction, Direction::Backward) {
                seen.reverse();
            }
            assert!(seen.is_sorted_by(|one, other| one < other), "in order, each one once");
            seen.retain(|(_, trailer)| trailer.0.sequence() <= newest);
            assert!(seen.iter().eq(then.keys()), "{shape:?}");
        }
    }
}
