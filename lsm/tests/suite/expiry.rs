//! Puts that expire.

use std::time::Duration;

use durable::Clock as _;
use kv::{Durability, KeyRange, Kv, SequenceNumber, Snapshots, UnixMillis, WriteBatch};
use lsm::Lsm;

use crate::compactions::{Model, Numbers};
use crate::world::{STORE, World, entries, fill, key, leveled, newest, rest, strategies};

fn put(engine: &dyn Kv, number: u32, expires_at: u64) {
    let mut batch = WriteBatch::new();
    batch.put_expiring(&key(number), &[1; 100], UnixMillis(expires_at));
    engine.write(&batch, Durability::Buffered).expect("the disk is whole");
}

fn has(engine: &dyn Kv, number: u32) -> bool {
    let found = engine.get(&key(number)).expect("the disk is whole");
    assert!(
        found.as_ref().is_none_or(|value| value.len() == 100),
        "the end is no part of the value"
    );
    found.is_some()
}

/// The numbers of the keys that a walk shows, in both directions.
fn walked(engine: &dyn Kv) -> Vec<u32> {
    let number = |key: &[u8]| u32::from_be_bytes(key.try_into().expect("a number"));
    let mut cursor = engine.scan(KeyRange::all()).expect("the store is open");
    let forward: Vec<u32> = rest(&mut *cursor).iter().map(|(key, _)| number(key)).collect();
    let mut backward = Vec::new();
    while cursor.prev().expect("the disk is whole") {
        let (key, value) = cursor.entry().expect("the disk is whole");
        assert_eq!(value.len(), 100);
        backward.push(number(key));
    }
    backward.reverse();
    assert_eq!(forward, backward);
    forward
}

#[test]
fn a_value_is_there_until_its_end_in_whichever_layer_and_hides_the_one_before() {
    for flushes in [false, true] {
        for compacts in [false, true] {
            let world = World::new();
            let engine = world.open().unwrap();
            fill(&engine, 1..2, 9);
            put(&engine, 1, 1_000);
            put(&engine, 2, 2_000);
            if flushes {
                engine.flush().unwrap();
            }
            if compacts {
                engine.compact_range(&KeyRange::all()).unwrap();
            }
            world.clock.advance(Duration::from_millis(999));
            assert!(has(&engine, 1) && walked(&engine) == [1, 2]);
            world.clock.advance(Duration::from_millis(1));
            assert!(!has(&engine, 1) && has(&engine, 2));
            assert_eq!(walked(&engine), [2]);
            drop(engine);
            let engine = world.open().unwrap();
            assert!(!has(&engine, 1) && has(&engine, 2), "the older put does not come back");
            engine.verify().unwrap();
        }
    }
}

#[test]
fn an_expired_value_is_the_newest_write_of_its_key() {
    let world = World::new();
    let engine = world.open().unwrap();
    put(&engine, 1, 1_000);
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(newest(&engine, &key(1)), Some(SequenceNumber(1)));
}

#[test]
fn a_view_fixes_its_time() {
    for strategy in strategies() {
        let world = World::new();
        let engine = Lsm::open(STORE, world.compacting(strategy)).unwrap();
        put(&engine, 1, 1_000);
        let snapshot = engine.snapshot().unwrap();
        let mut cursor = engine.scan(KeyRange::all()).unwrap();
        world.clock.advance(Duration::from_secs(5));
        assert!(!has(&engine, 1));
        engine.compact_range(&KeyRange::all()).unwrap();
        engine.settle().unwrap();
        assert!(snapshot.get(&key(1)).unwrap().is_some());
        assert!(snapshot.scan(KeyRange::all()).unwrap().next().unwrap());
        assert!(cursor.next().unwrap());
        assert!(engine.snapshot().unwrap().get(&key(1)).unwrap().is_none());
        drop((snapshot, cursor));
        engine.compact_range(&KeyRange::all()).unwrap();
        engine.settle().unwrap();
        assert_eq!(engine.statistics().tables, 0, "nobody needs it any more");
    }
}

