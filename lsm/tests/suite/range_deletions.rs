//! Ranges are deleted: in every layer, for walks in both directions, for snapshots, through compactions and openings.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use durable::{Inject, OpKind, Plan};
use kv::{
    Cursor, Durability, Error, KeyRange, Kv, SequenceNumber, Snapshot, Snapshots, WriteBatch,
};
use lsm::{Lsm, ReadMode, ReadOptions};

use crate::compactions::{Model, Numbers, assert_no_orphan, shown};
use crate::world::{
    STORE, World, entries, fill, filled, key, leveled, newest, rest, size_tiered, strategies,
};

/// The keys from number `from` on and before number `to`.
fn range(from: u32, to: u32) -> KeyRange {
    KeyRange::new(&key(from)[..]..&key(to)[..])
}

fn delete_range(engine: &Lsm, range: KeyRange) -> SequenceNumber {
    let mut batch = WriteBatch::new();
    batch.delete_range(range);
    engine.write(&batch, Durability::Buffered).expect("the disk is whole")
}

/// Every entry, read backward.
fn backward(cursor: &mut dyn Cursor) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    while cursor.prev().expect("the disk is whole") {
        let (key, value) = cursor.entry().expect("the disk is whole");
        entries.push((key.to_vec(), value.to_vec()));
    }
    entries.reverse();
    entries
}

/// Look-ups and walks in both directions show `expected`, and no other key below 100.
fn assert_shows(engine: &Lsm, expected: &[(Vec<u8>, Vec<u8>)]) {
    assert_eq!(entries(engine), expected);
    let mut cursor = engine.scan(KeyRange::all()).expect("the store is open");
    assert_eq!(backward(&mut *cursor), expected);
    for number in 0..100 {
        let found = engine.get(&key(number)).expect("the disk is whole");
        let expected = expected.iter().find(|(other, _)| **other == key(number));
        assert_eq!(found.as_deref(), expected.map(|(_, value)| &value[..]), "{number}");
    }
    engine.verify().expect("the store is sound");
}

/// What happens to a write before the next one.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It stays in the active memtable.
    Active,
    /// It is in a table of level 0.
    Flushed,
    /// It is in the last run.
    Compacted,
}

impl Fate {
    fn befall(self, engine: &Lsm) {
        match self {
            Self::Active => {}
            Self::Flushed => engine.flush().expect("the disk is whole"),
            Self::Compacted => engine.compact_range(&KeyRange::all()).expect("the disk is whole"),
        }
    }
}

#[test]
fn a_deleted_range_is_gone_in_whichever_layers_it_and_its_entries_are() {
    let fates = [Fate::Active, Fate::Flushed, Fate::Compacted];
    for of_entries in fates {
        for of_range in fates {
            for of_later in fates {
                let world = World::new();
                let engine = world.open().unwrap();
                fill(&engine, 0..15, 1);
                of_entries.befall(&engine);
                delete_range(&engine, range(4, 12));
                of_range.befall(&engine);
                fill(&engine, 7..9, 2);
                of_later.befall(&engine);
                let expected = [filled(0..4, 1), filled(7..9, 2), filled(12..15, 1)].concat();
                assert_shows(&engine, &expected);
                engine.compact_range(&KeyRange::all()).unwrap();
                assert_shows(&engine, &expected);
                let statistics = engine.statistics();
                assert_eq!(statistics.table_range_fragments, 0, "nothing older is left");
                assert_eq!(statistics.table_entries, expected.len() as u64);
            }
        }
    }
}

#[test]
fn a_range_tombstone_in_a_sealed_memtable_counts() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..5, 1);
    delete_range(&engine, range(1, 3));
    // No job runs, so the memtables wait for their flush.
    fill(&engine, 5..15, 1);
    assert!(engine.statistics().sealed_memtables > 0);
    assert_shows(&engine, &[filled(0..1, 1), filled(3..15, 1)].concat());
}

