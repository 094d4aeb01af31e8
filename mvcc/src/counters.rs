//! Counts of events since the engine was opened.

use durable::sync::atomic::{AtomicU64, Ordering};
use kv::{Error, Result};

/// Counts of events.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    begun: AtomicU64,
    commits: AtomicU64,
    read_commits: AtomicU64,
    rollbacks: AtomicU64,
    conflicts: AtomicU64,
    too_old: AtomicU64,
    failures: AtomicU64,
    retries: AtomicU64,
}

/// The counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) begun: u64,
    pub(crate) commits: u64,
    pub(crate) read_commits: u64,
    pub(crate) rollbacks: u64,
    pub(crate) conflicts: u64,
    pub(crate) too_old: u64,
    pub(crate) failures: u64,
    pub(crate) retries: u64,
}

impl Counters {
    pub(crate) fn count_begin(&self) {
        add_one(&self.begun);
    }

    pub(crate) fn count_rollback(&self) {
        add_one(&self.rollbacks);
    }

    pub(crate) fn count_retry(&self) {
        add_one(&self.retries);
    }

    /// Counts the result of a commit.
    pub(crate) fn count_commit<T>(&self, committed: &Result<T>, has_written: bool) {
        add_one(match committed {
            Ok(_) if has_written => &self.commits,
            Ok(_) => &self.read_commits,
            Err(Error::Conflict(_)) => &self.conflicts,
            Err(Error::SnapshotTooOld) => &self.too_old,
            Err(_) => &self.failures,
        });
    }

    pub(crate) fn read(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            begun: of(&self.begun),
            commits: of(&self.commits),
            read_commits: of(&self.read_commits),
            rollbacks: of(&self.rollbacks),
            conflicts: of(&self.conflicts),
            too_old: of(&self.too_old),
            failures: of(&self.failures),
            retries: of(&self.retries),
        }
    }
}

fn add_one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
