//! The place of a commit in the order of all commits.

/// The place of a commit. A transaction that writes takes the next number of the store. One that writes nothing takes none: it
/// comes behind the newest number, and behind those that wrote nothing before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommitPlace {
    number: u64,
    behind: u64,
}

impl CommitPlace {
    /// Of a transaction that writes.
    pub fn of_writer(number: u64) -> Self {
        Self { number, behind: 0 }
    }

    /// Of the next transaction that writes nothing.
    pub(super) fn next_reader(self) -> Self {
        Self { behind: self.behind + 1, ..self }
    }

    /// Whether it certainly comes before a transaction that takes its snapshot when `snapshot` is the newest number.
    pub fn is_before_snapshot(self, snapshot: u64) -> bool {
        self <= Self::of_writer(snapshot)
    }

    /// The newest number of the store at the commit.
    pub fn number(self) -> u64 {
        self.number
    }
}