#[test]
fn a_snapshot_sees_what_is_deleted_later() {
    for strategy in strategies() {
        let world = World::new();
        let engine = Lsm::open(STORE, world.compacting(strategy)).unwrap();
        fill(&engine, 0..30, 1);
        let before = engine.snapshot().unwrap();
        delete_range(&engine, range(5, 25));
        let after = engine.snapshot().unwrap();
        fill(&engine, 10..15, 2);
        let check = |snapshot: &dyn Snapshot, expected: &[(Vec<u8>, Vec<u8>)]| {
            assert_eq!(rest(&mut *snapshot.scan(KeyRange::all()).unwrap()), expected);
            assert_eq!(backward(&mut *snapshot.scan(KeyRange::all()).unwrap()), expected);
            let found = snapshot.get(&key(7)).unwrap().is_some();
            assert_eq!(found, expected.iter().any(|(found, _)| **found == key(7)));
        };
        for round in 0..3 {
            check(&*before, &filled(0..30, 1));
            check(&*after, &[filled(0..5, 1), filled(25..30, 1)].concat());
            if round == 0 {
                engine.settle().unwrap();
            } else {
                engine.compact_range(&KeyRange::all()).unwrap();
            }
        }
        assert!(engine.statistics().table_range_fragments > 0, "the first snapshot needs both");
        drop((before, after));
        engine.settle().unwrap();
        engine.compact_range(&KeyRange::all()).unwrap();
        assert_eq!(engine.statistics().table_range_fragments, 0);
        assert_shows(&engine, &[filled(0..5, 1), filled(10..15, 2), filled(25..30, 1)].concat());
    }
}

#[test]
fn deleted_ranges_stay_deleted_over_kills_and_closes() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..20, 1);
    engine.flush().unwrap();
    delete_range(&engine, range(3, 6));
    delete_range(&engine, KeyRange::new((Bound::Included(&key(15)[..]), Bound::Unbounded)));
    engine.put(&key(17), &[2; 100], Durability::Buffered).unwrap();
    let expected = [filled(0..3, 1), filled(6..15, 1), filled(17..18, 2)].concat();
    drop(engine);
    let engine = world.open().unwrap();
    assert_eq!(engine.statistics().table_range_fragments, 2, "replayed and flushed");
    assert_shows(&engine, &expected);
    engine.close().unwrap();
    drop(engine);
    assert_shows(&world.open().unwrap(), &expected);
    let cut = world.after_power_cut();
    assert_shows(&cut.open().unwrap(), &expected);
}

#[test]
fn an_inverted_range_is_refused_and_an_empty_one_deletes_nothing() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..3, 1);
    let mut inverted = WriteBatch::new();
    inverted.put(b"a", b"1").delete_range(range(2, 1));
    let refused = engine.write(&inverted, Durability::Buffered).unwrap_err();
    assert!(matches!(refused, Error::InvalidArgument(_)), "{refused}");
    assert_eq!(engine.newest_sequence(), SequenceNumber(3));
    engine.flush().unwrap();
    // It is a batch, and has a number.
    let (a, b) = (key(1), key(2));
    let between = (Bound::Excluded(&a[..]), Bound::Excluded(&b[..]));
    assert_eq!(delete_range(&engine, range(1, 1)), SequenceNumber(4));
    assert_eq!(delete_range(&engine, KeyRange::new(between)), SequenceNumber(5));
    drop(engine);
    let engine = world.open().unwrap();
    assert_eq!(engine.newest_sequence(), SequenceNumber(5));
    assert_shows(&engine, &filled(0..3, 1));
    assert_eq!(delete_range(&engine, range(2, 2)), SequenceNumber(6));
    engine.flush().unwrap();
    engine.close().unwrap();
    let engine = world.open().unwrap();
    assert_eq!(engine.newest_sequence(), SequenceNumber(6));
    assert_shows(&engine, &filled(0..3, 1));
}

