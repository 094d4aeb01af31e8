//! The writes and marks of one transaction, which lie in its memory until it commits.
//!
//! # Savepoints
//!
//! A savepoint is a length of the undo log. While there is one, the first change of a key after the newest savepoint logs the
//! earlier state of the key. Rolling back restores the logged states, newest first. Each entry knows the savepoint after which
//! it was logged last. So a key that is written a thousand times after a savepoint is logged once.

use std::collections::BTreeMap;
use std::ops::Bound;

use kv::{Bytes, Direction, Error, Operation, Result, WriteBatch, no_key_between};

/// The memory that an entry takes besides its key and its value, about.
const ENTRY_BYTES: usize = 64;

/// The pending writes and marks of a transaction.
#[derive(Debug, Default)]
pub(crate) struct WriteSet {
    entries: BTreeMap<Bytes, Entry>,
    undo: Vec<Undo>,
    savepoints: Vec<SavepointState>,
    /// The number of the last savepoint that was set.
    last_savepoint: u64,
    /// The memory of the entries and of the undo log, about.
    bytes: usize,
    /// Entries that are marks.
    marks: usize,
    max_bytes: usize,
}

/// The pending change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    Put(Bytes),
    Delete,
    /// The value stays. A put or delete of the key counts as a mark as well, and takes its place.
    Mark,
}

#[derive(Clone, Debug)]
struct Entry {
    pending: Pending,
    /// The savepoint after which the earlier state of this key was logged last; 0 for none.
    logged_after: u64,
}

/// The state of a key before a change.
#[derive(Debug)]
struct Undo {
    key: Bytes,
    before: Option<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct SavepointState {
    number: u64,
    undo_len: usize,
}

impl Pending {
    pub(crate) fn operation(&self) -> Operation {
        match self {
            Self::Put(_) => Operation::Put,
            Self::Delete => Operation::Delete,
            Self::Mark => Operation::Mark,
        }
    }

    fn len(&self) -> usize {
        if let Self::Put(value) = self { value.len() } else { 0 }
    }
}

impl WriteSet {
    /// An empty set that may grow to `max_bytes`.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of keys that are put or deleted.
    pub(crate) fn writes(&self) -> usize {
        self.entries.len() - self.marks
    }

    /// The put or delete of `key`, if there is one.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Pending> {
        let pending = self.entries.get(key).map(|entry| &entry.pending);
        pending.filter(|pending| **pending != Pending::Mark)
    }

