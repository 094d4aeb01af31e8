//! A cursor that passes over entries which range tombstones cover.

use kv::{Cursor, Direction, Error, MAX_KEY_LEN, Result};

use super::cover::{Cover, Covered};
use crate::internal_key::{self, Trailer, encode, encoded};
use crate::range_tombstones::Fragment;
use crate::steps::{Step, Steps};

/// The entries of a source that no range tombstone covers. If all entries of the source in a fragment are covered, it passes
/// them with one search, in both directions.
#[derive(Debug)]
pub(crate) struct CoveredCursor<C> {
    source: C,
    cover: Cover,
    steps: Steps,
    /// A key to search for; kept for its memory.
    sought: Vec<u8>,
}

impl<C: Cursor> CoveredCursor<C> {
    /// The entries of `source`, which is fresh, but those that `cover` covers.
    pub(super) fn new(source: C, cover: Cover, steps: Steps) -> Self {
        Self { source, cover, steps, sought: Vec::new() }
    }

    /// Goes on in `direction` to the first entry that is not covered. `is_on_entry`: whether the source is on an entry.
    #[inline]
    fn settle(&mut self, mut is_on_entry: bool, direction: Direction) -> Result<bool> {
        while is_on_entry {
            let short = || Error::InvalidArgument("a key shorter than its suffix".into());
            let (user, trailer) = internal_key::split(self.source.key()).ok_or_else(short)?;
            let covered = self.cover.covers(user, trailer.sequence())?;
            let is_backward = direction == Direction::Backward;
            is_on_entry = match covered {
                Covered::No => return Ok(true),
                _ if is_backward && self.steps.check(Step::CoverBackward, false) => {
                    return Ok(true);
                }
                Covered::Alone if is_backward => self.source.prev()?,
                Covered::Alone => self.source.next()?,
                Covered::With(fragment) => self.pass(&fragment, direction)?,
            };
        }
        Ok(false)
    }

    /// Goes on behind the fragment, or in front of it.
    #[cold]
    fn pass(&mut self, fragment: &Fragment, direction: Direction) -> Result<bool> {
        if direction == Direction::Backward {
            encode(&fragment.range.start, Trailer::NEWEST, &mut self.sought);
            return self.source.seek_lt(&self.sought);
        }
        match &fragment.range.end {
            Some(end) => encode(end, Trailer::NEWEST, &mut self.sought),
            // Behind all versions of the greatest key that there can be.
            None => self.sought = encoded(&vec![0xff; MAX_KEY_LEN], Trailer::OLDEST),
        }
        self.source.seek_ge(&self.sought)
    }
}

impl<C: Cursor> Cursor for CoveredCursor<C> {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        let found = self.source.seek_ge(key)?;
        self.settle(found, Direction::Forward)
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        let found = self.source.seek_lt(key)?;
        self.settle(found, Direction::Backward)
    }

    #[inline]
    fn next(&mut self) -> Result<bool> {
        let found = self.source.next()?;
        self.settle(found, Direction::Forward)
    }

    #[inline]
    fn prev(&mut self) -> Result<bool> {
        let found = self.source.prev()?;
        self.settle(found, Direction::Backward)
    }

    #[inline]
    fn key(&self) -> &[u8] {
        self.source.key()
    }

    #[inline]
    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        self.source.entry()
    }
}
