//! The cursor over a peer's frozen view. Iterators of peers borrow their view, go one way, or cannot change threads, so
//! the cursor copies a stretch of entries at a time and asks again behind its last key.

use std::ops::Bound;

use kv::{Cursor, Direction, Error, KeyRange, Result};

use crate::world::Copied;

/// Entries of the first stretch where asking again costs a search; each further stretch is four times as long.
const FIRST_STRETCH: usize = 32;
/// Entries of the longest stretch.
const LONGEST_STRETCH: usize = 2_048;

/// A frozen view that entries are copied from.
pub(super) trait View: Send {
    /// Whether the view keeps its place between stretches, so that a stretch of one entry costs no search.
    const KEEPS_ITS_PLACE: bool;

    /// Copies the next entries of `part`, at most as many as it wants; none when it has no more.
    fn copy(&mut self, part: Part<'_>, into: &mut Copied) -> Result<()>;
}

/// A part of a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'p> {
    /// The lower bound.
    pub(super) start: Bound<&'p [u8]>,
    /// The upper bound.
    pub(super) end: Bound<&'p [u8]>,
    /// Which way the walk goes.
    pub(super) direction: Direction,
    /// The most entries to copy.
    pub(super) wanted: usize,
    /// Whether the part follows the one before without a gap, in the same direction.
    pub(super) goes_on: bool,
}

impl Part<'_> {
    /// Whether no key can lie in the part; some engines refuse such bounds.
    fn is_empty(&self) -> bool {
        match (self.start, self.end) {
            (Bound::Included(start), Bound::Included(end)) => start > end,
            (Bound::Included(start) | Bound::Excluded(start), Bound::Excluded(end))
            | (Bound::Excluded(start), Bound::Included(end)) => start >= end,
            _ => false,
        }
    }
}

/// A cursor over a view.
pub(super) struct ViewCursor<V> {
    view: V,
    range: KeyRange,
    place: Place,
    direction: Direction,
    stretch: Copied,
    /// The key that the next stretch begins behind.
    from: Vec<u8>,
    /// What an earlier move failed with.
    failure: Option<Error>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Fresh,
    BeforeFirst,
    At(usize),
    AfterLast,
}

impl<V: View> ViewCursor<V> {
    /// A fresh cursor over the entries of `view` in `range`.
    pub(super) fn new(view: V, range: KeyRange) -> Result<Self> {
        range.check()?;
        Ok(Self {
            view,
            range,
            place: Place::Fresh,
            direction: Direction::Forward,
            stretch: Copied::default(),
            from: Vec::new(),
            failure: None,
        })
    }

    fn step(&mut self, direction: Direction) -> Result<bool> {
        let is_same_way = direction == self.direction;
        match self.place {
            Place::AfterLast if direction == Direction::Forward => Ok(false),
            Place::BeforeFirst if direction == Direction::Backward => Ok(false),
            Place::At(at) if is_same_way && at + 1 < self.stretch.len() => {
                self.place = Place::At(at + 1);
                Ok(true)
            }
            Place::At(at) => {
                self.from.clear();
                self.from.extend_from_slice(self.stretch.entry(at).0);
                self.copy_stretch(From::Behind, direction, is_same_way)
            }
            _ => self.copy_stretch(From::End, direction, false),
        }
    }

    fn copy_stretch(&mut self, from: From, direction: Direction, goes_on: bool) -> Result<bool> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let wanted = self.wanted(goes_on);
        let (start, end) = (self.range.start(), self.range.end());
        let (start, end) = match (from, direction) {
            (From::End, _) => (start, end),
            (From::Behind, Direction::Forward) => (Bound::Excluded(&self.from[..]), end),
            (From::At, Direction::Forward) => (later(start, &self.from), end),
            (From::Behind, Direction::Backward) => (start, Bound::Excluded(&self.from[..])),
            (From::At, Direction::Backward) => (start, earlier(end, &self.from)),
        };
        let part = Part { start, end, direction, wanted, goes_on };
        self.stretch.clear();
        if !part.is_empty()
            && let Err(failure) = self.view.copy(part, &mut self.stretch)
        {
            self.failure = Some(failure.clone());
            return Err(failure);
        }
        self.direction = direction;
        self.place = match (self.stretch.len() > 0, direction) {
            (true, _) => Place::At(0),
            (false, Direction::Forward) => Place::AfterLast,
            (false, Direction::Backward) => Place::BeforeFirst,
        };
        Ok(self.stretch.len() > 0)
    }

    fn wanted(&self, goes_on: bool) -> usize {
        match (V::KEEPS_ITS_PLACE, goes_on) {
            (true, _) => 1,
            (false, true) => (self.stretch.len() * 4).clamp(FIRST_STRETCH, LONGEST_STRETCH),
            (false, false) => FIRST_STRETCH,
        }
    }

    fn seek(&mut self, key: &[u8], direction: Direction) -> Result<bool> {
        self.from.clear();
        self.from.extend_from_slice(key);
        self.copy_stretch(From::At, direction, false)
    }

    fn current(&self) -> (&[u8], &[u8]) {
        match self.place {
            Place::At(at) => self.stretch.entry(at),
            _ => panic!("the cursor stands on no entry"),
        }
    }
}

/// Where a stretch begins.
#[derive(Clone, Copy)]
enum From {
    /// At an end of the range.
    End,
    /// Behind a key, in the direction of the walk.
    Behind,
    /// At a key that was sought: the first key not less, or the last key that is less.
    At,
}

/// The later of a lower bound and a key that belongs to the walk.
fn later<'b>(start: Bound<&'b [u8]>, key: &'b [u8]) -> Bound<&'b [u8]> {
    match start {
        Bound::Included(own) if own > key => start,
        Bound::Excluded(own) if own >= key => start,
        _ => Bound::Included(key),
    }
}

/// The earlier of an upper bound and a key that no longer belongs to the walk.
fn earlier<'b>(end: Bound<&'b [u8]>, key: &'b [u8]) -> Bound<&'b [u8]> {
    match end {
        Bound::Included(own) | Bound::Excluded(own) if own < key => end,
        _ => Bound::Excluded(key),
    }
}

impl<V: View> Cursor for ViewCursor<V> {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        self.seek(key, Direction::Forward)
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        self.seek(key, Direction::Backward)
    }

    fn next(&mut self) -> Result<bool> {
        self.step(Direction::Forward)
    }

    fn prev(&mut self) -> Result<bool> {
        self.step(Direction::Backward)
    }

    fn key(&self) -> &[u8] {
        self.current().0
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        Ok(self.current())
    }
}
