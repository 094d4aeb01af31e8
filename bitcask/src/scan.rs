//! Scans: a hash index has no order, so a scan collects the matching keys of its view and sorts them.
//!
//! Opening one visits every key of the store and copies the matching ones, in memory only. Sorting is lazy: walking
//! forward sorts a front part, twice as long each time it runs out, so that the first few entries of a long range cost
//! one pass of selection; any other move sorts the rest. A value is read when the cursor reaches it, and an entry that had
//! expired when the view was opened is passed over then: the keydir does not know of expiry.

use std::sync::Arc;

use kv::{Cursor, Result, UnixMillis};

use crate::data_file::FileTable;
use crate::keydir::{Collected, Collection};

/// How many entries the first look sorts.
const FIRST_PART: usize = 128;

/// A cursor over the keys of a view.
pub(crate) struct SortingCursor {
    files: Arc<FileTable>,
    now: UnixMillis,
    keys: Vec<u8>,
    entries: Vec<Collected>,
    /// The first so many entries are in order and before all others.
    sorted: usize,
    place: Place,
    value: Vec<u8>,
    failure: Option<kv::Error>,
}

/// Where the cursor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Fresh,
    BeforeFirst,
    At(usize),
    AfterLast,
}

impl SortingCursor {
    /// A cursor over `collection`, whose records lie in `files`, at the time `now`.
    pub(crate) fn new(collection: Collection, files: Arc<FileTable>, now: UnixMillis) -> Self {
        let Collection { keys, entries } = collection;
        let (value, failure) = (Vec::new(), None);
        Self { files, now, keys, entries, sorted: 0, place: Place::Fresh, value, failure }
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
    }

    fn sort_all(&mut self) {
        self.sort_to(self.entries.len());
    }

    /// Stands on the first visible entry from `at` on; `at` may be one past the last.
    fn stand_from(&mut self, mut at: usize) -> Result<bool> {
        while at < self.entries.len() {
            self.sort_to(at + 1);
            if self.stand_at(at)? {
                return Ok(true);
            }
            at += 1;
        }
        self.place = Place::AfterLast;
        Ok(false)
    }

    /// Stands on the last visible entry before `at`.
    fn stand_before(&mut self, mut at: usize) -> Result<bool> {
        while at > 0 {
            at -= 1;
            if self.stand_at(at)? {
                return Ok(true);
            }
        }
        self.place = Place::BeforeFirst;
        Ok(false)
    }

    /// Stands on entry `at` and reads its value. `false`: it has expired, and the cursor stands where it stood.
    fn stand_at(&mut self, at: usize) -> Result<bool> {
        let read = self.read_value(at);
        self.failure = read.as_ref().err().cloned();
        let is_visible = read?;
        if is_visible {
            self.place = Place::At(at);
        }
        Ok(is_visible)
    }

    fn read_value(&mut self, at: usize) -> Result<bool> {
        let (key, location) = (key_of(&self.keys, &self.entries[at]), self.entries[at].location);
        let (value, now) = (&mut self.value, self.now);
        let file = self.files.get(location.file).expect("a view's files are in its table");
        file.read_value(location, key, &|| now, &mut |bytes| {
            value.clear();
            value.extend_from_slice(bytes);
        })
    }

    /// A cursor never passes over damage: once a move has failed, all do.
    fn check(&self) -> Result<()> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    fn first_not_less(&mut self, key: &[u8]) -> usize {
        self.sort_all();
        self.entries.partition_point(|entry| key_of(&self.keys, entry) < key)
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
        match self.place {
            Place::Fresh | Place::BeforeFirst => self.stand_from(0),
            Place::At(at) => self.stand_from(at + 1),
            Place::AfterLast => Ok(false),
        }
    }

    fn prev(&mut self) -> Result<bool> {
        self.check()?;
        self.sort_all();
        match self.place {
            Place::Fresh | Place::AfterLast => self.stand_before(self.entries.len()),
            Place::At(at) => self.stand_before(at),
            Place::BeforeFirst => Ok(false),
        }
    }

    fn key(&self) -> &[u8] {
        match self.place {
            Place::At(at) => self.key_at(at),
            _ => panic!("the cursor stands on no entry"),
        }
    }

    fn value(&self) -> &[u8] {
        assert!(matches!(self.place, Place::At(_)), "the cursor stands on no entry");
        &self.value
    }
}
