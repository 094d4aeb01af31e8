//! The file system as engines see it: object-safe traits, positional calls, explicit durability.
//!
//! Nothing is durable until it is synced, and there are two things to sync: a file ([`File::sync`], its bytes and
//! length) and the directory that names it ([`Fs::sync_dir`], creations, renames and removals). The implementations
//! handle `EINTR` and short counts; a call either does all of its work or fails. Calls that fail have an unknown part
//! of their effect, which recovery must expect.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kv::Result;

mod create_dir;
mod file;
mod whole;

pub(crate) use create_dir::{DirCalls, create_dir};
pub(crate) use file::read_pieces;
pub use file::{Access, File, Mapped};
pub use whole::{copy_whole, read_whole};

/// A file system. Held as `Arc<dyn Fs>`; the indirection is below the noise of any call.
pub trait Fs: Debug + Send + Sync {
    /// Creates a directory, and its missing parents, for the owner only, and makes the names durable. If the directory is
    /// there already, its own name is made durable: a process may have been killed right after it created the directory.
    ///
    /// # Errors
    /// `Io`, also when the path is something other than a directory.
    fn create_dir(&self, path: &Path) -> Result<()>;

    /// The one path of an existing directory that stays right whatever the working directory becomes, links resolved.
    ///
    /// # Errors
    /// `Io`.
    fn resolve(&self, dir: &Path) -> Result<PathBuf> {
        Ok(dir.into())
    }

    /// The entries of a directory, in byte order of their names.
    ///
    /// # Errors
    /// `Io`.
    fn list(&self, dir: &Path) -> Result<Vec<Entry>>;

    /// Opens an existing regular file for reading.
    ///
    /// # Errors
    /// `Io`; a symbolic link or another kind of file is refused with `InvalidInput`.
    fn open(&self, path: &Path) -> Result<Arc<dyn File>>;

    /// Opens an existing regular file for reading and writing.
    ///
    /// # Errors
    /// As [`Fs::open`].
    fn open_writable(&self, path: &Path) -> Result<Arc<dyn File>>;

    /// Creates a file for reading and writing, for the owner only. The name is durable after [`Fs::sync_dir`].
    ///
    /// # Errors
    /// `Io`; with `AlreadyExists` when the name is taken.
    fn create(&self, path: &Path) -> Result<Arc<dyn File>>;

    /// Creates a log file for up to `capacity` bytes, ready to be appended to. Space that runs out shows here and in
    /// [`LogFile::reserve`], not while appending. The name and the space are durable after [`LogFile::sync`] and
    /// [`Fs::sync_dir`].
    ///
    /// # Errors
    /// As [`Fs::create`]; `StorageFull` when there is no space: then the name may be there, with an empty file.
    fn create_log(&self, path: &Path, capacity: u64) -> Result<Arc<dyn LogFile>>;

    /// Renames a file over whatever has the new name. Durable after [`Fs::sync_dir`].
    ///
    /// # Errors
    /// `Io`.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a name of a regular file. Handles and mappings of the file stay valid. Durable after [`Fs::sync_dir`].
    ///
    /// # Errors
    /// `Io`; with `InvalidInput` when the name stands for something else, which stays.
    fn remove(&self, path: &Path) -> Result<()>;

    /// Gives a file a second name. Durable after [`Fs::sync_dir`].
    ///
    /// # Errors
    /// `Io`.
    fn link(&self, from: &Path, to: &Path) -> Result<()>;

    /// Makes the creations, renames and removals in a directory durable. The empty path, which is the parent of a bare file
    /// name, is the current directory.
    ///
    /// # Errors
    /// `Io`: which entries are durable is unknown, and a second attempt proves nothing.
    fn sync_dir(&self, dir: &Path) -> Result<()>;

    /// Locks the file `path`, creating it if need be, against any other process and any other call in this one. Held
    /// until the lock is dropped. The file is never removed.
    ///
    /// # Errors
    /// `Locked` when somebody else holds it; `Io`.
    fn lock(&self, path: &Path, mode: LockMode) -> Result<Box<dyn Lock>>;

    /// Bytes that an unprivileged process may still write to the file system of `dir`.
    ///
    /// # Errors
    /// `Io`.
    fn free_space(&self, dir: &Path) -> Result<u64>;
}

/// A file that is only appended to, inside space that it already owns. The seam between the log and the disk.
///
/// One thread at a time appends; any number of threads read the bytes that were appended before, at any time, and sync.
pub trait LogFile: Debug + Send + Sync {
    /// The path that the file was created under.
    fn path(&self) -> &Path;

    /// Makes sure that the log owns the space before `end`, so that an append up to there cannot fail for want of it.
    ///
    /// # Errors
    /// `Io`, with `StorageFull` when there is no space: nothing has changed, and the log goes on working.
    ///
    /// # Panics
    /// When `end` is past the capacity.
    fn reserve(&self, end: u64) -> Result<()>;

    /// Writes `bytes` at `offset`, which must be the end of the log, into space that was reserved. When this returns, the bytes
    /// survive the process, and every thread that learns of it can read them. The disk may hold any part of them, in
    /// units of 4 KiB pages torn at any byte, until [`LogFile::sync`].
    ///
    /// # Errors
    /// `Io`: any part of the bytes may have been written. On file systems where reserved space can still fail, with
    /// `StorageFull`: then [`LogFile::cut`] removes that part.
    ///
    /// # Panics
    /// When the bytes do not fit into the space that was reserved.
    fn append(&self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Removes the part of its bytes that a failed append has left from `end` on, and the space behind it. `end` is the end
    /// of the log before that append. The log goes on from there; its space is to be reserved again. Durable after
    /// [`LogFile::sync`].
    ///
    /// # Errors
    /// `Io`: the bytes may still be there.
    fn cut(&self, end: u64) -> Result<()>;

    /// Calls `read` with `len` bytes from `offset`.
    ///
    /// # Errors
    /// `Corruption` at `offset` when not all of them were appended. `Io`, with `OutOfMemory` when a backend that copies
    /// has no memory for them.
    fn read(&self, offset: u64, len: usize, read: &mut dyn FnMut(&[u8])) -> Result<()>;

    /// Makes everything appended before the call durable.
    ///
    /// # Errors
    /// As [`File::sync`].
    fn sync(&self) -> Result<()>;

    /// Gives back the space after `len`, where nothing was appended. Reads and syncs go on working. Durable after
    /// [`LogFile::sync`].
    ///
    /// # Errors
    /// `Io`.
    fn finish(&self, len: u64) -> Result<()>;
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The last component of its path. Names that are not UTF-8 are given lossily: they match no pattern of ours.
    pub name: String,
    /// The kind of the object that it names.
    pub kind: EntryKind,
}

/// The kind of object that a name in a directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link, pipe, socket or device: never opened, followed or removed.
    Other,
}

/// Who else may hold a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Nobody.
    Exclusive,
    /// Others that share it.
    Shared,
}

/// A held lock; dropping it lets go.
pub trait Lock: Debug + Send + Sync {
    /// Whether the path that was locked still names the file that is: the directory was not moved, and the file was not
    /// replaced.
    ///
    /// # Errors
    /// `Io` when it does not, or when that cannot be found out.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}
