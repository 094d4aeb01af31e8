//! The place of `kvbench` itself in version 2, where a cgroup whose children have controllers may hold no process.
//!
//! If the memory controller of the children is off, this process turns it on. The system may refuse that because this process is in
//! the cgroup. Then the process moves into a leaf below it, and back at the end of the run.

use std::fs;
use std::path::{Path, PathBuf};

use super::cgroup::{NAME_PREFIX, PROCESSES, write};
use super::hierarchy::{Hierarchy, Version};

/// The controllers of the cgroups below a cgroup, in version 2.
const SUBTREE: &str = "cgroup.subtree_control";

/// The leaf that holds this process, below the cgroup that it was started in. The process moves back when this is dropped.
#[derive(Debug)]
pub(super) struct HarnessCgroup {
    /// The cgroup that the process was started in.
    own: PathBuf,
    /// The leaf.
    path: PathBuf,
}

impl Drop for HarnessCgroup {
    fn drop(&mut self) {
        // If a step is refused, the cgroup stays until its scope goes away.
        let back = write(&self.own.join(SUBTREE), "-memory")
            .and_then(|()| write(&self.own.join(PROCESSES), &std::process::id().to_string()));
        if back.is_ok() {
            fs::remove_dir(&self.path).unwrap_or_default();
        }
    }
}

/// Gives the cgroups below the own one the memory controller. Returns the leaf that this process was moved into, if it had to
/// be; that needs a process that is alone in its cgroup.
pub(super) fn enable_memory_controller(
    hierarchy: &Hierarchy,
) -> Result<Option<HarnessCgroup>, String> {
    let Hierarchy { version, own } = hierarchy;
    if *version == Version::V1 || has_memory(&own.join(SUBTREE))? {
        return Ok(None);
    }
    if !has_memory(&own.join("cgroup.controllers"))? {
        return Err(format!("{} has no memory controller", own.display()));
    }
    let refused = match write(&own.join(SUBTREE), "+memory") {
        Ok(()) => return Ok(None),
        Err(refused) => refused,
    };
    let processes = fs::read_to_string(own.join(PROCESSES)).unwrap_or_default();
    let me = std::process::id().to_string();
    if processes.split_whitespace().any(|process| process != me) {
        let hint = "the group holds other processes; systemd-run --scope -p Delegate=yes kvbench ... makes one";
        return Err(format!("{refused}: {hint}"));
    }
    let nested =
        HarnessCgroup { own: own.clone(), path: own.join(format!("{NAME_PREFIX}{me}-self")) };
    fs::create_dir(&nested.path)
        .map_err(|error| format!("cannot create {}: {error}", nested.path.display()))?;
    write(&nested.path.join(PROCESSES), &me)?;
    write(&own.join(SUBTREE), "+memory")?;
    Ok(Some(nested))
}

fn has_memory(controllers: &Path) -> Result<bool, String> {
    let text = fs::read_to_string(controllers);
    let text = text.map_err(|error| format!("cannot read {}: {error}", controllers.display()))?;
    Ok(text.split_whitespace().any(|name| name == "memory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_enables_the_controller_and_names_the_file_where_it_cannot() {
        let folder = tempfile::tempdir().unwrap();
        let hierarchy = Hierarchy { version: Version::V2, own: folder.path().into() };
        assert!(enable_memory_controller(&hierarchy).unwrap_err().contains(SUBTREE));
        fs::write(folder.path().join(SUBTREE), "").unwrap();
        fs::write(folder.path().join("cgroup.controllers"), "cpu io\n").unwrap();
        assert!(enable_memory_controller(&hierarchy).unwrap_err().contains("no memory controller"));
        fs::write(folder.path().join("cgroup.controllers"), "cpu memory\n").unwrap();
        assert!(enable_memory_controller(&hierarchy).unwrap().is_none());
        assert_eq!(fs::read_to_string(folder.path().join(SUBTREE)).unwrap(), "+memory");
    }
}
