//! Every adapter answers as the engine in memory does.

use std::ops::Bound;

use kv::memory::MemoryEngine;
use kv::{Cursor, Durability, Error, KeyRange, Kv, WriteBatch};
use tempfile::TempDir;

use super::super::{EngineConfig, Registration};
use super::all;
use crate::random::Random;

/// The peer whose scans see writes that happen meanwhile; its registration says so.
const NOT_FROZEN: &str = "peer:sled";
/// Entries of a store: more than the first stretches of a cursor.
const ENTRIES: u64 = 300;

fn open(peer: Registration) -> (TempDir, Box<dyn Kv>) {
    let directory = tempfile::tempdir().unwrap();
    let durability = peer.effective_durability(Durability::Buffered);
    let config = EngineConfig {
        memory_budget_bytes: 8 << 20,
        durability,
        value_bytes: 100,
        limit_memory_bytes: None,
    };
    let engine = (peer.open)(directory.path(), config).unwrap();
    (directory, engine)
}

fn fill(engine: &dyn Kv) {
    let mut batch = WriteBatch::new();
    for number in 0..ENTRIES {
        batch.put(&key(number * 2), &number.to_le_bytes());
    }
    engine.write(&batch, Durability::None).unwrap();
}

/// Even numbers are there, odd ones are between them.
fn key(number: u64) -> Vec<u8> {
    format!("key {number:05}").into_bytes()
}

fn some_key(random: &mut Random) -> Vec<u8> {
    key(random.below(ENTRIES * 2 + 2))
}

fn some_range(random: &mut Random) -> KeyRange {
    let (mut start, mut end) = (some_key(random), some_key(random));
    if start > end {
        std::mem::swap(&mut start, &mut end);
    }
    let mut some_bound = |key| match random.below(3) {
        0 => Bound::Included(key),
        1 => Bound::Excluded(key),
        _ => Bound::Unbounded,
    };
    KeyRange::new((some_bound(&start[..]), some_bound(&end[..])))
}

#[derive(Clone, Debug)]
enum Move {
    Next(u64),
    Prev(u64),
    SeekGe(Vec<u8>),
    SeekLt(Vec<u8>),
}

fn some_move(random: &mut Random) -> Move {
    match random.below(4) {
        0 => Move::Next(1 + random.below(50)),
        1 => Move::Prev(1 + random.below(50)),
        2 => Move::SeekGe(some_key(random)),
        _ => Move::SeekLt(some_key(random)),
    }
}

/// Moves the cursor and returns the entry it stands on.
fn go(cursor: &mut dyn Cursor, step: &Move) -> Option<(Vec<u8>, Vec<u8>)> {
    let is_on_entry = match step {
        Move::Next(times) => (0..*times).map(|_| cursor.next().unwrap()).last(),
        Move::Prev(times) => (0..*times).map(|_| cursor.prev().unwrap()).last(),
        Move::SeekGe(key) => Some(cursor.seek_ge(key).unwrap()),
        Move::SeekLt(key) => Some(cursor.seek_lt(key).unwrap()),
    };
    (is_on_entry == Some(true)).then(|| {
        let (key, value) = cursor.entry().unwrap();
        (key.to_vec(), value.to_vec())
    })
}

#[test]
fn a_cursor_of_a_peer_goes_where_that_of_the_oracle_goes() {
    let oracle = MemoryEngine::new();
    fill(&oracle);
    for peer in all() {
        let (_directory, engine) = open(peer);
        fill(engine.as_ref());
        let mut random = Random::new(7, &[]);
        for _ in 0..60 {
            let range = some_range(&mut random);
            let mut cursor = engine.scan(range.clone()).unwrap();
            let mut right = oracle.scan(range.clone()).unwrap();
            for _ in 0..60 {
                let step = some_move(&mut random);
                let (found, expected) = (go(cursor.as_mut(), &step), go(right.as_mut(), &step));
                assert_eq!(found, expected, "{} in {range:?}: {step:?}", peer.name);
            }
        }
    }
}

#[test]
fn a_scan_of_a_peer_is_frozen_where_its_registration_does_not_deny_it() {
    for peer in all().into_iter().filter(|peer| peer.name != NOT_FROZEN) {
        let (_directory, engine) = open(peer);
        fill(engine.as_ref());
        let mut cursor = engine.scan(KeyRange::all()).unwrap();
        engine.delete(&key(0), Durability::None).unwrap();
        engine.put(&key(2), b"new", Durability::None).unwrap();
        engine.put(&key(3), b"new", Durability::None).unwrap();
        for number in 0..ENTRIES {
            assert!(cursor.next().unwrap(), "{}", peer.name);
            let found = cursor.entry().unwrap();
            assert_eq!(found, (&key(number * 2)[..], &number.to_le_bytes()[..]), "{}", peer.name);
        }
        assert!(!cursor.next().unwrap(), "{}", peer.name);
        assert_eq!(engine.get(&key(2)).unwrap().as_deref(), Some(&b"new"[..]), "{}", peer.name);
    }
}

#[test]
fn a_read_of_a_peer_sees_every_write_that_was_acknowledged_before_it() {
    for peer in all() {
        let (_directory, engine) = open(peer);
        for round in 0_u32..20 {
            engine.put(b"a", &round.to_le_bytes(), Durability::None).unwrap();
            let read = || engine.get(b"a").unwrap().unwrap().to_vec();
            // The first read after a write, later ones on this thread, and one on another.
            let reads =
                [read(), read(), read(), std::thread::scope(|s| s.spawn(read).join().unwrap())];
            assert!(reads.iter().all(|read| *read == round.to_le_bytes()), "{}", peer.name);
        }
        engine.delete(b"a", Durability::None).unwrap();
        assert_eq!(engine.get(b"a").unwrap(), None, "{}", peer.name);
    }
}

#[test]
fn what_a_peer_lacks_is_refused_before_anything_is_written() {
    for peer in all() {
        let (_directory, engine) = open(peer);
        let write = |batch: &mut WriteBatch| engine.write(batch, Durability::None);
        let ranges = write(WriteBatch::new().put(b"a", b"1").delete_range(KeyRange::all()));
        assert!(matches!(ranges, Err(Error::Unsupported(_))), "{}", peer.name);
        let expiring =
            write(WriteBatch::new().put(b"a", b"1").put_expiring(b"b", b"", kv::UnixMillis(1)));
        assert!(matches!(expiring, Err(Error::Unsupported(_))), "{}", peer.name);
        let long = vec![b'k'; kv::MAX_KEY_LEN + 1];
        let long = write(WriteBatch::new().put(b"a", b"1").put(&long, b""));
        assert!(matches!(long, Err(Error::InvalidArgument(_))), "{}", peer.name);
        match write(WriteBatch::new().put(b"a", b"1").put(b"", b"empty")) {
            Ok(_) => assert_eq!(engine.get(b"").unwrap().as_deref(), Some(&b"empty"[..])),
            Err(Error::Unsupported(_)) => assert_eq!(engine.get(b"").unwrap(), None),
            Err(error) => panic!("{}: {error}", peer.name),
        }
    }
}

#[test]
fn a_closed_peer_refuses_calls() {
    for peer in all() {
        let (_directory, engine) = open(peer);
        fill(engine.as_ref());
        engine.close().unwrap();
        let calls = [
            engine.get(b"a").map(drop),
            engine.put(b"a", b"", Durability::None).map(drop),
            engine.scan(KeyRange::all()).map(drop),
            engine.sync(),
        ];
        for call in calls {
            assert!(matches!(call, Err(Error::Closed)), "{}", peer.name);
        }
        engine.close().unwrap();
    }
}
