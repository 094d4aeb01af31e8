//! The real file system.
//!
//! Files are created for the owner only, exclusively, and opened without following a symbolic link in the last
//! component; anything but a regular file is refused. `dir_handles` keeps the handles of directories that are synced.
#![expect(clippy::disallowed_methods, reason = "the one module that touches files")]

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kv::{Error, Result};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::fs::{DirCalls, Entry, EntryKind, File, Fs, Lock, LockMode, LogFile, create_dir};

mod cache_pass;
mod dir_handles;
mod file;
mod log_file;
mod mapping;
mod read_mapping;

use dir_handles::DirHandles;
use file::OsFile;
pub use log_file::LogBackend;
pub use mapping::page_cache_bytes;
pub(crate) use mapping::{advise_huge_pages, prefetch_lines as load_lines};

/// The file system of the operating system. Clones share the directory handles that it keeps: that of each lock that is
/// held, and a few more.
#[derive(Clone, Debug, Default)]
pub struct OsFs {
    /// How log files are written.
    pub log_backend: LogBackend,
    dirs: Arc<DirHandles>,
}

impl OsFs {
    /// The file system, with log files written through `log_backend`.
    pub fn new(log_backend: LogBackend) -> Self {
        Self { log_backend, dirs: Arc::default() }
    }
}

/// Flags for every open: no links followed, no blocking on a pipe somebody named like a file of ours.
fn open_flags() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()
}

const NOT_A_FILE: &str = "not a regular file";

/// The error of the operating system when a name does not stand for a regular file. (A link refused by `NOFOLLOW` is
/// `ELOOP`.)
const NOT_FILE_ERRORS: [Option<i32>; 3] = [
    Some(Errno::LOOP.raw_os_error()),
    Some(Errno::NXIO.raw_os_error()),
    Some(Errno::ISDIR.raw_os_error()),
];

fn open_file(op: &'static str, path: &Path, options: &mut OpenOptions) -> Result<fs::File> {
    let not_a_file =
        || Error::io(op, path, io::Error::new(io::ErrorKind::InvalidInput, NOT_A_FILE));
    let file = match options.custom_flags(open_flags()).open(path) {
        // A link, a socket without a listener, a directory that was to be opened for writing.
        Err(error) if NOT_FILE_ERRORS.contains(&error.raw_os_error()) => return Err(not_a_file()),
        opened => opened.map_err(|e| Error::io(op, path, e))?,
    };
    // A directory or a pipe that was opened for reading.
    let metadata = file.metadata().map_err(|e| Error::io(op, path, e))?;
    if metadata.is_file() { Ok(file) } else { Err(not_a_file()) }
}

/// An error that names both paths: either may be the cause.
fn two_names(op: &'static str, from: &Path, to: &Path, error: &io::Error) -> Error {
    let both = io::Error::new(error.kind(), format!("to {}: {error}", to.display()));
    Error::io(op, from, both)
}

fn create_file(path: &Path) -> Result<fs::File> {
    let mut options = OpenOptions::new();
    open_file("create", path, options.read(true).write(true).create_new(true).mode(0o600))
}

impl Fs for OsFs {
    fn create_dir(&self, path: &Path) -> Result<()> {
        create_dir(self, path)
    }

