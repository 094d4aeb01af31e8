//! What a repair could not carry over.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::sync::Mutex;
use kv::Error;

/// A part of a file that a repair could not read, or did not trust.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// What the part was for.
    pub lost: Lost,
    /// The file.
    pub path: PathBuf,
    /// The bytes in it. Empty if nobody knows which ones.
    pub bytes: Range<u64>,
    /// Why they could not be read.
    pub what: String,
    /// The user keys of a table between which the lost entries or range tombstones lie; `None` on a side where nobody knows. Both
    /// are included, because versions of these keys can be lost.
    pub keys: (Option<Vec<u8>>, Option<Vec<u8>>),
}

/// The use of a lost part, and so the meaning of the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lost {
    /// The list of the files that make up the store.
    Manifest,
    /// Entries of a table, or operations of the log.
    Entries,
    /// Range tombstones of a table.
    RangeTombstones,
    /// A file that takes the place of one of the store, or lies beside them. Nothing was taken from it.
    ForeignFile,
}

impl Lost {
    /// What such a loss can mean for the repaired store: a sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Manifest => {
                "Every table and log in the directory was read, so entries that were deleted or \
                 replaced may be there again."
            }
            Self::Entries => {
                "Keys may be missing or have an older value, and deleted keys may be there again."
            }
            Self::RangeTombstones => "Keys that a range deletion removed may be there again.",
            Self::ForeignFile => "Its entries were left out.",
        }
    }
}

impl Loss {
    pub(super) fn new(lost: Lost, path: &Path, bytes: Range<u64>, what: impl Into<String>) -> Self {
        assert!(bytes.start <= bytes.end, "a range of the file");
        Self { lost, path: path.into(), bytes, what: what.into(), keys: (None, None) }
    }

    /// A loss from the place of `error` to `end`, in the file that the error names, or else in `path`.
    pub(super) fn of(lost: Lost, error: &Error, path: &Path, end: u64) -> Self {
        match error {
            Error::Corruption { path: named, offset, .. } => {
                let end = if **named == *path { end.max(*offset) } else { *offset };
                Self::new(lost, named, *offset..end, error.to_string())
            }
            other => Self::new(lost, path, 0..end, other.to_string()),
        }
    }
}

/// The loss as sentences: where, why, and with which effect.
impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if !self.bytes.is_empty() {
            write!(f, ", bytes {} to {}", self.bytes.start, self.bytes.end)?;
        }
        write!(f, ": {}. {}", self.what, self.lost.meaning())
    }
}

/// The losses so far. All sources of a repair add to them.
#[derive(Clone, Debug, Default)]
pub(super) struct Losses(Arc<Mutex<Vec<Loss>>>);

impl Losses {
    pub(super) fn add(&self, loss: Loss) {
        self.0.lock().push(loss);
    }

    /// All losses so far, in the order in which they were found.
    pub(super) fn take(&self) -> Vec<Loss> {
        std::mem::take(&mut *self.0.lock())
    }
}
