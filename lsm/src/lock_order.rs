//! The lock order of the engine, in one place. In debug builds a thread that takes a lock while it holds one of the same
//! or a later place panics (`durable::sync`). Locks of `durable` come after all of these.
//!
//! A get and a scan take none of them. A snapshot takes the lock of the pins for a moment. The last reader of a memtable takes
//! the lock of the spare memory (`entry_tree`), which has no place here: no other lock is taken under it.

use durable::sync::Rank;

/// The ranked locks, in the order in which a thread takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// `Committer::section`: the commit section.
    Commit,
    /// `Flusher::flushing`: one memtable is flushed at a time, the oldest first.
    Flushing,
    /// `Wal::prepared`: the segment after the active one.
    PreparedSegment,
    /// `FileIds::next`: held until the manifest knows the number.
    FileIds,
    /// `Wal::ended`: the ended segments that the manifest still names.
    EndedSegments,
    /// `Compactor::schedule`: the compactions in flight. Held while the next one is picked.
    Compactions,
    /// `BackPressure::shares`: the pressure is measured.
    Pressure,
    /// `Compaction::progress`: the parts of one compaction that are merged.
    Compaction,
    /// `VersionSet::installing`: an edit of the manifest changes tables, and readers are shown the change.
    Install,
    /// `Pins::held`: the numbers at which readers go on to read.
    Pins,
    /// `VersionSet::change`: the super version is replaced.
    SuperVersion,
}

impl Lock {
    /// The rank of the lock.
    pub(crate) const fn rank(self) -> Rank {
        let name = match self {
            Self::Commit => "the commit section",
            Self::Flushing => "flushing",
            Self::PreparedSegment => "the prepared segment",
            Self::FileIds => "the numbers of files",
            Self::EndedSegments => "the ended segments",
            Self::Compactions => "the compactions in flight",
            Self::Pressure => "measuring the pressure",
            Self::Compaction => "the parts of a compaction",
            Self::Install => "installing tables",
            Self::Pins => "the pins",
            Self::SuperVersion => "the super version",
        };
        Rank::new(Rank::ENGINE + 100 * (self as u16 + 1), name)
    }
}