#[test]
fn the_puts_of_a_batch_stay_and_those_before_them_go() {
    for flushes in [false, true] {
        let world = World::new();
        let engine = world.open().unwrap();
        fill(&engine, 0..5, 1);
        let mut batch = WriteBatch::new();
        batch.put(&key(1), &[2; 100]).delete_range(range(0, 4)).put(&key(2), &[3; 100]);
        engine.write(&batch, Durability::Buffered).unwrap();
        if flushes {
            engine.flush().unwrap();
        }
        assert_shows(&engine, &[filled(2..3, 3), filled(4..5, 1)].concat());
        engine.compact_range(&KeyRange::all()).unwrap();
        assert_shows(&engine, &[filled(2..3, 3), filled(4..5, 1)].concat());
    }
}

#[test]
fn adjacent_and_nested_ranges_delete_what_one_of_them_deletes() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..20, 1);
    delete_range(&engine, range(2, 4));
    delete_range(&engine, range(4, 6));
    delete_range(&engine, range(9, 18));
    fill(&engine, 12..14, 2);
    delete_range(&engine, range(10, 13));
    let mut several = WriteBatch::new();
    several.delete_range(range(0, 1)).delete_range(range(15, 20)).delete_range(range(16, 17));
    engine.write(&several, Durability::Buffered).unwrap();
    let expected = [filled(1..2, 1), filled(6..9, 1), filled(13..14, 2)].concat();
    assert_shows(&engine, &expected);
    engine.flush().unwrap();
    assert_shows(&engine, &expected);
    engine.compact_range(&range(5, 11)).unwrap();
    assert_shows(&engine, &expected);
}

#[test]
fn the_newest_write_of_a_key_in_a_deleted_range_is_the_deletion() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..3, 1);
    let deleted = delete_range(&engine, range(1, 9));
    for _ in 0..2 {
        assert_eq!(newest(&engine, &key(0)), Some(SequenceNumber(1)));
        assert_eq!(newest(&engine, &key(2)), Some(deleted));
        assert_eq!(newest(&engine, &key(8)), Some(deleted), "never put");
        assert_eq!(newest(&engine, &key(9)), None);
        engine.flush().unwrap();
    }
}

#[test]
fn a_table_can_have_nothing_but_range_tombstones() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..10, 1);
    engine.flush().unwrap();
    delete_range(&engine, range(2, 4));
    engine.flush().unwrap();
    delete_range(&engine, KeyRange::new((Bound::Included(&key(8)[..]), Bound::Unbounded)));
    engine.flush().unwrap();
    let expected = [filled(0..2, 1), filled(4..8, 1)].concat();
    let statistics = engine.statistics();
    assert_eq!((statistics.table_entries, statistics.table_range_fragments), (10, 2));
    assert_shows(&engine, &expected);
    drop(engine);
    let engine = world.open().unwrap();
    assert_shows(&engine, &expected);
    // Nothing is left of a store whose keys are all deleted.
    delete_range(&engine, KeyRange::all());
    engine.compact_range(&KeyRange::all()).unwrap();
    assert_eq!(engine.statistics().tables, 0);
    assert_shows(&engine, &[]);
}

#[test]
fn thousands_of_ranges_are_deleted_by_one_batch_and_by_one_each() {
    let world = World::new();
    let engine = Lsm::open(STORE, world.options().memtable_bytes(8 << 20)).unwrap();
    let count = 6_000;
    fill(&engine, 0..3 * count, 1);
    let mut batch = WriteBatch::new();
    for number in 0..count {
        batch.delete_range(range(3 * number, 3 * number + 1));
    }
    engine.write(&batch, Durability::Buffered).unwrap();
    for number in 0..count {
        delete_range(&engine, range(3 * number + 1, 3 * number + 2));
    }
    let is_left = |(key, _): &(Vec<u8>, Vec<u8>)| {
        u32::from_be_bytes(key[..].try_into().expect("a number")) % 3 == 2
    };
    let left: Vec<_> = filled(0..3 * count, 1).into_iter().filter(is_left).collect();
    let sealed = engine.statistics().sealed_memtables;
    assert!(sealed > 0, "a memtable with many range tombstones is sealed");
    for _ in 0..2 {
        assert_eq!(entries(&engine), left);
        assert_eq!(backward(&mut *engine.scan(KeyRange::all()).unwrap()), left);
        engine.compact_range(&KeyRange::all()).unwrap();
    }
    assert_eq!(engine.statistics().table_range_fragments, 0);
    assert_eq!(engine.statistics().range_deletes, 2 * u64::from(count));
}

