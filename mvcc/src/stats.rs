//! The statistics of an open engine.

use std::sync::Arc;
use std::time::Duration;

use kv::{SequenceNumber, Stats, Unit};

use crate::components::Components;
use crate::readers::OpenReader;
use crate::store::HistoryUse;

/// The numbers of an open engine. Counts of events run since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MvccStats {
    /// Transactions that began.
    pub begun: u64,
    /// Transactions that committed writes or marks.
    pub commits: u64,
    /// Transactions that committed and had neither written nor marked.
    pub read_commits: u64,
    /// Transactions that were rolled back, or dropped.
    pub rollbacks: u64,
    /// Commits that lost against another transaction.
    pub conflicts: u64,
    /// Commits of transactions that were ended by force.
    pub too_old: u64,
    /// Commits that failed for another reason.
    pub failures: u64,
    /// Times that [`Mvcc::run`](crate::Mvcc::run) has run a transaction again.
    pub retries: u64,
    /// Transactions in flight.
    pub in_flight: u64,
    /// Transactions that were ended because of [`ReaderLimits::max_age`](crate::ReaderLimits::max_age).
    pub ended_by_age: u64,
    /// Transactions that were ended because of
    /// [`ReaderLimits::max_retained_bytes`](crate::ReaderLimits::max_retained_bytes).
    pub ended_by_bytes: u64,
    /// The transaction in flight with the oldest snapshot.
    pub oldest_reader: Option<ReaderInfo>,
    /// The versions that the store keeps for readers of the past.
    pub history: HistoryUse,
}

/// A transaction in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReaderInfo {
    /// Its number.
    pub transaction: u64,
    /// The label that it was begun with.
    pub label: Option<Arc<str>>,
    /// The number of its snapshot.
    pub snapshot: SequenceNumber,
    /// How long ago it began.
    pub age: Duration,
    /// Whether it promised to write nothing.
    pub is_read_only: bool,
}

impl MvccStats {
    pub(crate) fn of(parts: &Components) -> Self {
        let counts = parts.counters.read();
        let (ended_by_age, ended_by_bytes) = parts.readers.revoked();
        let now = parts.clock.elapsed();
        Self {
            begun: counts.begun,
            commits: counts.commits,
            read_commits: counts.read_commits,
            rollbacks: counts.rollbacks,
            conflicts: counts.conflicts,
            too_old: counts.too_old,
            failures: counts.failures,
            retries: counts.retries,
            in_flight: parts.readers.count() as u64,
            ended_by_age,
            ended_by_bytes,
            oldest_reader: parts.readers.oldest().map(|reader| ReaderInfo::of(&reader, now)),
            history: parts.store.history(),
        }
    }
}

impl ReaderInfo {
    fn of(reader: &OpenReader, now: Duration) -> Self {
        Self {
            transaction: reader.transaction,
            label: reader.label.clone(),
            snapshot: reader.pin.sequence(),
            age: now.saturating_sub(reader.begun_at),
            is_read_only: reader.is_read_only,
        }
    }
}

impl From<MvccStats> for Stats {
    fn from(stats: MvccStats) -> Self {
        let oldest = stats.oldest_reader;
        let age = oldest.as_ref().map_or(Duration::ZERO, |reader| reader.age);
        Self::default()
            .with("transactions_begun", Unit::Count, stats.begun)
            .with("commits", Unit::Count, stats.commits)
            .with("read_commits", Unit::Count, stats.read_commits)
            .with("rollbacks", Unit::Count, stats.rollbacks)
            .with("conflicts", Unit::Count, stats.conflicts)
            .with("too_old", Unit::Count, stats.too_old)
            .with("failures", Unit::Count, stats.failures)
            .with("retries", Unit::Count, stats.retries)
            .with("in_flight", Unit::Count, stats.in_flight)
            .with("ended_by_age", Unit::Count, stats.ended_by_age)
            .with("ended_by_bytes", Unit::Count, stats.ended_by_bytes)
            .with("oldest_reader", Unit::Nanoseconds, age.as_nanos() as u64)
    }
}
