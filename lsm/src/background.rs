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
}

impl background::Task for Task {
    fn name(self) -> &'static str {
        match self {
            Self::PrepareSegment => "lsm-prepare",
            Self::Flush => "lsm-flush",
        }
    }

    /// A writer may soon wait for the result.
    fn class(self) -> JobClass {
        JobClass::Urgent
    }

    fn is_queued_once(self) -> bool {
        false
    }
}
