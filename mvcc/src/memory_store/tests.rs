#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use kv::KeyRange;

use super::*;
use crate::store::VersionRead;
use crate::visibility::Horizon;

fn number(number: u64) -> SequenceNumber {
    SequenceNumber(number)
}

fn write(store: &MemoryStore, batch: &WriteBatch) -> SequenceNumber {
    store.commit_with(batch, Durability::Buffered, &mut |_| Ok(())).unwrap()
}

fn put(store: &MemoryStore, key: &[u8], value: &[u8]) -> SequenceNumber {
    write(store, WriteBatch::new().put(key, value))
}

fn get(pin: &Arc<dyn Pin>, key: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut value = None;
    pin.get_at(key, &mut |bytes| value = Some(bytes.to_vec()))?;
    Ok(value)
}

/// A store that keeps no history but that of its pins.
fn store() -> MemoryStore {
    let store = MemoryStore::new();
    store.retain_from(number(u64::MAX));
    store
}

#[test]
fn a_batch_that_fails_its_validation_takes_no_number_and_writes_nothing() {
    let store = store();
    put(&store, b"k", b"1");
    let mut offered = Vec::new();
    for is_valid in [false, false, true, false, true] {
        let batch = WriteBatch::new().put(b"k", b"2").clone();
        let committed = store.commit_with(&batch, Durability::Buffered, &mut |sequence| {
            offered.push(sequence.0);
            if is_valid { Ok(()) } else { Err(Error::ReadOnly) }
        });
        assert_eq!(committed.is_ok(), is_valid);
    }
    assert_eq!(offered, [2, 2, 2, 3, 3], "numbers follow the order of validation");
    assert_eq!(store.pin_newest().unwrap().sequence(), number(3));
}

#[test]
fn a_validation_that_panics_leaves_the_store_as_it_was() {
    let store = store();
    put(&store, b"k", b"1");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let batch = WriteBatch::new().put(b"k", b"2").clone();
        store.commit_with(&batch, Durability::Buffered, &mut |_| panic!("a mistake"))
    }));
    assert!(panicked.is_err());
    assert_eq!(put(&store, b"k", b"3"), number(2));
    assert_eq!(get(&store.pin_newest().unwrap(), b"k").unwrap().unwrap(), b"3");
}

#[test]
fn an_empty_batch_is_validated_and_takes_no_number() {
    let store = store();
    put(&store, b"k", b"1");
    let mut offered = None;
    let empty = WriteBatch::new();
    let committed = store.commit_with(&empty, Durability::Sync, &mut |sequence| {
        offered = Some(sequence);
        Ok(())
    });
    assert_eq!((committed.unwrap(), offered), (number(1), Some(number(2))));
    assert_eq!(put(&store, b"k", b"2"), number(2));
}

/// Readers need no lock of the commit section: they read while a writer validates.
#[test]
fn pins_are_taken_and_read_while_a_commit_is_in_progress() {
    let store = store();
    put(&store, b"k", b"1");
    let old = store.pin_newest().unwrap();
    let batch = WriteBatch::new().put(b"k", b"2").clone();
    let committed = store.commit_with(&batch, Durability::Buffered, &mut |_| {
        let pin = store.pin_newest()?;
        assert_eq!((pin.sequence(), get(&pin, b"k")?), (number(1), Some(b"1".to_vec())));
        assert_eq!(get(&old, b"k")?, Some(b"1".to_vec()));
        assert!(pin.scan_at(KeyRange::all(), None)?.next()?);
        Ok(())
    });
    assert_eq!(committed.unwrap(), number(2));
}

#[test]
fn a_hot_key_keeps_one_version_for_each_pin_however_often_it_is_written() {
    let store = store();
    put(&store, b"hot", b"0");
    let pins = [store.pin_newest().unwrap(), store.pin_newest().unwrap()];
    for round in 1..=1_000_u32 {
        put(&store, b"hot", &round.to_le_bytes());
        assert!(store.history().versions <= 2, "the pinned one and the last one replaced");
    }
    let later = store.pin_newest().unwrap();
    for round in 0..1_000_u32 {
        put(&store, b"hot", &round.to_le_bytes());
        assert!(store.history().versions <= 3);
    }
    assert_eq!(get(&pins[0], b"hot").unwrap().unwrap(), b"0");
    assert_eq!(get(&later, b"hot").unwrap().unwrap(), 1_000_u32.to_le_bytes());
    drop((pins, later));
    store.collect_garbage();
    assert_eq!(store.history(), HistoryUse { versions: 0, bytes: 0, is_settled: true });
}

