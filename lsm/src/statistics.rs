//! The statistics of an open store.

use kv::{Stats, Unit};

/// The numbers of an open store. Counts of events run since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LsmStats {
    /// Batches written.
    pub batches: u64,
    /// Puts written.
    pub puts: u64,
    /// Deletes written.
    pub deletes: u64,
    /// Bytes of keys and values written.
    pub user_bytes: u64,
    /// Bytes appended to the write-ahead log for them.
    pub log_bytes: u64,
    /// Rounds of group commit, each of which synced once or more.
    pub sync_rounds: u64,
    /// Memory of the active memtable and the sealed ones, in bytes, about.
    pub memtable_bytes: u64,
    /// Sealed memtables that are not flushed yet.
    pub sealed_memtables: u64,
    /// Memtables that were flushed.
    pub flushes: u64,
    /// Bytes of the tables that flushes have written.
    pub flushed_bytes: u64,
    /// Flushes that failed. One that failed for want of space is tried again.
    pub flushes_failed: u64,
    /// Times that a writer had to flush a memtable itself because flushing fell behind.
    pub flush_stalls: u64,
    /// Segments of the write-ahead log, the active and the prepared one included.
    pub logs: u64,
    /// Sorted runs.
    pub runs: u64,
    /// Tables in them.
    pub tables: u64,
    /// Bytes of the tables.
    pub table_bytes: u64,
    /// Entries of the tables, tombstones included.
    pub table_entries: u64,
    /// Tombstones in the tables.
    pub table_tombstones: u64,
    /// Batches that the opening read from logs. 0 after a clean close.
    pub replayed_batches: u64,
    /// Files that were unlinked after their last reader.
    pub files_unlinked: u64,
}

impl From<LsmStats> for Stats {
    fn from(stats: LsmStats) -> Self {
        Self::default()
            .with("batches", Unit::Count, stats.batches)
            .with("puts", Unit::Count, stats.puts)
            .with("deletes", Unit::Count, stats.deletes)
            .with("user_written", Unit::Bytes, stats.user_bytes)
            .with("log_written", Unit::Bytes, stats.log_bytes)
            .with("sync_rounds", Unit::Count, stats.sync_rounds)
            .with("memtables", Unit::Bytes, stats.memtable_bytes)
            .with("sealed_memtables", Unit::Count, stats.sealed_memtables)
            .with("flushes", Unit::Count, stats.flushes)
            .with("flushed", Unit::Bytes, stats.flushed_bytes)
            .with("flushes_failed", Unit::Count, stats.flushes_failed)
            .with("flush_stalls", Unit::Count, stats.flush_stalls)
            .with("logs", Unit::Count, stats.logs)
            .with("runs", Unit::Count, stats.runs)
            .with("tables", Unit::Count, stats.tables)
            .with("table", Unit::Bytes, stats.table_bytes)
            .with("table_entries", Unit::Count, stats.table_entries)
            .with("table_tombstones", Unit::Count, stats.table_tombstones)
            .with("replayed_batches", Unit::Count, stats.replayed_batches)
            .with("files_unlinked", Unit::Count, stats.files_unlinked)
    }
}