    /// All keys that are written or marked, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&Bytes, &Pending)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.pending))
    }

    /// The keys that are marked and neither put nor deleted.
    pub(crate) fn marked(&self) -> impl Iterator<Item = &Bytes> {
        let marks = if self.marks == 0 { 0 } else { usize::MAX };
        let is_mark = |(_, pending): &(&Bytes, &Pending)| **pending == Pending::Mark;
        self.keys().take(marks).filter(is_mark).map(|(key, _)| key)
    }

    /// The first put or delete between the bounds, in `direction`.
    pub(crate) fn first_between(
        &self,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
        direction: Direction,
    ) -> Option<(&Bytes, &Pending)> {
        // A map refuses bounds that are crossed.
        if no_key_between(bounds.0, bounds.1) {
            return None;
        }
        let mut entries = self.entries.range::<[u8], _>(bounds);
        let is_write = |(_, entry): &(&Bytes, &Entry)| entry.pending != Pending::Mark;
        let found = match direction {
            Direction::Forward => entries.find(is_write),
            Direction::Backward => entries.rfind(is_write),
        };
        found.map(|(key, entry)| (key, &entry.pending))
    }

    /// Makes `pending` the change of `key`.
    ///
    /// # Errors
    /// `InvalidArgument` when the set would grow beyond its limit. It is unchanged then.
    pub(crate) fn set(&mut self, key: &[u8], pending: Pending) -> Result<()> {
        // A put or a delete counts as a mark already.
        if pending == Pending::Mark && self.entries.contains_key(key) {
            return Ok(());
        }
        let added = key.len() + pending.len() + ENTRY_BYTES;
        if self.bytes.saturating_add(added) > self.max_bytes {
            let limit = self.max_bytes;
            let message =
                format!("a transaction of more than {limit} bytes, the limit of this store");
            return Err(Error::InvalidArgument(message));
        }
        let (key, before) = match self.entries.remove_entry(key) {
            Some((key, before)) => (key, Some(before)),
            None => (Bytes::copy_from_slice(key), None),
        };
        let newest = self.savepoints.last().map_or(0, |savepoint| savepoint.number);
        let logged_after = before.as_ref().map_or(0, |before| before.logged_after);
        let entry = Entry { pending, logged_after: newest.max(logged_after) };
        self.forget(&key, before.as_ref());
        if newest > logged_after {
            self.bytes += cost(&key, before.as_ref());
            self.undo.push(Undo { key: key.clone(), before });
        }
        self.insert(key, entry);
        Ok(())
    }

    /// The puts and deletes, to be written atomically.
    pub(crate) fn to_batch(&self) -> WriteBatch {
        let bytes = self.bytes.min(self.max_bytes);
        let mut batch = WriteBatch::with_capacity(self.writes(), bytes);
        for (key, pending) in self.keys() {
            match pending {
                Pending::Put(value) => {
                    batch.put(key, value);
                }
                Pending::Delete => {
                    batch.delete(key);
                }
                Pending::Mark => {}
            }
        }
        debug_assert_eq!(batch.len(), self.writes(), "one operation for each key");
        batch
    }

    /// Sets a savepoint, and returns its number.
    pub(crate) fn set_savepoint(&mut self) -> u64 {
        self.last_savepoint += 1;
        let (number, undo_len) = (self.last_savepoint, self.undo.len());
        self.savepoints.push(SavepointState { number, undo_len });
        number
    }

    /// Restores the state at savepoint `number`, which stays.
    pub(crate) fn rollback_to(&mut self, number: u64) -> Result<()> {
        let at = self.find_savepoint(number)?;
        self.savepoints.truncate(at + 1);
        let undo_len = self.savepoints[at].undo_len;
        while self.undo.len() > undo_len {
            let Undo { key, before } = self.undo.pop().expect("the log is longer");
            self.bytes -= cost(&key, before.as_ref());
            let undone = self.entries.remove(&key);
            assert!(undone.is_some(), "a logged key has a change");
            self.forget(&key, undone.as_ref());
            if let Some(before) = before {
                self.insert(key, before);
            }
        }
        Ok(())
    }

    /// Forgets savepoint `number` and the later ones.
    pub(crate) fn release(&mut self, number: u64) -> Result<()> {
        let at = self.find_savepoint(number)?;
        self.savepoints.truncate(at);
        if self.savepoints.is_empty() {
            let log = std::mem::take(&mut self.undo);
            self.bytes -=
                log.iter().map(|undo| cost(&undo.key, undo.before.as_ref())).sum::<usize>();
        }
        Ok(())
    }

    fn find_savepoint(&self, number: u64) -> Result<usize> {
        let at = self.savepoints.binary_search_by_key(&number, |savepoint| savepoint.number);
        at.map_err(|_| Error::InvalidArgument("the savepoint was forgotten".into()))
    }

    fn insert(&mut self, key: Bytes, entry: Entry) {
        self.bytes += cost(&key, Some(&entry));
        self.marks += usize::from(entry.pending == Pending::Mark);
        let before = self.entries.insert(key, entry);
        debug_assert!(before.is_none(), "the caller has removed it");
    }

    /// Takes a removed entry out of the counts.
    fn forget(&mut self, key: &Bytes, entry: Option<&Entry>) {
        if let Some(entry) = entry {
            self.bytes -= cost(key, Some(entry));
            self.marks -= usize::from(entry.pending == Pending::Mark);
        }
    }
}

/// The memory that a key with this entry takes, about.
fn cost(key: &Bytes, entry: Option<&Entry>) -> usize {
    key.len() + entry.map_or(0, |entry| entry.pending.len()) + ENTRY_BYTES
}

#[cfg(all(test, not(shuttle)))]
mod tests;
