//! Where a record lies, and which write put it there.

/// The place of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// Which data file, as its number in the file table.
    pub(crate) file: u16,
    /// Where the record's frame starts; a multiple of 8 below 32 GiB.
    pub(crate) offset: u64,
    /// How many bytes the frame takes; a multiple of 8 below 32 GiB.
    pub(crate) len: u64,
}

/// A record's place, and the write that put it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// The place.
    pub(crate) location: Location,
    /// The sequence number of the write, below 2^48.
    pub(crate) sequence: u64,
}
