//! A limit to the memory of cells, page cache included: each cell's process runs in a memory cgroup of its own.
//!
//! The cgroup is a child of the one that this process is in, so limits from outside stay in force. Both layouts of Linux are
//! known: the memory controller of version 1, and version 2 (`hierarchy`, `harness_cgroup`).

mod cgroup;
mod harness_cgroup;
mod hierarchy;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::failure::{Failure, Outcome};

pub(crate) use cgroup::MemoryCgroup;
use cgroup::NAME_PREFIX;
use harness_cgroup::{HarnessCgroup, enable_memory_controller};
use hierarchy::Hierarchy;

/// The limit of the trial cgroup: larger than any process.
const TRIAL_BYTES: u64 = 1 << 40;

/// Creates the cgroups of cells. Cgroups that killed runs have left are removed first.
#[derive(Debug)]
pub(crate) struct CgroupFactory {
    hierarchy: Hierarchy,
    /// Cgroups that were created so far.
    count: AtomicU32,
    /// In version 2, the leaf cgroup that holds this process.
    _own_leaf: Option<HarnessCgroup>,
}

impl CgroupFactory {
    /// Finds the cgroup of this process and tries whether a limited cgroup can be created in it.
    pub(crate) fn new() -> Outcome<Self> {
        let read = |path: &str| {
            fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))
        };
        let hierarchy = read("/proc/self/mountinfo")
            .and_then(|mounts| Hierarchy::find(&mounts, &read("/proc/self/cgroup")?));
        Self::within(hierarchy.map_err(refused)?).map_err(refused)
    }

    fn within(hierarchy: Hierarchy) -> Result<Self, String> {
        cgroup::remove_left_over(&hierarchy.own);
        let own_leaf = enable_memory_controller(&hierarchy)?;
        let factory = Self { hierarchy, count: AtomicU32::new(0), _own_leaf: own_leaf };
        factory.try_create()?.limit(TRIAL_BYTES)?;
        Ok(factory)
    }

    /// Creates a cgroup for the next cell, without a limit so far.
    pub(crate) fn create(&self) -> Outcome<MemoryCgroup> {
        self.try_create().map_err(refused)
    }

    fn try_create(&self) -> Result<MemoryCgroup, String> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let name = format!("{NAME_PREFIX}{}-{number}", std::process::id());
        let path: PathBuf = self.hierarchy.own.join(name);
        MemoryCgroup::create(path, self.hierarchy.version)
    }
}

/// The one line for a cgroup that cannot be created or used.
pub(crate) fn refused(text: impl std::fmt::Display) -> Failure {
    Failure::usage(format!("--limit-memory needs a memory cgroup: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_that_cannot_be_created_is_a_wrong_use_that_names_path_and_error() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("missing");
        let hierarchy = Hierarchy { version: hierarchy::Version::V1, own };
        let failure = CgroupFactory::within(hierarchy).map_err(refused).unwrap_err();
        assert_eq!(failure.kind.exit_code(), 2);
        assert!(failure.text.contains("missing/kvbench-"), "{failure}");
        assert!(failure.text.contains("No such file"), "{failure}");
    }
}
