//! The one error type of the house: its variants are what a caller can do about it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use crate::{Bytes, KeyRange};

/// The result of every fallible call in the house.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed. Cheap to clone, so that one failure can be told to every waiter of a group commit.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused. A *write* that returned this is indeterminate: not visible in this handle, and
    /// there or not there, whole, after reopening.
    Io {
        /// What was being done: `open`, `read`, `append`, `sync`, ...
        op: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// A file does not say what was written to it. Nothing was changed; restore the file, or run `verify`.
    Corruption {
        /// The damaged file.
        path: PathBuf,
        /// Byte offset in that file of the unit that failed its check.
        offset: u64,
        /// What was expected there.
        what: String,
    },
    /// The call can never succeed as it is: a key too long, an inverted range, an option out of range.
    InvalidArgument(String),
    /// A transaction lost against another one: run it again.
    Conflict(Box<Conflict>),
    /// Writers wait for background work, and the wait was longer than allowed: try again later.
    Stalled {
        /// What is over its limit.
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
    /// The snapshot was given up to stay inside a memory budget: take a new one.
    SnapshotTooOld,
    /// This engine does not have what was asked for. Nothing was written.
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
        const TOO_MANY_OPEN_FILES: [i32; 2] = [23, 24];
        let Self::Io { source, .. } = self else { return false };
        matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::OutOfMemory
        ) || source.raw_os_error().is_some_and(|code| TOO_MANY_OPEN_FILES.contains(&code))
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

/// Why a transaction could not commit, as plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The rule that was broken.
    pub kind: ConflictKind,
    /// The contended keys; empty where only ranges are known.
    pub keys: Vec<Bytes>,
    /// The contended ranges that were read.
    pub ranges: Vec<KeyRange>,
    /// The transactions that took part, the loser first.
    pub transactions: Vec<u64>,
    /// The dependencies between them that made one of them lose.
    pub edges: Vec<ConflictEdge>,
}

/// The rule that a losing transaction broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConflictKind {
    /// Somebody else committed a write to a key that this transaction writes (snapshot isolation).
    Write,
    /// Somebody else committed a write to what this transaction read (read-set validation).
    Read,
    /// The transaction is part of a dangerous structure (serializable snapshot isolation).
    DangerousStructure,
}

/// One dependency between two transactions of a [`Conflict`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflictEdge {
    /// The transaction that must come first in any serial order.
    pub from: u64,
    /// The transaction that must come after it.
    pub to: u64,
    /// A key on which the two met.
    pub key: Bytes,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = match self.kind {
            ConflictKind::Write => "another transaction wrote first",
            ConflictKind::Read => "what was read has been overwritten",
            ConflictKind::DangerousStructure => "no serial order is certain",
        };
        write!(f, "conflict: {rule}")?;
        if let Some(key) = self.keys.first() {
            write!(f, " (key \"{}\")", key.escape_ascii())?;
        }
        f.write_str("; run the transaction again")
    }
}
