//! One memory cgroup: created, limited, asked for kills, removed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::hierarchy::Version;

/// The prefix of cgroup names; the number of the process that made the cgroup follows.
pub(super) const NAME_PREFIX: &str = "kvbench-";
/// The processes of a cgroup.
pub(super) const PROCESSES: &str = "cgroup.procs";
/// A cgroup is busy for a moment after its last process has ended.
const REMOVALS: u32 = 20;
const REMOVAL_PAUSE: Duration = Duration::from_millis(10);

/// The cgroup of one cell. It is removed with its owner.
#[derive(Debug)]
pub(crate) struct MemoryCgroup {
    path: PathBuf,
    version: Version,
}

impl MemoryCgroup {
    /// Creates the cgroup at `path`.
    pub(super) fn create(path: PathBuf, version: Version) -> Result<Self, String> {
        debug_assert!(path.parent().is_some(), "a cgroup lies in another one");
        match fs::create_dir(&path) {
            Ok(()) => Ok(Self { path, version }),
            Err(error) => Err(format!("cannot create {}: {error}", path.display())),
        }
    }

    /// Moves a process into the cgroup. Memory that it has already stays counted in its former cgroup.
    pub(crate) fn add(&self, process: u32) -> Result<(), String> {
        write(&self.path.join(PROCESSES), &process.to_string())
    }

    /// Limits the memory of the cgroup, page cache included. Nothing is swapped out to keep the limit.
    pub(crate) fn limit(&self, bytes: u64) -> Result<(), String> {
        assert!(bytes > 0, "no process runs without memory");
        let file = |name: &str| self.path.join(name);
        let text = bytes.to_string();
        match self.version {
            Version::V1 => {
                write(&file("memory.limit_in_bytes"), &text)?;
                // The sum of memory and swap; a kernel that does not count swap has no such file.
                write_if_there(&file("memory.memsw.limit_in_bytes"), &text)
            }
            Version::V2 => {
                write_if_there(&file("memory.swap.max"), "0")?;
                write(&file("memory.max"), &text)
            }
        }
    }

    /// Whether the kernel has killed a process of the cgroup because it needed more than the limit.
    pub(crate) fn has_killed(&self) -> bool {
        let name = match self.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        let text = fs::read_to_string(self.path.join(name)).unwrap_or_default();
        kills(&text) > 0
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        for _ in 0..REMOVALS {
            match fs::remove_dir(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    std::thread::sleep(REMOVAL_PAUSE);
                }
                // A cgroup that cannot be removed is empty; the next run tries again.
                Ok(()) | Err(_) => return,
            }
        }
    }
}

/// The number on the line `oom_kill`, 0 without one.
fn kills(text: &str) -> u64 {
    let number = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    number.and_then(|number| number.trim().parse().ok()).unwrap_or_default()
}

/// Removes the cgroups below `own` whose run has ended. The system refuses to remove a cgroup with a process in it.
pub(super) fn remove_left_over(own: &Path) {
    let entries = fs::read_dir(own).into_iter().flatten().filter_map(io::Result::ok);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process =
            name.strip_prefix(NAME_PREFIX).and_then(|rest| rest.split('-').next()?.parse().ok());
        let Some(process): Option<u32> = process else { continue };
        if !Path::new("/proc").join(process.to_string()).exists() {
            fs::remove_dir(entry.path()).unwrap_or_default();
        }
    }
}

/// Writes `text` to a file of a cgroup.
pub(super) fn write(path: &Path, text: &str) -> Result<(), String> {
    // The files of a cgroup exist. Creating one would hide that the directory is no cgroup.
    let opened = fs::OpenOptions::new().write(true).open(path);
    opened
        .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))
        .map_err(|error| format!("cannot write {text} to {}: {error}", path.display()))
}

fn write_if_there(path: &Path, text: &str) -> Result<(), String> {
    if path.exists() { write(path, text) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with files as the kernel makes them.
    fn cgroup(version: Version, files: &[(&str, &str)]) -> (tempfile::TempDir, MemoryCgroup) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cgroup");
        let cgroup = MemoryCgroup::create(path.clone(), version).unwrap();
        for (name, text) in files {
            fs::write(path.join(name), text).unwrap();
        }
        (folder, cgroup)
    }

    fn text(cgroup: &MemoryCgroup, name: &str) -> String {
        fs::read_to_string(cgroup.path.join(name)).unwrap()
    }

    #[test]
    fn version_1_limits_memory_and_then_memory_with_swap() {
        let files = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes", PROCESSES];
        let (_folder, cgroup) = cgroup(Version::V1, &files.map(|name| (name, "")));
        cgroup.add(7).unwrap();
        cgroup.limit(4096).unwrap();
        assert_eq!(files.map(|name| text(&cgroup, name)), ["4096", "4096", "7"]);
    }

    #[test]
    fn version_2_limits_memory_and_forbids_swap_where_the_kernel_counts_it() {
        let (_folder, with) = cgroup(Version::V2, &[("memory.max", ""), ("memory.swap.max", "")]);
        with.limit(4096).unwrap();
        assert_eq!(
            (&text(&with, "memory.max")[..], &text(&with, "memory.swap.max")[..]),
            ("4096", "0")
        );
        let (_folder, without) = cgroup(Version::V2, &[("memory.max", "")]);
        without.limit(4096).unwrap();
        assert!(!without.path.join("memory.swap.max").exists());
    }

    #[test]
    fn a_kill_is_read_from_the_file_of_the_version() {
        let v1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n";
        assert!(cgroup(Version::V1, &[("memory.oom_control", v1)]).1.has_killed());
        let v2 =
            |kills| format!("low 0\nhigh 0\nmax 90\noom 1\noom_kill {kills}\noom_group_kill 0\n");
        assert!(cgroup(Version::V2, &[("memory.events", &v2(1))]).1.has_killed());
        assert!(!cgroup(Version::V2, &[("memory.events", &v2(0))]).1.has_killed());
    }

    #[test]
    fn cgroups_of_dead_runs_go_and_those_of_living_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let name = |process: u32| format!("{NAME_PREFIX}{process}-3");
        // Linux numbers no process as high as this.
        let (dead, alive) = (name(u32::MAX), name(std::process::id()));
        for name in [&dead[..], &alive, "kvbench-else", "other"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        remove_left_over(folder.path());
        let left = [&dead[..], &alive, "kvbench-else", "other"];
        let left = left.map(|name| folder.path().join(name).exists());
        assert_eq!(left, [false, true, true, true]);
    }
}
