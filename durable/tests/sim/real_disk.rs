//! Facts that only the real file system can show: other kinds of files, and one without `fallocate`.

use std::os::unix::fs::symlink;

use durable::{EntryKind, Fs, LockMode, LogBackend, OsFs};
use kv::Result;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::both_disks::contents;

#[test]
fn a_symbolic_link_is_refused_and_listed_as_something_else() {
    let dir = tempfile::tempdir().unwrap();
    let fs = OsFs::default();
    let (target, link) = (dir.path().join("target"), dir.path().join("link"));
    fs.create(&target).unwrap();
    symlink(&target, &link).unwrap();
    assert!(fs.open(&link).is_err());
    assert!(fs.open_writable(&link).is_err());
    assert!(fs.create(&link).is_err());
    assert!(fs.lock(&link, LockMode::Exclusive).is_err());
    assert_eq!(fs.list(dir.path()).unwrap()[0].kind, EntryKind::Other);
}

#[test]
fn a_pipe_or_a_directory_at_a_name_is_refused_at_once_and_by_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let fs = OsFs::default();
    let (pipe, sub) = (dir.path().join("pipe"), dir.path().join("sub"));
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    fs.create_dir(&sub).unwrap();
    for path in [&pipe, &sub] {
        let errors = [
            fs.open(path).map(drop),
            fs.open_writable(path).map(drop),
            fs.create(path).map(drop),
            fs.create_log(path, 10).map(drop),
            fs.lock(path, LockMode::Exclusive).map(drop),
            fs.create_dir(&path.join("below/deep")).and(fs.create_dir(&pipe)),
        ];
        for error in errors.into_iter().map(Result::unwrap_err) {
            assert!(error.to_string().contains(&*dir.path().to_string_lossy()), "{error}");
        }
    }
    for path in [&pipe, &sub] {
        let error = fs.remove(path).unwrap_err().to_string();
        assert!(error.contains(&*path.to_string_lossy()), "{error}");
    }
    assert_eq!(fs.list(dir.path()).unwrap().len(), 2, "nothing foreign is removed");
}

/// A file system without `fallocate`, which keeps everything in memory. Unmounted when dropped.
struct Ramfs(tempfile::TempDir);

impl Ramfs {
    /// `None` without the right to mount.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        // A system call and no program: a forked process would hold the lock files of other tests for a moment.
        mount("ramfs", dir.path(), "ramfs", MountFlags::empty(), None).ok()?;
        Some(Self(dir))
    }
}

impl Drop for Ramfs {
    fn drop(&mut self) {
        let unmounted = unmount(self.0.path(), UnmountFlags::empty());
        assert!(unmounted.is_ok(), "the file system is still in use");
    }
}

#[test]
fn a_log_goes_on_where_the_file_system_has_no_fallocate() {
    let Some(ramfs) = Ramfs::mount() else {
        println!("skipped: mounting a ramfs takes root");
        return;
    };
    for backend in [LogBackend::Mapped, LogBackend::Written] {
        let fs = OsFs::new(backend);
        let path = ramfs.0.path().join(format!("{backend:?}"));
        let log = fs.create_log(&path, 1 << 20).unwrap();
        log.reserve(300_000).unwrap();
        log.append(0, &vec![7; 300_000]).unwrap();
        log.sync().unwrap();
        log.read(299_999, 1, &mut |bytes| assert_eq!(bytes, [7])).unwrap();
        log.finish(300_000).unwrap();
        assert_eq!(contents(&fs, &path), vec![7; 300_000]);
    }
}
