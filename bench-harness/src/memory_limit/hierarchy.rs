//! Where the memory cgroups of this machine are, from `/proc/self/mountinfo` and `/proc/self/cgroup`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// The layout of cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// A hierarchy for each controller.
    V1,
    /// One hierarchy for all controllers.
    V2,
}

/// The hierarchy that has the memory controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    /// Its layout.
    pub(super) version: Version,
    /// The directory of the cgroup that this process is in.
    pub(super) own: PathBuf,
}

/// A mounted hierarchy.
struct Mount<'t> {
    /// The cgroup at the mount point.
    root: PathBuf,
    point: PathBuf,
    kind: &'t str,
    options: &'t str,
}

impl Hierarchy {
    /// The hierarchy by the texts of the two files; the reason where there is none.
    pub(super) fn find(mountinfo: &str, groups: &str) -> Result<Self, String> {
        // A machine may have both: the memory controller then belongs to version 1, if a hierarchy of it has it.
        let v1 = groups.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            controllers.split(',').any(|name| name == "memory").then_some(path)
        });
        let v2 = groups.lines().find_map(|line| line.strip_prefix("0::"));
        let (version, path) = match (v1, v2) {
            (Some(path), _) => (Version::V1, path),
            (None, Some(path)) => (Version::V2, path),
            (None, None) => return Err("/proc/self/cgroup names no memory controller".into()),
        };
        let mounts = || mountinfo.lines().filter_map(Mount::parse);
        let mount = mounts().filter(|mount| mount.has_memory(version));
        let mut above = mount.filter_map(|mount| {
            let below = Path::new(path).strip_prefix(&mount.root).ok()?;
            // Joined with nothing, a path would end in a slash.
            let is_root = below.as_os_str().is_empty();
            Some(if is_root { mount.point } else { mount.point.join(below) })
        });
        let own = above.next().ok_or_else(|| {
            format!("/proc/self/mountinfo mounts no hierarchy that holds the group {path}")
        })?;
        Ok(Self { version, own })
    }
}

impl<'t> Mount<'t> {
    /// Reads a line of `mountinfo`; `None` for a line of another form.
    fn parse(line: &'t str) -> Option<Self> {
        let (place, file_system) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, point) = (unescape(place.next()?), unescape(place.next()?));
        let mut file_system = file_system.split(' ');
        let (kind, _source) = (file_system.next()?, file_system.next()?);
        Some(Self { root, point, kind, options: file_system.next()? })
    }

    fn has_memory(&self, version: Version) -> bool {
        match version {
            Version::V1 => {
                self.kind == "cgroup" && self.options.split(',').any(|name| name == "memory")
            }
            Version::V2 => self.kind == "cgroup2",
        }
    }
}

/// A path of `mountinfo`, in which a backslash and three octal digits stand for some bytes.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, following)) = rest.split_first() {
        let digits = following.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        let escaped = escaped.filter(|_| byte == b'\\');
        bytes.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { &following[3..] } else { following };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1_MOUNTS: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
35 31 0:32 / /sys/fs/cgroup/mem\\040ory rw,relatime shared:9 - cgroup cgroup rw,hugetlb,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
    const V2_MOUNTS: &str = "\
24 30 0:22 / /proc rw,nosuid - proc proc rw
30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev shared:4 - cgroup2 cgroup2 rw,nsdelegate
";

    fn found(mounts: &str, groups: &str) -> (Version, String) {
        let Hierarchy { version, own } = Hierarchy::find(mounts, groups).unwrap();
        (version, own.to_str().unwrap().into())
    }

    #[test]
    fn the_memory_controller_of_version_1_is_found_beside_version_2() {
        let groups = "8:pids:/\n4:hugetlb,memory:/user/a\n0::/elsewhere\n";
        assert_eq!(found(V1_MOUNTS, groups), (Version::V1, "/sys/fs/cgroup/mem ory/user/a".into()));
    }

    #[test]
    fn version_2_has_one_hierarchy_for_all_controllers() {
        let groups = "0::/user.slice/user-0.slice/run-r1.scope\n";
        let own = "/sys/fs/cgroup/user.slice/user-0.slice/run-r1.scope";
        assert_eq!(found(V2_MOUNTS, groups), (Version::V2, own.into()));
        assert_eq!(found(V2_MOUNTS, "0::/\n"), (Version::V2, "/sys/fs/cgroup".into()));
    }

    #[test]
    fn a_mount_of_a_part_of_the_hierarchy_stands_for_that_part() {
        let mounts = "35 31 0:32 /docker/7 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let own = "/sys/fs/cgroup/memory/inner";
        assert_eq!(found(mounts, "4:memory:/docker/7/inner\n"), (Version::V1, own.into()));
        let reason = Hierarchy::find(mounts, "4:memory:/docker/8\n").unwrap_err();
        assert!(reason.contains("/docker/8"), "{reason}");
    }

    #[test]
    fn a_machine_without_the_controller_is_told_so() {
        let reason = Hierarchy::find(V1_MOUNTS, "8:pids:/\n").unwrap_err();
        assert!(reason.contains("no memory controller"), "{reason}");
    }

    #[test]
    fn digits_without_a_backslash_stand_for_themselves() {
        assert_eq!(unescape("/run101\\040x"), Path::new("/run101 x"));
    }
}
