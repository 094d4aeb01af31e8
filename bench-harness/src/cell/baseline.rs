//! The process before the engine was opened, and the process at the begin and at the end of each phase: the difference is
//! the engine's.

use std::path::Path;
use std::time::Duration;

use kv::Kv;

use super::memory_use::{MemoryBase, MemoryUse};
use super::settle::{Settled, WorkMeter, settle};
use super::sync_count::SyncCount;
use crate::failure::Outcome;
use crate::memory_elsewhere::FilesElsewhere;
use crate::memory_watch::MemoryWatch;
use crate::process_counters::{Counters, OtherThreads};
use crate::{probe, process_memory};

/// The process before the engine was opened.
pub(super) struct ProcessBaseline {
    memory: MemoryBase,
    /// Threads beside the one that runs the phases.
    threads: usize,
    /// The files of the harness, and the directory of the engine.
    files: FilesElsewhere,
}

/// The process at the begin of a phase.
pub(super) struct PhaseStart {
    pub(super) counters: Counters,
    pub(super) syncs: SyncCount,
    /// Samples the memory until the clock has stopped.
    memory_watch: Option<MemoryWatch>,
}

/// The process at the end of a phase, when the clock has stopped and before answers are judged.
#[derive(Clone, Copy)]
pub(super) struct PhaseEnd {
    pub(super) memory: MemoryUse,
    pub(super) settled: Settled,
}

impl PhaseStart {
    /// Begins a phase: forgets the peak of memory, starts to sample the memory, and reads the counters.
    pub(super) fn begin(engine: &dyn Kv) -> Self {
        process_memory::forget_peak();
        let memory_watch = Some(MemoryWatch::start());
        Self { counters: Counters::now(), syncs: SyncCount::now(engine), memory_watch }
    }
}

impl ProcessBaseline {
    /// To be called when everything of the harness is made and before the engine is opened in `directory`.
    pub(super) fn now(directory: &Path) -> Self {
        Self {
            memory: MemoryBase::now(),
            threads: OtherThreads::now().unwrap_or_default().count,
            files: FilesElsewhere::new(directory, &probe::path_beside(directory)),
        }
    }

    /// The memory of the harness that no file backs; 0 where the system does not tell.
    pub(super) fn harness_bytes(&self) -> u64 {
        self.memory.harness_bytes().unwrap_or_default()
    }

    /// Ends the phase that began with `start`: measures the memory, syncs `engine`, and waits until it is at rest if it
    /// wrote for `wrote_for`.
    pub(super) fn measure_and_settle(
        &self,
        engine: &dyn Kv,
        start: &mut PhaseStart,
        wrote_for: Option<Duration>,
    ) -> Outcome<PhaseEnd> {
        assert!(start.memory_watch.is_some(), "a phase ends once");
        let work = WorkMeter::begin();
        // Before the sync, which may empty the buffers that the phase has filled.
        let memory = MemoryUse::now(self.memory, start.memory_watch.take(), &self.files);
        let settled = settle(engine, wrote_for, self.threads, work.so_far())?;
        Ok(PhaseEnd { memory, settled })
    }
}
