//! The content of files that are not there: an interface with two implementations.

use lsm::compaction::{DropGuard, File, OutputCutter};

/// A file that a flush or a compaction has made.
#[derive(Clone, Debug)]
pub(super) struct Part<C> {
    pub(super) smallest: u64,
    pub(super) largest: u64,
    pub(super) entries: u64,
    pub(super) tombstones: u64,
    pub(super) bytes: u64,
    pub(super) content: C,
}

/// The files of a flush, with the bytes that the user has written for them.
#[derive(Clone, Debug)]
pub(super) struct Flush<C> {
    pub(super) parts: Vec<Part<C>>,
    pub(super) user_bytes: f64,
}

/// The files of one run that a compaction reads, in the order of their keys.
pub(super) type Source<'c, C> = Vec<(&'c File<u64>, &'c C)>;

/// Knows the content of files as far as amplification depends on it.
pub(super) trait Model {
    /// What is remembered of a file.
    type Content;

    /// The next part of the load of all keys in their order; `None` at its end.
    fn load(&mut self) -> Option<Flush<Self::Content>>;

    /// A memtable full of the workload.
    fn flush(&mut self) -> Flush<Self::Content>;

    /// The outputs of a compaction of `sources`, the newest first.
    fn merge(
        &self,
        sources: &[Source<'_, Self::Content>],
        guard: &DropGuard<u64>,
        cutter: &mut OutputCutter<u64>,
    ) -> Vec<Part<Self::Content>>;

    /// The bytes of the newest entry of each key that is not deleted, on average over time.
    fn live_bytes(&self) -> f64;
}
