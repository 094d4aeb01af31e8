//! The memory of a cell: that of the harness, and the rest, which is the engine's.

use crate::memory_elsewhere::FilesElsewhere;
use crate::memory_watch::{self, MemoryWatch};
use crate::process_memory::{self, Resident};
use crate::row::Row;

/// The memory of the process before the engine was opened, when everything of the harness is made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MemoryBase {
    /// By where its pages come from.
    resident: Option<Resident>,
    /// Its sum as the peak counts it.
    rss_bytes: Option<u64>,
    /// The part that no file backs, as a watch counts it.
    unbacked_bytes: Option<u64>,
}

impl MemoryBase {
    /// The memory as it is now.
    pub(super) fn now() -> Self {
        Self {
            resident: Resident::now(),
            rss_bytes: process_memory::resident_bytes(),
            unbacked_bytes: memory_watch::unbacked_bytes(),
        }
    }

    /// The memory of the harness that no file backs.
    pub(super) fn harness_bytes(&self) -> Option<u64> {
        self.resident.map(|resident| resident.anonymous_bytes)
    }
}

/// The memory of the process and of the engine's files at the end of a phase.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MemoryUse {
    base: MemoryBase,
    /// Beyond the base.
    engine: Option<Resident>,
    rss_peak_bytes: Option<u64>,
    /// The most in the phase, without the base.
    unbacked_peak_bytes: Option<u64>,
    /// Files outside of the engine's directory.
    elsewhere_bytes: Option<u64>,
    /// Pages of the engine's files.
    pub(super) page_cache_bytes: Option<u64>,
}

impl MemoryUse {
    /// The memory of the process as it is now, its peak since it was forgotten, and that of `watch`.
    pub(super) fn now(
        base: MemoryBase,
        watch: Option<MemoryWatch>,
        files: &FilesElsewhere,
    ) -> Self {
        let unbacked_peak_bytes = watch.and_then(MemoryWatch::peak_bytes);
        let unbacked_peak_bytes = unbacked_peak_bytes.zip(base.unbacked_bytes);
        let engine = Resident::now().zip(base.resident).map(|(now, base)| now.beyond(base));
        Self {
            base,
            engine,
            rss_peak_bytes: process_memory::peak_bytes(),
            unbacked_peak_bytes: unbacked_peak_bytes.map(|(peak, base)| peak.saturating_sub(base)),
            elsewhere_bytes: engine.map(|engine| files.bytes(engine.shared_bytes)),
            page_cache_bytes: None,
        }
    }

    /// Writes everything to the columns of `row`. `limit_bytes` is the limit that was asked for.
    pub(super) fn write_to(&self, row: &mut Row, limit_bytes: Option<u64>) {
        row.rss_peak_bytes = self.rss_peak_bytes;
        row.rss_base_bytes = self.base.rss_bytes;
        row.memory_anon_bytes = self.engine.map(|engine| engine.anonymous_bytes);
        row.memory_elsewhere_bytes = self.elsewhere_bytes;
        row.memory_peak_bytes = self.unbacked_peak_bytes.map(|peak| {
            // A sample may miss the end of the phase by a period.
            peak.max(row.memory_anon_bytes.unwrap_or_default())
                + self.elsewhere_bytes.unwrap_or_default()
        });
        row.memory_mapped_bytes = self.engine.map(|engine| engine.mapped_bytes);
        row.page_cache_bytes = self.page_cache_bytes;
        row.harness_bytes = self.base.harness_bytes();
        assert!(row.memory_peak_bytes >= row.memory_bytes() || row.memory_peak_bytes.is_none());
        row.memory_limit_bytes =
            limit_bytes.zip(row.harness_bytes).map(|(limit, own)| limit.saturating_add(own));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_limit_is_not_wrapped_by_the_memory_of_the_harness() {
        let resident = Some(Resident { anonymous_bytes: 1, ..Resident::default() });
        let base = MemoryBase { resident, ..MemoryBase::default() };
        let mut row = Row::default();
        MemoryUse { base, ..MemoryUse::default() }.write_to(&mut row, Some(u64::MAX));
        assert_eq!(row.memory_limit_bytes, Some(u64::MAX));
    }
}
