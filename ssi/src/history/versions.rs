//! The versions of each key and their order.
//!
//! A version is the last write of an installed transaction to a key; before all of them is the initial version, without a value.
//! The order of the versions of a key is known from the first of these sources that decides it:
//! 1. Lists: the longest list that a committed transaction read holds its elements in order. Elements that no list holds come
//!    after it, in an unknown order.
//! 2. The commit numbers that the store states.
//! 3. A transaction that read a version and wrote the key installed a later version. (A store where this is false shows a
//!    cycle of a read and a write, G1c, whatever the order is.)
//!
//! An order that none of them decides stays open: [`VersionTable::is_ordered`] says so for each key, and then a history
//! without an anomaly proves less.

use kv::{Error, Result};

use super::model::{ABSENT, History, KeyId, ValueId};
use super::placement::Placement;
use super::write_index::{Write, WriteIndex};

/// A version, by its slot in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct VersionId(pub(super) u32);

/// The writer of an initial version.
const NOBODY: u32 = u32::MAX;

/// The place of a version that the history does not state: after all others.
const UNPLACED: u64 = u64::MAX;

#[derive(Clone, Copy, Debug)]
struct Version {
    writer: u32,
    value: ValueId,
    /// The place in the order of the key: a commit number or an index in a list. [`UNPLACED`] if unknown.
    place: u64,
    /// The index of its write in the index of all writes.
    write: usize,
}

/// All versions of a history, and the value that each read meant.
#[derive(Debug)]
pub(super) struct VersionTable {
    /// The initial version of each key, which is the first of its slots, and the number of slots.
    starts: Vec<u32>,
    versions: Vec<Version>,
    /// For each key, whether the order of its slots is the order of its versions.
    ordered: Vec<bool>,
    /// The known successors of the versions of keys that are not ordered, sorted.
    successors: Vec<(VersionId, VersionId)>,
    /// For each write, its version.
    version_of_write: Vec<Option<VersionId>>,
}

/// The version that a read meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resolution {
    Exact(VersionId),
    /// Several versions of an ordered key have the value; this is the newest of them.
    AtMost(VersionId),
    /// Several versions of a key without an order have the value.
    Open,
    /// Only a write that its transaction overwrote has the value.
    Intermediate(u32),
    /// Only a transaction that did not commit wrote the value.
    Aborted(u32),
    /// Only the reader itself wrote the value, later.
    OwnFuture,
    /// Nobody wrote the value.
    Unwritten,
}

impl VersionTable {
    /// # Errors
    /// `InvalidArgument` if two transactions state the same place of a version.
    pub(super) fn new(
        history: &History,
        writes: &WriteIndex,
        installed: &[bool],
        placement: &Placement,
    ) -> Result<Self> {
        assert_eq!(installed.len(), history.transactions.len(), "one flag for each transaction");
        let mut table = Self {
            starts: vec![0],
            versions: Vec::new(),
            ordered: Vec::with_capacity(history.keys.len()),
            successors: Vec::new(),
            version_of_write: vec![None; writes.all().len()],
        };
        let mut remaining = writes.all().iter().enumerate().peekable();
        for key in (0..history.keys.len() as u32).map(KeyId) {
            table.versions.push(Version {
                writer: NOBODY,
                value: ABSENT,
                place: 0,
                write: usize::MAX,
            });
            while let Some((index, write)) = remaining.next_if(|(_, write)| write.key == key) {
                if write.last && installed[write.transaction as usize] {
                    let place = placement.of(history, index, write).unwrap_or(UNPLACED);
                    let (writer, value) = (write.transaction, write.value);
                    table.versions.push(Version { writer, value, place, write: index });
                }
            }
            table.close_key(history, key, placement.is_list(key))?;
        }
        assert!(remaining.next().is_none(), "every write has a key of the history");
        Ok(table)
    }

    /// Sorts the versions of `key`, which are those after the last start.
    fn close_key(&mut self, history: &History, key: KeyId, is_list: bool) -> Result<()> {
        let start = self.starts[key.0 as usize];
        let versions = &mut self.versions[start as usize + 1..];
        versions.sort_by_key(|version| (version.place, version.writer));
        let same = |pair: &&[Version]| pair[0].place == pair[1].place && pair[0].place != UNPLACED;
        if let Some([one, other, ..]) = versions.windows(2).find(same) {
            let number = |version: &Version| history.transactions[version.writer as usize].number;
            let key = history.key_text(key);
            return Err(Error::InvalidArgument(format!(
                "transactions {} and {} state the same place of their versions of key {key:?}",
                number(one),
                number(other)
            )));
        }
        let unplaced = versions.iter().filter(|version| version.place == UNPLACED).count();
        // The one element that no list holds comes after those that a list holds. One commit without a number can be anywhere.
        self.ordered.push(unplaced == 0 || unplaced == 1 && (is_list || versions.len() == 1));
        for (slot, version) in (start + 1..).zip(versions.iter()) {
            self.version_of_write[version.write] = Some(VersionId(slot));
        }
        self.starts.push(self.versions.len() as u32);
        Ok(())
    }

    /// Adds the known order of keys without a total one: pairs of an earlier and a later version, sorted.
    pub(super) fn set_successors(&mut self, successors: Vec<(VersionId, VersionId)>) {
        assert!(successors.is_sorted(), "the successors of a version are found by bisection");
        self.successors = successors;
    }

