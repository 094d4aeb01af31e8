//! The statistics of an open store.

use kv::{Stats, Unit};

use crate::data_file::FileTable;
use crate::keydir::Keydir;
use crate::views::Views;

/// The numbers of an open store. Counts of events run since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BitcaskStats {
    /// Keys in the keydir: those that have a value, and those whose value has expired and was not merged yet.
    pub keys: u64,
    /// Memory of the keydir, keys included.
    pub keydir_bytes: u64,
    /// Data files, the active one included.
    pub data_files: u64,
    /// Bytes of the data files that hold live records, frames included.
    pub live_bytes: u64,
    /// Bytes of the data files that do not: headers, witnesses, overwritten and deleted records, tombstones.
    pub dead_bytes: u64,
    /// Batches written.
    pub batches: u64,
    /// Puts written.
    pub puts: u64,
    /// Deletes written.
    pub deletes: u64,
    /// Bytes of keys and values written.
    pub user_bytes: u64,
    /// Bytes appended to data files for them.
    pub log_bytes: u64,
    /// Rounds of group commit, each of which synced once or more.
    pub sync_rounds: u64,
    /// Times that a writer had to seal a file itself because sealing fell behind.
    pub seal_stalls: u64,
    /// Writes that were slowed because of dead space.
    pub writes_slowed: u64,
    /// Writes that waited because of dead space.
    pub writes_stalled: u64,
    /// How near dead space or files are to where writes wait, in thousandths.
    pub pressure: u64,
    /// Hint files that could not be written.
    pub hints_failed: u64,
    /// Merges that were done, dropped files included.
    pub merges: u64,
    /// Merges that failed and were given up.
    pub merges_failed: u64,
    /// Bytes of data files that merges have read.
    pub merge_read_bytes: u64,
    /// Bytes of data files that merges have written.
    pub merge_written_bytes: u64,
    /// Tombstones and expired puts that merges have dropped, because they hid nothing any more.
    pub tombstones_dropped: u64,
    /// Data files that were unlinked after a merge and after their last reader.
    pub files_unlinked: u64,
    /// Frozen views that are open: snapshots, and scans that are collecting.
    pub views: u64,
    /// Memory of the undo lists of open views.
    pub undo_bytes: u64,
    /// Data files that were read whole when the store was opened, because they had no hint that counts.
    pub files_scanned_at_open: u64,
}

impl BitcaskStats {
    /// Memory of the keydir for each key, in bytes, the key included; 0 without keys.
    pub fn keydir_bytes_per_key(&self) -> f64 {
        ratio(self.keydir_bytes, self.keys)
    }

    /// Bytes written to data files, by writers and merges, for each byte of keys and values written; 0 without writes.
    pub fn write_amplification(&self) -> f64 {
        ratio(self.log_bytes + self.merge_written_bytes, self.user_bytes)
    }

    /// Bytes of data files for each byte of them that is live; 0 where nothing is.
    pub fn space_amplification(&self) -> f64 {
        ratio(self.live_bytes + self.dead_bytes, self.live_bytes)
    }
}

fn ratio(of: u64, to: u64) -> f64 {
    if to == 0 { 0.0 } else { of as f64 / to as f64 }
}

impl BitcaskStats {
    /// The numbers that the data alone has. `scanned` files were read whole at the opening.
    pub(crate) fn of_data(keydir: &Keydir, files: &FileTable, views: &Views, scanned: u64) -> Self {
        let live_bytes = files.iter().map(|file| file.handle.live.bytes()).sum();
        let all_bytes: u64 = files.iter().map(|file| file.len()).sum();
        Self {
            keys: keydir.len(),
            keydir_bytes: keydir.memory_bytes(),
            data_files: files.iter().count() as u64,
            live_bytes,
            dead_bytes: all_bytes.saturating_sub(live_bytes),
            views: views.count() as u64,
            undo_bytes: keydir.undo_bytes(),
            files_scanned_at_open: scanned,
            ..Self::default()
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
            .with("writes_slowed", Unit::Count, stats.writes_slowed)
            .with("writes_stalled", Unit::Count, stats.writes_stalled)
            .with("pressure", Unit::Count, stats.pressure)
            .with("hints_failed", Unit::Count, stats.hints_failed)
            .with("merges", Unit::Count, stats.merges)
            .with("merges_failed", Unit::Count, stats.merges_failed)
            .with("merge_read", Unit::Bytes, stats.merge_read_bytes)
            .with("merge_written", Unit::Bytes, stats.merge_written_bytes)
            .with("tombstones_dropped", Unit::Count, stats.tombstones_dropped)
            .with("files_unlinked", Unit::Count, stats.files_unlinked)
            .with("views", Unit::Count, stats.views)
            .with("undo", Unit::Bytes, stats.undo_bytes)
            .with("files_scanned_at_open", Unit::Count, stats.files_scanned_at_open)
    }
}
