//! Tombstones that merges had to keep.

use std::collections::BTreeMap;

use serde::Serialize;

/// Tombstones in a file that cannot go, because an older put of their keys may be in another one. Both files are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Blocked {
    /// The data file that has the tombstones.
    pub(crate) file: u64,
    /// The data file that may have the puts. A merge of both files drops the tombstones. A merge of this one alone passes the
    /// entry on to its output, which may have the puts, too.
    pub(crate) blocker: u64,
    /// How many bytes the tombstones take.
    pub(crate) bytes: u64,
}

/// All of them, with the sum of each file at hand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct BlockedTombstones {
    entries: Vec<Blocked>,
    /// The bytes of the entries of each file that has some. A sum that overflows, which only a forged manifest has, stays at
    /// the greatest number.
    #[serde(skip)]
    bytes_by_file: BTreeMap<u64, u64>,
}

impl BlockedTombstones {
    /// All entries, in the order in which they came.
    pub(crate) fn entries(&self) -> &[Blocked] {
        &self.entries
    }

    /// The bytes of tombstones in `file` that its last merge had to keep, and would have to keep again.
    pub(crate) fn bytes_in(&self, file: u64) -> u64 {
        self.bytes_by_file.get(&file).copied().unwrap_or(0)
    }

    /// Adds one entry.
    pub(super) fn push(&mut self, blocked: Blocked) {
        let sum = self.bytes_by_file.entry(blocked.file).or_default();
        *sum = sum.saturating_add(blocked.bytes);
        self.entries.push(blocked);
    }

    /// Removes the entries that name `file`, which leaves the store.
    pub(super) fn remove_file(&mut self, file: u64) {
        let is_named = |blocked: &Blocked| blocked.file == file || blocked.blocker == file;
        if self.entries.iter().any(is_named) {
            let stays = std::mem::take(self).entries.into_iter().filter(|one| !is_named(one));
            *self = stays.collect();
        }
        debug_assert_eq!(self.bytes_in(file), 0, "no entry names it");
    }
}

impl FromIterator<Blocked> for BlockedTombstones {
    fn from_iter<I: IntoIterator<Item = Blocked>>(entries: I) -> Self {
        let mut all = Self::default();
        entries.into_iter().for_each(|blocked| all.push(blocked));
        all
    }
}
