//! How an open engine behaves.

use std::sync::Arc;
use std::time::Duration;

use durable::{Clock, Entropy, SystemClock, SystemEntropy};

use crate::retry::RetryPolicy;

/// How an open engine behaves. None of it is stored.
///
/// ```
/// use std::time::Duration;
/// use mvcc::{HistoryWindow, Options, ReaderLimits};
/// let options = Options::new()
///     .history(HistoryWindow::commits(10_000))
///     .reader_limits(ReaderLimits::default().max_age(Duration::from_hours(1)));
/// assert_eq!(options.history.commits, 10_000);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// How much of the past stays readable. Default: nothing but the snapshots of transactions in flight.
    pub history: HistoryWindow,
    /// Which readers are ended by force. Default: none.
    pub reader_limits: ReaderLimits,
    /// How [`Mvcc::run`](crate::Mvcc::run) tries again.
    pub retry: RetryPolicy,
    /// The memory that the keys, values and marks of one transaction may take, in bytes. A write beyond it is refused with
    /// `InvalidArgument`. Default: 256 MiB.
    pub max_transaction_bytes: usize,
    /// Whether a commit fails if another transaction has committed a write to one of its keys since its snapshot. Without it
    /// updates can be lost, unless the check of [`Transaction::commit_checked`](crate::Transaction::commit_checked) validates
    /// reads. Conflicts with marks stay. Default: yes.
    pub first_committer_wins: bool,
    /// Measures ages and lets retries pause. Default: the system's.
    pub clock: Arc<dyn Clock>,
    /// Spreads retries. Default: the system's.
    pub entropy: Arc<dyn Entropy>,
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            history: HistoryWindow::default(),
            reader_limits: ReaderLimits::default(),
            retry: RetryPolicy::default(),
            max_transaction_bytes: 256 << 20,
            first_committer_wins: true,
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(SystemEntropy),
        }
    }

    /// Keeps this much of the past readable.
    #[must_use]
    pub fn history(self, history: HistoryWindow) -> Self {
        Self { history, ..self }
    }

    /// Ends readers beyond these limits.
    #[must_use]
    pub fn reader_limits(self, reader_limits: ReaderLimits) -> Self {
        Self { reader_limits, ..self }
    }

    /// Tries again in this way.
    #[must_use]
    pub fn retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// Limits the memory of one transaction.
    #[must_use]
    pub fn max_transaction_bytes(self, max_transaction_bytes: usize) -> Self {
        Self { max_transaction_bytes, ..self }
    }

    /// Whether the first of two concurrent transactions that write a key wins.
    #[must_use]
    pub fn first_committer_wins(self, first_committer_wins: bool) -> Self {
        Self { first_committer_wins, ..self }
    }

    /// Takes the time from `clock`.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Takes random numbers from `entropy`.
    #[must_use]
    pub fn entropy(self, entropy: Arc<dyn Entropy>) -> Self {
        Self { entropy, ..self }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// How much of the past a transaction may begin in: [`TransactionOptions::as_of`](kv::TransactionOptions::as_of). A state
/// stays readable while it is inside one of the two windows.
///
/// Every commit inside the window keeps the versions that it has replaced, in memory or on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct HistoryWindow {
    /// The states before each of the last so many commits.
    pub commits: u64,
    /// The states of the last so much time. They may stay readable for 1/64 longer. No time before the engine was opened.
    pub age: Duration,
}

impl HistoryWindow {
    /// The states before each of the last so many commits.
    pub fn commits(commits: u64) -> Self {
        Self { commits, ..Self::default() }
    }

    /// The states of the last so much time.
    pub fn age(age: Duration) -> Self {
        Self { age, ..Self::default() }
    }
}

/// Which transactions in flight are ended by force, because the versions that they need cost too much. Each of their reads
/// then returns [`Error::SnapshotTooOld`](kv::Error::SnapshotTooOld), and so does their commit if they have written. Limits are enforced whenever any
/// transaction begins or commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ReaderLimits {
    /// A transaction that is older than this. Default: any age.
    pub max_age: Option<Duration>,
    /// The transaction with the oldest snapshot, while the store retains more than so many bytes for readers of the past. The next
    /// one is ended once the store has dropped the versions that it kept for the one before. Default: any number of bytes.
    pub max_retained_bytes: Option<u64>,
}

impl ReaderLimits {
    /// Ends transactions that are older than this.
    #[must_use]
    pub fn max_age(self, max_age: Duration) -> Self {
        Self { max_age: Some(max_age), ..self }
    }

    /// Ends the oldest transaction while more than so many bytes are retained.
    #[must_use]
    pub fn max_retained_bytes(self, bytes: u64) -> Self {
        Self { max_retained_bytes: Some(bytes), ..self }
    }
}
