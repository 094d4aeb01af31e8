//! The statistics of an open store.

use kv::{Metric, Stats, Unit};

use crate::state::LEVELS;

/// The numbers of an open store. Counts of events run since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LsmStats {
    /// Batches written.
    pub batches: u64,
    /// Puts written.
    pub puts: u64,
    /// Deletes written, those of ranges included.
    pub deletes: u64,
    /// Deletes of ranges written.
    pub range_deletes: u64,
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
    /// Compactions that merged files.
    pub compactions: u64,
    /// Compactions that moved files to another level as they were.
    pub compaction_moves: u64,
    /// Compactions that removed files unread.
    pub compaction_drops: u64,
    /// Compactions that failed. One that failed for want of space is tried again.
    pub compactions_failed: u64,
    /// Versions that compactions left out because no reader needs them.
    pub hidden_dropped: u64,
    /// Tombstones that compactions left out because nothing was left that they hide.
    pub tombstones_dropped: u64,
    /// Range tombstones that compactions left out, counted in each fragment.
    pub range_tombstones_dropped: u64,
    /// Entries that had expired, which compactions made tombstones.
    pub expired_to_tombstones: u64,
    /// An estimate of the bytes that compactions have to write before the store is at rest.
    pub compaction_debt_bytes: u64,
    /// How much of a limit is used up at which writers wait, in thousandths. From 850 on they are slowed.
    pub pressure: u64,
    /// Writes that were slowed.
    pub writes_slowed: u64,
    /// Writes that waited for a compaction.
    pub writes_stalled: u64,
    /// Snapshots that are held.
    pub snapshots: u64,
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
    /// Entries of the tables that a newer entry of the same key in the same table hides. They were kept for readers of the past.
    pub table_hidden: u64,
    /// Entries of the tables that expire, or have expired.
    pub table_expiring: u64,
    /// Fragments of range tombstones in the tables.
    pub table_range_fragments: u64,
    /// Batches that the opening read from logs. 0 after a clean close.
    pub replayed_batches: u64,
    /// Files that were unlinked after their last reader.
    pub files_unlinked: u64,
    /// The levels, 0 first.
    pub levels: [LevelStats; LEVELS as usize],
}

/// The numbers of one level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LevelStats {
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
    /// Fragments of range tombstones in the tables.
    pub table_range_fragments: u64,
    /// Bytes that compactions have read from the level.
    pub read_bytes: u64,
    /// Bytes that compactions have written to the level. Those of flushes are not among them.
    pub written_bytes: u64,
    /// Bytes of tables that compactions have moved to the level as they were.
    pub moved_bytes: u64,
}

impl LsmStats {
    /// Bytes written to tables for each byte that a user has written. `None`: nothing was written.
    pub fn write_amplification(&self) -> Option<f64> {
        let compacted: u64 = self.levels.iter().map(|level| level.written_bytes).sum();
        let written = (self.flushed_bytes + compacted) as f64;
        (self.user_bytes > 0).then(|| written / self.user_bytes as f64)
    }
}

/// The numbers of level `level`, labelled with it.
fn with_level(stats: Stats, (level, of_level): (usize, &LevelStats)) -> Stats {
    let numbers = [
        ("level_runs", Unit::Count, of_level.runs),
        ("level_tables", Unit::Count, of_level.tables),
        ("level", Unit::Bytes, of_level.table_bytes),
        ("level_entries", Unit::Count, of_level.table_entries),
        ("level_tombstones", Unit::Count, of_level.table_tombstones),
        ("level_range_fragments", Unit::Count, of_level.table_range_fragments),
        ("level_read", Unit::Bytes, of_level.read_bytes),
        ("level_written", Unit::Bytes, of_level.written_bytes),
        ("level_moved", Unit::Bytes, of_level.moved_bytes),
    ];
    numbers.into_iter().fold(stats, |stats, (name, unit, value)| {
        stats.with_metric(Metric::new(name, unit, value).label("level", level.to_string()))
    })
}

impl From<LsmStats> for Stats {
    fn from(stats: LsmStats) -> Self {
        let of_store = Self::default()
            .with("batches", Unit::Count, stats.batches)
            .with("puts", Unit::Count, stats.puts)
            .with("deletes", Unit::Count, stats.deletes)
            .with("range_deletes", Unit::Count, stats.range_deletes)
            .with("user_written", Unit::Bytes, stats.user_bytes)
            .with("log_written", Unit::Bytes, stats.log_bytes)
            .with("sync_rounds", Unit::Count, stats.sync_rounds)
            .with("memtables", Unit::Bytes, stats.memtable_bytes)
            .with("sealed_memtables", Unit::Count, stats.sealed_memtables)
            .with("flushes", Unit::Count, stats.flushes)
            .with("flushed", Unit::Bytes, stats.flushed_bytes)
            .with("flushes_failed", Unit::Count, stats.flushes_failed)
            .with("flush_stalls", Unit::Count, stats.flush_stalls)
            .with("compactions", Unit::Count, stats.compactions)
            .with("compaction_moves", Unit::Count, stats.compaction_moves)
            .with("compaction_drops", Unit::Count, stats.compaction_drops)
            .with("compactions_failed", Unit::Count, stats.compactions_failed)
            .with("hidden_dropped", Unit::Count, stats.hidden_dropped)
            .with("tombstones_dropped", Unit::Count, stats.tombstones_dropped)
            .with("range_tombstones_dropped", Unit::Count, stats.range_tombstones_dropped)
            .with("expired_to_tombstones", Unit::Count, stats.expired_to_tombstones)
            .with("compaction_debt", Unit::Bytes, stats.compaction_debt_bytes)
            .with("pressure_thousandths", Unit::Count, stats.pressure)
            .with("writes_slowed", Unit::Count, stats.writes_slowed)
            .with("writes_stalled", Unit::Count, stats.writes_stalled)
            .with("snapshots", Unit::Count, stats.snapshots)
            .with("logs", Unit::Count, stats.logs)
            .with("runs", Unit::Count, stats.runs)
            .with("tables", Unit::Count, stats.tables)
            .with("table", Unit::Bytes, stats.table_bytes)
            .with("table_entries", Unit::Count, stats.table_entries)
            .with("table_tombstones", Unit::Count, stats.table_tombstones)
            .with("table_hidden", Unit::Count, stats.table_hidden)
            .with("table_expiring", Unit::Count, stats.table_expiring)
            .with("table_range_fragments", Unit::Count, stats.table_range_fragments)
            .with("replayed_batches", Unit::Count, stats.replayed_batches)
            .with("files_unlinked", Unit::Count, stats.files_unlinked);
        let used =
            stats.levels.iter().enumerate().filter(|(_, level)| **level != LevelStats::default());
        used.fold(of_store, with_level)
    }
}