#[test]
fn a_hot_key_keeps_the_versions_of_the_window_and_no_more() {
    let store = MemoryStore::new();
    for round in 1..=1_000_u32 {
        let sequence = put(&store, b"hot", &round.to_le_bytes());
        store.retain_from(number(sequence.0.saturating_sub(100)));
        assert!(store.history().versions <= 101, "after {round}");
    }
    store.collect_garbage();
    assert_eq!(store.history().versions, 100);
    for sequence in 900..=1_000_u32 {
        let pin = store.pin_at(number(sequence.into())).unwrap();
        assert_eq!(get(&pin, b"hot").unwrap().unwrap(), sequence.to_le_bytes());
    }
}

#[test]
fn commits_collect_the_versions_of_a_released_pin_in_small_steps() {
    let store = store();
    for round in [b"old", b"new"] {
        let mut batch = WriteBatch::new();
        for key in 0..100_u8 {
            batch.put(&[key], round);
        }
        if round == b"old" {
            write(&store, &batch);
            continue;
        }
        let pin = store.pin_newest().unwrap();
        write(&store, &batch);
        put(&store, b"other", b"1");
        drop(pin);
    }
    let before = store.history().versions;
    assert_eq!(before, 100);
    let mut commits = 0;
    while store.history().versions > 1 {
        put(&store, b"other", b"2");
        commits += 1;
    }
    assert!((10..=100).contains(&commits), "{commits} commits visited two keys each");
}

/// It visited a held key for a pin that was released, and the pass counted the key as done.
#[test]
fn a_collector_with_an_outdated_horizon_takes_no_part_in_a_newer_pass() {
    let versions = Versions::new();
    for (sequence, value) in [(1, b"1"), (2, b"2")] {
        versions.apply(WriteBatch::new().put(b"k", value), number(sequence));
    }
    let pinned = Horizon::new(vec![number(1)], number(2));
    let released = Horizon::new(Vec::new(), number(2));
    assert!(versions.collect(64, &pinned, 0), "the key is held");
    assert!(!versions.collect(0, &released, 1), "a pass has begun");
    assert!(!versions.collect(64, &pinned, 0), "outdated");
    assert!(!versions.history(1).is_settled);
    assert!(versions.collect(64, &released, 1));
    let settled = HistoryUse { is_settled: true, ..HistoryUse::default() };
    assert_eq!(versions.history(1), settled);
}

#[test]
fn a_deleted_key_is_known_as_written_as_long_as_an_older_pin_is_there() {
    let store = store();
    put(&store, b"other", b"1");
    let pin = store.pin_newest().unwrap();
    put(&store, b"k", b"1");
    let deleted = write(&store, WriteBatch::new().delete(b"k"));
    store.collect_garbage();
    let newest = store.newest_version(b"k", pin.sequence()).unwrap();
    assert_eq!(newest, Some(NewestVersion { sequence: deleted, is_tombstone: true }));
    assert_eq!(store.newest_version(b"k", deleted).unwrap(), None);
    assert_eq!(store.history().versions, 1, "the tombstone");
    drop(pin);
    store.collect_garbage();
    assert_eq!(store.newest_version(b"k", number(0)).unwrap(), None);
    assert_eq!((store.history().versions, store.stats().get("keys")), (0, Some(1)));
}

#[test]
fn a_read_tells_which_version_it_saw_and_which_is_the_newest() {
    let store = store();
    let first = put(&store, b"k", b"1");
    let pin = store.pin_newest().unwrap();
    let deleted = write(&store, WriteBatch::new().delete(b"k"));
    let read = |pin: &Arc<dyn Pin>, key: &[u8]| pin.get_at(key, &mut |_| ()).unwrap();
    let seen = VersionRead { is_found: true, version: first, newest: deleted };
    assert_eq!(read(&pin, b"k"), seen);
    let newest = store.pin_newest().unwrap();
    let seen = VersionRead { is_found: false, version: deleted, newest: deleted };
    assert_eq!(read(&newest, b"k"), seen);
    assert_eq!(read(&newest, b"absent"), VersionRead::default());
}

