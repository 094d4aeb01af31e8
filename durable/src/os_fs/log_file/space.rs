//! The file of a log and the space that it owns.
//!
//! Space is allocated ahead of the appends, so that it cannot run out in the middle of one. It grows a step at a time
//! ([`step`]), so that a young log does not hold much more than it needs. On ext4, XFS and btrfs that also covers the
//! first write through a mapping.
//!
//! Allocated space is not *written* space: the first write to a block changes the block map, which `fdatasync` must
//! then commit through the journal of the file system. A log that is synced often therefore writes zeros ahead of
//! itself, again a step at a time; they reach the disk with a sync that happens anyway, and the syncs that follow have
//! only data to write.
//!
//! Every mapped log writes a few zeros ahead ([`PRIMING`]), synced or not. The first touch of a page that is not in the
//! page cache is a fault that reads it. It costs several times the append, for each page. `write(2)` makes
//! sixteen pages at once, and the rest of the fault is cheap. The zeros are in the processor's cache when the data
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
//! tried and dropped. They make appends as fast and reads a little faster, but a sync writes them whole. Large blocks of
//! free memory are also the ones that a virtual machine has given back to its host.
//!
//! Where the file system has no `fallocate`, the space is written, so that it exists.
//!
//! Appended bytes are dirty pages, which the kernel leaves to the next sync, and every other sync waits beside a sync of
//! many megabytes. So the appender of a log that is synced has the kernel begin to write them after each 4 MiB
//! ([`Space::wants_writeback`]). Nobody waits for the disk in a log without syncs; writing early only took processor time
//! there (puts of 100 bytes: 0.9 x), and held the appender up for 10 to 20 ms. One thread puts values of 64 KiB beside one that
//! syncs every put (`bitcask/examples/put_latency.rs`). Two runs of 4 s each took turns on a busy machine. In milliseconds:
//!
//! | begin to write | longest buffered put | longest synced put | buffered puts |
//! |---|---|---|---|
//! | at the sync | 88, 68 | 475, 429 | 13,464, 17,694 |
//! | after 1 MiB | 71, 36 | 278, 196 | 15,199, 18,287 |
//! | after 4 MiB | 60, 51 | 164, 97 | 15,726, 19,815 |

use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kv::{Error, Result};
use parking_lot::Mutex;

use super::file_system::{FileSystem, is_unsupported, write_zeros, zeros};
use crate::os_fs::mapping::{self, Region};

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

/// After how many bytes a log has the kernel write them to the disk.
const WRITEBACK: u64 = 4 << 20;

/// A log is synced once to make its header durable. Only after further syncs is there anybody who waits for the disk.
const SYNCS_TO_BEGIN: u64 = 1;

/// Zeros for a log that is synced often are written so many at a time: pages that are written at once may share a large
/// page in the page cache, which each sync of a small append then writes whole.
const PAGE: u64 = 4 << 10;

/// The file of a log and the space it owns.
#[derive(Debug)]
pub(super) struct Space {
    pub(super) file: fs::File,
    pub(super) path: PathBuf,
    capacity: u64,
    file_system: FileSystem,
    /// Whether zeros ahead make no sync cheaper: each write goes to a new place.
    is_copy_on_write: bool,
    /// Whether the file system has no call to allocate space, so that zeros are written instead.
    writes_zeros: AtomicBool,
    /// Up to here the file has space.
    allocated: AtomicU64,
    /// Held while space is allocated.
    allocating: Mutex<()>,
    /// Up to here zeros were written ahead. Changed only while no append is running.
    zeroed: AtomicU64,
    /// Up to here the kernel was told to write the appended bytes to the disk.
    written_back: AtomicU64,
    /// How many syncs have begun.
    syncs: AtomicU64,
}

impl Space {
    pub(super) fn new(file: fs::File, path: &Path, capacity: u64, file_system: FileSystem) -> Self {
        Self {
            is_copy_on_write: (file_system.is_copy_on_write)(&file),
            file,
            path: path.into(),
            capacity,
            file_system,
            writes_zeros: AtomicBool::new(false),
            allocated: AtomicU64::new(0),
            allocating: Mutex::new(()),
            zeroed: AtomicU64::new(0),
            written_back: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
        }
    }

    /// A mapping of the whole capacity.
    pub(super) fn map(&self) -> io::Result<Region> {
        Region::over_file(&self.file, self.capacity as usize)
    }

    /// Whether a write to space that the log owns needs no further space. The log allocates the first of it to find out
    /// whether the file system can. Any other failure to allocate is left to [`Space::reserve`].
    pub(super) fn lasts(&self) -> bool {
        if self.is_copy_on_write {
            return false;
        }
        drop(self.reserve(self.capacity.min(ALLOCATION.0)));
        !self.writes_zeros.load(Ordering::Relaxed)
    }

    pub(super) fn fail(&self, op: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |e| Error::io(op, &self.path, e)
    }

