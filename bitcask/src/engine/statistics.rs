//! The statistics of an open store, collected from its components.

use std::sync::atomic::Ordering;

use durable::sync::atomic::AtomicU64;

use super::Bitcask;
use crate::stats::BitcaskStats;

impl Bitcask {
    /// The engine's numbers.
    pub fn statistics(&self) -> BitcaskStats {
        let counts = self.committer.counts();
        let merges = self.merger.counters();
        let files = self.parts.files.load_full();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BitcaskStats {
            batches: counts.batches,
            puts: counts.puts,
            deletes: counts.deletes,
            user_bytes: counts.user_bytes,
            log_bytes: counts.log_bytes,
            sync_rounds: self.parts.store.log().syncs(),
            seal_stalls: self.parts.sealer.stalls(),
            writes_slowed: self.parts.pressure.slowed(),
            writes_stalled: self.parts.pressure.stalled(),
            pressure: self.parts.pressure.level(),
            hints_failed: self.parts.sealer.hints_failed(),
            merges: count(&merges.merges),
            merges_failed: count(&merges.failed),
            merge_read_bytes: count(&merges.read_bytes),
            merge_written_bytes: count(&merges.written_bytes),
            tombstones_dropped: count(&merges.tombstones_dropped),
            files_unlinked: self.parts.files.registry().reclaimer().reclaimed(),
            ..BitcaskStats::of_data(
                &self.parts.keydir,
                &files,
                &self.parts.views,
                self.files_scanned_at_open,
            )
        }
    }
}
