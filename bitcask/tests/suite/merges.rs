//! What merging leaves, and what it does not disturb.

use std::sync::Arc;

use bitcask::{Bitcask, MergeOptions};
use durable::{Fault, Inject, MetadataModel, Plan, Variant};
use kv::{Durability, KeyRange, Kv};

use crate::world::{FIRST_RECORD, STORE, World, entries, fill, key};

#[test]
fn merging_leaves_what_was_there_in_as_many_bytes_as_it_needs() {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    (0..10).for_each(|round| fill(&engine, 0..50, round));
    let before = entries(&engine);
    let wasted = engine.statistics();
    engine.merge().unwrap();
    world.executor.run_all();
    let merged = engine.statistics();
    assert_eq!(entries(&engine), before);
    // What is left is header and witness of the log files.
    assert!(merged.dead_bytes * 10 < wasted.dead_bytes, "{merged:?}");
    assert_eq!(merged.live_bytes, wasted.live_bytes);
    assert!(merged.files_unlinked > 20, "{merged:?}");
    engine.verify().unwrap();
    engine.close().unwrap();
    let engine = world.open().unwrap();
    assert_eq!(entries(&engine), before);
    assert_eq!(engine.newest_sequence().0, 500);
    assert_eq!(engine.statistics().files_scanned_at_open, 0, "merged files have hints");
    engine.verify().unwrap();
}

#[test]
fn files_are_merged_in_the_background_once_they_waste_enough() {
    let world = World::new();
    let engine = world.open().unwrap();
    for round in 0..40 {
        fill(&engine, 0..50, round);
        world.executor.run_all();
    }
    let stats = engine.statistics();
    assert!(stats.merges > 5, "{stats:?}");
    assert!(stats.dead_bytes < 3 * stats.live_bytes, "{stats:?}");
    assert_eq!(entries(&engine).len(), 50);
    engine.verify().unwrap();
    // Only what the manifest names is on the disk, and the file that is prepared.
    assert!(world.data_files().len() as u64 <= stats.data_files + 1);
}

#[test]
fn a_store_that_may_not_merge_by_itself_keeps_everything_until_told() {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    (0..20).for_each(|round| fill(&engine, 0..50, round));
    world.executor.run_all();
    assert_eq!(engine.statistics().merges, 0);
    engine.merge().unwrap();
    assert!(engine.statistics().merges > 0);
}

#[test]
fn merging_twice_copies_nothing_the_second_time() {
    let world = World::new();
    let engine = world.open().unwrap();
    (0..5).for_each(|round| fill(&engine, 0..50, round));
    engine.merge().unwrap();
    let first = engine.statistics();
    engine.merge().unwrap();
    assert_eq!(engine.statistics().merge_read_bytes, first.merge_read_bytes);
}

#[test]
fn a_cursor_goes_on_while_its_files_are_merged_away_and_then_they_go() {
    let world = World::new();
    let engine = world.open().unwrap();
    (0..4).for_each(|round| fill(&engine, 0..50, round));
    world.executor.run_all();
    let before = entries(&engine);
    let mut cursor = engine.scan(KeyRange::all()).unwrap();
    assert!(cursor.next().unwrap());
    fill(&engine, 0..50, 9);
    engine.merge().unwrap();
    world.executor.run_all();
    // One may be prepared.
    let known = |engine: &Bitcask| engine.statistics().data_files as usize + 1;
    assert!(world.data_files().len() > known(&engine), "the cursor still reads them");
    let mut seen = vec![(cursor.key().to_vec(), cursor.value().unwrap().to_vec())];
    while cursor.next().unwrap() {
        seen.push((cursor.key().to_vec(), cursor.value().unwrap().to_vec()));
    }
    assert_eq!(seen, before);
    drop(cursor);
    world.executor.run_all();
    assert!(world.data_files().len() <= known(&engine), "nobody reads them");
}

#[test]
fn what_a_crash_in_the_middle_of_a_merge_leaves_is_removed_at_the_next_opening() {
    let world = World::new();
    let engine = world.open().unwrap();
    (0..40).for_each(|round| {
        fill(&engine, 0..50, round);
        // The merge gets as far as one step in three.
        world.step(3);
    });
    let before = entries(&engine);
    drop(engine);
    let engine = world.open().unwrap();
    assert_eq!(entries(&engine), before);
    engine.close().unwrap();
    let engine = world.open().unwrap();
    assert_eq!(world.data_files().len() as u64, engine.statistics().data_files);
}

