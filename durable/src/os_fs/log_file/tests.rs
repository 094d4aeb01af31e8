#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::mapped::MappedLog;
use super::*;
use crate::fs::{Access, Fs as _};
use crate::os_fs::mapping::Region;
use crate::os_fs::{OsFs, create_file};

#[test]
fn zeros_written_ahead_never_replace_what_was_appended() {
    let dir = tempfile::tempdir().unwrap();
    for backend in [LogBackend::Mapped, LogBackend::Written] {
        let path = dir.path().join(format!("{backend:?}"));
        let log = OsFs::new(backend).create_log(&path, 8 << 20).unwrap();
        let byte = |at: usize| (at / 7 % 251) as u8 + 1;
        let mut end = 0;
        for piece in 0_usize.. {
            // Pieces of all sizes up to one larger than all that is written ahead at a time.
            let len = if piece % 500 == 499 { 3 << 19 } else { piece * 131 % 3_000 };
            if end + len > 8 << 20 {
                break;
            }
            let bytes: Vec<u8> = (end..end + len).map(byte).collect();
            log.reserve((end + len) as u64).unwrap();
            log.append(end as u64, &bytes).unwrap();
            end += len;
            // Syncs one by one and in a row, and long stretches without.
            if piece % 300 < 20 {
                log.sync().unwrap();
            }
        }
        log.finish(end as u64).unwrap();
        log.sync().unwrap();
        let mut read = Vec::new();
        log.read(0, end, &mut |bytes| read.extend_from_slice(bytes)).unwrap();
        let file = OsFs::default().open(&path).unwrap().map(Access::Random).unwrap();
        assert_eq!(file.bytes().len(), end);
        assert!((0..end).all(|at| read[at] == byte(at) && file.bytes()[at] == byte(at)));
    }
}

fn unsupported(_: &fs::File, _: u64, _: u64) -> std::io::Result<()> {
    Err(rustix::io::Errno::OPNOTSUPP.into())
}

#[test]
fn a_log_without_fallocate_is_written_in_space_that_exists() {
    let dir = tempfile::tempdir().unwrap();
    for backend in [LogBackend::Mapped, LogBackend::Written] {
        let path = dir.path().join(format!("{backend:?}"));
        let file = create_file(&path).unwrap();
        let calls = FileSystem { allocate: unsupported, ..FileSystem::REAL };
        let log = create_in(file, &path, 8 << 20, backend, calls);
        assert!(format!("{log:?}").starts_with("WrittenLog"), "a mapping could end the process");
        log.reserve(3 << 20).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert!(metadata.len() >= 3 << 20);
        log.append(0, &[7; 5000]).unwrap();
        log.reserve(4 << 20).unwrap();
        log.sync().unwrap();
        assert!(fs::metadata(&path).unwrap().blocks() * 512 >= 4 << 20, "no hole is left");
        log.append(5000, &[8; 5000]).unwrap();
        log.finish(10_000).unwrap();
        log.sync().unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes, [[7; 5000], [8; 5000]].concat());
    }
}

/// A file system that gives every space that it is asked for, and may have none when the bytes come.
fn generous(is_copy_on_write: fn(&fs::File) -> bool) -> FileSystem {
    FileSystem { allocate: |_, _, _| Ok(()), is_copy_on_write }
}

#[test]
fn a_log_on_a_copy_on_write_file_system_is_written_and_not_mapped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let file = create_file(&path).unwrap();
    let log = create_in(file, &path, 1 << 20, LogBackend::Mapped, generous(|_| true));
    assert!(format!("{log:?}").starts_with("WrittenLog"), "a mapping could end the process");
    log.reserve(100).unwrap();
    log.append(0, &[1; 100]).unwrap();
    log.sync().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 100, "zeros ahead would make no sync cheaper");
}

/// `/dev/full` answers each write as a file system does that has no space for it.
#[test]
#[cfg(target_os = "linux")]
fn a_mapped_log_without_space_for_the_bytes_refuses_to_reserve_them() {
    let full = fs::OpenOptions::new().read(true).write(true).open("/dev/full").unwrap();
    let mapped = tempfile::tempfile().unwrap();
    mapped.set_len(1 << 20).unwrap();
    let region = Region::over_file(&mapped, 1 << 20).unwrap();
    let space = Space::new(full, Path::new("log"), 1 << 20, generous(|_| false));
    let refused = MappedLog::new(space, region).reserve(5_000).unwrap_err();
    assert_eq!(refused.io_kind(), Some(ErrorKind::StorageFull), "{refused}");
}

/// A file system of 64 KiB in memory. `None`: this process may not mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        // A system call and no program: a forked process would hold the lock files of other tests for a moment.
        mount("none", dir.path(), "tmpfs", MountFlags::empty(), c"size=64k").ok()?;
        Some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(self.0.path(), UnmountFlags::empty()).ok();
    }
}

#[test]
fn a_log_whose_append_found_no_space_is_cut_and_goes_on_when_there_is_some() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: this process may not mount a file system");
        return;
    };
    let (path, filler) = (disk.0.path().join("log"), disk.0.path().join("filler"));
    let file = create_file(&path).unwrap();
    let log = create_in(file, &path, 1 << 20, LogBackend::Written, generous(|_| true));
    log.reserve(1 << 20).unwrap();
    log.append(0, &[1; 4096]).unwrap();
    let bytes = |filler| vec![filler; 40 << 10];
    fs::write(&filler, bytes(9)).unwrap();
    let refused = log.append(4096, &bytes(2)).unwrap_err();
    assert_eq!(refused.io_kind(), Some(ErrorKind::StorageFull), "{refused}");
    assert!(fs::metadata(&path).unwrap().len() > 4096, "a part was written");
    log.cut(4096).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 4096);

    fs::remove_file(&filler).unwrap();
    log.reserve(4096 + (40 << 10)).unwrap();
    log.append(4096, &bytes(3)).unwrap();
    log.sync().unwrap();
    assert_eq!(fs::read(&path).unwrap(), [vec![1; 4096], bytes(3)].concat());
}

#[test]
fn no_byte_is_read_past_the_end_of_a_log_whatever_length_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    for backend in [LogBackend::Mapped, LogBackend::Written] {
        let path = dir.path().join(format!("{backend:?}"));
        let log = OsFs::new(backend).create_log(&path, 1 << 20).unwrap();
        log.reserve(100).unwrap();
        log.append(0, &[1; 100]).unwrap();
        for (offset, len) in [(0, 101), (100, 1), (8, 4 << 30), (8, usize::MAX), (u64::MAX, 1)] {
            let read = log.read(offset, len, &mut |_| panic!("these bytes were not appended"));
            let kv::Error::Corruption { path: named, offset: at, .. } = read.unwrap_err() else {
                panic!("{backend:?}: {len} bytes at {offset}");
            };
            assert_eq!((named, at), (path.clone(), offset));
        }
        log.read(60, 40, &mut |bytes| assert_eq!(bytes, [1; 40])).unwrap();
    }
}
