//! Events of the background work, for the program that has opened the store.
//!
//! A thread tells the listener when its work begins and when it has ended, while it holds no lock of the store. So the listener may
//! read and write the store. It must not wait for the work that it hears of: a call that flushes, settles, compacts or
//! closes may wait for ever.
//!
//! - A slow listener delays the work that it hears of, and nothing else at first. Later it holds back writers, as slow work does.
//! - The panic of a listener is caught. It is not called again, and the work goes on.
//!
//! A writer that finds too many sealed memtables flushes the oldest inside the commit section, under its lock. The listener hears of
//! that flush when it has ended, in the next thread that flushes or calls [`Lsm::flush`](crate::Lsm::flush).

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use durable::sync::atomic::AtomicBool;
use durable::sync::{Mutex, assert_no_ranked_lock_is_held};
use kv::Error;

use crate::compaction::{Action, Reason};

/// Hears of the background work of a store. Each method does nothing by default.
///
/// It is called by the thread that does the work, and holds it up meanwhile. It must not panic, and must not wait for that work: no
/// `flush`, `settle`, `compact_range` or `close`. A listener that has panicked is not called again.
pub trait EventListener: Debug + Send + Sync {
    /// A thread is about to flush the oldest sealed memtable.
    fn flush_begun(&self) {}

    /// The thread has flushed it, or failed to. Comes after each [`EventListener::flush_begun`], and without one if a writer has
    /// flushed a memtable itself.
    fn flush_ended(&self, flush: &FlushEvent) {
        let _: &FlushEvent = flush;
    }

    /// A compaction begins.
    fn compaction_begun(&self, compaction: &CompactionEvent) {
        let _: &CompactionEvent = compaction;
    }

    /// A compaction that has begun has ended.
    fn compaction_ended(&self, compaction: &CompactionEvent, outcome: &CompactionOutcome) {
        let _: (&CompactionEvent, &CompactionOutcome) = (compaction, outcome);
    }

    /// A write begins to wait for a compaction. One that is slowed is not told of.
    fn stall_begun(&self, stall: &StallEvent) {
        let _: &StallEvent = stall;
    }

    /// The write has waited, for so long. It goes on, or is refused.
    fn stall_ended(&self, stall: &StallEvent, waited: Duration) {
        let _: (&StallEvent, Duration) = (stall, waited);
    }
}

/// A flush that has ended. Without bytes and failure: another thread has flushed the memtable meanwhile.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FlushEvent {
    /// The memory of the memtable, in bytes, about.
    pub memtable_bytes: u64,
    /// How many tables came of it.
    pub tables: u64,
    /// The bytes of those tables.
    pub table_bytes: u64,
    /// How long it took.
    pub took: Duration,
    /// Why it has failed. The memtable is flushed later, unless the store is poisoned.
    pub failure: Option<Error>,
}

/// A compaction. No two that are in flight have an input in common.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CompactionEvent {
    /// Why it was picked.
    pub reason: Reason,
    /// What happens to the inputs.
    pub action: Action,
    /// The levels of the inputs, once for each run.
    pub input_levels: Vec<usize>,
    /// The numbers of the input tables, which are in their names.
    pub inputs: Vec<u64>,
    /// The bytes of the input tables.
    pub input_bytes: u64,
    /// The level that the outputs go to.
    pub output_level: usize,
}

/// How a compaction has ended.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CompactionOutcome {
    /// How many tables it has written.
    pub tables: u64,
    /// The bytes of those tables.
    pub table_bytes: u64,
    /// How long it took.
    pub took: Duration,
    /// Why it has failed. Then it has changed nothing.
    pub failure: Option<Error>,
}

/// A write that waits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StallEvent {
    /// What it waits for: the signal of [`Error::Stalled`].
    pub signal: &'static str,
}

/// Tells the listener, if there is one.
#[derive(Debug)]
pub(crate) struct Events {
    listener: Option<Arc<dyn EventListener>>,
    has_panicked: AtomicBool,
    /// Flushes inside the commit section of which the listener has not heard yet.
    deferred: Mutex<Vec<FlushEvent>>,
}

impl Events {
    /// Events for `listener`.
    pub(crate) fn new(listener: Option<Arc<dyn EventListener>>) -> Self {
        Self { listener, has_panicked: AtomicBool::new(false), deferred: Mutex::default() }
    }

    /// Has `tell` call the listener, if there is one. The caller holds no lock.
    pub(crate) fn tell(&self, tell: impl FnOnce(&dyn EventListener)) {
        let Some(listener) = &self.listener else { return };
        assert_no_ranked_lock_is_held("a listener is called");
        if self.has_panicked.load(Ordering::Relaxed) {
            return;
        }
        if catch_unwind(AssertUnwindSafe(|| tell(&**listener))).is_err() {
            self.has_panicked.store(true, Ordering::Relaxed);
        }
    }

    /// Keeps `flush` for [`Events::tell_deferred`]: the caller holds the lock of the commit section.
    pub(crate) fn defer(&self, flush: FlushEvent) {
        if self.listener.is_some() {
            self.deferred.lock().push(flush);
        }
    }

    /// Tells of the flushes that were deferred. The caller holds no lock.
    pub(crate) fn tell_deferred(&self) {
        if self.listener.is_none() {
            return;
        }
        let deferred = std::mem::take(&mut *self.deferred.lock());
        for flush in &deferred {
            self.tell(|listener| listener.flush_ended(flush));
        }
    }
}
