//! Disk space that a store keeps for the day when the disk is full.
//!
//! A store that has filled its disk must still be able to open, to delete and to merge, because that is how a user makes
//! room. Each of these writes a little first: a manifest, a tombstone, the output of a merge. The reserve is a file in the
//! store's directory whose only content is space:
//!
//! 1. **Held.** The file `RESERVE` exists and its blocks are allocated: its bytes were written and synced before it got
//!    that name.
//! 2. **Released.** An open, a delete, a merge or an edit of the manifest met a full disk. The file was removed, and the
//!    operation was tried again. From then on the engine refuses puts ([`DiskReserve::ensure`]), which would otherwise
//!    take the space that deletes need.
//! 3. **Held** again, once the disk has room for twice the reserve.
//!
//! A crash between any two steps leaves the file or none. A half-written one has a temporary name, and the next opening
//! removes it. An entry with a temporary name that is not a regular file belongs to another program; it stays, and the next
//! temporary name is used. The file begins with a header that names its store. A file of the name `RESERVE` without this
//! header belongs to another program, too; it stays, and the store goes on without a reserve.
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 8 | `KVRSRV01` |
//! | 8 | 16 | id of the store |
//! | 24 | 8 | length of the file in bytes, `u64` |
//! | 32 | 4 | CRC-32 of all before |
//! | 36 | | filler that does not compress, so that a file system that compresses allocates it as well |

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use kv::{Error, Result};

use crate::checksum::crc32;
use crate::fs::{Entry, EntryKind, Fs};
use crate::identity::StoreId;
use crate::lock_order;
use crate::publish::{create_temporary, publish, temporary_paths};
use crate::store_dir::StoreDir;
use crate::sync::Mutex;
use crate::sync::atomic::AtomicBool;

const FILE_NAME: &str = "RESERVE";

const MAGIC: &[u8; 8] = b"KVRSRV01";

const HEADER_LEN: usize = 36;

/// The smallest reserve: one block of most file systems. A smaller one would free nothing.
const LEAST_BYTES: u64 = 4 << 10;

/// The file is written in pieces of this size.
const PIECE_BYTES: usize = 64 << 10;

/// The disk reserve of a store that is open for writing.
#[derive(Debug)]
pub struct DiskReserve {
    dir: StoreDir,
    store: StoreId,
    /// The length of the file. 0: the store has no reserve.
    bytes: u64,
    /// The file is not there, and should be.
    released: AtomicBool,
    /// Held while the file is made or removed.
    changing: Mutex<()>,
}

impl DiskReserve {
    /// The reserve of `bytes` of the store `store` in `dir`: held if its file is there with that length, else released.
    /// Fewer than 4 KiB mean that the store has no reserve. Removes an unfinished file that a crash left, and a reserve
    /// of another length, but creates nothing.
    ///
    /// # Errors
    /// `Io`.
    pub fn open(dir: &StoreDir, store: StoreId, bytes: u64) -> Result<Self> {
        let bytes = if bytes < LEAST_BYTES { 0 } else { bytes };
        let changing = Mutex::ranked(lock_order::DISK_RESERVE, ());
        let mut reserve = Self { dir: dir.clone(), store, bytes, released: false.into(), changing };
        let path = reserve.path();
        let entries = dir.list()?;
        for unfinished in temporary_paths(FILE_NAME.as_ref()) {
            if entries.iter().any(|entry| unfinished.as_os_str() == entry.name.as_str()) {
                reserve.remove_if_present(&dir.path().join(&unfinished))?;
            }
        }
        match reserve.find(&entries)? {
            FoundFile::Nothing => {}
            FoundFile::Reserve { len } if len == bytes => return Ok(reserve),
            // The options have changed.
            FoundFile::Reserve { .. } => reserve.remove_if_present(&path)?,
            FoundFile::Foreign => reserve.bytes = 0,
        }
        reserve.released.store(reserve.bytes > 0, Ordering::Release);
        Ok(reserve)
    }