/// Each of the ranges of the batch would have all the numbers of the earlier ones.
#[test]
fn many_ranges_on_top_of_many_that_overlap_go_into_a_memtable_of_their_own() {
    for reopens in [false, true] {
        let world = World::new();
        let mut engine = Lsm::open(STORE, world.options().memtable_bytes(8 << 20)).unwrap();
        fill(&engine, 0..400, 1);
        for _ in 0..200 {
            delete_range(&engine, range(0, 300));
        }
        assert_eq!(engine.statistics().sealed_memtables, 0);
        let mut batch = WriteBatch::new();
        for number in 0..200 {
            batch.delete_range(range(2 * number, 2 * number + 1));
        }
        engine.write(&batch, Durability::Buffered).unwrap();
        if reopens {
            drop(engine);
            engine = Lsm::open(STORE, world.options().memtable_bytes(8 << 20)).unwrap();
        }
        let statistics = engine.statistics();
        let memtables = if reopens { statistics.runs } else { 1 + statistics.sealed_memtables };
        assert_eq!(memtables, 2, "{statistics:?}");
        let left: Vec<_> =
            (150..200).flat_map(|half| filled(2 * half + 1..2 * half + 2, 1)).collect();
        for _ in 0..2 {
            assert_eq!(entries(&engine), left);
            engine.compact_range(&KeyRange::all()).unwrap();
        }
        assert_eq!(engine.statistics().table_range_fragments, 0);
    }
}

/// How many calls read tables while a walk passes a deleted range of 4,000 keys in the last run.
fn reads_of_a_walk(deletes: bool, is_backward: bool) -> u64 {
    let world = World::new();
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let reads = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&reads);
    inject.on_call(Arc::new(move |call| {
        counted.fetch_add(u64::from(call.kind == OpKind::Read), Ordering::Relaxed);
    }));
    let read = ReadOptions { mode: ReadMode::Positional, ..ReadOptions::default() };
    let mut options = world.options().memtable_bytes(8 << 20).read(read);
    options.env.fs = Arc::new(inject);
    let engine = Lsm::open(STORE, options).expect("the disk is whole");
    fill(&engine, 0..4_000, 1);
    engine.compact_range(&KeyRange::all()).expect("the disk is whole");
    if deletes {
        delete_range(&engine, range(1, 3_999));
        // Beside the range tombstone, and later: the range is deleted in older places all the same.
        fill(&engine, 2_000..2_001, 2);
    }
    let before = reads.load(Ordering::Relaxed);
    let mut cursor = engine.scan(KeyRange::all()).expect("the store is open");
    let found = if is_backward { backward(&mut *cursor) } else { rest(&mut *cursor) };
    assert_eq!(found.len(), if deletes { 3 } else { 4_000 });
    reads.load(Ordering::Relaxed) - before
}

#[test]
fn a_walk_passes_a_deleted_range_without_reading_it() {
    for is_backward in [false, true] {
        let (whole, passed) =
            (reads_of_a_walk(false, is_backward), reads_of_a_walk(true, is_backward));
        assert!(passed < 20 && passed * 5 < whole, "{passed} reads, and {whole} without");
    }
}