/// A read at the very time of expiry finds nothing, so a compaction at that time may drop the entry.
#[test]
fn a_compaction_at_the_very_end_of_a_value_drops_it() {
    let world = World::new();
    let engine = Lsm::open(STORE, world.compacting(leveled())).unwrap();
    put(&engine, 1, 1_000);
    engine.flush().unwrap();
    world.clock.set_now(UnixMillis(999));
    engine.settle().unwrap();
    assert!(has(&engine, 1));
    world.clock.set_now(UnixMillis(1_000));
    assert!(!has(&engine, 1));
    engine.settle().unwrap();
    assert_eq!(engine.statistics().tables, 0);
}

/// The horizon is the time at which a compaction is picked. A snapshot that is taken before or after it, or while the compaction
/// runs, keeps what it sees.
#[test]
fn a_snapshot_on_either_side_of_the_horizon_of_a_compaction_keeps_what_it_sees() {
    for (taken_after, expired_after) in (0..5).flat_map(|step| (0..5).map(move |at| (step, at))) {
        let world = World::new();
        let engine = Lsm::open(STORE, world.compacting(leveled())).unwrap();
        for number in 1..=3 {
            put(&engine, number, 1_000);
            fill(&engine, 5..10, number as u8);
            engine.flush().unwrap();
        }
        let (mut snapshot, mut is_seen) = (None, false);
        for step in 0..5 {
            if step == expired_after {
                world.clock.set_now(UnixMillis(1_000));
            }
            if step == taken_after {
                let taken = engine.snapshot().unwrap();
                is_seen = taken.get(&key(1)).unwrap().is_some();
                assert_eq!(is_seen, taken_after < expired_after);
                snapshot = Some(taken);
            }
            let _ran: bool = world.executor.step();
        }
        world.executor.run_all();
        engine.compact_range(&KeyRange::all()).unwrap();
        let snapshot = snapshot.unwrap();
        for number in 1..=3 {
            assert_eq!(snapshot.get(&key(number)).unwrap().is_some(), is_seen);
            assert!(!has(&engine, number));
        }
        let mut cursor = snapshot.scan(KeyRange::all()).unwrap();
        assert_eq!(rest(&mut *cursor).len(), if is_seen { 8 } else { 5 });
    }
}

#[test]
fn an_expired_put_above_an_older_one_becomes_a_tombstone() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 5..6, 9);
    engine.compact_range(&KeyRange::all()).unwrap();
    put(&engine, 5, 1_000);
    engine.flush().unwrap();
    fill(&engine, 7..8, 9);
    engine.flush().unwrap();
    world.clock.advance(Duration::from_secs(2));
    // Both have been rewritten, with the older one or without.
    engine.compact_range(&KeyRange::all()).unwrap();
    assert!(!has(&engine, 5) && has(&engine, 7));
    assert_eq!(engine.statistics().table_entries, 1);
    drop(engine);
    // A clock that is reset must not bring the older put back, which never expires.
    world.clock.set_now(UnixMillis(0));
    assert!(!has(&world.open().unwrap(), 5));
}

#[test]
fn a_clock_that_goes_back_brings_nothing_back() {
    let world = World::new();
    let engine = world.open().unwrap();
    put(&engine, 1, 1_000);
    put(&engine, 2, 5_000);
    world.clock.advance(Duration::from_secs(2));
    assert!(!has(&engine, 1));
    world.clock.set_now(UnixMillis(500));
    assert!(!has(&engine, 1) && has(&engine, 2));
    assert_eq!(walked(&engine), [2]);
    engine.close().unwrap();
    drop(engine);
    for _ in 0..2 {
        // The time was persisted by the close.
        world.clock.set_now(UnixMillis(0));
        let engine = world.open().unwrap();
        assert!(!has(&engine, 1) && has(&engine, 2));
        engine.close().unwrap();
    }
    // An opening that only reads.
    world.clock.set_now(UnixMillis(5_000));
    let engine = world.open().unwrap();
    assert!(!has(&engine, 2));
    engine.close().unwrap();
    drop(engine);
    world.clock.set_now(UnixMillis(0));
    assert!(!has(&world.open().unwrap(), 2));
}

