//! The components that the engine and its transactions share.

use std::sync::Arc;

use durable::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use durable::{Clock, Entropy};
use kv::{Error, Result, SequenceNumber};

use crate::counters::Counters;
use crate::history_clock::HistoryClock;
use crate::options::Options;
use crate::readers::Readers;
use crate::recent_commits::RecentCommits;
use crate::retry::RetryPolicy;
use crate::store::VersionedStore;

/// The components. Each owns its state and its lock.
pub(crate) struct Components {
    pub(crate) store: Box<dyn VersionedStore>,
    pub(crate) recent: Arc<RecentCommits>,
    pub(crate) readers: Arc<Readers>,
    pub(crate) counters: Counters,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) retry: RetryPolicy,
    pub(crate) max_transaction_bytes: usize,
    pub(crate) first_committer_wins: bool,
    history: HistoryClock,
    last_transaction: AtomicU64,
    is_closed: AtomicBool,
}

impl Components {
    pub(crate) fn new(store: Box<dyn VersionedStore>, options: Options) -> Self {
        let Options { history, reader_limits, retry, max_transaction_bytes, .. } = options;
        let Options { first_committer_wins, clock, entropy, .. } = options;
        Self {
            store,
            recent: RecentCommits::new(),
            readers: Readers::new(reader_limits),
            counters: Counters::default(),
            history: HistoryClock::new(history, Arc::clone(&clock)),
            clock,
            entropy,
            retry,
            max_transaction_bytes,
            first_committer_wins,
            last_transaction: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
        }
    }

    /// The number of the next transaction, from 1 on.
    pub(crate) fn next_transaction(&self) -> u64 {
        self.last_transaction.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Refuses transactions that begin from now on.
    pub(crate) fn mark_closed(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    /// Moves the history window after a commit.
    pub(crate) fn move_history(&self, newest: SequenceNumber) {
        self.store.retain_from(self.history.floor(newest));
    }

    /// Ends the readers that are beyond their limits.
    pub(crate) fn enforce_limits(&self) {
        self.readers.enforce(|| self.clock.elapsed(), || self.store.history());
    }
}
