//! Versioned reads, as transactions need them, against a list of all writes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use kv::{Cursor, Durability, Error, KeyRange, Kv, SequenceNumber, Snapshot as _, WriteBatch};
use lsm::{Lsm, NewestVersion, Pinned, VersionRead};

use crate::compactions::Numbers;
use crate::world::{STORE, World, entries, fill, filled, key, leveled, rest, strategies};

const KEYS: u32 = 12;

/// In a walk, key n is at place n + 1. The gaps before and behind all keys are at 0 and here.
const END: u32 = KEYS + 1;

/// All writes of every key: the number, and the value unless it is a tombstone.
type Writes = BTreeMap<u32, Vec<(u64, Option<u8>)>>;

fn batch(writes: &mut Writes, number: u64, numbers: &mut Numbers) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for _ in 0..=numbers.below(3) {
        let user = numbers.below(u64::from(KEYS)) as u32;
        let value = (numbers.below(3) > 0).then_some(number as u8);
        match value {
            Some(value) => batch.put(&key(user), &[value; 40]),
            None => batch.delete(&key(user)),
        };
        let versions = writes.entry(user).or_default();
        versions.retain(|(written, _)| *written < number);
        versions.push((number, value));
    }
    batch
}

/// What a look-up of `user` in the state after `at` has to find, tombstones that hide nothing apart.
fn expected(writes: &Writes, user: u32, at: u64) -> (Option<u8>, Option<u64>) {
    let versions = writes.get(&user).map_or(&[][..], |versions| versions);
    let shown = versions.iter().rev().find(|(number, _)| *number <= at);
    let newer = versions.last().map(|(number, _)| *number).filter(|number| *number > at);
    (shown.and_then(|(_, value)| *value), newer)
}

fn check_key(pinned: &Pinned, engine: &Lsm, writes: &Writes, user: u32) {
    let at = pinned.sequence();
    let (value, newer) = expected(writes, user, at.0);
    let mut found = None;
    let read = pinned.get_at(&key(user), &mut |value| found = Some(value[0])).unwrap();
    assert_eq!((found, read.is_found), (value, value.is_some()), "key {user} at {at}");
    assert!(read.version.is_none_or(|version| version <= at));
    assert_eq!(read.newest.filter(|newest| *newest > at).map(|newest| newest.0), newer);
    let newest = engine.newest_version(&key(user), at).unwrap();
    assert_eq!(newest.map(|newest| newest.sequence.0), newer, "key {user} above {at}");
    let is_deleted = newer.is_some() && expected(writes, user, u64::MAX).0.is_none();
    assert_eq!(newest.is_some_and(|newest| newest.is_tombstone), is_deleted);
}

/// Steps a cursor at random, and checks which keys each move shows and names.
fn check_walk(pinned: &Pinned, writes: &Writes, numbers: &mut Numbers) {
    let at = pinned.sequence().0;
    let named = Arc::new(Mutex::new(Vec::new()));
    let names = Arc::clone(&named);
    let see = move |key: &[u8], newest: SequenceNumber| {
        let user = u32::from_be_bytes(key.try_into().expect("a key of the test"));
        names.lock().expect("no thread has panicked").push((user, newest.0));
    };
    let mut cursor = pinned.scan_at(&KeyRange::all(), Some(Box::new(see))).unwrap();
    let mut place = None;
    for _ in 0..20 {
        let is_forward = numbers.below(2) == 0;
        let sought = (numbers.below(5) == 0).then(|| numbers.below(u64::from(KEYS)) as u32);
        let seek_from = sought.map(|user| if is_forward { user } else { user + 1 });
        let fresh = if is_forward { 0 } else { END };
        let (mut to, mut passed) = (seek_from.or(place).unwrap_or(fresh), Vec::new());
        let mut shown = None;
        while shown.is_none() && to != if is_forward { END } else { 0 } {
            to = if is_forward { to + 1 } else { to - 1 };
            if to == 0 || to == END {
                break;
            }
            let (value, newer) = expected(writes, to - 1, at);
            passed.extend(newer.map(|newer| (to - 1, newer)));
            shown = value;
        }
        let moved = match (sought, is_forward) {
            (Some(sought), true) => cursor.seek_ge(&key(sought)),
            (Some(sought), false) => cursor.seek_lt(&key(sought)),
            (None, true) => cursor.next(),
            (None, false) => cursor.prev(),
        };
        assert_eq!(moved.unwrap(), shown.is_some());
        if let Some(shown) = shown {
            assert_eq!(cursor.key(), key(to - 1));
            assert_eq!(cursor.value().unwrap(), [shown; 40]);
        }
        assert_eq!(std::mem::take(&mut *named.lock().unwrap()), passed, "a move to {to}");
        place = Some(to);
    }
}

