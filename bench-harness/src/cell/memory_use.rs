//! The memory of a cell: that of the harness, and the rest, which is the engine's.

use crate::memory_elsewhere::FilesElsewhere;
use crate::memory_watch::{self, MemoryWatch};
use crate::process_memory::{self, Resident};
use crate::row::Row;

/// The memory of the process before the engine is opened, when everything of the harness is made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HarnessMemory {
    /// By where its pages come from.
    resident: Option<Resident>,
    /// Their sum, as the kernel's peak counts it.
    rss_bytes: Option<u64>,
    /// The part that no file backs, as a watch counts it.
    watched_bytes: Option<u64>,
}

impl HarnessMemory {
    /// The memory as it is now.
    pub(super) fn now() -> Self {
        Self {
            resident: Resident::now(),
            rss_bytes: process_memory::resident_bytes(),
            watched_bytes: memory_watch::anonymous_bytes(),
        }
    }

    /// The part that no file backs, in bytes.
    pub(super) fn anonymous_bytes(&self) -> Option<u64> {
        self.resident.map(|resident| resident.anonymous_bytes)
    }
}

/// The memory of the process and of the engine's files at the end of a phase, in bytes. `None`: the system does not tell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MemoryUse {
    /// The part of the harness, which the columns of the engine leave out.
    harness: HarnessMemory,
    /// The part of the engine.
    engine: Option<Resident>,
    /// The most resident memory of the whole process in the phase.
    rss_peak_bytes: Option<u64>,
    /// The most memory of the engine in the phase that no file backs.
    anonymous_peak_bytes: Option<u64>,
    /// Memory in files outside of the engine's directory.
    elsewhere_bytes: Option<u64>,
    /// Pages of the engine's files.
    pub(super) page_cache_bytes: Option<u64>,
}

impl MemoryUse {
    /// The memory of the process as it is now, its peak since it was forgotten, and that of `watch`.
    pub(super) fn now(
        harness: HarnessMemory,
        watch: Option<MemoryWatch>,
        files: &FilesElsewhere,
    ) -> Self {
        let peak = watch.and_then(MemoryWatch::peak_bytes).zip(harness.watched_bytes);
        let engine = Resident::now().zip(harness.resident).map(|(now, own)| now.beyond(own));
        Self {
            harness,
            engine,
            rss_peak_bytes: process_memory::peak_bytes(),
            anonymous_peak_bytes: peak.map(|(peak, own)| peak.saturating_sub(own)),
            elsewhere_bytes: engine.map(|engine| files.bytes(engine.shared_bytes)),
            page_cache_bytes: None,
        }
    }

    /// Writes everything to the columns of `row`. `limit_bytes` is the limit that was asked for.
    pub(super) fn write_to(&self, row: &mut Row, limit_bytes: Option<u64>) {
        row.rss_peak_bytes = self.rss_peak_bytes;
        row.rss_base_bytes = self.harness.rss_bytes;
        row.memory_anon_bytes = self.engine.map(|engine| engine.anonymous_bytes);
        row.memory_elsewhere_bytes = self.elsewhere_bytes;
        row.memory_peak_bytes = self.anonymous_peak_bytes.map(|peak| {
            // A sample may miss the end of the phase by a period.
            peak.max(row.memory_anon_bytes.unwrap_or_default())
                + self.elsewhere_bytes.unwrap_or_default()
        });
        row.memory_mapped_bytes = self.engine.map(|engine| engine.mapped_bytes);
        row.page_cache_bytes = self.page_cache_bytes;
        row.harness_bytes = self.harness.anonymous_bytes();
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
        let harness = HarnessMemory { resident, ..HarnessMemory::default() };
        let mut row = Row::default();
        MemoryUse { harness, ..MemoryUse::default() }.write_to(&mut row, Some(u64::MAX));
        assert_eq!(row.memory_limit_bytes, Some(u64::MAX));
    }

    #[test]
    fn the_peak_is_no_less_than_the_end_and_has_the_memory_elsewhere() {
        let resident = |anonymous_bytes| Some(Resident { anonymous_bytes, ..Resident::default() });
        let harness = HarnessMemory { resident: resident(1), ..HarnessMemory::default() };
        let peak = |peak| {
            let mut row = Row::default();
            let memory = MemoryUse {
                harness,
                engine: resident(100),
                anonymous_peak_bytes: Some(peak),
                elsewhere_bytes: Some(7),
                ..MemoryUse::default()
            };
            memory.write_to(&mut row, Some(10));
            assert_eq!((row.memory_bytes(), row.memory_limit_bytes), (Some(107), Some(11)));
            row.memory_peak_bytes
        };
        assert_eq!((peak(60), peak(300)), (Some(107), Some(307)));
    }
}
