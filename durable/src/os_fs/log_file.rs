//! Log files on a real disk: through a mapping, or through `write(2)`.
//!
//! `space.rs` has the space that a log owns, and `file_system.rs` the calls that give it. `mapped.rs` and `written.rs` are
//! the two backends.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use self::file_system::FileSystem;
use self::mapped::MappedLog;
use self::space::Space;
use self::written::WrittenLog;
use crate::fs::LogFile;

mod file_system;
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
    /// One `write(2)` for each append. For file systems where allocated space can still fail: an append that finds no space
    /// returns `StorageFull`, where one through a mapping ends the process. On btrfs, bcachefs, NILFS and ZFS every log is
    /// written so.
    Written,
}

/// Logs larger than this are written, not mapped: they hold one huge batch, and a system call costs it nothing.
const LARGEST_MAPPED: u64 = 256 << 20;

/// A log in the new, empty file `file`, with room for `capacity` bytes.
///
/// The log is written, whatever `backend` says, if the process can have no further mapping. So it is on file systems without
/// `fallocate`, and on copy-on-write ones. There a write through a mapping may find the disk full, which ends the process.
pub(super) fn create(
    file: fs::File,
    path: &Path,
    capacity: u64,
    backend: LogBackend,
) -> Arc<dyn LogFile> {
    create_in(file, path, capacity, backend, FileSystem::REAL)
}

fn create_in(
    file: fs::File,
    path: &Path,
    capacity: u64,
    backend: LogBackend,
    file_system: FileSystem,
) -> Arc<dyn LogFile> {
    let space = Space::new(file, path, capacity, file_system);
    let is_mapped =
        backend == LogBackend::Mapped && (1..=LARGEST_MAPPED).contains(&capacity) && space.lasts();
    let region = if is_mapped { space.map().ok() } else { None };
    match region {
        Some(region) => Arc::new(MappedLog::new(space, region)),
        None => Arc::new(WrittenLog::new(space)),
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests;