    pub(super) fn reserve(&self, end: u64) -> Result<()> {
        if end <= self.allocated.load(Ordering::Acquire) {
            return Ok(());
        }
        assert!(end <= self.capacity, "the bytes fit into the capacity");
        let _one = self.allocating.lock();
        let from = self.allocated.load(Ordering::Relaxed);
        if end > from {
            let ahead = (end + step(end, ALLOCATION.0, ALLOCATION.1)).min(self.capacity);
            // Where there is no space for all of the step, the bytes that are needed may still fit.
            let to = if self.allocate(from, ahead).is_ok() {
                ahead
            } else {
                self.allocate(from, end).map_err(self.fail("allocate"))?;
                end
            };
            assert!(from < to && to <= self.capacity, "space grows within the capacity");
            self.allocated.store(to, Ordering::Release);
        }
        Ok(())
    }

    /// Gives the bytes between two offsets space, none of which was appended to yet.
    fn allocate(&self, from: u64, to: u64) -> io::Result<()> {
        if !self.writes_zeros.load(Ordering::Relaxed) {
            match (self.file_system.allocate)(&self.file, from, to) {
                Err(error) if is_unsupported(&error) => {
                    self.writes_zeros.store(true, Ordering::Relaxed);
                }
                allocated => return allocated,
            }
        }
        write_zeros(&self.file, from, to)
    }

    #[inline]
    pub(super) fn check_reserved(&self, end: u64) {
        assert!(end <= self.allocated.load(Ordering::Acquire), "the bytes fit into reserved space");
    }

    /// Whether no zeros were written up to `end`.
    #[inline]
    pub(super) fn lacks_zeros(&self, end: u64) -> bool {
        end > self.zeroed.load(Ordering::Relaxed)
    }

    /// Whether a sync of a log that ends at `end` should write zeros ahead.
    pub(super) fn needs_zeros(&self, end: u64) -> bool {
        let zeroed = self.zeroed.load(Ordering::Relaxed);
        let has_zeros = self.writes_zeros.load(Ordering::Relaxed) || zeroed >= self.capacity;
        !self.is_copy_on_write && !has_zeros && end + ZEROING.0 / 2 > zeroed
    }

    /// Writes zeros after `end`, where the log ends now, as far as it owns space or can get some. No append may be
    /// running: it would be overwritten.
    pub(super) fn write_zeros(&self, end: u64) -> Result<()> {
        let from = end.max(self.zeroed.load(Ordering::Relaxed));
        let to = (from + step(end, ZEROING.0, ZEROING.1)).min(self.capacity);
        // The log has all its zeros, or it was finished: then it owns nothing behind its end, and must not get any.
        if from >= to {
            return Ok(());
        }
        // Zeros make later syncs cheaper and nothing else, so a full disk is no reason to fail. Space that is allocated may
        // be refused, too, by a file system that puts each write to a new place.
        drop(self.reserve(to));
        match self.write_zeros_between(from, to, PAGE) {
            Err(error) if error.is_out_of_resources() => Ok(()),
            written => written,
        }
    }

    /// As [`Space::write_zeros`], but only in space that the log owns, and a little more than up to `needed`.
    pub(super) fn write_few_zeros(&self, end: u64, needed: u64) -> Result<()> {
        let from = end.max(self.zeroed.load(Ordering::Relaxed));
        self.write_zeros_between(from, needed.next_multiple_of(PRIMING), PRIMING)
    }

    /// Writes zeros in pieces of `piece` bytes.
    fn write_zeros_between(&self, from: u64, to: u64, piece: u64) -> Result<()> {
        let to = to.min(self.allocated.load(Ordering::Acquire));
        let mut at = from;
        while at < to {
            let next = to.min((at + 1).next_multiple_of(piece));
            let written = self.file.write_all_at(zeros(next - at), at);
            written.map_err(self.fail("write ahead"))?;
            at = next;
            self.zeroed.store(at, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether it is time to begin to write the appended bytes to the disk: once in [`WRITEBACK`] bytes, if anybody syncs the
    /// log. An append has just moved the end of the log from `before` to `end`.
    #[inline]
    pub(super) fn wants_writeback(&self, before: u64, end: u64) -> bool {
        let is_synced = || self.syncs.load(Ordering::Relaxed) > SYNCS_TO_BEGIN;
        before / WRITEBACK != end / WRITEBACK && is_synced()
    }

    /// Has the kernel begin to write the bytes before `end` to the disk. A failure to write shows in the next sync.
    pub(super) fn start_writeback(&self, end: u64) {
        // The last pages are still being filled, and a large page is written as a whole.
        let to = end - end % PRIMING;
        let from = self.written_back.fetch_max(to, Ordering::Relaxed);
        if from < to {
            mapping::start_writeback(&self.file, from, to);
        }
    }

    pub(super) fn sync(&self) -> Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.file.sync_data().map_err(self.fail("sync"))
    }

    /// Cuts the file at `end`, with all the space behind it. No append may be running.
    pub(super) fn cut(&self, end: u64) -> Result<()> {
        let _one = self.allocating.lock();
        self.file.set_len(end).map_err(self.fail("set length"))?;
        self.allocated.store(end, Ordering::Release);
        self.zeroed.fetch_min(end, Ordering::Relaxed);
        self.written_back.fetch_min(end, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn finish(&self, len: u64) -> Result<()> {
        assert!(len <= self.capacity, "a finished log is no longer than it may be");
        self.zeroed.store(self.capacity, Ordering::Relaxed);
        self.allocated.store(len, Ordering::Release);
        self.file.set_len(len).map_err(self.fail("set length"))
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests;
