//! Log files on a real disk: through a mapping, or through `write(2)`.
//!
//! Space is allocated ahead of the appends, a step at a time ([`step`]), so that it cannot run out in the middle of one
//! and a young log does not hold much more than it needs. On ext4, XFS and btrfs that also covers the first write
//! through a mapping, and a log writes each byte once.
//!
//! Allocated space is not *written* space: the first write to a block changes the block map, which `fdatasync` must
//! then commit through the journal of the file system. A log that is synced often therefore writes zeros ahead of
//! itself, again a step at a time; they reach the disk with a sync that happens anyway, and the syncs that follow have
//! only data to write. A log that is never synced writes nothing ahead.
//!
//! The first touch of each page of a mapping is a fault, which costs more than the append. So the kernel is asked to use
//! huge pages ([`HUGE`]) for a step that is allocated while nobody syncs: one fault instead of 512. Where file systems
//! know huge pages in files (ext4 since Linux 6.16, XFS), an append of 136 bytes takes 20 ns then instead of 110, and
//! reads through a mapping are a little faster too. But a sync writes a whole huge page when one byte of it has changed,
//! 2 MiB instead of 4 KiB. The first sync in such a step therefore takes the advice back, and has the page that the log
//! ends in broken up by zeroing the space behind it, where nothing has been appended.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kv::{Error, Result};
use parking_lot::Mutex;

use super::mapping::Region;
use crate::fs::LogFile;

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

/// How far a log at `end` runs ahead of itself: as far as it has come, within reason.
fn step(end: u64, least: u64, most: u64) -> u64 {
    end.clamp(least, most)
}

/// Bounds of the step in which space is allocated.
const ALLOCATION: (u64, u64) = (64 << 10, 8 << 20);

/// Bounds of the step in which zeros are written ahead.
const ZEROING: (u64, u64) = (64 << 10, 1 << 20);

/// Huge pages have this many bytes, on most machines.
const HUGE: u64 = 2 << 20;

/// Pages have this many bytes, on most machines.
const PAGE: u64 = 4 << 10;

static ZEROS: [u8; ZEROING.1 as usize] = [0; ZEROING.1 as usize];

pub(super) fn create(
    file: fs::File,
    path: &Path,
    capacity: u64,
    backend: LogBackend,
) -> Arc<dyn LogFile> {
    let mapped = backend == LogBackend::Mapped && (1..=LARGEST_MAPPED).contains(&capacity);
    // A process has a limited number of mappings; without one the log is written.
    let region = if mapped { Region::over_file(&file, capacity as usize).ok() } else { None };
    let space = Space {
        file,
        path: path.into(),
        capacity,
        allocated: AtomicU64::new(0),
        allocating: Mutex::new(()),
        zeroed: AtomicU64::new(0),
    };
    match region {
        Some(region) => Arc::new(MappedLog {
            space,
            region,
            calm: AtomicBool::new(false),
            huge: AtomicBool::new(false),
        }),
        None => Arc::new(WrittenLog { space, end: Mutex::new(0) }),
    }
}

#[cfg(target_os = "linux")]
fn allocate(file: &fs::File, from: u64, to: u64) -> std::io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};

    Ok(fallocate(file, FallocateFlags::empty(), from, to - from)?)
}

#[cfg(target_os = "linux")]
fn zero(file: &fs::File, from: u64, to: u64) -> std::io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};

    Ok(fallocate(file, FallocateFlags::ZERO_RANGE, from, to - from)?)
}

#[cfg(not(target_os = "linux"))]
fn zero(_file: &fs::File, _from: u64, _to: u64) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Without `fallocate` the space is written, so that it exists.
#[cfg(not(target_os = "linux"))]
fn allocate(file: &fs::File, from: u64, to: u64) -> std::io::Result<()> {
    for offset in (from..to).step_by(ZEROS.len()) {
        let len = (to - offset).min(ZEROS.len() as u64);
        file.write_all_at(&ZEROS[..len as usize], offset)?;
    }
    Ok(())
}

/// The file of a log and the space it owns.
#[derive(Debug)]
struct Space {
    file: fs::File,
    path: PathBuf,
    capacity: u64,
    /// Up to here the file has space.
    allocated: AtomicU64,
    /// Held while space is allocated.
    allocating: Mutex<()>,
    /// Up to here zeros were written ahead. Changed only while no append is running.
    zeroed: AtomicU64,
}