#[test]
fn files_that_a_range_tombstone_covers_go_without_being_read() {
    for strategy in [leveled(), size_tiered()] {
        let world = World::new();
        let engine = Lsm::open(STORE, world.compacting(strategy)).unwrap();
        fill(&engine, 0..200, 1);
        engine.settle().unwrap();
        let before = engine.statistics();
        assert!(before.tables > 20);
        delete_range(&engine, range(0, 200));
        engine.settle().unwrap();
        let after = engine.statistics();
        assert_eq!(after.tables, 0, "{strategy:?}");
        assert!(after.compaction_drops >= 20, "{after:?}");
        let read = |stats: &lsm::LsmStats| -> u64 {
            stats.levels.iter().map(|level| level.read_bytes).sum()
        };
        assert!(read(&after) - read(&before) < before.table_bytes / 4, "{strategy:?}");
        assert_shows(&engine, &[]);
        world.executor.run_all();
        assert_no_orphan(&world, &engine);
    }
}

/// The newest batch of the files that go is number 200 at most, and the range tombstone has number 208. In the states in between
/// their entries are there. The range tombstone stays where it is, because it covers a part of other files, and nothing else
/// raises the floor.
#[test]
fn an_unread_drop_raises_the_history_floor_to_the_range_tombstone() {
    let world = World::new();
    let engine = Lsm::open(STORE, world.compacting(leveled())).unwrap();
    fill(&engine, 0..200, 1);
    engine.settle().unwrap();
    let between = engine.put(&key(500), &[1; 100], Durability::Buffered).unwrap();
    fill(&engine, 501..507, 1);
    let deleted = delete_range(&engine, range(3, 197));
    let before = engine.statistics();
    engine.flush().unwrap();
    world.executor.run_all();
    let after = engine.statistics();
    assert!(after.compaction_drops > before.compaction_drops, "files went unread");
    assert_eq!(after.compactions, before.compactions, "and nothing was merged");
    assert!(matches!(engine.pin_at(between), Err(Error::SnapshotTooOld)));
    assert_eq!(deleted, SequenceNumber(208));
    assert!(engine.pin_at(deleted).is_ok());
}

#[test]
fn files_that_a_snapshot_reads_are_not_dropped() {
    let world = World::new();
    let engine = Lsm::open(STORE, world.compacting(leveled())).unwrap();
    fill(&engine, 0..100, 1);
    engine.settle().unwrap();
    let snapshot = engine.snapshot().unwrap();
    delete_range(&engine, range(0, 100));
    engine.settle().unwrap();
    assert_eq!(engine.statistics().compaction_drops, 0);
    assert_eq!(rest(&mut *snapshot.scan(KeyRange::all()).unwrap()), filled(0..100, 1));
    drop(snapshot);
    engine.settle().unwrap();
    engine.compact_range(&KeyRange::all()).unwrap();
    assert_eq!(engine.statistics().tables, 0);
}

/// Keys of which some are prefixes of others.
fn key_of(number: u64) -> Vec<u8> {
    let byte = (number % 5) as u8;
    vec![byte; 1 + (number / 5) as usize % 4]
}

/// A range with random ends.
fn random_range(numbers: &mut Numbers) -> KeyRange {
    let (one, other) = (key_of(numbers.below(20)), key_of(numbers.below(20)));
    let (start, end) = (one.clone().min(other.clone()), one.max(other));
    match numbers.below(6) {
        0 => KeyRange::new((Bound::Excluded(&start[..]), Bound::Included(&end[..]))),
        1 => KeyRange::new((Bound::Unbounded, Bound::Excluded(&end[..]))),
        2 => KeyRange::new((Bound::Included(&start[..]), Bound::Unbounded)),
        _ => KeyRange::new((Bound::Included(&start[..]), Bound::Excluded(&end[..]))),
    }
}