#[test]
fn closing_gives_up_a_merge_that_is_going_on() {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    (0..10).for_each(|round| fill(&engine, 0..50, round));
    let before = entries(&engine);
    engine.close().unwrap();
    let engine = world.open().unwrap();
    // The look, and some steps of the merge that it begins.
    world.step(4);
    assert_eq!(engine.statistics().merges, 0);
    engine.close().unwrap();
    let dump = bitcask::dump(STORE, &world.options().env).unwrap();
    let named = dump["data_files"].as_array().unwrap().len();
    assert_eq!(world.data_files().len(), named, "the output that was not finished is removed");
    let engine = world.open().unwrap();
    assert_eq!(entries(&engine), before);
    assert!(world.data_files().len() as u64 <= engine.statistics().data_files);
}

/// The output of a merge of files that are no neighbours has numbers before and behind those of the files between them.
#[test]
fn inputs_whose_numbers_interleave_are_merged_in_order() {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    // The even keys are written in the files between those of the odd ones, 20 records each.
    for part in 0..8 {
        let keys = (part / 2 * 20..part / 2 * 20 + 20).map(|number| 2 * number + part % 2);
        for number in keys {
            engine.put(&key(number), &[1; 100], Durability::Buffered).unwrap();
        }
    }
    // Only the files with odd keys waste anything.
    (0..80).step_by(2).for_each(|number| fill(&engine, 2 * number + 1..2 * number + 2, 2));
    engine.merge().unwrap();
    // Now every file does, the outputs of the first merge included.
    (0..160).step_by(3).for_each(|number| fill(&engine, number..number + 1, 3));
    let before = entries(&engine);
    engine.merge().unwrap();
    world.executor.run_all();
    assert_eq!(entries(&engine), before);
    assert_eq!(before.len(), 160);
    engine.verify().unwrap();
    engine.close().unwrap();
    assert_eq!(entries(&world.open().unwrap()), before);
}

#[test]
fn a_damaged_input_fails_the_merge_and_is_left_alone() {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    (0..10).for_each(|round| fill(&engine, 0..50, round));
    engine.close().unwrap();
    drop(engine);
    let victim = world.disk.files().into_iter().find(|path| path.ends_with("000001.data")).unwrap();
    let mut bytes = world.disk.contents(&victim).unwrap();
    bytes[FIRST_RECORD + 36] ^= 1;
    world.disk.set_contents(&victim, bytes);
    let engine = world.open().unwrap();
    world.executor.run_all();
    let failed = engine.merge();
    let stats = engine.statistics();
    assert!(stats.merges_failed > 0, "{failed:?} {stats:?}");
    engine.merge().unwrap();
    assert_eq!(entries(&engine).len(), 50);
    assert!(world.data_files().contains(&1), "what is damaged is not thrown away");
}

/// The two are told apart by their statistics: merging early costs more writing and less space.
#[test]
fn a_lower_trigger_trades_writing_for_space() {
    let run = |trigger_percent| {
        let world = World::new();
        let merge = MergeOptions::default()
            .trigger_percent(trigger_percent)
            .include_percent(trigger_percent);
        let engine = Bitcask::open(STORE, world.options().merge(Some(merge))).unwrap();
        let mut state = 1_u32;
        for round in 0..4_000_u32 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            fill(&engine, state >> 24..(state >> 24) + 1, round as u8);
            world.executor.run_all();
        }
        engine.statistics()
    };
    let (early, late) = (run(30), run(80));
    assert!(early.merge_written_bytes > late.merge_written_bytes, "{early:?} {late:?}");
    assert!(early.dead_bytes < late.dead_bytes, "{early:?} {late:?}");
}

#[test]
fn an_unsynced_write_does_not_let_a_merge_forget_what_it_replaced() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..50, 1);
    engine.sync().unwrap();
    fill(&engine, 0..50, 2);
    world.executor.run_all();
    engine.merge().unwrap();
    fill(&engine, 0..1, 3);
    drop(engine);
    let disk = world.disk.crash(world.disk.ops(), &Variant::None(MetadataModel::Strict));
    let engine = World::on(disk).open().unwrap();
    let found = entries(&engine);
    assert_eq!(found.len(), 50);
    assert!(found.iter().all(|(_, value)| value[0] == 2), "the merge has synced the log");
}