#[test]
fn a_scan_reports_newer_versions_of_the_part_that_it_has_searched() {
    let store = store();
    let mut batch = WriteBatch::new();
    batch.put(b"a", b"1").put(b"c", b"1").put(b"e", b"1");
    write(&store, &batch);
    let pin = store.pin_newest().unwrap();
    // A changed key, an inserted one, a deleted one, and one beyond the part that is searched.
    let mut batch = WriteBatch::new();
    batch.put(b"a", b"2").put(b"b", b"2").delete(b"c").put(b"f", b"2");
    let newest = write(&store, &batch);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let newer = {
        let seen = Arc::clone(&seen);
        Box::new(move |key: &[u8], sequence| seen.lock().push((key.to_vec(), sequence)))
    };
    let mut cursor = pin.scan_at(KeyRange::all(), Some(newer)).unwrap();
    let take = || std::mem::take(&mut *seen.lock());
    assert!(cursor.next().unwrap());
    assert_eq!(take(), [(b"a".to_vec(), newest)]);
    assert!(cursor.next().unwrap() && cursor.next().unwrap());
    assert_eq!(cursor.key(), b"e");
    assert_eq!(take(), [(b"b".to_vec(), newest), (b"c".to_vec(), newest)]);
    assert!(cursor.seek_lt(b"b").unwrap());
    assert_eq!(take(), [(b"a".to_vec(), newest)]);
    assert!(cursor.seek_ge(b"d").unwrap() && !cursor.next().unwrap());
    assert_eq!(take(), [(b"f".to_vec(), newest)]);
}

#[test]
fn a_scan_passes_thousands_of_invisible_keys() {
    let store = store();
    put(&store, b"z", b"1");
    let pin = store.pin_newest().unwrap();
    for key in 0..1_000_u16 {
        put(&store, &key.to_be_bytes(), b"2");
    }
    let mut cursor = Arc::clone(&pin).scan_at(KeyRange::all(), None).unwrap();
    assert!(cursor.next().unwrap());
    assert_eq!(cursor.key(), b"z");
    assert!(!cursor.prev().unwrap() && cursor.next().unwrap() && !cursor.next().unwrap());
}

#[test]
fn a_revoked_pin_answers_no_read() {
    let store = store();
    put(&store, b"a", b"1");
    put(&store, b"b", b"1");
    let pin = store.pin_newest().unwrap();
    let mut cursor = Arc::clone(&pin).scan_at(KeyRange::all(), None).unwrap();
    assert!(cursor.next().unwrap());
    pin.revoke();
    pin.revoke();
    put(&store, b"b", b"2");
    store.collect_garbage();
    let too_old = |error| matches!(error, Error::SnapshotTooOld);
    assert!(pin.is_revoked() && too_old(get(&pin, b"b").unwrap_err()));
    assert!(too_old(cursor.next().unwrap_err()) && too_old(cursor.prev().unwrap_err()));
    assert!(Arc::clone(&pin).scan_at(KeyRange::all(), None).is_err_and(too_old));
    drop((cursor, pin));
    assert_eq!(store.history().versions, 0);
}

#[test]
fn a_past_below_the_floor_is_refused_and_the_floor_never_falls() {
    let store = MemoryStore::new();
    for round in 0..10_u8 {
        put(&store, b"k", &[round]);
    }
    assert!(get(&store.pin_at(number(0)).unwrap(), b"k").unwrap().is_none());
    store.retain_from(number(4));
    store.retain_from(number(2));
    assert!(matches!(store.pin_at(number(3)), Err(Error::SnapshotTooOld)));
    store.collect_garbage();
    for sequence in 4..=10 {
        let pin = store.pin_at(number(sequence)).unwrap();
        assert_eq!(get(&pin, b"k").unwrap().unwrap(), [sequence as u8 - 1]);
    }
    assert_eq!(store.history().versions, 6);
    assert!(matches!(store.pin_at(number(11)), Err(Error::InvalidArgument(_))));
}

#[test]
fn a_closed_store_refuses_commits_and_pins_and_goes_on_answering() {
    let store = store();
    put(&store, b"k", b"1");
    let pin = store.pin_newest().unwrap();
    store.sync().unwrap();
    store.close().unwrap();
    store.close().unwrap();
    let batch = WriteBatch::new().put(b"k", b"2").clone();
    let committed = store.commit_with(&batch, Durability::Buffered, &mut |_| Ok(()));
    assert!(matches!(committed, Err(Error::Closed)));
    assert!(matches!(store.pin_newest(), Err(Error::Closed)));
    assert!(matches!(store.pin_at(number(1)), Err(Error::Closed)));
    assert!(matches!(store.sync(), Err(Error::Closed)));
    assert_eq!(get(&pin, b"k").unwrap().unwrap(), b"1");
}
