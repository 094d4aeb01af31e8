#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use super::super::file_system::allocate;
use super::*;

/// A space in a new file of `dir`.
fn space(dir: &Path, allocate: fn(&fs::File, u64, u64) -> io::Result<()>) -> Space {
    let path = dir.join("log");
    let file = crate::os_fs::create_file(&path).unwrap();
    Space::new(file, &path, 16 << 20, FileSystem { allocate, ..FileSystem::REAL })
}

#[test]
fn writeback_of_a_synced_log_begins_once_in_four_mebibytes_and_before_the_last_pages() {
    let dir = tempfile::tempdir().unwrap();
    let space = space(dir.path(), allocate);
    space.reserve(16 << 20).unwrap();
    space.sync().unwrap();
    assert!(!space.wants_writeback(0, 4 << 20), "nobody waits for the disk");
    space.sync().unwrap();
    assert!(!space.wants_writeback(0, (4 << 20) - 1));
    assert!(space.wants_writeback((4 << 20) - 1, (4 << 20) + 100_000));
    space.start_writeback((4 << 20) + 100_000);
    assert_eq!(space.written_back.load(Ordering::Relaxed), (4 << 20) + (64 << 10));
    assert!(!space.wants_writeback((4 << 20) + 100_000, (8 << 20) - 1));
    assert!(space.wants_writeback((8 << 20) - 1, 16 << 20));
}

#[test]
fn a_disk_without_room_for_a_whole_step_gives_the_bytes_that_are_needed() {
    fn small_disk(file: &fs::File, from: u64, to: u64) -> io::Result<()> {
        if to > 100_000 {
            return Err(rustix::io::Errno::NOSPC.into());
        }
        allocate(file, from, to)
    }
    let dir = tempfile::tempdir().unwrap();
    let space = space(dir.path(), small_disk);
    space.reserve(70_000).unwrap();
    assert_eq!(space.allocated.load(Ordering::Relaxed), 70_000);
    let refused = space.reserve(100_001).unwrap_err();
    assert_eq!(refused.io_kind(), Some(io::ErrorKind::StorageFull));
    assert!(refused.to_string().contains("log"), "{refused}");
    space.reserve(100_000).unwrap();
}

#[test]
fn space_is_allocated_ahead_as_far_as_the_log_has_come() {
    let dir = tempfile::tempdir().unwrap();
    let space = space(dir.path(), allocate);
    let allocated = || space.allocated.load(Ordering::Relaxed);
    space.reserve(0).unwrap();
    assert_eq!(allocated(), 0);
    space.reserve(100).unwrap();
    assert_eq!(allocated(), 100 + (64 << 10));
    space.reserve(100 + (64 << 10)).unwrap();
    assert_eq!(allocated(), 100 + (64 << 10), "what is owned already needs no call");
    space.reserve(1 << 20).unwrap();
    assert_eq!(allocated(), 2 << 20);
    space.reserve(9 << 20).unwrap();
    assert_eq!(allocated(), 16 << 20, "never beyond the capacity");
    assert_eq!(space.file.metadata().unwrap().len(), 16 << 20);
}

/// A sync that has found that it needs zeros may wait for `finish`, and then goes on.
#[test]
fn zeros_after_the_end_of_a_finished_log_do_not_make_it_longer() {
    let dir = tempfile::tempdir().unwrap();
    let space = space(dir.path(), allocate);
    space.reserve(5_000).unwrap();
    assert!(space.needs_zeros(5_000));
    space.finish(5_000).unwrap();
    space.write_zeros(5_000).unwrap();
    assert_eq!(space.file.metadata().unwrap().len(), 5_000);
}

/// `/dev/full` answers each write as a file system does that has no space for it.
#[cfg(target_os = "linux")]
fn full() -> fs::File {
    fs::OpenOptions::new().read(true).write(true).open("/dev/full").unwrap()
}

/// The space was allocated, and writing it fails all the same.
#[test]
#[cfg(target_os = "linux")]
fn a_sync_does_without_zeros_ahead_if_there_is_no_space_for_them() {
    let nothing_to_do = FileSystem { allocate: |_, _, _| Ok(()), is_copy_on_write: |_| false };
    let space = Space::new(full(), Path::new("log"), 1 << 20, nothing_to_do);
    space.reserve(5_000).unwrap();
    assert!(space.needs_zeros(5_000));
    space.write_zeros(5_000).unwrap();
    assert!(space.needs_zeros(5_000), "the next sync tries again");
}

#[test]
fn a_log_that_was_cut_gets_its_space_again() {
    let dir = tempfile::tempdir().unwrap();
    let space = space(dir.path(), allocate);
    space.reserve(100_000).unwrap();
    space.write_zeros(50_000).unwrap();
    space.start_writeback(100_000);
    space.cut(60_000).unwrap();
    assert_eq!(space.written_back.load(Ordering::Relaxed), 60_000, "new bytes are written again");
    assert_eq!(space.file.metadata().unwrap().len(), 60_000);
    assert!(space.lacks_zeros(60_001));
    space.reserve(60_001).unwrap();
    assert!(space.file.metadata().unwrap().len() > 60_000);
    space.check_reserved(60_001);
}
