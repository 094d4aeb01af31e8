//! A limit to the memory of cells, page cache included: each cell's process runs in a memory cgroup of its own.
//!
//! The group is a child of the group that this process is in, so limits from outside stay in force. Both layouts of Linux
//! are known: the memory controller of version 1, and version 2 (`hierarchy`).

mod group;
mod hierarchy;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::failure::{Failure, Outcome};

pub(crate) use group::Group;
use group::{NAME, NestedSelf};
use hierarchy::Hierarchy;

/// A limit that every process keeps: what a trial sets.
const TRIAL_BYTES: u64 = 1 << 40;

/// Makes groups. Groups that runs left behind when they were killed are removed first.
#[derive(Debug)]
pub(crate) struct Limiter {
    hierarchy: Hierarchy,
    /// Groups that were made so far.
    count: AtomicU32,
    /// This process in a group beside those of the cells, where the layout asks for it.
    _nested: Option<NestedSelf>,
}

impl Limiter {
    /// Finds the group of this process and tries whether a limited group can be made in it.
    pub(crate) fn new() -> Outcome<Self> {
        let read = |path: &str| {
            fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))
        };
        let hierarchy = read("/proc/self/mountinfo")
            .and_then(|mounts| Hierarchy::find(&mounts, &read("/proc/self/cgroup")?));
        Self::within(hierarchy.map_err(refused)?).map_err(refused)
    }

    fn within(hierarchy: Hierarchy) -> Result<Self, String> {
        group::remove_left_over(&hierarchy.own);
        let nested = group::delegate(&hierarchy)?;
        let limiter = Self { hierarchy, count: AtomicU32::new(0), _nested: nested };
        limiter.make()?.limit(TRIAL_BYTES)?;
        Ok(limiter)
    }

    /// A group for the next cell, without a limit so far.
    pub(crate) fn group(&self) -> Outcome<Group> {
        self.make().map_err(refused)
    }

    fn make(&self) -> Result<Group, String> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let name = format!("{NAME}{}-{number}", std::process::id());
        let path: PathBuf = self.hierarchy.own.join(name);
        Group::create(path, self.hierarchy.version)
    }
}

/// The one line for a group that cannot be made or used.
pub(crate) fn refused(text: impl std::fmt::Display) -> Failure {
    Failure::usage(format!("--limit-memory needs a memory cgroup: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_cannot_be_made_is_a_wrong_use_that_names_path_and_error() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("missing");
        let hierarchy = Hierarchy { version: hierarchy::Version::V1, own };
        let failure = Limiter::within(hierarchy).map_err(refused).unwrap_err();
        assert_eq!(failure.kind.exit_code(), 2);
        assert!(failure.text.contains("missing/kvbench-"), "{failure}");
        assert!(failure.text.contains("No such file"), "{failure}");
    }
}