impl Space {
    fn fail(&self, op: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        move |e| Error::io(op, &self.path, e)
    }

    /// Owns the space up to `end`. Calls `grown` with the bounds of the step, if that took one.
    fn reserve(&self, end: u64, grown: impl FnOnce(u64, u64)) -> Result<()> {
        if end <= self.allocated.load(Ordering::Acquire) {
            return Ok(());
        }
        assert!(end <= self.capacity, "the bytes fit into the capacity");
        let _one = self.allocating.lock();
        let from = self.allocated.load(Ordering::Relaxed);
        if end > from {
            let ahead = end + step(end, ALLOCATION.0, ALLOCATION.1);
            // Whole huge pages, where there is more than one.
            let ahead = if ahead > end + HUGE { ahead - ahead % HUGE } else { ahead };
            let ahead = ahead.min(self.capacity);
            // Where there is no space for all that, what is needed may still fit.
            let to = if allocate(&self.file, from, ahead).is_ok() {
                ahead
            } else {
                allocate(&self.file, from, end).map_err(self.fail("allocate"))?;
                end
            };
            grown(from, to);
            self.allocated.store(to, Ordering::Release);
        }
        Ok(())
    }

    fn check_reserved(&self, end: u64) {
        assert!(end <= self.allocated.load(Ordering::Acquire), "the bytes fit into reserved space");
    }

    fn needs_zeros(&self, end: u64) -> bool {
        let zeroed = self.zeroed.load(Ordering::Relaxed);
        zeroed < self.capacity && end + ZEROING.0 / 2 > zeroed
    }