#[test]
fn tables_in_which_everything_has_expired_go_unread() {
    let world = World::new();
    let engine = Lsm::open(STORE, world.compacting(leveled())).unwrap();
    (0..60).for_each(|number| put(&engine, number, 1_000 + u64::from(number)));
    engine.settle().unwrap();
    let before = engine.statistics();
    assert_eq!(before.table_expiring, 60);
    world.clock.advance(Duration::from_secs(5));
    engine.settle().unwrap();
    let after = engine.statistics();
    assert_eq!(after.tables, 0);
    assert!(after.compaction_drops > before.compaction_drops, "{after:?}");
    assert_eq!(after.compactions, before.compactions, "nothing was merged");
}

#[test]
fn an_expiring_put_that_is_replayed_keeps_its_end() {
    let world = World::new();
    let engine = world.open().unwrap();
    put(&engine, 1, 1_000);
    put(&engine, 2, 2_000);
    drop(engine);
    let engine = world.open().unwrap();
    assert_eq!(walked(&engine), [1, 2]);
    assert_eq!(engine.statistics().table_expiring, 2);
    world.clock.set_now(UnixMillis(1_500));
    assert_eq!(walked(&engine), [2]);
}

#[test]
fn random_histories_with_ends_agree_with_a_map() {
    for (seed, strategy) in (0..45).zip(strategies().into_iter().cycle()) {
        let (world, mut numbers) = (World::new(), Numbers(seed));
        let options = || world.compacting(strategy).memtable_bytes(700).table_bytes(200);
        let mut engine = Lsm::open(STORE, options()).unwrap();
        let mut model: Vec<(Vec<u8>, Vec<u8>, u64)> = Vec::new();
        let shown = |model: &[(Vec<u8>, Vec<u8>, u64)], now: u64| -> Vec<(Vec<u8>, Vec<u8>)> {
            let live = model.iter().filter(|(_, _, end)| *end > now);
            let live: Model = live.map(|(key, value, _)| (key.clone(), value.clone())).collect();
            live.into_iter().collect()
        };
        let mut held = Vec::new();
        for round in 0..250_u64 {
            let key = key(numbers.below(12) as u32).to_vec();
            let value = round.to_le_bytes().repeat(1 + numbers.below(8) as usize);
            let now = world.clock.now().0;
            let mut batch = WriteBatch::new();
            match numbers.below(16) {
                0..6 => {
                    let end = now + numbers.below(300);
                    batch.put_expiring(&key, &value, UnixMillis(end));
                    model.retain(|(other, ..)| *other != key);
                    model.push((key, value, end));
                }
                6..9 => {
                    batch.put(&key, &value);
                    model.retain(|(other, ..)| *other != key);
                    model.push((key, value, u64::MAX));
                }
                9 => {
                    batch.delete(&key);
                    model.retain(|(other, ..)| *other != key);
                }
                10 => {
                    batch.delete_range(KeyRange::new(&key[..]..));
                    model.retain(|(other, ..)| *other < key);
                }
                11 => world.clock.advance(Duration::from_millis(numbers.below(120))),
                12 => engine.flush().unwrap(),
                13 => engine.compact_range(&KeyRange::all()).unwrap(),
                14 => held.push((engine.snapshot().unwrap(), shown(&model, now))),
                _ if numbers.below(5) == 0 => {
                    held.clear();
                    drop(engine);
                    engine = Lsm::open(STORE, options()).unwrap();
                }
                _ => assert_eq!(entries(&engine), shown(&model, now), "seed {seed}"),
            }
            engine.write(&batch, Durability::Buffered).unwrap();
            for _ in 0..numbers.below(4) {
                let _ran: bool = world.executor.step();
            }
            for (snapshot, expected) in &held {
                assert_eq!(rest(&mut *snapshot.scan(KeyRange::all()).unwrap()), *expected);
            }
        }
        engine.verify().unwrap();
        assert_eq!(entries(&engine), shown(&model, world.clock.now().0), "seed {seed}");
    }
}
