//! The harness's share of the process: its memory, threads and files when everything is prepared and no engine is open.
//!
//! A number of the process without this share is the engine's.

use std::path::Path;

use super::memory_use::HarnessMemory;
use crate::memory_elsewhere::FilesElsewhere;
use crate::other_threads::OtherThreads;
use crate::probe;

/// The memory, threads and files of the harness.
pub(super) struct HarnessShare {
    /// Its memory.
    pub(super) memory: HarnessMemory,
    /// Its threads beside the one that runs the phases.
    pub(super) threads: OtherThreads,
    /// Tells its files and those in the directory of the engine from others.
    pub(super) files: FilesElsewhere,
}

impl HarnessShare {
    /// To be called when everything of the harness is made and before the engine is opened in `directory`.
    pub(super) fn now(directory: &Path) -> Self {
        Self {
            memory: HarnessMemory::now(),
            threads: OtherThreads::now().unwrap_or_default(),
            files: FilesElsewhere::new(directory, &probe::path_beside(directory)),
        }
    }

    /// The memory of the harness that no file backs, in bytes; 0 where the system does not tell.
    pub(super) fn anonymous_bytes(&self) -> u64 {
        self.memory.anonymous_bytes().unwrap_or_default()
    }
}
