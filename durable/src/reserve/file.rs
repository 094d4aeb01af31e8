//! The file of a disk reserve: its header, and how it is created, found and removed.
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

use kv::Result;

use crate::checksum::crc32;
use crate::fs::{Entry, EntryKind, Fs};
use crate::identity::StoreId;
use crate::publish::{create_temporary, publish, temporary_paths};
use crate::store_dir::StoreDir;

const MAGIC: &[u8; 8] = b"KVRSRV01";

const HEADER_LEN: usize = 36;

/// The smallest reserve: one block of most file systems. A smaller one would free nothing.
pub(super) const LEAST_BYTES: u64 = 4 << 10;

/// The file is written in pieces of this size.
pub(super) const PIECE_BYTES: usize = 64 << 10;

/// The name of a reserve in the directory of a store.
#[derive(Debug)]
pub(super) struct ReserveFile {
    dir: StoreDir,
    store: StoreId,
    name: &'static str,
}

/// The entry that has the name of the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FoundFile {
    Nothing,
    /// A reserve of this store.
    Reserve {
        len: u64,
    },
    /// A file of another program or store, or no file at all.
    Foreign,
}

impl ReserveFile {
    /// The file `name` of the store `store` in `dir`.
    pub(super) fn new(dir: StoreDir, store: StoreId, name: &'static str) -> Self {
        Self { dir, store, name }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.file(self.name)
    }

    /// Bytes that may still be written to the file system.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn free_space(&self) -> Result<u64> {
        self.dir.fs().free_space(self.dir.path())
    }

    /// Finds out what has the name, in a directory that is still the one that was locked.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn find(&self) -> Result<FoundFile> {
        self.dir.check_in_place()?;
        self.find_among(&self.dir.list()?)
    }

    /// Finds out what has the name among `entries`, a list of the directory.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn find_among(&self, entries: &[Entry]) -> Result<FoundFile> {
        let Some(entry) = entries.iter().find(|entry| entry.name == self.name) else {
            return Ok(FoundFile::Nothing);
        };
        if entry.kind != EntryKind::File {
            return Ok(FoundFile::Foreign);
        }
        let file = self.dir.fs().open(&self.path())?;
        let len = file.len()?;
        if len < LEAST_BYTES {
            return Ok(FoundFile::Foreign);
        }
        let mut found = [0; HEADER_LEN];
        file.read_at(0, &mut found)?;
        let is_ours = found == header(self.store, len);
        Ok(if is_ours { FoundFile::Reserve { len } } else { FoundFile::Foreign })
    }

    /// Removes the unfinished files among `entries` that a crash left.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn remove_unfinished(&self, entries: &[Entry]) -> Result<()> {
        for unfinished in temporary_paths(self.name.as_ref()) {
            if entries.iter().any(|entry| unfinished.as_os_str() == entry.name.as_str()) {
                self.remove_if_present(&self.dir.path().join(&unfinished))?;
            }
        }
        Ok(())
    }

    /// Creates the file with `len` bytes. After a failure no part of it is left.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn create(&self, len: u64) -> Result<()> {
        assert!(len >= LEAST_BYTES, "a reserve has a useful length");
        let path = self.path();
        self.write(&path, len).inspect_err(|_| {
            // Remove what was written: deletes need its space. If only the last sync failed, the file already has its final
            // name.
            temporary_paths(&path).for_each(|unfinished| drop(self.remove_if_present(&unfinished)));
            drop(self.remove_if_present(&path));
        })
    }

    /// Writes the file under a temporary name, and gives it its own once it is durable.
    fn write(&self, path: &Path, bytes: u64) -> Result<()> {
        let fs: &dyn Fs = &**self.dir.fs();
        let file = create_temporary(fs, path)?;
        let mut piece = filler();
        piece[..HEADER_LEN].copy_from_slice(&header(self.store, bytes));
        let mut offset = 0;
        while offset < bytes {
            let len = (bytes - offset).min(PIECE_BYTES as u64);
            file.write_at(offset, &piece[..len as usize])?;
            offset += len;
        }
        assert_eq!(offset, bytes, "all of the reserve is written");
        let published = publish(fs, &*file, path)?;
        debug_assert_eq!(published.len_bytes(), bytes, "all of the reserve is durable");
        Ok(())
    }

    /// Removes the file. Nothing happens if it is not there.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn remove(&self) -> Result<()> {
        self.remove_if_present(&self.path())
    }

    fn remove_if_present(&self, path: &Path) -> Result<()> {
        match self.dir.fs().remove(path) {
            // Nothing has the name, or something that is not a file of the store.
            Err(error) if is_nothing_of_ours(error.io_kind()) => Ok(()),
            removed => removed,
        }
    }
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