#[test]
fn versioned_reads_find_what_a_list_of_all_writes_has_through_flushes_and_compactions() {
    for (seed, strategy) in strategies().into_iter().cycle().take(9).enumerate() {
        let world = World::new();
        let engine = Lsm::open(STORE, world.compacting(strategy)).unwrap();
        let (mut writes, mut numbers) = (Writes::new(), Numbers(seed as u64 + 1));
        let mut pins: Vec<Pinned> = vec![engine.pin_newest().unwrap()];
        for number in 1..=150 {
            let batch = batch(&mut writes, number, &mut numbers);
            assert_eq!(engine.write(&batch, Durability::Buffered).unwrap().0, number);
            match numbers.below(12) {
                0 => pins.push(engine.pin_newest().unwrap()),
                1 => drop(pins.swap_remove(numbers.below(pins.len() as u64) as usize)),
                2 => engine.flush().unwrap(),
                3 => engine.compact_range(&KeyRange::all()).unwrap(),
                4 => world.executor.run_all(),
                _ => {}
            }
            if pins.is_empty() {
                pins.push(engine.pin_newest().unwrap());
            }
            let pinned = &pins[numbers.below(pins.len() as u64) as usize];
            (0..KEYS).for_each(|user| check_key(pinned, &engine, &writes, user));
            check_walk(pinned, &writes, &mut numbers);
        }
        engine.verify().unwrap();
    }
}

#[test]
fn states_are_retained_from_a_number_on_and_given_up_below_it() {
    for strategy in strategies() {
        let world = World::new();
        let engine = Lsm::open(STORE, world.compacting(strategy)).unwrap();
        engine.retain_from(SequenceNumber(0));
        for round in 1..=6 {
            fill(&engine, 0..3, round);
        }
        engine.compact_range(&KeyRange::all()).unwrap();
        assert_eq!(engine.statistics().table_entries, 18, "every version is kept");
        for round in 1..=6_u8 {
            let pinned = engine.pin_at(SequenceNumber(u64::from(round) * 3)).unwrap();
            assert_eq!(rest(&mut *pinned.scan(KeyRange::all()).unwrap()), filled(0..3, round));
        }
        engine.retain_from(SequenceNumber(12));
        engine.retain_from(SequenceNumber(3));
        fill(&engine, 0..3, 7);
        engine.compact_range(&KeyRange::all()).unwrap();
        let at = |number| engine.pin_at(SequenceNumber(number));
        assert!(matches!(at(11), Err(Error::SnapshotTooOld)), "a lower number changes nothing");
        assert_eq!(rest(&mut *at(12).unwrap().scan(KeyRange::all()).unwrap()), filled(0..3, 4));
        assert_eq!(engine.statistics().table_entries, 12, "{strategy:?}");
        drop(engine);
        let engine = Lsm::open(STORE, world.compacting(strategy)).unwrap();
        engine.retain_from(SequenceNumber(2));
        assert!(engine.pin_at(SequenceNumber(12)).is_ok(), "nothing was dropped since");
        let gone = engine.pin_at(SequenceNumber(11));
        assert!(matches!(gone, Err(Error::SnapshotTooOld)), "no call brings back what has gone");
    }
}

