//! Puts that expire.

use std::time::Duration;

use bitcask::Bitcask;
use kv::{Durability, KeyRange, Kv, Snapshots, UnixMillis, WriteBatch};

use crate::world::{STORE, World, entries, fill, key};

fn put(engine: &dyn Kv, number: u32, expires_at: u64) {
    let mut batch = WriteBatch::new();
    batch.put_expiring(&key(number), &[1; 100], UnixMillis(expires_at));
    engine.write(&batch, Durability::Buffered).unwrap();
}

fn has(engine: &dyn Kv, number: u32) -> bool {
    engine.get(&key(number)).unwrap().is_some()
}

#[test]
fn a_value_is_there_until_its_time_and_hides_the_one_before() {
    let world = World::new();
    let engine = world.open().unwrap();
    fill(&engine, 1..2, 9);
    put(&engine, 1, 1_000);
    put(&engine, 2, 2_000);
    world.clock.advance(Duration::from_millis(999));
    assert!(has(&engine, 1));
    world.clock.advance(Duration::from_millis(1));
    assert!(!has(&engine, 1) && has(&engine, 2));
    assert_eq!(entries(&engine).len(), 1);
    drop(engine);
    let engine = world.open().unwrap();
    assert!(!has(&engine, 1) && has(&engine, 2), "the older put does not come back");
}

#[test]
fn a_view_fixes_its_time() {
    let world = World::new();
    let engine = world.open().unwrap();
    put(&engine, 1, 1_000);
    let snapshot = engine.snapshot().unwrap();
    let mut cursor = engine.scan(KeyRange::all()).unwrap();
    world.clock.advance(Duration::from_secs(5));
    assert!(!has(&engine, 1));
    engine.merge().unwrap();
    world.executor.run_all();
    assert!(snapshot.get(&key(1)).unwrap().is_some());
    assert!(snapshot.scan(KeyRange::all()).unwrap().next().unwrap());
    assert!(cursor.next().unwrap());
    drop((snapshot, cursor));
    engine.merge().unwrap();
    assert_eq!(engine.statistics().keys, 0, "nobody needs it any more");
}

/// A read at the very time of expiry answers `None`, so a merge at that time may drop the record.
#[test]
fn a_merge_at_the_very_time_of_expiry_drops_the_value() {
    let world = World::new();
    let engine = world.open().unwrap();
    put(&engine, 1, 1_000);
    world.clock.set_now(UnixMillis(999));
    engine.merge().unwrap();
    assert!(has(&engine, 1));
    assert_eq!(engine.statistics().keys, 1);
    world.clock.set_now(UnixMillis(1_000));
    assert!(!has(&engine, 1));
    engine.merge().unwrap();
    assert_eq!(engine.statistics().keys, 0);
}

#[test]
fn the_clock_going_back_brings_nothing_back() {
    let world = World::new();
    let engine = world.open().unwrap();
    put(&engine, 1, 1_000);
    world.clock.advance(Duration::from_secs(2));
    assert!(!has(&engine, 1));
    world.clock.set_now(UnixMillis(500));
    assert!(!has(&engine, 1));
    put(&engine, 2, 1_500);
    assert!(!has(&engine, 2), "it is two seconds past already");
    put(&engine, 3, 2_001);
    assert!(has(&engine, 3));
}

#[test]
fn files_in_which_everything_has_expired_go_unread() {
    let world = World::new();
    let engine = world.open().unwrap();
    (0..60).for_each(|number| put(&engine, number, 1_000 + u64::from(number)));
    world.executor.run_all();
    let first = world.data_files();
    world.clock.advance(Duration::from_secs(5));
    // The look at the next sealed file finds them.
    fill(&engine, 100..120, 1);
    world.executor.run_all();
    let stats = engine.statistics();
    assert!(stats.merges > 0, "{stats:?}");
    assert_eq!(stats.merge_written_bytes, 0, "nothing was copied");
    assert!(first[..3].iter().all(|id| !world.data_files().contains(id)));
    assert_eq!(entries(&engine).len(), 20);
    drop(engine);
    assert_eq!(entries(&world.open().unwrap()).len(), 20);
}

#[test]
fn an_expired_put_that_hides_an_older_one_is_kept_as_a_tombstone() {
    let world = World::new();
    let engine = world.open().unwrap();
    // File 0 keeps its put of key 5.
    fill(&engine, 0..14, 1);
    put(&engine, 5, 1_000);
    world.clock.advance(Duration::from_secs(2));
    for round in 0..20 {
        fill(&engine, 100..114, round);
        world.executor.run_all();
    }
    let stats = engine.statistics();
    assert!(stats.merges > 0 && world.data_files().contains(&0), "{stats:?}");
    let dump = bitcask::dump(STORE, &world.options().env).unwrap().to_string();
    assert!(!dump.contains("\"expires_at_ms\":1000"), "it was merged after its time");
    assert!(!has(&engine, 5));
    drop(engine);
    // A clock that is reset must not bring the older put back, which never expires.
    world.clock.set_now(UnixMillis(0));
    assert!(!has(&world.open().unwrap(), 5));
}

/// The clock is set back between two openings.
#[test]
fn an_expired_value_stays_expired_in_later_openings() {
    let world = World::new();
    let engine = world.open().unwrap();
    put(&engine, 1, 1_000);
    put(&engine, 2, 5_000);
    world.clock.set_now(UnixMillis(3_000));
    assert!(!has(&engine, 1) && has(&engine, 2));
    engine.close().unwrap();
    world.clock.set_now(UnixMillis(0));
    for _ in 0..2 {
        let reader = Bitcask::open_read_only(STORE, world.options()).unwrap();
        assert!(!has(&reader, 1) && has(&reader, 2));
        let engine = world.open().unwrap();
        assert!(!has(&engine, 1) && has(&engine, 2));
        engine.close().unwrap();
    }
    // A session that only reads.
    world.clock.set_now(UnixMillis(5_000));
    let engine = world.open().unwrap();
    assert!(!has(&engine, 2), "the time goes on");
    engine.close().unwrap();
    world.clock.set_now(UnixMillis(0));
    assert!(!has(&world.open().unwrap(), 2));
}

/// A process that was killed has made no last edit, so the time since the one before is lost, and no more.
#[test]
fn an_opening_after_a_crash_goes_back_to_the_last_edit_at_most() {
    let world = World::new();
    let engine = world.open().unwrap();
    put(&engine, 1, 1_000);
    put(&engine, 2, 2_000);
    world.clock.set_now(UnixMillis(1_500));
    assert!(!has(&engine, 1) && has(&engine, 2));
    // A data file is begun.
    fill(&engine, 10..40, 9);
    world.clock.set_now(UnixMillis(2_500));
    assert!(!has(&engine, 2));
    drop(engine);
    world.clock.set_now(UnixMillis(0));
    let engine = world.open().unwrap();
    assert!(!has(&engine, 1), "seen before the last edit");
    assert!(has(&engine, 2), "seen after it: the stated limit");
}

#[test]
fn a_reader_takes_over_the_time_of_the_writer_when_it_refreshes() {
    let world = World::new();
    let engine = world.open().unwrap();
    put(&engine, 1, 1_000);
    let reader = Bitcask::open_read_only(STORE, world.options()).unwrap();
    assert!(has(&reader, 1));
    world.clock.set_now(UnixMillis(1_500));
    assert!(!has(&engine, 1));
    fill(&engine, 10..40, 9);
    world.clock.set_now(UnixMillis(0));
    reader.refresh().unwrap();
    assert!(!has(&reader, 1));
}
