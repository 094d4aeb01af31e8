//! The transactions in flight: seen in the statistics, and ended by force beyond the limits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use durable::sync::Mutex;
use durable::sync::atomic::{AtomicU64, Ordering};

use crate::lock_order;
use crate::options::ReaderLimits;
use crate::store::{HistoryUse, Pin};

/// The transactions in flight. Each of them reads a snapshot.
#[derive(Debug)]
pub(crate) struct Readers {
    limits: ReaderLimits,
    /// By transaction, so in the order in which they began, but for threads that began at the same time.
    open: Mutex<BTreeMap<u64, OpenReader>>,
    revoked_by_age: AtomicU64,
    revoked_by_bytes: AtomicU64,
}

/// One transaction in flight.
#[derive(Clone, Debug)]
pub(crate) struct OpenReader {
    pub(crate) transaction: u64,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) begun_at: Duration,
    pub(crate) is_read_only: bool,
    pub(crate) pin: Arc<dyn Pin>,
}

impl Readers {
    pub(crate) fn new(limits: ReaderLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            open: Mutex::ranked(lock_order::READERS, BTreeMap::new()),
            revoked_by_age: AtomicU64::new(0),
            revoked_by_bytes: AtomicU64::new(0),
        })
    }

    /// Registers a transaction until the result is dropped.
    pub(crate) fn register(self: &Arc<Self>, reader: OpenReader) -> RegisteredReader {
        let (transaction, pin) = (reader.transaction, Arc::clone(&reader.pin));
        let before = self.open.lock().insert(transaction, reader);
        assert!(before.is_none(), "each transaction has its own number");
        RegisteredReader { readers: Arc::clone(self), transaction, pin }
    }

    /// How many transactions are in flight.
    pub(crate) fn count(&self) -> usize {
        self.open.lock().len()
    }

    /// The transaction that reads the oldest snapshot.
    pub(crate) fn oldest(&self) -> Option<OpenReader> {
        oldest_of(&self.open.lock()).cloned()
    }

    /// Readers that were ended because of their age, and because of the bytes that were retained for them.
    pub(crate) fn revoked(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.revoked_by_age), count(&self.revoked_by_bytes))
    }

    /// Ends the transactions that are beyond the limits, at the time that `now` returns.
    pub(crate) fn enforce(&self, now: impl FnOnce() -> Duration, history: impl Fn() -> HistoryUse) {
        if let Some(max_age) = self.limits.max_age {
            self.revoke_older_than(now().saturating_sub(max_age));
        }
        if let Some(max_bytes) = self.limits.max_retained_bytes {
            // Until the store has settled, the versions of the last revoked reader may be enough.
            let is_over = || {
                let history = history();
                history.is_settled && history.bytes > max_bytes
            };
            if is_over() {
                self.revoke_the_oldest(&is_over);
            }
        }
    }

    fn revoke_older_than(&self, begun_at: Duration) {
        let open = self.open.lock();
        let aged = open.values().take_while(|reader| reader.begun_at < begun_at);
        for reader in aged.filter(|reader| !reader.pin.is_revoked()) {
            reader.pin.revoke();
            self.revoked_by_age.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Asks again under the lock, so that two threads end one reader and not two.
    fn revoke_the_oldest(&self, is_over: &dyn Fn() -> bool) {
        let open = self.open.lock();
        if let Some(oldest) = oldest_of(&open).filter(|_| is_over()) {
            oldest.pin.revoke();
            self.revoked_by_bytes.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn oldest_of(open: &BTreeMap<u64, OpenReader>) -> Option<&OpenReader> {
    let live = open.values().filter(|reader| !reader.pin.is_revoked());
    live.min_by_key(|reader| reader.pin.sequence())
}

/// A registered transaction, with the pin of its snapshot.
#[derive(Debug)]
pub(crate) struct RegisteredReader {
    readers: Arc<Readers>,
    transaction: u64,
    pin: Arc<dyn Pin>,
}

impl RegisteredReader {
    pub(crate) fn pin(&self) -> &Arc<dyn Pin> {
        &self.pin
    }
}

impl Drop for RegisteredReader {
    fn drop(&mut self) {
        let removed = self.readers.open.lock().remove(&self.transaction);
        assert!(removed.is_some(), "a transaction ends once");
    }
}