#[test]
fn a_tombstone_that_hides_nothing_stays_while_an_older_state_is_pinned() {
    let world = World::new();
    let engine = Lsm::open(STORE, world.compacting(leveled())).unwrap();
    fill(&engine, 0..1, 1);
    let pinned = engine.pin_newest().unwrap();
    fill(&engine, 5..6, 1);
    let deleted = engine.delete(&key(5), Durability::Buffered).unwrap();
    engine.compact_range(&KeyRange::all()).unwrap();
    let newest = || engine.newest_version(&key(5), pinned.sequence()).unwrap();
    assert_eq!(newest(), Some(NewestVersion { sequence: deleted, is_tombstone: true }));
    let read = pinned.get_at(&key(5), &mut |_| unreachable!("it was put later")).unwrap();
    assert_eq!(read, VersionRead { is_found: false, version: None, newest: Some(deleted) });
    pinned.revoke();
    engine.compact_range(&KeyRange::all()).unwrap();
    assert_eq!(newest(), None, "nobody needs it any more");
}

#[test]
fn a_revoked_state_is_too_old_and_its_cursors_go_on() {
    let world = World::new();
    let engine = Lsm::open(STORE, world.compacting(leveled())).unwrap();
    fill(&engine, 0..10, 1);
    let pinned = engine.pin_newest().unwrap();
    let mut cursor = pinned.scan_at(&KeyRange::all(), None).unwrap();
    fill(&engine, 0..10, 2);
    assert_eq!(engine.statistics().snapshots, 1);
    pinned.revoke();
    pinned.revoke();
    assert!(pinned.is_revoked());
    assert_eq!(engine.statistics().snapshots, 0);
    engine.compact_range(&KeyRange::all()).unwrap();
    assert_eq!(engine.statistics().table_entries, 10, "its versions have gone");
    let too_old = |error: Option<Error>| matches!(error, Some(Error::SnapshotTooOld));
    assert!(too_old(pinned.get(&key(1)).err()));
    assert!(too_old(pinned.get_at(&key(1), &mut |_| ()).err()));
    assert!(too_old(pinned.scan(KeyRange::all()).err()));
    assert_eq!(rest(&mut *cursor), filled(0..10, 1));
    drop(pinned);
    assert_eq!(engine.statistics().snapshots, 0, "it was released once");
    assert_eq!(entries(&engine), filled(0..10, 2));
}

/// More versions of a key than a walk passes without a seek.
#[test]
fn a_key_with_many_newer_versions_is_named_once_with_the_newest() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..3, 1);
    let pinned = engine.pin_newest().unwrap();
    for round in 2..40 {
        fill(&engine, 1..2, round);
        fill(&engine, 3..4, round);
    }
    let newest = engine.newest_sequence().0;
    let walk = |step: fn(&mut dyn Cursor) -> kv::Result<bool>| {
        let named = Arc::new(Mutex::new(Vec::new()));
        let names = Arc::clone(&named);
        let see = Box::new(move |key: &[u8], number: SequenceNumber| {
            names.lock().expect("no thread has panicked").push((key.to_vec(), number.0));
        });
        let mut cursor = pinned.scan_at(&KeyRange::all(), Some(see)).unwrap();
        let mut shown = 0;
        while step(&mut *cursor).unwrap() {
            shown += 1;
        }
        assert_eq!(shown, 3);
        drop(cursor);
        Arc::into_inner(named).unwrap().into_inner().unwrap()
    };
    let (one, three) = ((key(1).to_vec(), newest - 1), (key(3).to_vec(), newest));
    assert_eq!(walk(|cursor| cursor.next()), [one.clone(), three.clone()]);
    assert_eq!(walk(|cursor| cursor.prev()), [three, one]);
}
