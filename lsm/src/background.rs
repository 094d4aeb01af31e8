//! The tasks that run in the background. A component that finds work for another one requests a [`Task`].

use durable::{JobClass, background};

/// The background work of an open store.
pub(crate) type Background = background::Background<Task>;

/// One kind of background work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Begin the next segment of the log ahead of need.
    PrepareSegment,
    /// Write the oldest sealed memtable to tables.
    Flush,
    /// Look for the next compaction.
    PickCompaction,
    /// Take a step of a compaction.
    MergePart,
    /// Close tables that were not used lately.
    CloseTables,
}

impl background::Task for Task {
    fn name(self) -> &'static str {
        match self {
            Self::PrepareSegment => "lsm-prepare",
            Self::Flush => "lsm-flush",
            Self::PickCompaction => "lsm-pick",
            Self::MergePart => "lsm-merge",
            Self::CloseTables => "lsm-close-tables",
        }
    }

    /// A writer may soon wait for a segment or a flush, and while too many tables are open, look-ups open theirs each time.
    /// Compactions have time.
    fn class(self) -> JobClass {
        match self {
            Self::PrepareSegment | Self::Flush | Self::CloseTables => JobClass::Urgent,
            Self::PickCompaction | Self::MergePart => JobClass::Bulk,
        }
    }

    /// One look finds everything that was requested before it began.
    fn is_queued_once(self) -> bool {
        matches!(self, Self::PickCompaction | Self::CloseTables)
    }
}
