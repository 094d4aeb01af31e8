//! The traits are object-safe and say what they mean.

use std::sync::{Arc, Mutex};

use kv::memory::MemoryEngine;
use kv::{
    Cursor, Durability, Error, KeyRange, Kv, Result, SequenceNumber, Snapshots, Transaction,
    TransactionOptions, Transactional, UnixMillis, Value, WriteBatch,
};

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

/// One transaction at a time over the engine in memory: enough to prove that the traits can be boxed and used.
struct OneAtATime {
    engine: Arc<MemoryEngine>,
    lock: Arc<Mutex<()>>,
}

struct Turn {
    engine: Arc<MemoryEngine>,
    lock: Arc<Mutex<()>>,
    batch: WriteBatch,
    options: TransactionOptions,
}

impl Transactional for OneAtATime {
    fn begin(&self, options: TransactionOptions) -> Result<Box<dyn Transaction>> {
        let (engine, lock) = (Arc::clone(&self.engine), Arc::clone(&self.lock));
        Ok(Box::new(Turn { engine, lock, batch: WriteBatch::new(), options }))
    }
}

impl Transaction for Turn {
    fn get(&mut self, key: &[u8]) -> Result<Option<Value>> {
        let own = self
            .batch
            .ops()
            .find(|op| op.key() == key)
            .map(|op| Value::copy_from_slice(op.value()));
        own.map_or_else(|| self.engine.get(key), |value| Ok(Some(value)))
    }

    fn scan(&mut self, range: KeyRange) -> Result<Box<dyn Cursor + '_>> {
        self.engine.scan(range)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if self.options.read_only {
            return Err(Error::ReadOnly);
        }
        self.batch.put(key, value);
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.batch.delete(key);
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<SequenceNumber> {
        let _turn = self.lock.lock().unwrap();
        self.engine.write(&self.batch, self.options.durability)
    }

    fn rollback(self: Box<Self>) {}
}

#[test]
fn a_boxed_transaction_commits_and_rolls_back() {
    let store: Box<dyn Transactional> =
        Box::new(OneAtATime { engine: Arc::default(), lock: Arc::default() });
    let mut first = store.begin(TransactionOptions::default()).unwrap();
    first.put(b"a", b"1").unwrap();
    assert_eq!(first.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(first.commit().unwrap(), SequenceNumber(1));
    let mut second = store.begin(TransactionOptions::default()).unwrap();
    second.put(b"a", b"2").unwrap();
    second.rollback();
    let read_only = TransactionOptions { read_only: true, ..Default::default() };
    let mut third = store.begin(read_only).unwrap();
    assert_eq!(third.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert!(matches!(third.put(b"a", b"3"), Err(Error::ReadOnly)));
}

#[test]
fn an_exhausted_resource_is_told_from_a_failing_disk() {
    let error = |code| Error::io("map", "file", std::io::Error::from_raw_os_error(code));
    // ENOMEM, ENFILE, EMFILE, ENOSPC.
    for code in [12, 23, 24, 28] {
        assert!(error(code).is_out_of_resources(), "{code}");
    }
    // EIO, EACCES.
    for code in [5, 13] {
        assert!(!error(code).is_out_of_resources(), "{code}");
    }
}
