//! Disk space that a store keeps for the day when the disk is full.
//!
//! A store that has filled its disk must still be able to open, to delete and to merge: that is how a user makes room. Each
//! of these writes a little first: a manifest, a tombstone, the output of a merge. The reserve is a file in the store's
//! directory whose only content is space:
//!
//! 1. **Held.** The file `RESERVE` exists and its blocks are allocated: its bytes were written and synced before it got
//!    that name.
//! 2. **Released.** A delete, a merge, an edit of the manifest or an opening met a full disk. The file was removed, and the
//!    operation was tried again. From then on the engine refuses puts ([`DiskReserve::ensure`]), which would otherwise take
//!    the space that deletes need. A delete that finds this space used up fails with `StorageFull`.
//! 3. **Held** again, once the disk has room for twice the reserve.
//!
//! Deletes can use up this space and never free anything. So that the store can still open and close, a second file
//! `RESERVE-LAST` holds space that no data file, hint or output may take:
//!
//! 1. An edit or a close that finds the disk full although `RESERVE` is gone removes `RESERVE-LAST` ([`DiskReserve::lend`]),
//!    and tries again. Meanwhile nobody else may allocate. The operation writes a generation of the manifest, an edit, or
//!    `CURRENT`. An opening removes both files instead, and starts over: no other thread writes to the store yet.
//! 2. A new generation replaces an old one of about the same size, so nearly all of the space is free again.
//! 3. The file is created again right after the operation, or by an opening once orphans are removed, as long as the free
//!    space allows ([`DiskReserve::restore`]). While it is shorter than it should be, puts are refused. It gets its full
//!    length when the disk has room for twice that length.
//! 4. A crash between the removal and step 3 leaves the space free for the next opening.
//!
//! A crash between any two steps leaves a whole file or no file. A half-written one has a temporary name, and the next
//! opening removes it. An entry with a temporary name that is not a regular file belongs to another program; it stays, and
//! the next temporary name is used. The file begins with a header that names its store (`reserve/file.rs` has the table). A
//! file of the name `RESERVE` without this header belongs to another program, too; it stays, and the store goes on without a
//! reserve.

mod file;
mod loan;

use std::io::{self, ErrorKind};
use std::sync::atomic::Ordering;

use kv::{Error, Result};

use crate::identity::StoreId;
use crate::lock_order;
use crate::store_dir::StoreDir;
use crate::sync::atomic::{AtomicBool, AtomicU64};
use crate::sync::{Mutex, RwLock};
use file::{FoundFile, LEAST_BYTES, ReserveFile};

const FILE_NAME: &str = "RESERVE";

/// The file whose space only openings, edits and closes may use.
const LAST_FILE_NAME: &str = "RESERVE-LAST";

/// After each refusal, [`DiskReserve::restore`] asks for one part in this many less, and for at least one block less.
const RESTORE_PARTS: u64 = 8;

/// The disk reserve of a store that is open for writing.
#[derive(Debug)]
pub struct DiskReserve {
    file: ReserveFile,
    /// The length of the file when it is held in full. 0: the store has no reserve.
    bytes: u64,
    /// Whether the file is missing, or shorter than `bytes`.
    released: AtomicBool,
    /// The length that the file has. 0: it is not there.
    held: AtomicU64,
    /// How often the file was removed to give its space.
    releases: AtomicU64,
    /// Held, exclusively, while the space is lent; and shared by operations that must not take that space.
    lending: RwLock<()>,
    /// Held while the file is created or removed.
    changing: Mutex<Access>,
}

/// Whether the directory of a reserve is locked for the store. Guarded by `DiskReserve::changing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Writing,
    /// This handle no longer owns the directory. Another writer may own it.
    Closed,
}

impl DiskReserve {
    /// The reserve of `bytes` of the store `store` in `dir`: held if its file is there with that length, else released.
    /// Fewer than 4 KiB mean that the store has no reserve. Removes an unfinished file that a crash left, and a reserve
    /// of another length, but creates nothing.
    ///
    /// # Errors
    /// `Io`.
    pub fn open(dir: &StoreDir, store: StoreId, bytes: u64) -> Result<Self> {
        Self::open_named(FILE_NAME, dir, store, bytes)
    }

    /// As [`DiskReserve::open`], for the part of the space that only openings, edits and closes may use. A shorter file
    /// than `bytes` is kept.
    ///
    /// # Errors
    /// `Io`.
    pub fn open_last(dir: &StoreDir, store: StoreId, bytes: u64) -> Result<Self> {
        Self::open_named(LAST_FILE_NAME, dir, store, bytes)
    }

    fn open_named(name: &'static str, dir: &StoreDir, store: StoreId, bytes: u64) -> Result<Self> {
        let mut reserve = Self {
            file: ReserveFile::new(dir.clone(), store, name),
            bytes: if bytes < LEAST_BYTES { 0 } else { bytes },
            released: false.into(),
            held: 0.into(),
            releases: 0.into(),
            lending: RwLock::ranked(lock_order::DISK_LOAN, ()),
            changing: Mutex::ranked(lock_order::DISK_RESERVE, Access::Writing),
        };
        let entries = dir.list()?;
        reserve.file.remove_unfinished(&entries)?;
        let held = match reserve.file.find_among(&entries)? {
            FoundFile::Nothing => 0,
            FoundFile::Reserve { len } if len == reserve.bytes => len,
            // There was no space for all of it.
            FoundFile::Reserve { len } if len < reserve.bytes && name == LAST_FILE_NAME => len,
            // The options have changed.
            FoundFile::Reserve { .. } => {
                reserve.file.remove()?;
                0
            }
            // The store goes on without a reserve.
            FoundFile::Foreign => {
                reserve.bytes = 0;
                0
            }
        };
        reserve.set_held(held);
        Ok(reserve)
    }

