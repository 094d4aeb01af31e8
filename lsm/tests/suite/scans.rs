//! Walks in both directions over entries in every layer, against a map.

use std::collections::BTreeMap;
use std::ops::Bound;

use kv::{Cursor, Durability, KeyRange, Kv};

use crate::world::World;

/// A sequence of numbers that looks random.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Keys of which some are prefixes of others.
fn key_of(number: u64) -> Vec<u8> {
    let byte = (number % 5) as u8;
    vec![byte; 1 + (number / 5) as usize % 4]
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// A position in the model: none yet, before the first entry, on one, or behind the last.
#[derive(Clone, Debug, PartialEq)]
enum At {
    Fresh,
    Before,
    On(Vec<u8>),
    Behind,
}

fn first_from(model: &Model, from: Bound<Vec<u8>>) -> At {
    model.range((from, Bound::Unbounded)).next().map_or(At::Behind, |(key, _)| At::On(key.clone()))
}

fn last_before(model: &Model, to: Bound<Vec<u8>>) -> At {
    let found = model.range((Bound::Unbounded, to)).next_back();
    found.map_or(At::Before, |(key, _)| At::On(key.clone()))
}

fn step(model: &Model, at: &At, forward: bool) -> At {
    match (at, forward) {
        (At::Fresh | At::Before, true) => first_from(model, Bound::Unbounded),
        (At::On(key), true) => first_from(model, Bound::Excluded(key.clone())),
        (At::Behind, true) => At::Behind,
        (At::Before, false) => At::Before,
        (At::On(key), false) => last_before(model, Bound::Excluded(key.clone())),
        (At::Fresh | At::Behind, false) => last_before(model, Bound::Unbounded),
    }
}

fn walk(cursor: &mut dyn Cursor, model: &Model, numbers: &mut Numbers) {
    let mut at = At::Fresh;
    for _ in 0..60 {
        let key = key_of(numbers.below(20));
        let (expected, found) = match numbers.below(6) {
            0 => (first_from(model, Bound::Included(key.clone())), cursor.seek_ge(&key)),
            1 => (last_before(model, Bound::Excluded(key.clone())), cursor.seek_lt(&key)),
            2 | 3 => (step(model, &at, true), cursor.next()),
            _ => (step(model, &at, false), cursor.prev()),
        };
        assert_eq!(found.unwrap(), matches!(expected, At::On(_)), "{expected:?}");
        if let At::On(key) = &expected {
            let value = &model[key];
            assert_eq!(cursor.key(), &key[..]);
            assert_eq!(cursor.entry().unwrap(), (&key[..], &value[..]));
        }
        at = expected;
    }
}

#[test]
fn walks_agree_with_a_map_while_writes_and_flushes_go_on() {
    for seed in 0..40 {
        let (world, mut numbers) = (World::new(), Numbers(seed));
        let engine = world.open().unwrap();
        let mut model = Model::new();
        for round in 0..120_u64 {
            let key = key_of(numbers.below(20));
            match numbers.below(10) {
                0..5 => {
                    let value = round.to_le_bytes().repeat(1 + numbers.below(8) as usize);
                    engine.put(&key, &value, Durability::Buffered).unwrap();
                    model.insert(key, value);
                }
                5..8 => {
                    engine.delete(&key, Durability::Buffered).unwrap();
                    model.remove(&key);
                }
                8 => engine.flush().unwrap(),
                _ => {
                    let (start, end) = (key_of(numbers.below(20)), key_of(numbers.below(20)));
                    let (start, end) = (start.clone().min(end.clone()), start.max(end));
                    let bounds = match numbers.below(4) {
                        0 => (Bound::Unbounded, Bound::Unbounded),
                        1 => (Bound::Included(&start[..]), Bound::Excluded(&end[..])),
                        2 => (Bound::Excluded(&start[..]), Bound::Included(&end[..])),
                        _ => (Bound::Included(&start[..]), Bound::Included(&end[..])),
                    };
                    let range = KeyRange::new(bounds);
                    let shown: Model = model
                        .iter()
                        .filter(|(key, _)| range.contains(key))
                        .map(|(key, value)| (key.clone(), value.clone()))
                        .collect();
                    let mut cursor = engine.scan(range).unwrap();
                    // Writes and flushes after the opening change nothing for the cursor.
                    engine.put(&key, b"later", Durability::Buffered).unwrap();
                    if numbers.below(2) == 0 {
                        engine.flush().unwrap();
                    }
                    walk(&mut *cursor, &shown, &mut numbers);
                    model.insert(key, b"later".to_vec());
                }
            }
        }
    }
}

/// Hundreds of versions of few keys, half of them newer than the view: seeks jump over them.
#[test]
fn walks_jump_over_many_versions_of_a_key() {
    let world = World::new();
    let engine = world.open().unwrap();
    let put = |round: u32| {
        for key in [b"a", b"b", b"c"] {
            engine.put(key, &round.to_le_bytes(), Durability::Buffered).unwrap();
        }
        if round.is_multiple_of(70) {
            engine.flush().unwrap();
        }
    };
    (0..200).for_each(put);
    engine.delete(b"b", Durability::Buffered).unwrap();
    let mut cursor = engine.scan(KeyRange::all()).unwrap();
    (200..400).for_each(put);
    let value = 199_u32.to_le_bytes();
    for _ in 0..2 {
        assert!(cursor.next().unwrap());
        assert_eq!(cursor.entry().unwrap(), (&b"a"[..], &value[..]));
        assert!(cursor.next().unwrap());
        assert_eq!(cursor.entry().unwrap(), (&b"c"[..], &value[..]));
        assert!(!cursor.next().unwrap());
        assert!(cursor.prev().unwrap());
        assert_eq!(cursor.entry().unwrap(), (&b"c"[..], &value[..]));
        assert!(cursor.prev().unwrap());
        assert_eq!(cursor.entry().unwrap(), (&b"a"[..], &value[..]));
        assert!(!cursor.prev().unwrap());
    }
    assert!(cursor.seek_ge(b"b").unwrap());
    assert_eq!(cursor.key(), b"c");
    assert!(cursor.seek_lt(b"c").unwrap());
    assert_eq!(cursor.key(), b"a");
}

#[test]
fn between_a_key_and_itself_every_layer_has_no_entry() {
    let world = World::new();
    let engine = world.open().unwrap();
    for flushes in [false, true] {
        for number in 0..20 {
            engine.put(&key_of(number), b"value", Durability::Buffered).unwrap();
        }
        if flushes {
            engine.flush().unwrap();
        }
        let key = key_of(3);
        let [included, excluded] = [Bound::Included(&key[..]), Bound::Excluded(&key[..])];
        for bounds in [(excluded, excluded), (included, excluded), (excluded, included)] {
            let mut cursor = engine.scan(KeyRange::new(bounds)).unwrap();
            assert!(!cursor.next().unwrap() && !cursor.prev().unwrap(), "{bounds:?}");
            assert!(!cursor.seek_ge(&key).unwrap() && !cursor.seek_lt(b"\xff").unwrap());
        }
    }
}
