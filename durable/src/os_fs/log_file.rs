//! Log files on a real disk: through a mapping, or through `write(2)`.
//!
//! Space is allocated ahead of the appends, a step at a time ([`step`]), so that it cannot run out in the middle of one
//! and a young log does not hold much more than it needs. On ext4, XFS and btrfs that also covers the first write
//! through a mapping.
//!
//! Allocated space is not *written* space: the first write to a block changes the block map, which `fdatasync` must
//! then commit through the journal of the file system. A log that is synced often therefore writes zeros ahead of
//! itself, again a step at a time; they reach the disk with a sync that happens anyway, and the syncs that follow have
//! only data to write.
//!
//! Every mapped log writes a few zeros ahead ([`PRIMING`]), synced or not: the first touch of a page that is not in the
//! page cache is a fault that reads it, for each page by itself, and costs several times the append. `write(2)` makes
//! sixteen pages at once, and what is left of the fault is cheap. The zeros are in the processor's cache when the data
//! takes their place, which is long before anything is written to disk.
//!
//! | append to a fresh mapped file | 136 bytes | 1,064 bytes |
//! |---|---|---|
//! | nothing ahead | 100 ns | 730 ns |
//! | nothing ahead, pages made with `MADV_POPULATE_WRITE` | 92 ns | 720 ns |
//! | 64 KiB of zeros ahead | 25 ns | 168 ns |
//! | `write(2)` instead of the mapping | 650 ns | 1,200 ns |
//!
//! (Processor time, zeros included; ext4 of Linux 6.18; `examples/log_backend.rs` compares whole logs.) Huge pages were
//! tried and dropped: they make appends as fast and reads a little faster, but a sync writes them whole, and large
//! blocks of free memory are the ones that a virtual machine has given back to its host.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// How many zeros a log writes ahead of its appends.
const PRIMING: u64 = 64 << 10;

/// Zeros for a log that is synced often are written so many at a time: what is written at once may share a large page in
/// the page cache, which each sync of a small append then writes whole.
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
        Some(region) => Arc::new(MappedLog { space, region }),
        None => Arc::new(WrittenLog { space, end: Mutex::new(0) }),
    }
}

#[cfg(target_os = "linux")]
fn allocate(file: &fs::File, from: u64, to: u64) -> std::io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};

    Ok(fallocate(file, FallocateFlags::empty(), from, to - from)?)
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

    fn reserve(&self, end: u64) -> Result<()> {
        if end <= self.allocated.load(Ordering::Acquire) {
            return Ok(());
        }
        assert!(end <= self.capacity, "the bytes fit into the capacity");
        let _one = self.allocating.lock();
        let from = self.allocated.load(Ordering::Relaxed);
        if end > from {
            let ahead = (end + step(end, ALLOCATION.0, ALLOCATION.1)).min(self.capacity);
            // Where there is no space for all that, what is needed may still fit.
            let to = if allocate(&self.file, from, ahead).is_ok() {
                ahead
            } else {
                allocate(&self.file, from, end).map_err(self.fail("allocate"))?;
                end
            };
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
        drop(self.reserve(to));
        self.write_zeros_between(from, to, PAGE)
    }

    /// As [`Space::write_zeros`], but only in space that the log owns, and a little more than up to `needed`.
    fn prime(&self, end: u64, needed: u64) -> Result<()> {
        let from = end.max(self.zeroed.load(Ordering::Relaxed));
        self.write_zeros_between(from, needed.next_multiple_of(PRIMING), PRIMING)
    }

    /// Writes zeros in pieces of `piece` bytes.
    fn write_zeros_between(&self, from: u64, to: u64, piece: u64) -> Result<()> {
        let to = to.min(self.allocated.load(Ordering::Acquire));
        let mut at = from;
        while at < to {
            let next = to.min((at + 1).next_multiple_of(piece));
            let written = self.file.write_all_at(&ZEROS[..(next - at) as usize], at);
            written.map_err(self.fail("write ahead"))?;
            at = next;
            self.zeroed.store(at, Ordering::Relaxed);
        }
        Ok(())
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
        self.space.reserve(end)
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
}

impl LogFile for MappedLog {
    fn path(&self) -> &Path {
        &self.space.path
    }

    fn reserve(&self, end: u64) -> Result<()> {
        self.space.reserve(end)?;
        if end > self.space.zeroed.load(Ordering::Relaxed) {
            // Without the zeros appends are slower and nothing else.
            drop(self.region.between_appends(|at| self.space.prime(at as u64, end)));
        }
        Ok(())
    }

    fn append(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.space.check_reserved(offset + bytes.len() as u64);
        self.region.append(offset as usize, bytes);
        Ok(())
    }

    fn read(&self, offset: u64, len: usize, read: &mut dyn FnMut(&[u8])) -> Result<()> {
        let offset = offset as usize;
        let bytes = self.region.published(offset, len).ok_or_else(|| {
            Error::corruption(&self.space.path, offset as u64, "a read past the end of the log")
        })?;
        read(bytes);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        if self.space.needs_zeros(self.region.published_len() as u64) {
            self.region.between_appends(|end| self.space.write_zeros(end as u64))?;
        }
        self.space.sync()
    }

    /// Cuts the file behind the last published byte: no access through the region reaches past that.
    fn finish(&self, len: u64) -> Result<()> {
        self.region.between_appends(|_| self.space.finish(len))
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
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
}