/// Each call of a merge fails once; whatever it was, nothing is lost, and opening again heals.
#[test]
fn a_merge_that_fails_at_any_call_loses_nothing() {
    let prepare = |engine: &Bitcask| {
        (0..5).for_each(|round| fill(engine, 0..20, round));
        engine.delete(&key(3), Durability::Buffered).unwrap();
        engine.sync().unwrap();
        entries(engine)
    };
    let calls = |inject: &Inject, world: &World| {
        let mut options = world.options().merge(None);
        options.env.fs = Arc::new(inject.clone());
        let engine = Bitcask::open(STORE, options).unwrap();
        let before = prepare(&engine);
        let first = inject.calls();
        (engine, before, first)
    };
    let world = World::new();
    let inject = Inject::over_sim(world.disk.clone(), Plan::none());
    let (engine, before, first) = calls(&inject, &world);
    engine.merge().unwrap();
    let last = inject.calls();
    assert!(last > first + 20);
    for at in first..last {
        let world = World::new();
        let inject = Inject::over_sim(world.disk.clone(), Plan::once(at, Fault::Eio));
        let (engine, same, _) = calls(&inject, &world);
        assert_eq!(same, before);
        drop(engine.merge());
        assert_eq!(inject.injected(), 1, "call {at}");
        assert_eq!(entries(&engine), before, "call {at}");
        drop(engine);
        assert_eq!(entries(&world.open().unwrap()), before, "call {at}");
    }
}

/// A user found this: the queue of unlinks was left to the next opening.
#[test]
fn a_store_that_was_merged_and_closed_holds_what_is_live_and_no_more() {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    (0..20).for_each(|round| fill(&engine, 0..30, round));
    engine.merge().unwrap();
    let known = engine.statistics().data_files;
    engine.close().unwrap();
    assert!(world.data_files().len() as u64 <= known);
}

/// A user found this: what a cursor holds kept the lock of the store.
#[test]
fn a_cursor_of_a_store_that_was_dropped_locks_nobody_out() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..30, 1);
    let mut cursor = engine.scan(KeyRange::all()).unwrap();
    drop(engine);
    let engine = world.open().unwrap();
    fill(&engine, 0..30, 2);
    engine.merge().unwrap();
    assert!(cursor.next().unwrap());
    assert_eq!(cursor.value().unwrap()[0], 1);
}

/// A user found this: with options that contradict each other the background merged nothing, for ever.
#[test]
fn merging_comes_to_rest_whatever_the_options() {
    for (trigger, include, small) in [(20, 40, 8), (0, 0, 0), (60, 40, 1), (255, 0, 2)] {
        let world = World::new();
        let merge = MergeOptions::default()
            .trigger_percent(trigger)
            .include_percent(include)
            .small_files(small);
        let engine = Bitcask::open(STORE, world.options().merge(Some(merge))).unwrap();
        fill(&engine, 0..100, 1);
        fill(&engine, 20..50, 2);
        let jobs = (0..100_000).take_while(|_| world.executor.step()).count();
        assert!(jobs < 100_000, "{merge:?}");
        assert_eq!(entries(&engine).len(), 100);
    }
}

/// The damage suite found this: a frame whose kind was damaged into that of an end mark, and the merge took the rest of the
/// file for read.
#[test]
fn a_record_that_looks_like_an_end_mark_fails_the_merge() {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    (0..3).for_each(|round| fill(&engine, 0..50, round));
    engine.close().unwrap();
    drop(engine);
    let last = *world.data_files().last().unwrap();
    let is_last = |path: &std::path::PathBuf| path.ends_with(format!("{last:06}.data"));
    let victim = world.disk.files().into_iter().find(is_last).unwrap();
    let mut bytes = world.disk.contents(&victim).unwrap();
    // The kind of the first frame.
    bytes[FIRST_RECORD + 20] = 255;
    world.disk.set_contents(&victim, bytes);
    let engine = Bitcask::open(STORE, world.options().merge(None)).unwrap();
    fill(&engine, 49..50, 9);
    assert!(engine.merge().unwrap_err().is_corruption());
    assert_eq!(engine.statistics().keys, 50);
    assert!(world.data_files().contains(&last));
}

/// A merge without a mapping to be had poisoned the store.
#[test]
fn a_store_that_gets_no_mapping_goes_on_sealing_merging_and_verifying() {
    let world = World::new();
    let inject =
        Inject::over_sim(world.disk.clone(), Plan { at: 0, fault: Fault::NoMemory, sticky: true });
    let mut options = world.options();
    options.env.fs = Arc::new(inject.clone());
    let engine = Bitcask::open(STORE, options).unwrap();
    (0..5).for_each(|round| fill(&engine, 0..50, round));
    engine.merge().unwrap();
    world.executor.run_all();
    assert!(inject.injected() > 10, "{}", inject.injected());
    assert_eq!(engine.statistics().merges_failed, 0);
    assert_eq!(engine.verify().unwrap().keys, 50);
    engine.put(b"later", b"1", Durability::Sync).unwrap();
    engine.close().unwrap();
}
