//! The memory of a cell: what the harness holds by itself, and what came on top of it.

use crate::process_memory::{self, Resident};
use crate::row::Row;

/// The memory of the process before the engine was opened, when everything of the harness is made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MemoryBase {
    /// By where its pages come from.
    resident: Option<Resident>,
    /// Its sum as the peak counts it.
    rss_bytes: Option<u64>,
}

impl MemoryBase {
    /// The memory as it is now.
    pub(super) fn now() -> Self {
        Self { resident: Resident::now(), rss_bytes: process_memory::resident_bytes() }
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
    /// Pages of the engine's files.
    pub(super) page_cache_bytes: Option<u64>,
}

impl MemoryUse {
    /// The memory of the process as it is now, and the peak since it was forgotten.
    pub(super) fn now(base: MemoryBase) -> Self {
        let engine = Resident::now().zip(base.resident).map(|(now, base)| now.beyond(base));
        let rss_peak_bytes = process_memory::peak_bytes();
        Self { base, engine, rss_peak_bytes, page_cache_bytes: None }
    }

    /// Puts everything into the columns of `row`.
    pub(super) fn fill(&self, row: &mut Row, limit_bytes: Option<u64>) {
        row.rss_peak_bytes = self.rss_peak_bytes;
        row.rss_base_bytes = self.base.rss_bytes;
        row.memory_anon_bytes = self.engine.map(|engine| engine.anonymous_bytes);
        row.memory_mapped_bytes = self.engine.map(|engine| engine.mapped_bytes);
        row.page_cache_bytes = self.page_cache_bytes;
        row.harness_bytes = self.base.harness_bytes();
        row.memory_limit_bytes =
            limit_bytes.zip(row.harness_bytes).map(|(limit, own)| limit.saturating_add(own));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_limit_is_not_wrapped_by_the_memory_of_the_harness() {
        let resident = Some(Resident { anonymous_bytes: 1, mapped_bytes: 0 });
        let base = MemoryBase { resident, ..MemoryBase::default() };
        let mut row = Row::default();
        MemoryUse { base, ..MemoryUse::default() }.fill(&mut row, Some(u64::MAX));
        assert_eq!(row.memory_limit_bytes, Some(u64::MAX));
    }
}
