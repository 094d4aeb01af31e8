//! Log files on a real disk: through a mapping, or through `write(2)`.
//!
//! `space.rs` has the space that a log owns; `mapped.rs` and `written.rs` are the two backends.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use self::mapped::MappedLog;
use self::space::{Allocate, Space};
use self::written::WrittenLog;
use crate::fs::LogFile;

mod mapped;
mod space;
mod written;

/// How log files are written.
///
/// The default was chosen by measurement (`examples/log_backend.rs`; ext4 on a virtual disk, 136 bytes an append, both
/// backends in turn; a busy machine, so look at the ratios):
///
/// | state | backend | mean ns | p50 ns | p99.9 ns | max us |
/// |---|---|---|---|---|---|
/// | resident | mapped | 219 | 40 | 3,756 | 33,017 |
/// | resident | written | 1,449 | 631 | 19,910 | 30,212 |
/// | written back by a thread that syncs all the time | mapped | 375 | 40 | 7,621 | 29,431 |
/// | | written | 1,778 | 731 | 19,950 | 24,059 |
/// | evicted after each sync | mapped | 396 | 40 | 6,980 | 20,111 |
/// | | written | 2,556 | 641 | 85,427 | 24,038 |
///
/// The mean and the 99.9th percentile of the mapping are ahead in every state; the worst case is the file system's
/// journal, which holds up both alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogBackend {
    /// Copies into a mapping.
    #[default]
    Mapped,
    /// One `write(2)` for each append. For file systems where allocated space can still fail.
    Written,
}

/// Logs larger than this are written, not mapped: they hold one huge batch, and a system call costs it nothing.
const LARGEST_MAPPED: u64 = 256 << 20;

/// A log in the new, empty file `file`, with room for `capacity` bytes.
///
/// The log is written, whatever `backend` says, if the process can have no further mapping, and on file systems without
/// `fallocate`. There a write through a mapping may find the disk full, which ends the process.
pub(super) fn create(
    file: fs::File,
    path: &Path,
    capacity: u64,
    backend: LogBackend,
) -> Arc<dyn LogFile> {
    create_in(file, path, capacity, backend, space::allocate)
}

fn create_in(
    file: fs::File,
    path: &Path,
    capacity: u64,
    backend: LogBackend,
    allocate: Allocate,
) -> Arc<dyn LogFile> {
    let space = Space::new(file, path, capacity, allocate);
    let is_mapped = backend == LogBackend::Mapped
        && (1..=LARGEST_MAPPED).contains(&capacity)
        && space.can_allocate();
    let region = if is_mapped { space.map().ok() } else { None };
    match region {
        Some(region) => Arc::new(MappedLog::new(space, region)),
        None => Arc::new(WrittenLog { space, end: Mutex::new(0) }),
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use crate::fs::{Access, Fs as _};
    use crate::os_fs::{LogBackend, OsFs};

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
            let file = crate::os_fs::create_file(&path).unwrap();
            let log = super::create_in(file, &path, 8 << 20, backend, unsupported);
            assert!(
                format!("{log:?}").starts_with("WrittenLog"),
                "a mapping could end the process"
            );
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
}
