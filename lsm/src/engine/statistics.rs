//! How the numbers of an open store are gathered from its components.

use std::sync::atomic::Ordering;

use durable::sync::atomic::AtomicU64;
use kv::{KeyRange, Result};

use super::Lsm;
use crate::read;
use crate::state::TableFacts;
use crate::statistics::LsmStats;

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Lsm {
    /// How many bytes the entries with keys in `range` take on the disk, about: those of the data blocks of tables that have such an
    /// entry, compressed as they are, old versions and tombstones included. It reads the indexes of the tables that overlap the
    /// range, and no data block.
    ///
    /// Never less than that, and at most two data blocks more for each run of tables ([`LsmStats::runs`]): one at each end of
    /// the range. Filters, indexes and range tombstones do not count, and neither does what is in memtables and in the log:
    /// [`Lsm::flush`] first to have it counted.
    ///
    /// # Errors
    /// `InvalidArgument` for an inverted range; `Corruption` of an index; `Io`; `Closed`.
    pub fn approximate_size(&self, range: &KeyRange) -> Result<u64> {
        self.parts.background.check_open()?;
        range.check()?;
        read::size_in_tables(&self.parts.versions.load_full().version, range)
    }

    /// The engine's numbers.
    pub fn statistics(&self) -> LsmStats {
        let (counts, range_deletes) = self.parts.committer.counts();
        LsmStats {
            batches: counts.batches,
            puts: counts.puts,
            deletes: counts.deletes,
            range_deletes,
            user_bytes: counts.user_bytes,
            log_bytes: counts.log_bytes,
            sync_rounds: self.parts.store.log().syncs(),
            pressure: self.parts.pressure.level(),
            writes_slowed: self.parts.pressure.slowed(),
            writes_stalled: self.parts.pressure.stalled(),
            snapshots: self.parts.pins.count(),
            replayed_batches: self.parts.replayed_batches,
            ..self.with_background_work(&self.of_data())
        }
    }

    /// `stats` with the numbers of flushes and compactions.
    fn with_background_work(&self, stats: &LsmStats) -> LsmStats {
        let flushes = self.parts.flusher.counters();
        let compactions = self.parts.compactor.counters();
        LsmStats {
            flushes: count(&flushes.flushes),
            flushed_bytes: count(&flushes.bytes),
            flushes_failed: count(&flushes.failed),
            flush_stalls: count(&flushes.stalls),
            compactions: count(&compactions.compactions),
            compaction_moves: count(&compactions.moves),
            compaction_drops: count(&compactions.drops),
            compactions_failed: count(&compactions.failed),
            hidden_dropped: count(&compactions.hidden_dropped),
            tombstones_dropped: count(&compactions.tombstones_dropped),
            range_tombstones_dropped: count(&compactions.ranges_dropped),
            expired_to_tombstones: count(&compactions.expired),
            compaction_debt_bytes: self.parts.compactor.debt(),
            levels: self.parts.compactor.levels(),
            ..*stats
        }
    }

    /// The numbers of memtables and files. The others are zero.
    fn of_data(&self) -> LsmStats {
        let (state, view) = (self.parts.store.state(), self.parts.versions.load_full());
        let facts = || state.tables.values().map(|table| &table.facts);
        LsmStats {
            memtable_bytes: view.memtables().map(|memtable| memtable.bytes()).sum(),
            sealed_memtables: view.sealed.len() as u64,
            logs: state.logs.len() as u64,
            runs: view.version.runs.len() as u64,
            tables: state.tables.len() as u64,
            table_bytes: facts().map(|facts| facts.len).sum(),
            table_entries: facts().map(|facts| facts.entries).sum(),
            table_tombstones: facts().map(|facts| facts.tombstones).sum(),
            table_hidden: facts().map(|facts| facts.hidden).sum(),
            table_expiring: facts().map(TableFacts::expiring).sum(),
            table_range_fragments: facts().map(TableFacts::range_fragments).sum(),
            files_unlinked: self.parts.reclaimer.reclaimed(),
            ..LsmStats::default()
        }
    }
}
