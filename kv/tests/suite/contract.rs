//! The traits are object-safe, and engines keep their promises.

use kv::memory::MemoryEngine;
use kv::{Durability, Error, KeyRange, Kv, SequenceNumber, Snapshots, UnixMillis, WriteBatch};

#[test]
fn a_boxed_engine_does_all_of_the_contract() {
    let engine: Box<dyn Kv> = Box::new(MemoryEngine::new());
    assert_eq!(engine.put(b"", b"empty key", Durability::Sync).unwrap(), SequenceNumber(1));
    assert_eq!(engine.get(b"").unwrap().as_deref(), Some(&b"empty key"[..]));
    assert_eq!(engine.write(&WriteBatch::new(), Durability::None).unwrap(), SequenceNumber(1));
    engine.delete(b"", Durability::Buffered).unwrap();
    assert_eq!(engine.get(b"").unwrap(), None);
}

#[test]
fn a_closed_engine_refuses_calls_and_its_cursors_go_on() {
    let engine = MemoryEngine::new();
    engine.put(b"a", b"1", Durability::None).unwrap();
    let mut cursor = engine.scan(KeyRange::all()).unwrap();
    engine.close().unwrap();
    engine.close().unwrap();
    assert!(matches!(engine.get(b"a"), Err(Error::Closed)));
    assert!(matches!(engine.put(b"a", b"2", Durability::None), Err(Error::Closed)));
    assert!(cursor.next().unwrap());
    assert_eq!(cursor.value().unwrap(), b"1");
}

#[test]
fn what_an_engine_lacks_is_refused_before_anything_is_written() {
    let engine = MemoryEngine::new();
    let mut batch = WriteBatch::new();
    batch.put(b"a", b"1").put_expiring(b"b", b"2", UnixMillis(1));
    assert!(matches!(engine.write(&batch, Durability::None), Err(Error::Unsupported(_))));
    let long = vec![0; kv::MAX_KEY_LEN + 1];
    let refused = engine.write(WriteBatch::new().put(b"a", b"1").delete(&long), Durability::None);
    assert!(matches!(refused, Err(Error::InvalidArgument(_))));
    assert_eq!(engine.get(b"a").unwrap(), None);
    engine.put(&long[1..], b"", Durability::None).unwrap();
}

#[test]
fn a_range_deletion_hides_older_entries_only() {
    let engine = MemoryEngine::new();
    engine.put(b"a", b"1", Durability::None).unwrap();
    let mut batch = WriteBatch::new();
    batch.put(b"b", b"2").delete_range(KeyRange::all()).put(b"c", b"3");
    engine.write(&batch, Durability::None).unwrap();
    assert_eq!(engine.get(b"a").unwrap(), None);
    assert_eq!(engine.get(b"b").unwrap(), None);
    assert!(engine.get(b"c").unwrap().is_some());
}

#[test]
fn a_snapshot_does_not_move() {
    let engine = MemoryEngine::new();
    engine.put(b"a", b"1", Durability::None).unwrap();
    let snapshot = Snapshots::snapshot(&engine).unwrap();
    engine.put(b"a", b"2", Durability::None).unwrap();
    assert_eq!(snapshot.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(snapshot.sequence(), SequenceNumber(1));
}

#[test]
fn errors_say_where_and_what_next() {
    let damage = Error::corruption("store/000001.data", 64, "frame checksum differs");
    assert_eq!(
        damage.to_string(),
        "store/000001.data is damaged at byte 64: frame checksum differs"
    );
    let poisoned = Error::Poisoned { cause: Box::new(damage) };
    assert!(poisoned.to_string().ends_with("reopen the store"));
}
