//! Scans: the keydir is a hash index without order, so a scan collects the matching keys of its view and sorts them.
//!
//! Opening a scan visits every key of the store and copies the matching ones, in memory only. Sorting is lazy. Walking
//! forward sorts a front part, and a part twice as long each time it runs out. So the first entries of a long range cost one
//! pass of selection. Any other move sorts the rest.
//!
//! A value is read when the caller asks for it, and then kept until the next move. The keydir does not know the expiry of a
//! record, so a walk over keys alone may have to read the record. It reads **exactly the
//! records of files whose first put had expired by then**; in a store without expired puts it reads none.

use std::sync::Arc;

use kv::{Cursor, CursorPosition, Direction, Error, Result, StepFrom, UnixMillis};

use crate::data_file::{DataFile, FileTable};
use crate::keydir::{Collected, Collection};

/// The number of entries that the first move sorts.
const FIRST_PART: usize = 128;

/// A cursor over the keys of a view.
pub(crate) struct SortingCursor {
    files: Arc<FileTable>,
    /// The time of the view.
    now: UnixMillis,
    keys: Vec<u8>,
    entries: Vec<Collected>,
    /// The first so many entries are in order and before all others.
    sorted: usize,
    position: CursorPosition<usize>,
    value: Vec<u8>,
    /// The entry whose value `value` holds.
    value_of: Option<usize>,
    failure: Option<Error>,
}

impl SortingCursor {
    /// A cursor over `collection`, whose records lie in `files`, at the time `now`.
    pub(crate) fn new(collection: Collection, files: Arc<FileTable>, now: UnixMillis) -> Self {
        let Collection { keys, entries } = collection;
        let key_bytes = entries.iter().map(|entry| usize::from(entry.key_len));
        debug_assert_eq!(key_bytes.sum::<usize>(), keys.len(), "each key belongs to an entry");
        let (position, value) = (CursorPosition::Fresh, Vec::new());
        let (value_of, failure) = (None, None);
        Self { files, now, keys, entries, sorted: 0, position, value, value_of, failure }
    }

    fn key_at(&self, at: usize) -> &[u8] {
        key_of(&self.keys, &self.entries[at])
    }

    /// Sorts at least the first `wanted` entries.
    fn sort_to(&mut self, wanted: usize) {
        let (keys, from) = (&self.keys, self.sorted);
        if wanted <= from {
            return;
        }
        let rest = &mut self.entries[from..];
        let part = (wanted - from).max(from).max(FIRST_PART);
        let by_key = |a: &Collected, b: &Collected| key_of(keys, a).cmp(key_of(keys, b));
        if part < rest.len() {
            rest.select_nth_unstable_by(part, by_key);
            rest[..part].sort_unstable_by(by_key);
            self.sorted = from + part;
        } else {
            rest.sort_unstable_by(by_key);
            self.sorted = self.entries.len();
        }
        assert!(wanted <= self.sorted && self.sorted <= self.entries.len());
    }

    fn sort_all(&mut self) {
        self.sort_to(self.entries.len());
    }

    /// Stands on the first visible entry from `at` on; `at` may be one past the last.
    fn stand_from(&mut self, mut at: usize) -> Result<bool> {
        assert!(at <= self.entries.len(), "one past the last entry at most");
        while at < self.entries.len() {
            self.sort_to(at + 1);
            if self.stand_at(at)? {
                return Ok(true);
            }
            at += 1;
        }
        Ok(self.position.land(None, Direction::Forward))
    }

    /// Stands on the last visible entry before `at`.
    fn stand_before(&mut self, mut at: usize) -> Result<bool> {
        assert_eq!(self.sorted, self.entries.len(), "a walk backward needs all in order");
        assert!(at <= self.sorted, "one past the last entry at most");
        while at > 0 {
            at -= 1;
            if self.stand_at(at)? {
                return Ok(true);
            }
        }
        Ok(self.position.land(None, Direction::Backward))
    }

    /// Stands on entry `at`. `false`: it had expired when the view was opened, and the cursor stays where it was.
    fn stand_at(&mut self, at: usize) -> Result<bool> {
        assert!(at < self.sorted, "entry {at} is not in its place yet");
        if self.file_of(at).handle.first_expiry.may_have_passed(self.now) {
            // The record says whether it has expired. Its value comes with it, and is kept for the caller.
            let is_visible = self.read_value(at).inspect_err(|e| self.failure = Some(e.clone()))?;
            if !is_visible {
                return Ok(false);
            }
        }
        self.position = CursorPosition::On(at);
        Ok(true)
    }

    fn file_of(&self, at: usize) -> &Arc<DataFile> {
        let number = self.entries[at].location.file;
        self.files.get(number).expect("a view's files are in its table")
    }

    /// Reads the value of entry `at`. `false`: it has expired, and nothing is kept.
    fn read_value(&mut self, at: usize) -> Result<bool> {
        self.value_of = None;
        let mut value = std::mem::take(&mut self.value);
        let (key, location, now) = (self.key_at(at), self.entries[at].location, self.now);
        let read = self.file_of(at).read_value(location, key, &|| now, &mut |bytes| {
            value.clear();
            value.extend_from_slice(bytes);
        });
        self.value = value;
        let is_visible = read?;
        self.value_of = is_visible.then_some(at);
        debug_assert!(self.failure.is_none(), "a cursor that has failed reads nothing");
        Ok(is_visible)
    }

    /// A cursor never passes over damage: once a move has failed, all do.
    fn check(&self) -> Result<()> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    fn first_not_less(&mut self, key: &[u8]) -> usize {
        self.sort_all();
        let at = self.entries.partition_point(|entry| key_of(&self.keys, entry) < key);
        debug_assert!(at == self.entries.len() || self.key_at(at) >= key, "not less");
        debug_assert!(at == 0 || self.key_at(at - 1) < key, "the first");
        at
    }
}

fn key_of<'k>(keys: &'k [u8], entry: &Collected) -> &'k [u8] {
    &keys[entry.key_start..entry.key_start + usize::from(entry.key_len)]
}

impl Cursor for SortingCursor {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        self.check()?;
        let at = self.first_not_less(key);
        self.stand_from(at)
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        self.check()?;
        let at = self.first_not_less(key);
        self.stand_before(at)
    }

    fn next(&mut self) -> Result<bool> {
        self.check()?;
        match self.position.step(Direction::Forward) {
            None => Ok(false),
            Some(StepFrom::Edge) => self.stand_from(0),
            Some(StepFrom::Entry(&at)) => self.stand_from(at + 1),
        }
    }

    fn prev(&mut self) -> Result<bool> {
        self.check()?;
        self.sort_all();
        match self.position.step(Direction::Backward) {
            None => Ok(false),
            Some(StepFrom::Edge) => self.stand_before(self.entries.len()),
            Some(StepFrom::Entry(&at)) => self.stand_before(at),
        }
    }

    fn key(&self) -> &[u8] {
        self.key_at(*self.position.entry())
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        let at = *self.position.entry();
        if self.value_of != Some(at) && !self.read_value(at)? {
            // The walk did not read this record: by the file's first expiry, no put in it has expired.
            let (path, offset) = (self.file_of(at).path(), self.entries[at].location.offset);
            return Err(Error::corruption(path, offset, "a put that expires before the first one"));
        }
        Ok((self.key_at(at), &self.value))
    }
}
