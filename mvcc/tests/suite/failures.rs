//! Stores that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kv::{
    Capabilities, Durability, Error, Result, SequenceNumber, Stats, Transaction as _, WriteBatch,
};
use mvcc::{HistoryUse, MemoryStore, Mvcc, NewestVersion, Options, Pin, Validate, VersionedStore};

use crate::{begin, commit, get};

/// A store in memory whose calls fail on demand.
#[derive(Default)]
struct FailingStore {
    store: MemoryStore,
    /// Commits fail after their validation, as after a failed append to the log.
    fails_to_write: AtomicBool,
    /// Look-ups of the newest version fail, as after a failed read.
    fails_to_look_up: AtomicBool,
}

fn failure(op: &'static str) -> Error {
    Error::io(op, "file", std::io::Error::other("by plan"))
}

impl VersionedStore for FailingStore {
    fn commit_with(
        &self,
        batch: &WriteBatch,
        durability: Durability,
        validate: Validate<'_>,
    ) -> Result<SequenceNumber> {
        if self.fails_to_write.load(Ordering::Relaxed) {
            validate(SequenceNumber(1_000))?;
            return Err(failure("append"));
        }
        self.store.commit_with(batch, durability, validate)
    }

    fn newest_version(&self, key: &[u8], above: SequenceNumber) -> Result<Option<NewestVersion>> {
        if self.fails_to_look_up.load(Ordering::Relaxed) {
            return Err(failure("read"));
        }
        self.store.newest_version(key, above)
    }

    fn pin_newest(&self) -> Result<Arc<dyn Pin>> {
        self.store.pin_newest()
    }

    fn pin_at(&self, sequence: SequenceNumber) -> Result<Arc<dyn Pin>> {
        self.store.pin_at(sequence)
    }

    fn retain_from(&self, sequence: SequenceNumber) {
        self.store.retain_from(sequence);
    }

    fn history(&self) -> HistoryUse {
        self.store.history()
    }

    fn sync(&self) -> Result<()> {
        self.store.sync()
    }

    fn close(&self) -> Result<()> {
        self.store.close()
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn stats(&self) -> Stats {
        self.store.stats()
    }
}

#[test]
fn a_validation_that_cannot_read_fails_its_commit_and_no_other() {
    let store = Arc::new(FailingStore::default());
    let engine = Mvcc::new(Arc::clone(&store), Options::new());
    let mut transaction = begin(&engine);
    transaction.put(b"k", b"1").unwrap();
    store.fails_to_look_up.store(true, Ordering::Relaxed);
    assert!(matches!(transaction.commit(), Err(Error::Io { op: "read", .. })));
    store.fails_to_look_up.store(false, Ordering::Relaxed);
    assert_eq!(commit(&engine, &[("k", "2")]).0, 1);
    assert_eq!(get(&begin(&engine), "k").unwrap(), "2");
    assert_eq!(engine.statistics().failures, 1);
}

/// The ticket of a commit ends in any case; otherwise each later transaction would be concurrent to it for ever.
#[test]
fn a_commit_that_the_store_fails_to_write_is_reported_and_ends() {
    let store = Arc::new(FailingStore::default());
    let engine = Mvcc::new(Arc::clone(&store), Options::new());
    let mut transaction = begin(&engine);
    transaction.put(b"k", b"1").unwrap();
    transaction.mark(b"guard").unwrap();
    store.fails_to_write.store(true, Ordering::Relaxed);
    assert!(matches!(transaction.commit(), Err(Error::Io { op: "append", .. })));
    store.fails_to_write.store(false, Ordering::Relaxed);
    assert_eq!(get(&begin(&engine), "k"), None, "it is not visible");
    let mut next = begin(&engine);
    next.mark(b"guard").unwrap();
    next.commit().unwrap();
    assert_eq!(engine.statistics().in_flight, 0);
}
