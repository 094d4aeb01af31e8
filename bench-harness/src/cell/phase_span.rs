//! The begin and the end of a phase: the counters of the process, the syncs and the memory are read at both.
//!
//! At the end, the order matters. The memory is read first, because the sync may empty the buffers that the phase has filled.
//! Then the engine is synced and, after writes, comes to rest. Answers are judged after that.

use std::time::Duration;

use kv::Kv;

use super::harness_share::HarnessShare;
use super::memory_use::MemoryUse;
use super::settle::{Settled, WorkMeter, settle};
use super::sync_count::SyncCount;
use crate::failure::Outcome;
use crate::memory_watch::MemoryWatch;
use crate::process_counters::Counters;
use crate::process_memory;

/// The process at the begin of a phase.
pub(super) struct PhaseStart {
    /// Bytes read and written so far.
    pub(super) counters: Counters,
    /// Syncs so far.
    pub(super) syncs: SyncCount,
    /// Samples the memory until the clock has stopped.
    memory_watch: Option<MemoryWatch>,
}

/// The process at the end of a phase, when the clock has stopped and before the last answers are judged.
#[derive(Clone, Copy)]
pub(super) struct PhaseEnd {
    /// The memory before the final sync.
    pub(super) memory: MemoryUse,
    /// The final sync and the work after it.
    pub(super) settled: Settled,
}

impl PhaseStart {
    /// Begins a phase: forgets the peak of memory, starts to sample the memory, and reads the counters.
    pub(super) fn begin(engine: &dyn Kv) -> Self {
        process_memory::forget_peak();
        let memory_watch = Some(MemoryWatch::start());
        Self { counters: Counters::now(), syncs: SyncCount::now(engine), memory_watch }
    }

    /// Ends the phase: measures the memory without that of `harness`, syncs `engine`, and waits until it is at rest if it
    /// wrote for `wrote_for`.
    ///
    /// # Panics
    /// If the phase has ended before.
    pub(super) fn end(
        &mut self,
        engine: &dyn Kv,
        harness: &HarnessShare,
        wrote_for: Option<Duration>,
    ) -> Outcome<PhaseEnd> {
        assert!(self.memory_watch.is_some(), "a phase ends once");
        let work = WorkMeter::begin();
        let memory = MemoryUse::now(harness.memory, self.memory_watch.take(), &harness.files);
        let settled = settle(engine, wrote_for, &harness.threads, work.so_far())?;
        Ok(PhaseEnd { memory, settled })
    }
}
