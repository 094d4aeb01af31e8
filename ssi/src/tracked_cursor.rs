//! A scan that tells the tracker which part of its range it has read.
//!
//! A move reads the keys between the place where it begins and the place where it ends, both included, whether there are entries
//! or not: an entry that another transaction inserts there is a phantom. The rest of the range is not read. So a scan that stops
//! early does not conflict with writes behind the place where it stopped.

use std::ops::Bound;

use kv::{Cursor, KeyRange, Result, Target};

use crate::conflicts::Tracked;

/// A cursor over the entries that a transaction sees.
pub(crate) struct TrackedCursor<'t> {
    cursor: Box<dyn Cursor + 't>,
    range: KeyRange,
    tracked: &'t Tracked,
    place: Place,
}

/// Where a walk stands.
enum Place {
    Fresh,
    BeforeAll,
    Entry(Vec<u8>),
    BehindAll,
}

impl<'t> TrackedCursor<'t> {
    pub(crate) fn new(cursor: Box<dyn Cursor + 't>, range: KeyRange, tracked: &'t Tracked) -> Self {
        Self { cursor, range, tracked, place: Place::Fresh }
    }

    /// Notes that a move has read the keys from `start` to the entry on which it ended, or to the end of the range.
    fn read_forward(&mut self, start: Bound<&[u8]>, is_found: bool) {
        if is_found {
            let key = self.cursor.key();
            self.register(KeyRange::new((start, Bound::Included(key))));
            self.place = Place::Entry(key.to_vec());
        } else {
            self.register(KeyRange::new((start, self.range.end())));
            self.place = Place::BehindAll;
        }
    }

    /// The same, backward from `end`.
    fn read_backward(&mut self, end: Bound<&[u8]>, is_found: bool) {
        if is_found {
            let key = self.cursor.key();
            self.register(KeyRange::new((Bound::Included(key), end)));
            self.place = Place::Entry(key.to_vec());
        } else {
            self.register(KeyRange::new((self.range.start(), end)));
            self.place = Place::BeforeAll;
        }
    }

    fn register(&self, read: KeyRange) {
        self.tracked.read(Target::Range(read));
    }
}

impl Cursor for TrackedCursor<'_> {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        let is_found = self.cursor.seek_ge(key)?;
        let range = self.range.clone();
        self.read_forward(range.start_from(key), is_found);
        Ok(is_found)
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        let is_found = self.cursor.seek_lt(key)?;
        let range = self.range.clone();
        self.read_backward(range.end_before(key), is_found);
        Ok(is_found)
    }

    fn next(&mut self) -> Result<bool> {
        let is_found = self.cursor.next()?;
        match std::mem::replace(&mut self.place, Place::BehindAll) {
            Place::BehindAll => debug_assert!(!is_found, "the walk stays behind all entries"),
            Place::Entry(key) => self.read_forward(Bound::Excluded(&key), is_found),
            Place::Fresh | Place::BeforeAll => {
                let range = self.range.clone();
                self.read_forward(range.start(), is_found);
            }
        }
        Ok(is_found)
    }

    fn prev(&mut self) -> Result<bool> {
        let is_found = self.cursor.prev()?;
        match std::mem::replace(&mut self.place, Place::BeforeAll) {
            Place::BeforeAll => debug_assert!(!is_found, "the walk stays before all entries"),
            Place::Entry(key) => self.read_backward(Bound::Excluded(&key), is_found),
            Place::Fresh | Place::BehindAll => {
                let range = self.range.clone();
                self.read_backward(range.end(), is_found);
            }
        }
        Ok(is_found)
    }

    fn key(&self) -> &[u8] {
        self.cursor.key()
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        self.cursor.entry()
    }
}