    /// Whether the order of all versions of `key` is known.
    pub(super) fn is_ordered(&self, key: KeyId) -> bool {
        self.ordered[key.0 as usize]
    }

    /// The number of keys whose order of versions is not known.
    pub(super) fn unordered_count(&self) -> usize {
        self.ordered.iter().filter(|ordered| !**ordered).count()
    }

    /// The version before all writes of `key`.
    pub(super) fn initial(&self, key: KeyId) -> VersionId {
        VersionId(self.starts[key.0 as usize])
    }

    /// All versions of `key`, the initial one first, in their order if it is known.
    pub(super) fn of_key(&self, key: KeyId) -> impl Iterator<Item = VersionId> + use<> {
        (self.starts[key.0 as usize]..self.starts[key.0 as usize + 1]).map(VersionId)
    }

    /// The transaction that wrote a version. `None` for the initial one.
    pub(super) fn writer(&self, version: VersionId) -> Option<u32> {
        let writer = self.versions[version.0 as usize].writer;
        (writer != NOBODY).then_some(writer)
    }

    /// Whether the version is a delete.
    pub(super) fn is_tombstone(&self, version: VersionId) -> bool {
        let version = &self.versions[version.0 as usize];
        version.value == ABSENT && version.writer != NOBODY
    }

    /// Whether the place of the version in the order of its key is known.
    pub(super) fn is_placed(&self, version: VersionId) -> bool {
        self.versions[version.0 as usize].place != UNPLACED
    }

    /// The version that a write became.
    pub(super) fn version_of(&self, write: usize) -> Option<VersionId> {
        self.version_of_write[write]
    }

    /// Calls `visit` with each version of `key` that is known to come right after `version`.
    pub(super) fn each_successor(
        &self,
        key: KeyId,
        version: VersionId,
        visit: &mut dyn FnMut(VersionId),
    ) {
        debug_assert!(self.of_key(key).any(|other| other == version), "a version of the key");
        if self.is_ordered(key) {
            let next = version.0 + 1;
            if next < self.starts[key.0 as usize + 1] {
                visit(VersionId(next));
            }
            return;
        }
        let from = self.successors.partition_point(|&(earlier, _)| earlier < version);
        let known = self.successors[from..].iter().take_while(|&&(earlier, _)| earlier == version);
        known.for_each(|&(_, later)| visit(later));
    }

    /// The version that `reader` meant when it read `value` of `key`.
    pub(super) fn resolve(
        &self,
        history: &History,
        writes: &WriteIndex,
        installed: &[bool],
        (reader, key, value): (u32, KeyId, ValueId),
    ) -> Resolution {
        let range = writes.range_of(key, value);
        let initial = (value == ABSENT).then(|| self.initial(key));
        if range.len() + usize::from(initial.is_some()) > 1 {
            let seen = self.in_snapshot(history, reader, key);
            let seen = seen.map(|seen| (seen, self.versions[seen.0 as usize]));
            if let Some((seen, version)) = seen
                && (version.value, version.writer == reader) == (value, false)
            {
                return Resolution::Exact(seen);
            }
        }
        let versions = range.clone().filter(|&write| writes.all()[write].transaction != reader);
        let versions = versions.filter_map(|write| self.version_of(write));
        let mut versions = initial.into_iter().chain(versions);
        let Some(first) = versions.next() else {
            return dirty(&writes.all()[range], installed, reader);
        };
        match versions.fold((first, 1), |(newest, count), other| (newest.max(other), count + 1)) {
            (only, 1) => Resolution::Exact(only),
            (newest, _) if self.is_ordered(key) => Resolution::AtMost(newest),
            _ => Resolution::Open,
        }
    }

    /// The version of `key` in the snapshot that `reader` states, if the versions have commit numbers.
    fn in_snapshot(&self, history: &History, reader: u32, key: KeyId) -> Option<VersionId> {
        let snapshot = history.transactions[reader as usize].snapshot?;
        let start = self.starts[key.0 as usize] as usize;
        let versions = &self.versions[start..self.starts[key.0 as usize + 1] as usize];
        let newest = versions.last().filter(|newest| newest.writer != NOBODY)?;
        let placed_by_commit = newest.place != UNPLACED
            && history.transactions[newest.writer as usize].commit == Some(newest.place);
        if !self.is_ordered(key) || !placed_by_commit {
            return None;
        }
        let newer = versions.partition_point(|version| version.place <= snapshot);
        assert!(newer > 0, "each snapshot holds the initial version");
        Some(VersionId((start + newer - 1) as u32))
    }
}

/// Why nobody can have read a value that no version has. `writes` are all writes of it.
fn dirty(writes: &[Write], installed: &[bool], reader: u32) -> Resolution {
    let others = || writes.iter().filter(|write| write.transaction != reader);
    let intermediate = others().find(|write| installed[write.transaction as usize]);
    match (intermediate, others().next()) {
        (Some(write), _) => {
            assert!(!write.last, "the last write of an installed transaction is a version");
            Resolution::Intermediate(write.transaction)
        }
        (None, Some(write)) => Resolution::Aborted(write.transaction),
        (None, None) if writes.is_empty() => Resolution::Unwritten,
        (None, None) => Resolution::OwnFuture,
    }
}