    /// Whether the file was removed, or never made, and deletes depend on the space that is left.
    #[inline]
    pub fn is_released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }

    /// The size of the reserve in bytes; 0 if the store has none.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes sure that the reserve is held. Makes it if the disk has room for twice its size, so that the next write
    /// does not meet a full disk at once. Costs one atomic load while it is held.
    ///
    /// # Errors
    /// `Io`, with `StorageFull` while there is no room.
    #[inline]
    pub fn ensure(&self) -> Result<()> {
        if !self.is_released() {
            return Ok(());
        }
        let _one = self.changing.lock();
        if !self.is_released() {
            return Ok(());
        }
        self.dir.check_in_place()?;
        let path = self.path();
        if self.dir.fs().free_space(self.dir.path())? < self.bytes * 2 {
            return Err(Error::io("reserve", &path, ErrorKind::StorageFull.into()));
        }
        if let Err(error) = self.make(&path) {
            // The new file takes the space that deletes need. It has its own name if only the last sync failed.
            temporary_paths(&path).for_each(|unfinished| drop(self.remove_if_present(&unfinished)));
            drop(self.remove_if_present(&path));
            return Err(error);
        }
        self.released.store(false, Ordering::Release);
        Ok(())
    }

    /// Gives the space to whoever writes next. `false`: there was nothing to give.
    ///
    /// # Errors
    /// `Io`.
    pub fn release(&self) -> Result<bool> {
        let _one = self.changing.lock();
        if self.bytes == 0 || self.is_released() {
            return Ok(false);
        }
        self.dir.check_in_place()?;
        self.dir.fs().remove(&self.path())?;
        self.released.store(true, Ordering::Release);
        Ok(true)
    }

    /// Runs `operation`. If it finds the disk full, releases the reserve and runs it once more. It must be safe to run
    /// after a failure of that kind.
    ///
    /// # Errors
    /// The error of the last run. A reserve that cannot be released leaves the first one.
    pub fn retry<T>(&self, mut operation: impl FnMut() -> Result<T>) -> Result<T> {
        match operation() {
            Err(error) if is_disk_full(&error) => match self.release() {
                Ok(true) => operation(),
                Ok(false) | Err(_) => Err(error),
            },
            result => result,
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.file(FILE_NAME)
    }

    fn find(&self, entries: &[Entry]) -> Result<FoundFile> {
        let Some(entry) = entries.iter().find(|entry| entry.name == FILE_NAME) else {
            return Ok(FoundFile::Nothing);
        };
        if entry.kind != EntryKind::File {
            return Ok(FoundFile::Foreign);
        }
        let file = self.dir.fs().open(&self.path())?;
        let len = file.len()?;
        let mut found = [0; HEADER_LEN];
        if len < LEAST_BYTES {
            return Ok(FoundFile::Foreign);
        }
        file.read_at(0, &mut found)?;
        let is_ours = found == header(self.store, len);
        Ok(if is_ours { FoundFile::Reserve { len } } else { FoundFile::Foreign })
    }

    /// Writes the file under a temporary name, and gives it its own once it is durable.
    fn make(&self, path: &Path) -> Result<()> {
        let fs: &dyn Fs = &**self.dir.fs();
        let file = create_temporary(fs, path)?;
        let mut piece = filler();
        piece[..HEADER_LEN].copy_from_slice(&header(self.store, self.bytes));
        let mut offset = 0;
        while offset < self.bytes {
            let len = (self.bytes - offset).min(PIECE_BYTES as u64);
            file.write_at(offset, &piece[..len as usize])?;
            offset += len;
        }
        assert_eq!(offset, self.bytes, "all of the reserve is written");
        publish(fs, &*file, path).map(drop)
    }

    fn remove_if_present(&self, path: &Path) -> Result<()> {
        match self.dir.fs().remove(path) {
            // Nothing has the name, or something that is not a file of the store.
            Err(error) if is_nothing_of_ours(error.io_kind()) => Ok(()),
            removed => removed,
        }
    }
}

/// The entry that has the name of the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FoundFile {
    Nothing,
    /// A reserve of this store.
    Reserve {
        len: u64,
    },
    /// A file of another program or store, or no file at all.
    Foreign,
}

/// Whether `error` says that the disk, or the quota of the user, is full. Memory or file handles that have run out do not
/// come back when a file is removed.
pub fn is_disk_full(error: &Error) -> bool {
    let kind = error.io_kind();
    matches!(kind, Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}

fn is_nothing_of_ours(kind: Option<ErrorKind>) -> bool {
    matches!(kind, Some(ErrorKind::NotFound | ErrorKind::InvalidInput | ErrorKind::IsADirectory))
}

fn header(store: StoreId, len: u64) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..8].copy_from_slice(MAGIC);
    header[8..24].copy_from_slice(&store.0);
    header[24..32].copy_from_slice(&len.to_le_bytes());
    let sum = crc32(&header[..32]);
    header[32..].copy_from_slice(&sum.to_le_bytes());
    header
}

/// Bytes without a pattern: the states of a 64-bit linear congruential generator, their low bits left out.
fn filler() -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 32) as u32
    };
    let filler: Vec<u8> = (0..PIECE_BYTES / 4).flat_map(|_| next().to_le_bytes()).collect();
    assert_eq!(filler.len(), PIECE_BYTES);
    filler
}

#[cfg(all(test, not(shuttle)))]
mod tests;