    fn resolve(&self, dir: &Path) -> Result<PathBuf> {
        fs::canonicalize(dir).map_err(|e| Error::io("find", dir, e))
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        let read = || -> io::Result<Vec<Entry>> {
            let mut entries = Vec::new();
            for entry in fs::read_dir(dir)? {
                let entry = entry?;
                let file_type = entry.file_type()?;
                let kind = if file_type.is_file() {
                    EntryKind::File
                } else if file_type.is_dir() {
                    EntryKind::Dir
                } else {
                    EntryKind::Other
                };
                entries.push(Entry { name: entry.file_name().to_string_lossy().into(), kind });
            }
            Ok(entries)
        };
        let mut entries = read().map_err(|e| Error::io("list", dir, e))?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn File>> {
        let file = open_file("open", path, OpenOptions::new().read(true))?;
        Ok(Arc::new(OsFile::new(file, path)))
    }

    fn open_writable(&self, path: &Path) -> Result<Arc<dyn File>> {
        let file = open_file("open", path, OpenOptions::new().read(true).write(true))?;
        Ok(Arc::new(OsFile::new(file, path)))
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        Ok(Arc::new(OsFile::new(create_file(path)?, path)))
    }

    fn create_log(&self, path: &Path, capacity: u64) -> Result<Arc<dyn LogFile>> {
        Ok(log_file::create(create_file(path)?, path, capacity, self.log_backend))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to).map_err(|e| two_names("rename", from, to, &e))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let fail = |e| Error::io("remove", path, e);
        if !fs::symlink_metadata(path).map_err(fail)?.is_file() {
            return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, NOT_A_FILE)));
        }
        fs::remove_file(path).map_err(fail)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        fs::hard_link(from, to).map_err(|e| two_names("link", from, to, &e))
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let synced = self.dirs.get(dir).and_then(|handle| handle.sync_all());
        synced.map_err(|e| Error::io("sync directory", dir, e))
    }

    fn lock(&self, path: &Path, mode: LockMode) -> Result<Box<dyn Lock>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = open_file("lock", path, &mut options)?;
        let tried = match mode {
            LockMode::Exclusive => file.try_lock(),
            LockMode::Shared => file.try_lock_shared(),
        };
        match tried {
            Ok(()) => Ok(Box::new(OsLock::of(file, path, &self.dirs)?)),
            Err(fs::TryLockError::WouldBlock) => Err(Error::Locked { path: path.into() }),
            Err(fs::TryLockError::Error(e)) => Err(Error::io("lock", path, e)),
        }
    }

    fn free_space(&self, dir: &Path) -> Result<u64> {
        let stat = rustix::fs::statvfs(dir).map_err(|e| Error::io("measure", dir, e.into()))?;
        Ok(stat.f_bavail * stat.f_frsize)
    }
}

impl DirCalls for OsFs {
    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn make_dir(&self, path: &Path) -> Result<()> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            made => made.map_err(|e| Error::io("create directory", path, e)),
        }
    }

    /// A directory above the store that this process may not read, or on a file system that is mounted for reading only,
    /// is left alone: this process cannot have created names in it.
    fn sync_old_dir(&self, dir: &Path) -> Result<()> {
        match DirCalls::sync_dir(self, dir) {
            Err(error) if is_out_of_reach(&error) => Ok(()),
            synced => synced,
        }
    }

    /// Keeps no handle: the directories above a store are synced once.
    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let synced = fs::File::open(dir).and_then(|handle| handle.sync_all());
        synced.map_err(|e| Error::io("sync directory", dir, e))
    }
}

fn is_out_of_reach(error: &Error) -> bool {
    let kind = error.io_kind();
    matches!(kind, Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem))
}

/// A lock on an open file description, so a second attempt in the same process is refused as well.
#[derive(Debug)]
struct OsLock {
    /// Holds the lock. As long as it is open, no other file gets its inode.
    _file: fs::File,
    /// Keeps the handle of the directory in use: a store syncs its directory, also when descriptors have run out.
    _dir: Arc<fs::File>,
    path: PathBuf,
    identity: FileIdentity,
}

/// Device and inode of a file.
type FileIdentity = (u64, u64);

fn identity(metadata: &fs::Metadata) -> FileIdentity {
    (metadata.dev(), metadata.ino())
}

impl OsLock {
    /// The lock that `file` holds. Fails if `path` names another file by now: somebody removed the lock file between
    /// opening and locking it, and another process may have locked a new one.
    fn of(file: fs::File, path: &Path, dirs: &DirHandles) -> Result<Self> {
        let fail = |e| Error::io("lock", path, e);
        let identity = identity(&file.metadata().map_err(fail)?);
        let dir = dirs.get(path.parent().unwrap_or_else(|| Path::new("."))).map_err(fail)?;
        let lock = Self { identity, _file: file, _dir: dir, path: path.into() };
        lock.check().map(|()| lock)
    }
}

impl Lock for OsLock {
    /// One `lstat`: the identity of the held file cannot change.
    fn check(&self) -> Result<()> {
        let fail = |e| Error::io("find", &self.path, e);
        match fs::symlink_metadata(&self.path) {
            Ok(named) if identity(&named) == self.identity => return Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
            // Another file has the path, or none.
            _ => {}
        }
        let what = "the store was moved or its lock file replaced while it was open";
        Err(fail(io::Error::new(io::ErrorKind::NotFound, what)))
    }
}