    /// Writes zeros after `end`, where the log ends now, as far as it owns space or can get some. No append may be
    /// running: it would be overwritten.
    fn write_zeros(&self, end: u64) -> Result<()> {
        let from = end.max(self.zeroed.load(Ordering::Relaxed));
        let to = (from + step(end, ZEROING.0, ZEROING.1)).min(self.capacity);
        // Zeros make later syncs cheaper and nothing else, so a full disk is no reason to fail.
        drop(self.reserve(to, |_, _| ()));
        let to = to.min(self.allocated.load(Ordering::Acquire));
        // A page at a time, or they share a large one in the cache, which each sync of a small append then writes whole.
        let mut at = from;
        while at < to {
            let next = to.min((at + 1).next_multiple_of(PAGE));
            let written = self.file.write_all_at(&ZEROS[..(next - at) as usize], at);
            written.map_err(self.fail("write ahead"))?;
            at = next;
            self.zeroed.store(at, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Makes the space behind `end`, where the log ends now, read as zeros in pages of their own, if that is possible. No
    /// append may be running.
    fn break_up(&self, end: u64) {
        let (from, to) = (end.next_multiple_of(PAGE), self.allocated.load(Ordering::Acquire));
        if from < to && zero(&self.file, from, to).is_ok() {
            self.zeroed.fetch_min(from, Ordering::Relaxed);
        }
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(self.fail("sync"))
    }

    fn finish(&self, len: u64) -> Result<()> {
        self.zeroed.store(self.capacity, Ordering::Relaxed);
        self.allocated.store(len, Ordering::Release);
        self.file.set_len(len).map_err(self.fail("set length"))
    }
}

/// Appends go through `write(2)`, reads through `pread(2)`.
#[derive(Debug)]
struct WrittenLog {
    space: Space,
    end: Mutex<u64>,
}

impl LogFile for WrittenLog {
    fn path(&self) -> &Path {
        &self.space.path
    }

    fn reserve(&self, end: u64) -> Result<()> {
        self.space.reserve(end, |_, _| ())
    }

    fn append(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let after = offset + bytes.len() as u64;
        self.space.check_reserved(after);
        let mut end = self.end.lock();
        assert_eq!(offset, *end, "appends leave no gap");
        self.space.file.write_all_at(bytes, offset).map_err(self.space.fail("append"))?;
        *end = after;
        Ok(())
    }

    fn read(&self, offset: u64, len: usize, read: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut bytes = vec![0; len];
        self.space.file.read_exact_at(&mut bytes, offset).map_err(self.space.fail("read"))?;
        read(&bytes);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let end = self.end.lock();
        if self.space.needs_zeros(*end) {
            self.space.write_zeros(*end)?;
        }
        drop(end);
        self.space.sync()
    }

    fn finish(&self, len: u64) -> Result<()> {
        let _no_append = self.end.lock();
        self.space.finish(len)
    }
}

/// Appends and reads go through a mapping.
#[derive(Debug)]
struct MappedLog {
    space: Space,
    region: Region,
    /// Nobody has synced since the last step was allocated.
    calm: AtomicBool,
    /// The last step was advised to be in huge pages.
    huge: AtomicBool,
}

impl MappedLog {
    /// Has the page that the log ends in broken up, which only works while nothing in it waits for a sync.
    fn take_back_huge_pages(&self) -> Result<()> {
        self.space.sync()?;
        self.region.between_appends(|end| {
            let allocated = self.space.allocated.load(Ordering::Acquire) as usize;
            if end < allocated {
                self.region.advise_huge(end, allocated, false);
                self.space.sync()?;
                self.space.break_up(end as u64);
            }
            Ok(())
        })
    }
}

impl LogFile for MappedLog {
    fn path(&self) -> &Path {
        &self.space.path
    }

    fn reserve(&self, end: u64) -> Result<()> {
        self.space.reserve(end, |from, to| {
            let huge = self.calm.swap(true, Ordering::AcqRel) && to - from >= HUGE;
            self.huge.store(huge, Ordering::Release);
            if huge {
                self.region.advise_huge(from as usize, to as usize, true);
            }
        })
    }

    fn append(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.space.check_reserved(offset + bytes.len() as u64);
        self.region.append(offset as usize, bytes);
        Ok(())
    }

    fn read(&self, offset: u64, len: usize, read: &mut dyn FnMut(&[u8])) -> Result<()> {
        let offset = offset as usize;
        let bytes = self.region.published().get(offset..offset + len).ok_or_else(|| {
            Error::corruption(&self.space.path, offset as u64, "a read past the end of the log")
        })?;
        read(bytes);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.calm.store(false, Ordering::Release);
        if self.huge.swap(false, Ordering::AcqRel) {
            self.take_back_huge_pages()?;
        }
        if self.space.needs_zeros(self.region.published().len() as u64) {
            self.region.between_appends(|end| self.space.write_zeros(end as u64))?;
        }
        self.space.sync()
    }

    /// Cuts the file behind the last published byte: no access through the region reaches past that.
    fn finish(&self, len: u64) -> Result<()> {
        self.huge.store(false, Ordering::Release);
        self.region.between_appends(|_| self.space.finish(len))
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use crate::fs::Fs as _;
    use crate::os_fs::{LogBackend, OsFs};

    #[test]
    fn syncs_now_and_then_lose_nothing_whatever_the_size_of_pages() {
        let dir = tempfile::tempdir().unwrap();
        for backend in [LogBackend::Mapped, LogBackend::Written] {
            let path = dir.path().join(format!("{backend:?}"));
            let log = OsFs::new(backend).create_log(&path, 40 << 20).unwrap();
            let byte = |at: usize| (at / 1000 % 251) as u8;
            let mut end = 0;
            for piece in 0..36_000 {
                let bytes = [byte(end); 1000];
                log.reserve((end + bytes.len()) as u64).unwrap();
                log.append(end as u64, &bytes).unwrap();
                end += bytes.len();
                // Syncs between steps, in the middle of a huge page, and several within one.
                if matches!(piece, 0 | 19_000 | 19_001 | 19_500 | 33_000) {
                    log.sync().unwrap();
                }
            }
            log.finish(end as u64).unwrap();
            log.sync().unwrap();
            let mut read = Vec::new();
            log.read(0, end, &mut |bytes| read.extend_from_slice(bytes)).unwrap();
            let file = OsFs::default().open(&path).unwrap().map().unwrap();
            assert_eq!(file.bytes().len(), end);
            assert!((0..end).all(|at| read[at] == byte(at) && file.bytes()[at] == byte(at)));
        }
    }
}
