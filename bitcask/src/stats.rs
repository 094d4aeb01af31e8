//! What an open store can tell of itself.

use kv::{Stats, Unit};

use crate::engine::Inner;
use durable::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// The numbers of an open store. Counts of events run since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BitcaskStats {
    /// Keys that have a value.
    pub keys: u64,
    /// Memory of the keydir, keys included.
    pub keydir_bytes: u64,
    /// Data files, the active one included.
    pub data_files: u64,
    /// Bytes of the data files that hold live records, frames included.
    pub live_bytes: u64,
    /// Bytes of the data files that do not: headers, overwritten and deleted records, deletions.
    pub dead_bytes: u64,
    /// Batches written.
    pub batches: u64,
    /// Puts written.
    pub puts: u64,
    /// Deletions written.
    pub deletes: u64,
    /// Bytes of keys and values written.
    pub user_bytes: u64,
    /// Bytes appended to data files for them.
    pub log_bytes: u64,
    /// Rounds of group commit, each of which synced once or more.
    pub sync_rounds: u64,
    /// Times that a writer had to seal a file itself because sealing fell behind.
    pub seal_stalls: u64,
    /// Hint files that could not be written.
    pub hints_failed: u64,
    /// Data files that were read whole when the store was opened, because they had no hint that counts.
    pub files_scanned_at_open: u64,
}

/// Counters that change outside the commit section.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) seal_stalls: AtomicU64,
    pub(crate) hints_failed: AtomicU64,
    pub(crate) files_scanned_at_open: AtomicU64,
}

impl Inner {
    pub(crate) fn stats(&self) -> BitcaskStats {
        let commit = self.commit.lock();
        let counts = commit.counts;
        drop(commit);
        let files = self.files.load_full();
        let mut live_bytes = 0;
        let mut all_bytes = 0;
        for file in files.iter() {
            live_bytes += file.live.bytes.load(Ordering::Relaxed);
            all_bytes += file.len();
        }
        BitcaskStats {
            keys: self.keydir.len(),
            keydir_bytes: self.keydir.memory_bytes(),
            data_files: files.iter().count() as u64,
            live_bytes,
            dead_bytes: all_bytes.saturating_sub(live_bytes),
            batches: counts.batches,
            puts: counts.puts,
            deletes: counts.deletes,
            user_bytes: counts.user_bytes,
            log_bytes: counts.log_bytes,
            sync_rounds: self.sync.syncs(),
            seal_stalls: self.counters.seal_stalls.load(Ordering::Relaxed),
            hints_failed: self.counters.hints_failed.load(Ordering::Relaxed),
            files_scanned_at_open: self.counters.files_scanned_at_open.load(Ordering::Relaxed),
        }
    }
}

impl From<BitcaskStats> for Stats {
    fn from(stats: BitcaskStats) -> Self {
        Self::default()
            .with("keys", Unit::Count, stats.keys)
            .with("keydir", Unit::Bytes, stats.keydir_bytes)
            .with("data_files", Unit::Count, stats.data_files)
            .with("live", Unit::Bytes, stats.live_bytes)
            .with("dead", Unit::Bytes, stats.dead_bytes)
            .with("batches", Unit::Count, stats.batches)
            .with("puts", Unit::Count, stats.puts)
            .with("deletes", Unit::Count, stats.deletes)
            .with("user_written", Unit::Bytes, stats.user_bytes)
            .with("log_written", Unit::Bytes, stats.log_bytes)
            .with("sync_rounds", Unit::Count, stats.sync_rounds)
            .with("seal_stalls", Unit::Count, stats.seal_stalls)
            .with("hints_failed", Unit::Count, stats.hints_failed)
            .with("files_scanned_at_open", Unit::Count, stats.files_scanned_at_open)
    }
}
