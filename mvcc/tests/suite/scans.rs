//! Scans over the snapshot with the writes of the transaction merged in.

use std::collections::BTreeMap;
use std::ops::Bound;

use durable::{Entropy as _, SeededEntropy};
use kv::{Cursor, CursorPosition, Direction, Error, KeyRange, Transaction as _};

use crate::{begin, commit, engine};

/// A cursor over a plain list of entries.
struct ListCursor {
    entries: Vec<(Vec<u8>, Vec<u8>)>,
    position: CursorPosition<usize>,
}

impl ListCursor {
    fn step(&mut self, direction: Direction) -> bool {
        let found = self.position.step_in(self.entries.len(), direction);
        found.is_some_and(|found| self.position.land(found, direction))
    }

    fn seek_ge(&mut self, key: &[u8]) -> bool {
        let at = self.entries.partition_point(|(entry, _)| &entry[..] < key);
        self.position.land((at < self.entries.len()).then_some(at), Direction::Forward)
    }

    fn seek_lt(&mut self, key: &[u8]) -> bool {
        let at = self.entries.partition_point(|(entry, _)| &entry[..] < key);
        self.position.land(at.checked_sub(1), Direction::Backward)
    }
}

fn random_key(random: &SeededEntropy) -> [u8; 1] {
    [b'a' + (random.next_u64() % 12) as u8]
}

fn random_range(random: &SeededEntropy) -> KeyRange {
    let mut keys = [random_key(random), random_key(random)];
    keys.sort_unstable();
    let bound = |key: &[u8; 1]| match random.next_u64() % 3 {
        0 => Bound::Unbounded,
        1 => Bound::Included(*key),
        _ => Bound::Excluded(*key),
    };
    let (start, end) = (bound(&keys[0]), bound(&keys[1]));
    KeyRange::new((start.as_ref().map(|key| &key[..]), end.as_ref().map(|key| &key[..])))
}

/// Makes random moves with both cursors.
fn walk(random: &SeededEntropy, cursor: &mut dyn Cursor, list: &mut ListCursor, seed: u64) {
    for _ in 0..30 {
        let key = random_key(random);
        let (moved, expected) = match random.next_u64() % 8 {
            0 => (cursor.seek_ge(&key).unwrap(), list.seek_ge(&key)),
            1 => (cursor.seek_lt(&key).unwrap(), list.seek_lt(&key)),
            2..=4 => (cursor.next().unwrap(), list.step(Direction::Forward)),
            _ => (cursor.prev().unwrap(), list.step(Direction::Backward)),
        };
        assert_eq!(moved, expected, "seed {seed}");
        if expected {
            let (key, value) = &list.entries[*list.position.entry()];
            assert_eq!(cursor.key(), key, "seed {seed}");
            assert_eq!(cursor.entry().unwrap(), (&key[..], &value[..]), "seed {seed}");
        }
    }
}

#[test]
fn random_walks_answer_as_a_sorted_list() {
    for seed in 0..1_000 {
        let random = SeededEntropy::new(seed);
        let engine = engine();
        let mut entries = BTreeMap::new();
        let mut setup = begin(&engine);
        for _ in 0..random.next_u64() % 8 {
            let key = random_key(&random);
            setup.put(&key, b"stored").unwrap();
            entries.insert(key.to_vec(), b"stored".to_vec());
        }
        setup.commit().unwrap();
        let mut transaction = begin(&engine);
        for _ in 0..random.next_u64() % 8 {
            let key = random_key(&random);
            match random.next_u64() % 5 {
                0 | 1 => {
                    transaction.put(&key, b"own").unwrap();
                    entries.insert(key.to_vec(), b"own".to_vec());
                }
                2 | 3 => {
                    transaction.delete(&key).unwrap();
                    entries.remove(&key[..]);
                }
                _ => transaction.mark(&key).unwrap(),
            }
        }
        // Not in the snapshot.
        let mut other = begin(&engine);
        for _ in 0..3 {
            other.put(&random_key(&random), b"later").unwrap();
            other.delete(&random_key(&random)).unwrap();
        }
        other.commit().unwrap();
        for _ in 0..3 {
            let range = random_range(&random);
            let inside = entries.iter().filter(|(key, _)| range.contains(key));
            let inside = inside.map(|(key, value)| (key.clone(), value.clone())).collect();
            let mut list = ListCursor { entries: inside, position: CursorPosition::Fresh };
            let mut cursor = transaction.scan(range).unwrap();
            walk(&random, cursor.as_mut(), &mut list, seed);
        }
    }
}

#[test]
fn an_inverted_range_is_refused() {
    let engine = engine();
    commit(&engine, &[("a", "1")]);
    let mut transaction = begin(&engine);
    let inverted = || KeyRange::new(&b"b"[..]..&b"a"[..]);
    let is_refused = |transaction: &mvcc::Transaction| {
        matches!(transaction.scan(inverted()), Err(Error::InvalidArgument(_)))
    };
    assert!(is_refused(&transaction));
    transaction.put(b"a", b"2").unwrap();
    assert!(is_refused(&transaction));
}
