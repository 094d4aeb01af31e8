//! Snapshots, and the memory they may take.

use bitcask::Bitcask;
use kv::{Error, KeyRange, Kv, Snapshot, Snapshots};

use crate::world::{STORE, World, delete, entries, fill, key};

fn seen(snapshot: &dyn Snapshot) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut cursor = snapshot.scan(KeyRange::all()).unwrap();
    let mut entries = Vec::new();
    while cursor.next().unwrap() {
        entries.push((cursor.key().to_vec(), cursor.value().unwrap().to_vec()));
    }
    entries
}

#[test]
fn a_snapshot_answers_the_same_through_writes_merges_and_closing() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..50, 1);
    let (before, snapshot) = (entries(&engine), engine.snapshot().unwrap());
    let check = |when: &str| {
        assert_eq!(seen(&*snapshot), before, "{when}");
        for number in 0..60 {
            let expected = before.iter().find(|(found, _)| found[..] == key(number));
            let found = snapshot.get(&key(number)).unwrap();
            assert_eq!(found.as_deref(), expected.map(|(_, value)| &value[..]), "{when}");
        }
    };
    fill(&engine, 0..10, 2);
    fill(&engine, 50..60, 2);
    delete(&engine, 10..20);
    check("overwritten and deleted");
    engine.merge().unwrap();
    world.executor.run_all();
    check("merged");
    // What the first merge has moved is overwritten, and its new place merged away.
    fill(&engine, 0..60, 3);
    engine.merge().unwrap();
    world.executor.run_all();
    check("merged again");
    engine.close().unwrap();
    check("closed");
    drop(engine);
    check("dropped");
}

#[test]
fn what_a_snapshot_keeps_goes_with_it() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 0..50, 1);
    let snapshot = engine.snapshot().unwrap();
    (2..5).for_each(|round| fill(&engine, 0..50, round));
    let held = engine.statistics();
    assert!(held.undo_bytes >= 50 * 4 && held.views == 1, "{held:?}");
    engine.merge().unwrap();
    world.executor.run_all();
    let files = world.data_files().len();
    drop(snapshot);
    world.executor.run_all();
    let after = engine.statistics();
    assert_eq!((after.undo_bytes, after.views), (0, 0));
    assert!(world.data_files().len() < files, "the files that it held were unlinked");
}

#[test]
fn past_the_budget_the_oldest_snapshot_ends_and_the_others_go_on() {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().undo_bytes(8_000)).unwrap();
    fill(&engine, 0..100, 1);
    let oldest = engine.snapshot().unwrap();
    fill(&engine, 0..30, 2);
    let newer = engine.snapshot().unwrap();
    let before = seen(&*newer);
    assert_eq!(seen(&*oldest).len(), 100);
    fill(&engine, 50..70, 3);
    let refused = |snapshot: &dyn Snapshot| {
        assert!(matches!(snapshot.get(&key(1)), Err(Error::SnapshotTooOld)));
        assert!(matches!(snapshot.scan(KeyRange::all()), Err(Error::SnapshotTooOld)));
    };
    refused(&*oldest);
    assert_eq!(seen(&*newer), before);
    assert!(engine.statistics().undo_bytes <= 8_000);
    fill(&engine, 0..100, 4);
    refused(&*newer);
    assert!(engine.statistics().undo_bytes <= 8_000);
    drop((oldest, newer));
    assert_eq!(engine.statistics().undo_bytes, 0);
    assert_eq!(entries(&engine).len(), 100, "scans collect at once, and need no budget");
}

/// A merge takes files out of the table, and the open views hold them. Later, writes outgrow the budget.
#[test]
fn a_snapshot_that_was_given_up_holds_no_files() {
    let world = World::new();
    let engine = Bitcask::open(STORE, world.options().merge(None).undo_bytes(8_000)).unwrap();
    fill(&engine, 0..100, 1);
    let snapshot = engine.snapshot().unwrap();
    fill(&engine, 0..20, 2);
    engine.merge().unwrap();
    world.executor.run_all();
    let held = world.data_files().len();
    fill(&engine, 0..100, 3);
    assert!(matches!(snapshot.get(&key(1)), Err(Error::SnapshotTooOld)));
    world.executor.run_all();
    assert!(world.data_files().len() < held + 8, "the files that it held are unlinked");
    engine.merge().unwrap();
    world.executor.run_all();
    let given_up = world.data_files().len();
    drop(snapshot);
    world.executor.run_all();
    assert_eq!(given_up, world.data_files().len(), "{held} files were there while it was open");
}
