//! The tasks that run in the background. A component that finds work for another one requests a [`Task`].

use durable::{JobClass, background};

/// The background work of an open store.
pub(crate) type Background = background::Background<Task>;

/// One kind of background work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Begin the next data file ahead of need.
    PrepareFile,
    /// Seal the oldest full file.
    SealFile,
    /// One step of a merge, or a look at which files to merge.
    Merge,
    /// Prepare the mapping of one sealed file for reads.
    PopulateFile,
}

impl background::Task for Task {
    fn name(self) -> &'static str {
        match self {
            Self::PrepareFile => "bitcask-prepare",
            Self::SealFile => "bitcask-seal",
            Self::Merge => "bitcask-merge",
            Self::PopulateFile => "bitcask-populate",
        }
    }

    /// A writer may soon wait for the next file, and for room in the queue of files to seal.
    fn class(self) -> JobClass {
        match self {
            Self::PrepareFile | Self::SealFile => JobClass::Urgent,
            Self::Merge | Self::PopulateFile => JobClass::Bulk,
        }
    }

    fn is_queued_once(self) -> bool {
        self == Self::Merge
    }
}
