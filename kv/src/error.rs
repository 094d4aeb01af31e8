//! The one error type of the workspace. Its variants differ in the reaction that the caller can have.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use crate::Conflict;

/// The result of every fallible call in the workspace.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed. Cheap to clone, so that one failure can be told to every waiter of a group commit.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused. A *write* that returned this is indeterminate: not visible in this handle, and
    /// there or not there, whole, after reopening.
    Io {
        /// The operation that failed: `open`, `read`, `append`, `sync`, ...
        op: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: Arc<io::Error>,
    },
    /// A file does not hold the bytes that were written to it. Nothing was changed; restore the file, or run `verify`.
    Corruption {
        /// The damaged file.
        path: PathBuf,
        /// Byte offset in that file of the unit that failed its check.
        offset: u64,
        /// The check that failed.
        what: String,
    },
    /// The call can never succeed as it is: a key too long, an inverted range, an option out of range.
    InvalidArgument(String),
    /// A transaction lost against another one: run it again.
    Conflict(Box<Conflict>),
    /// Writers wait for background work, and the wait was longer than allowed: try again later.
    Stalled {
        /// The quantity that is over its limit.
        signal: &'static str,
    },
    /// An earlier log write or sync failed, so this handle takes no more writes. Reads go on; reopening heals.
    Poisoned {
        /// The failure that poisoned the handle.
        cause: Box<Error>,
    },
    /// Another process, or this one, has the store open.
    Locked {
        /// The store.
        path: PathBuf,
    },
    /// The handle was opened for reading only.
    ReadOnly,
    /// The handle was closed.
    Closed,
    /// The snapshot was given up to stay inside a limit, or is older than the history that is kept: take a new one.
    SnapshotTooOld,
    /// This engine lacks the capability. Nothing was written.
    Unsupported(&'static str),
}

impl Error {
    /// An [`Error::Io`] for `op` on `path`.
    pub fn io(op: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Io { op, path: path.as_ref().to_path_buf(), source: Arc::new(source) }
    }

    /// An [`Error::Corruption`] at `offset` of `path`.
    pub fn corruption(path: impl AsRef<Path>, offset: u64, what: impl Into<String>) -> Self {
        Self::Corruption { path: path.as_ref().to_path_buf(), offset, what: what.into() }
    }

    /// The kind of the operating system's error, if this is one.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } => Some(source.kind()),
            _ => None,
        }
    }

    /// Whether the machine ran out of disk space, quota, file handles, memory or mappings (`ENOMEM`, which is also the
    /// answer to a mapping above `vm.max_map_count`): the disk is well, and there may be more later.
    pub fn is_out_of_resources(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::OutOfMemory
        ) || self.is_out_of_file_handles()
    }

    /// Whether the process or the machine ran out of file handles (`EMFILE`, `ENFILE`): the call failed when it opened a
    /// file or a directory, and did nothing else.
    pub fn is_out_of_file_handles(&self) -> bool {
        const TOO_MANY_OPEN_FILES: [i32; 2] = [23, 24];
        let Self::Io { source, .. } = self else { return false };
        source.raw_os_error().is_some_and(|code| TOO_MANY_OPEN_FILES.contains(&code))
    }

    /// Whether a file was found damaged.
    pub fn is_corruption(&self) -> bool {
        matches!(self, Self::Corruption { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { op, path, source } => write!(f, "{op} {}: {source}", path.display()),
            Self::Corruption { path, offset, what } => {
                write!(f, "{} is damaged at byte {offset}: {what}", path.display())
            }
            Self::InvalidArgument(what) => write!(f, "invalid argument: {what}"),
            Self::Conflict(conflict) => conflict.fmt(f),
            Self::Stalled { signal } => write!(f, "writers are stalled by {signal}; try again"),
            Self::Poisoned { cause } => {
                write!(f, "no more writes after an earlier failure ({cause}); reopen the store")
            }
            Self::Locked { path } => write!(f, "{} is open elsewhere", path.display()),
            Self::ReadOnly => f.write_str("the store is open for reading only"),
            Self::Closed => f.write_str("the store is closed"),
            Self::SnapshotTooOld => f.write_str("the snapshot is too old; take a new one"),
            Self::Unsupported(what) => write!(f, "this engine does not support {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source.as_ref()),
            Self::Poisoned { cause } => Some(cause.as_ref()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exhausted_resource_is_told_from_a_failing_disk() {
        let error = |code| Error::io("write", "file", io::Error::from_raw_os_error(code));
        // ENOMEM, ENFILE, EMFILE, ENOSPC, EDQUOT.
        for code in [12, 23, 24, 28, 122] {
            assert!(error(code).is_out_of_resources(), "{code}");
            assert_eq!(error(code).is_out_of_file_handles(), [23, 24].contains(&code), "{code}");
        }
        // EIO, EACCES, EROFS.
        for code in [5, 13, 30] {
            assert!(!error(code).is_out_of_resources(), "{code}");
        }
        assert!(!Error::Closed.is_out_of_resources());
        let made = Error::io("map", "file", io::Error::from(io::ErrorKind::OutOfMemory));
        assert!(made.is_out_of_resources());
        let poisoned = Error::Poisoned { cause: Box::new(error(28)) };
        assert!(!poisoned.is_out_of_resources(), "a poisoned handle does not heal");
    }
}
