//! A scan that tells the tracker which part of its range it has read.
//!
//! A move reads the keys between the place where it begins and the place where it ends, both included, whether there are entries
//! or not: an entry that another transaction inserts there is a phantom. The rest of the range is not read. So a scan that stops
//! early does not conflict with writes behind the place where it stopped.

use std::ops::Bound;

use kv::{Cursor, Direction, KeyRange, Result};

use crate::certify::{Edge, Extent, Reads, Scan};

/// A cursor over the entries that a transaction sees.
pub(crate) struct TrackedCursor<'t> {
    cursor: Box<dyn Cursor + 't>,
    range: KeyRange,
    reads: &'t Reads,
    scan: Scan,
    place: Place,
}

/// Where a walk stands.
#[derive(Clone, Copy)]
enum Place {
    Fresh,
    BeforeAll,
    OnEntry,
    BehindAll,
}

impl<'t> TrackedCursor<'t> {
    pub(crate) fn new(cursor: Box<dyn Cursor + 't>, range: KeyRange, reads: &'t Reads) -> Self {
        let scan = reads.begin_scan();
        Self { cursor, range, reads, scan, place: Place::Fresh }
    }

    /// A move has read the keys from `start` to the entry on which it ended, or to the end of the range.
    fn read_from(&mut self, start: Bound<&[u8]>, is_found: bool) {
        let end = if is_found { Bound::Included(self.cursor.key()) } else { self.range.end() };
        let read = Extent::between(Edge::start(start), Edge::end(end));
        self.reads.seek(self.scan, read);
    }

    /// The same, backward from `end`.
    fn read_up_to(&mut self, end: Bound<&[u8]>, is_found: bool) {
        let start = if is_found { Bound::Included(self.cursor.key()) } else { self.range.start() };
        let read = Extent::between(Edge::start(start), Edge::end(end));
        self.reads.seek(self.scan, read);
    }

    /// A move has read the keys from the entry on which it began.
    fn read_on(&mut self, direction: Direction, is_found: bool) {
        if is_found {
            return self.reads.reach(self.scan, self.cursor.key(), direction);
        }
        let end = match direction {
            Direction::Forward => Edge::end(self.range.end()),
            Direction::Backward => Edge::start(self.range.start()),
        };
        self.reads.reach_end(self.scan, end, direction);
    }
}

impl Cursor for TrackedCursor<'_> {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        let is_found = self.cursor.seek_ge(key)?;
        let range = self.range.clone();
        self.read_from(range.start_from(key), is_found);
        self.place = if is_found { Place::OnEntry } else { Place::BehindAll };
        Ok(is_found)
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        let is_found = self.cursor.seek_lt(key)?;
        let range = self.range.clone();
        self.read_up_to(range.end_before(key), is_found);
        self.place = if is_found { Place::OnEntry } else { Place::BeforeAll };
        Ok(is_found)
    }

    fn next(&mut self) -> Result<bool> {
        let is_found = self.cursor.next()?;
        match self.place {
            Place::OnEntry => self.read_on(Direction::Forward, is_found),
            Place::BehindAll => debug_assert!(!is_found, "the walk stays behind all entries"),
            Place::Fresh | Place::BeforeAll => {
                let range = self.range.clone();
                self.read_from(range.start(), is_found);
            }
        }
        self.place = if is_found { Place::OnEntry } else { Place::BehindAll };
        Ok(is_found)
    }

    fn prev(&mut self) -> Result<bool> {
        let is_found = self.cursor.prev()?;
        match self.place {
            Place::OnEntry => self.read_on(Direction::Backward, is_found),
            Place::BeforeAll => debug_assert!(!is_found, "the walk stays before all entries"),
            Place::Fresh | Place::BehindAll => {
                let range = self.range.clone();
                self.read_up_to(range.end(), is_found);
            }
        }
        self.place = if is_found { Place::OnEntry } else { Place::BeforeAll };
        Ok(is_found)
    }

    fn key(&self) -> &[u8] {
        self.cursor.key()
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        self.cursor.entry()
    }
}

impl Drop for TrackedCursor<'_> {
    fn drop(&mut self) {
        self.reads.end_scan(self.scan);
    }
}
