//! The promise of a write, and the numbers that order writes and moments.

use std::fmt;

/// The failure that an acknowledged write survives. Ordered: a later variant promises all that an earlier one does.
///
/// Every write enters the one log of its engine in sequence order; no class skips it. A later, stronger write carries
/// all earlier, weaker ones with it, so that any crash leaves a prefix of the writes, in whole batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Durability {
    /// May still be in the memory of the process when acknowledged: lost when the process dies.
    None,
    /// Handed to the operating system when acknowledged: survives `kill -9`, not a power cut.
    #[default]
    Buffered,
    /// On the disk when acknowledged, and visible to readers only from then on: survives a power cut.
    Sync,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Buffered => "buffered",
            Self::Sync => "sync",
        })
    }
}

/// The place of a write batch in the order of all writes of an engine. The first batch gets 1; 0 is before all writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SequenceNumber(pub u64);

impl SequenceNumber {
    /// The number before the first write.
    pub const ZERO: Self = Self(0);

    /// The number that follows.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A moment, in milliseconds since 1970-01-01 UTC. Decides expiry only; nothing is ever ordered by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMillis(pub u64);
