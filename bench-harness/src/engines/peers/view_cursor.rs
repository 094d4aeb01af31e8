//! The cursor over a peer's frozen view. Iterators of peers borrow their view, go one way, or cannot change threads. So the
//! cursor copies a stretch of entries at a time, and seeks behind its last key for the next.

use std::ops::Bound;

use kv::{Cursor, CursorPosition, Direction, Error, KeyRange, Result, StepFrom, no_key_between};

use super::copied::Copied;

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

/// A cursor over a view.
pub(super) struct ViewCursor<V> {
    view: V,
    range: KeyRange,
    position: CursorPosition<usize>,
    direction: Direction,
    stretch: Copied,
    /// The key that the next stretch begins behind.
    from: Vec<u8>,
    /// The error of an earlier move: every later one fails with it.
    failure: Option<Error>,
}

impl<V: View> ViewCursor<V> {
    /// A fresh cursor over the entries of `view` in `range`.
    pub(super) fn new(view: V, range: KeyRange) -> Result<Self> {
        range.check()?;
        Ok(Self {
            view,
            range,
            position: CursorPosition::Fresh,
            direction: Direction::Forward,
            stretch: Copied::default(),
            from: Vec::new(),
            failure: None,
        })
    }

    fn step(&mut self, direction: Direction) -> Result<bool> {
        let is_same_way = direction == self.direction;
        match self.position.step(direction) {
            None => Ok(false),
            Some(StepFrom::Edge) => self.copy_stretch(From::End, direction, false),
            Some(StepFrom::Entry(&at)) if is_same_way && at + 1 < self.stretch.len() => {
                Ok(self.position.land(Some(at + 1), direction))
            }
            Some(StepFrom::Entry(&at)) => {
                self.from.clear();
                self.from.extend_from_slice(self.stretch.entry(at).0);
                self.copy_stretch(From::Behind, direction, is_same_way)
            }
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
            (From::At, Direction::Forward) => (self.range.start_from(&self.from), end),
            (From::Behind, Direction::Backward) => (start, Bound::Excluded(&self.from[..])),
            (From::At, Direction::Backward) => (start, self.range.end_before(&self.from)),
        };
        let part = Part { start, end, direction, wanted, goes_on };
        self.stretch.clear();
        // Some engines refuse bounds that are crossed.
        if !no_key_between(start, end)
            && let Err(failure) = self.view.copy(part, &mut self.stretch)
        {
            self.failure = Some(failure.clone());
            return Err(failure);
        }
        assert!(self.stretch.len() <= wanted, "a view copies no more than it is asked for");
        self.direction = direction;
        Ok(self.position.land((self.stretch.len() > 0).then_some(0), direction))
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
        self.stretch.entry(*self.position.entry())
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
