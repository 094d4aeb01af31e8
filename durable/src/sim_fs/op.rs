//! The operations that a simulated disk records, one for each thing that a crash can fall before or after.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::SyncFailure;
use super::inode::InodeId;

/// A mutating operation that succeeded, with all that is needed to do it again on a copy of the disk.
#[derive(Clone, Debug)]
pub(super) enum Op {
    CreateDir { path: Arc<Path> },
    Create { path: Arc<Path>, inode: InodeId },
    Allocate { file: Target, capacity: u64 },
    Write { file: Target, offset: u64, bytes: Arc<[u8]> },
    Append { file: Target, offset: u64, bytes: Arc<[u8]> },
    SetLen { file: Target, len: u64 },
    Finish { file: Target, len: u64 },
    Sync { file: Target },
    FailSync { file: Target, behaviour: SyncFailure },
    Rename { from: Arc<Path>, to: Arc<Path> },
    Remove { path: Arc<Path> },
    Link { from: Arc<Path>, to: Arc<Path> },
    SyncDir { path: Arc<Path> },
}

/// An open file: its inode, and the name that it was opened under.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) inode: InodeId,
    pub(super) path: Arc<Path>,
}

/// A change that a test made without the engine: it has its effect at once, on the disk itself.
#[derive(Clone, Debug)]
pub(super) enum Damage {
    Contents { path: Arc<Path>, bytes: Arc<Vec<u8>> },
    Delete { path: Arc<Path> },
}

/// One recorded operation and the damage that was done after it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) op: Op,
    pub(super) damage: Vec<Damage>,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateDir { path } => write!(f, "create-dir {}", path.display()),
            Self::Create { path, .. } => write!(f, "create {}", path.display()),
            Self::Allocate { file, capacity } => write!(f, "allocate {file} {capacity}"),
            Self::Write { file, offset, bytes } => {
                write!(f, "write {file} {offset}+{}", bytes.len())
            }
            Self::Append { file, offset, bytes } => {
                write!(f, "append {file} {offset}+{}", bytes.len())
            }
            Self::SetLen { file, len } => write!(f, "set-len {file} {len}"),
            Self::Finish { file, len } => write!(f, "finish {file} {len}"),
            Self::Sync { file } => write!(f, "sync {file}"),
            Self::FailSync { file, .. } => write!(f, "fail-sync {file}"),
            Self::Rename { from, to } => write!(f, "rename {} {}", from.display(), to.display()),
            Self::Remove { path } => write!(f, "remove {}", path.display()),
            Self::Link { from, to } => write!(f, "link {} {}", from.display(), to.display()),
            Self::SyncDir { path } => write!(f, "sync-dir {}", path.display()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}