/// A cursor turns around at random, and agrees with `expected` at each step.
fn walk(cursor: &mut dyn Cursor, expected: &[(Vec<u8>, Vec<u8>)], numbers: &mut Numbers) {
    // The entries before the gap in which the cursor is, or that it is on.
    let (mut gap, mut is_on) = (0, false);
    for _ in 0..40 {
        let sought = key_of(numbers.below(20));
        let least = expected.partition_point(|(key, _)| *key < sought);
        let (found, next, is_forward) = match numbers.below(6) {
            0 => (cursor.seek_ge(&sought), Some(least), true),
            1 => (cursor.seek_lt(&sought), least.checked_sub(1), false),
            2 | 3 => (cursor.next(), Some(gap + usize::from(is_on)), true),
            _ if !is_on && gap == 0 => continue,
            _ => (cursor.prev(), gap.checked_sub(1), false),
        };
        let next = next.filter(|at| *at < expected.len());
        assert_eq!(found.unwrap(), next.is_some(), "{expected:?}");
        is_on = next.is_some();
        gap = next.unwrap_or(if is_forward { expected.len() } else { 0 });
        if is_on {
            let (key, value) = &expected[gap];
            assert_eq!(cursor.entry().unwrap(), (&key[..], &value[..]));
        }
    }
}

#[test]
fn random_histories_with_range_deletions_agree_with_a_map() {
    for (seed, strategy) in (0..60).zip(strategies().into_iter().cycle()) {
        let (world, mut numbers) = (World::new(), Numbers(seed));
        let options = || world.compacting(strategy).memtable_bytes(700).table_bytes(200);
        let mut engine = Lsm::open(STORE, options()).unwrap();
        let (mut model, mut held) = (Model::new(), Vec::new());
        for round in 0..250_u64 {
            let key = key_of(numbers.below(20));
            match numbers.below(20) {
                0..7 => {
                    let value = round.to_le_bytes().repeat(1 + numbers.below(8) as usize);
                    engine.put(&key, &value, Durability::Buffered).unwrap();
                    model.insert(key, value);
                }
                7..9 => {
                    engine.delete(&key, Durability::Buffered).unwrap();
                    model.remove(&key);
                }
                9..12 => {
                    let range = random_range(&mut numbers);
                    let mut batch = WriteBatch::new();
                    batch.delete_range(range.clone()).put(&key, b"beside");
                    engine.write(&batch, Durability::Buffered).unwrap();
                    model.retain(|key, _| !range.contains(key));
                    model.insert(key, b"beside".to_vec());
                }
                12 => engine.flush().unwrap(),
                13 => engine.compact_range(&random_range(&mut numbers)).unwrap(),
                14 => held.push((engine.snapshot().unwrap(), shown(&model))),
                15 if !held.is_empty() => {
                    let at = numbers.below(held.len() as u64) as usize;
                    let (snapshot, expected) = held.swap_remove(at);
                    walk(&mut *snapshot.scan(KeyRange::all()).unwrap(), &expected, &mut numbers);
                    let found = snapshot.get(&key).unwrap();
                    let expected = expected.iter().find(|(other, _)| *other == key);
                    assert_eq!(found.as_deref(), expected.map(|(_, value)| &value[..]));
                }
                16 => {
                    let expected = shown(&model);
                    walk(&mut *engine.scan(KeyRange::all()).unwrap(), &expected, &mut numbers);
                }
                17 if numbers.below(6) == 0 => {
                    held.clear();
                    drop(engine);
                    engine = Lsm::open(STORE, options()).unwrap();
                }
                _ => assert_eq!(
                    engine.get(&key).unwrap().as_deref(),
                    model.get(&key).map(|v| &v[..])
                ),
            }
            for _ in 0..numbers.below(4) {
                let _ran: bool = world.executor.step();
            }
        }
        assert_eq!(entries(&engine), shown(&model), "seed {seed}");
        engine.verify().unwrap();
        held.clear();
        engine.compact_range(&KeyRange::all()).unwrap();
        assert_eq!(engine.statistics().table_range_fragments, 0, "seed {seed}");
        assert_eq!(entries(&engine), shown(&model), "seed {seed}");
    }
}
