//! Making files durable under their names, without forgetting a step.
//!
//! A file is safe to rely on when its bytes are synced *and* the directory that names it is. Each function here does
//! both and then hands out a [`PublishedFile`], which cannot be had in another way. An edit that adds a file to a
//! manifest should be built from one: work that was aborted half-way then has nothing to put into the edit.
//!
//! ```compile_fail
//! let forged = durable::publish::PublishedFile { path: "000001.data".into(), len_bytes: 0 };
//! ```

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kv::Result;

use crate::fs::{File, Fs};
use crate::store_dir::NamePattern;

/// Proof that a file was synced and that its name was made durable. Not `Clone`: one publication, one edit.
#[derive(Debug, PartialEq, Eq)]
pub struct PublishedFile {
    path: PathBuf,
    len_bytes: u64,
}

impl PublishedFile {
    /// The file, under its durable name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many of its bytes are durable.
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// The number of the file, if its name follows `names`. An edit takes the number from here, so the proof of one
    /// file makes no edit about another.
    pub fn number(&self, names: NamePattern) -> Option<u64> {
        names.parse(self.path.file_name()?.to_str()?)
    }

    /// The caller has just made `len_bytes` of the file at `path` and its name durable.
    pub(crate) fn proven(path: &Path, len_bytes: u64) -> Self {
        Self { path: path.into(), len_bytes }
    }
}

/// Makes the bytes of `file` durable, then renames it to `to` in the same directory, then makes the name durable.
/// Whatever had that name before is replaced, in one step.
///
/// # Errors
/// `Io`. After a failed rename or directory sync it is unknown which of the two files a crash will leave.
///
/// # Panics
/// When `to` is the name that the file has, or lies in another directory.
pub fn publish(fs: &dyn Fs, file: &dyn File, to: &Path) -> Result<PublishedFile> {
    assert_ne!(file.path(), to, "a file is published under another name");
    assert_eq!(parent(file.path()), parent(to), "one directory is synced");
    let len_bytes = file.len()?;
    file.sync()?;
    fs.rename(file.path(), to)?;
    fs.sync_dir(parent(to))?;
    Ok(PublishedFile { path: to.into(), len_bytes })
}

/// Makes the bytes of `file` and the name that it was created under durable. For a file that counts only once a
/// manifest names it, which no rename is needed for.
///
/// # Errors
/// `Io`.
pub fn publish_in_place(fs: &dyn Fs, file: &dyn File) -> Result<PublishedFile> {
    let len_bytes = file.len()?;
    file.sync()?;
    fs.sync_dir(parent(file.path()))?;
    Ok(PublishedFile { path: file.path().into(), len_bytes })
}

/// Replaces the file at `path`, or creates it, so that any crash leaves all of the old bytes or all of the new ones.
/// Goes through the first of [`temporary_paths`] whose name does not belong to somebody else; a file that an earlier
/// attempt left there is removed.
///
/// # Errors
/// `Io`; with `InvalidInput` when something other than a regular file has each of these names. See [`publish`].
pub fn replace_atomically(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> Result<PublishedFile> {
    Replacement::write(fs, path, bytes)?.commit(fs)
}

/// A file that is to take the place of another one in one step: [`replace_atomically`] in two halves.
///
/// A failure of the first half leaves the old file as it is, on the disk, too. After a failure of the second half
/// nobody knows which of the two a crash leaves.
#[derive(Debug)]
pub struct Replacement {
    file: Arc<dyn File>,
    path: PathBuf,
}

impl Replacement {
    /// Writes `bytes` to the first of [`temporary_paths`] that can be used. A file that an earlier attempt left there is
    /// removed.
    ///
    /// # Errors
    /// As [`replace_atomically`]; the file at `path` is untouched.
    pub fn write(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> Result<Self> {
        let file = create_temporary(fs, path)?;
        debug_assert_ne!(file.path(), path, "the old content stays until the commit");
        file.write_at(0, bytes)?;
        Ok(Self { file, path: path.into() })
    }

    /// Makes the bytes durable, renames the file to its place, and makes the name durable.
    ///
    /// # Errors
    /// `Io`: it is unknown which of the two files a crash will leave.
    pub fn commit(self, fs: &dyn Fs) -> Result<PublishedFile> {
        publish(fs, &*self.file, &self.path)
    }
}

/// Creates the temporary file for `path` under the first of [`temporary_paths`] that is free, or has a regular file, which
/// is removed. A link, directory or other entry is neither followed nor removed: the next name is tried.
///
/// # Errors
/// `Io`; with `InvalidInput` when something other than a regular file has each of these names.
pub fn create_temporary(fs: &dyn Fs, path: &Path) -> Result<Arc<dyn File>> {
    let mut created = create_afresh(fs, &temporary_path(path));
    for other in temporary_paths(path).skip(1) {
        match created {
            // The entry is not a regular file, so it belongs to another program.
            Err(error) if error.io_kind() == Some(io::ErrorKind::InvalidInput) => {
                created = create_afresh(fs, &other);
            }
            created => return created,
        }
    }
    created
}

/// Where a replacement for the file `path` is written: its name with `.tmp` behind it.
pub fn temporary_path(path: &Path) -> PathBuf {
    with_suffix(path, ".tmp")
}

/// [`temporary_path`], and the names with `.1.tmp` to `.7.tmp` behind them that stand in for it.
pub fn temporary_paths(path: &Path) -> impl Iterator<Item = PathBuf> {
    let others = (1..8).map(move |number| with_suffix(path, &format!(".{number}.tmp")));
    std::iter::once(temporary_path(path)).chain(others)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Creates the temporary file `path` under this very name, removing a regular file that has it: see [`create_temporary`]. It is not opened and cut instead: a
/// crash in the middle of a rename may have left its bytes under their new name, too.
///
/// # Errors
/// `Io`; with `InvalidInput` when the name belongs to something other than a regular file.
pub fn create_afresh(fs: &dyn Fs, path: &Path) -> Result<Arc<dyn File>> {
    match fs.create(path) {
        Err(error) if error.io_kind() == Some(io::ErrorKind::AlreadyExists) => {}
        created => return created,
    }
    drop(fs.open(path)?);
    fs.remove(path)?;
    fs.create(path)
}

/// The directory that names `path`.
fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new("."))
}