    /// Whether the file is missing, or shorter than it should be, so that deletes depend on the space that is left.
    #[inline]
    pub fn is_released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }

    /// The length of the file in bytes when it is held in full; 0 if the store has no reserve.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes sure that the reserve is held in full. Creates it if the disk has room for twice its size, so that what is
    /// written next does not meet a full disk at once. Costs one atomic load while it is held. If another program has taken
    /// the name of the file, the store goes on without a reserve.
    ///
    /// # Errors
    /// `Io`, with `StorageFull` while there is no room; `Closed`.
    #[inline]
    pub fn ensure(&self) -> Result<()> {
        if self.is_released() { self.create_full() } else { Ok(()) }
    }

    fn create_full(&self) -> Result<()> {
        let access = self.changing.lock();
        if !self.is_released() {
            return Ok(());
        }
        if self.find(*access)? == FoundFile::Foreign {
            return Ok(());
        }
        let (held, needed) = (self.held(), self.bytes.saturating_mul(2));
        let room = self.file.free_space()?.saturating_add(held);
        if room < needed {
            let what = format!(
                "a disk reserve of {} bytes needs {needed} free bytes, and {room} are free",
                self.bytes
            );
            let source = io::Error::new(ErrorKind::StorageFull, what);
            return Err(Error::io("reserve", self.file.path(), source));
        }
        self.file.remove()?;
        self.set_held(0);
        self.create(self.bytes)
    }

    /// Creates the file again if it is not there, as long as the free space allows. Without space for 4 KiB, or after a
    /// failure, it stays released.
    pub fn restore(&self) {
        let access = self.changing.lock();
        let is_there = self.held() > 0;
        if is_there || !self.is_released() {
            return;
        }
        if !self.find(*access).is_ok_and(|found| found != FoundFile::Foreign) {
            return;
        }
        let free = self.file.free_space().unwrap_or(0);
        let mut len = free.min(self.bytes);
        // The file system needs some of the free space for itself.
        while len >= LEAST_BYTES {
            match self.create(len) {
                Err(error) if is_disk_full(&error) => {
                    len = len.saturating_sub((len / RESTORE_PARTS).max(LEAST_BYTES));
                }
                _ => return,
            }
        }
    }

    /// Ends the use of the directory. Later calls that would change a file fail with `Closed`.
    pub fn retire(&self) {
        *self.changing.lock() = Access::Closed;
    }

    /// Removes the file, so that the caller can write in its space. `false`: there was nothing to give.
    ///
    /// # Errors
    /// `Io`; `Closed`.
    pub fn release(&self) -> Result<bool> {
        let access = self.changing.lock();
        if self.held() == 0 {
            return Ok(false);
        }
        if self.find(*access)? == FoundFile::Foreign {
            return Ok(false);
        }
        // If a user has removed the file, its space may be free, so the operation is repeated all the same.
        self.file.remove()?;
        self.set_held(0);
        self.releases.fetch_add(1, Ordering::AcqRel);
        Ok(true)
    }

    /// Runs `operation`. If it finds the disk full, releases the reserve and runs it once more, also if another thread has
    /// released the reserve meanwhile. It must be safe to run after a failure of that kind.
    ///
    /// # Errors
    /// The error of the last run. If the reserve cannot be released, the error of the first run.
    pub fn retry<T>(&self, mut operation: impl FnMut() -> Result<T>) -> Result<T> {
        let releases = self.releases.load(Ordering::Acquire);
        match operation() {
            Err(error) if is_disk_full(&error) => match self.release() {
                Ok(true) => operation(),
                Ok(false) if self.releases.load(Ordering::Acquire) != releases => operation(),
                Ok(false) | Err(_) => Err(error),
            },
            result => result,
        }
    }

    /// How many bytes the file has.
    fn held(&self) -> u64 {
        self.held.load(Ordering::Acquire)
    }

    /// Records that the file has `len` bytes. 0: it is not there.
    fn set_held(&self, len: u64) {
        assert!(len <= self.bytes, "a reserve is no longer than it should be");
        self.held.store(len, Ordering::Release);
        self.released.store(len < self.bytes, Ordering::Release);
    }

    /// Checks that the store may change the file, and finds out what has its name. If that is not the store's, the store
    /// goes on without a reserve.
    fn find(&self, access: Access) -> Result<FoundFile> {
        if access == Access::Closed {
            return Err(Error::Closed);
        }
        let found = self.file.find()?;
        if found == FoundFile::Foreign {
            self.held.store(0, Ordering::Release);
            self.released.store(false, Ordering::Release);
        }
        Ok(found)
    }

    fn create(&self, len: u64) -> Result<()> {
        debug_assert!((LEAST_BYTES..=self.bytes).contains(&len), "a reserve has a useful length");
        self.file.create(len)?;
        self.set_held(len);
        Ok(())
    }
}

/// Whether `error` says that the disk, or the quota of the user, is full. Memory or file handles that have run out do not
/// come back when a file is removed.
pub fn is_disk_full(error: &Error) -> bool {
    let kind = error.io_kind();
    matches!(kind, Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}

#[cfg(all(test, not(shuttle)))]
mod tests;
