//! The cursor over a peer's frozen view. Iterators of peers borrow their view, go one way, or cannot change threads. So the
//! cursor copies a stretch of entries at a time, and seeks past its last key for the next.

use std::ops::Bound;

use kv::{Cursor, CursorPosition, Direction, Error, KeyRange, Result, StepFrom, no_key_between};

use super::copied::Copied;

/// Entries of the first stretch where asking again costs a search; each further stretch is four times as long.
const FIRST_STRETCH: usize = 32;
/// Entries of the longest stretch.
const LONGEST_STRETCH: usize = 2_048;

/// A frozen view that entries are copied from.
pub(super) trait View: Send {
    /// Whether the view keeps its iterator between stretches, so that a stretch of one entry costs no search.
    const KEEPS_ITERATOR: bool;

    /// Copies the entries that `request` asks for, or fewer where the view has no more.
    fn copy(&mut self, request: StretchRequest<'_>, into: &mut Copied) -> Result<()>;
}

/// The entries that a cursor asks its view for.
#[derive(Clone, Copy, Debug)]
pub(super) struct StretchRequest<'p> {
    /// The lower bound.
    pub(super) start: Bound<&'p [u8]>,
    /// The upper bound.
    pub(super) end: Bound<&'p [u8]>,
    /// The direction of the cursor.
    pub(super) direction: Direction,
    /// The most entries to copy.
    pub(super) wanted: usize,
    /// Whether the request continues the one before without a gap, in the same direction.
    pub(super) is_continuation: bool,
}

/// A cursor over a view.
pub(super) struct ViewCursor<V> {
    view: V,
    range: KeyRange,
    position: CursorPosition<usize>,
    direction: Direction,
    stretch: Copied,
    /// The last key of the stretch before the next one.
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
            Some(StepFrom::Edge) => self.copy_stretch(StretchStart::End, direction, false),
            Some(StepFrom::Entry(&at)) if is_same_way && at + 1 < self.stretch.len() => {
                Ok(self.position.land(Some(at + 1), direction))
            }
            Some(StepFrom::Entry(&at)) => {
                self.from.clear();
                self.from.extend_from_slice(self.stretch.entry(at).0);
                self.copy_stretch(StretchStart::After, direction, is_same_way)
            }
        }
    }

    fn copy_stretch(
        &mut self,
        from: StretchStart,
        direction: Direction,
        is_continuation: bool,
    ) -> Result<bool> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let wanted = self.wanted(is_continuation);
        let (start, end) = (self.range.start(), self.range.end());
        let (start, end) = match (from, direction) {
            (StretchStart::End, _) => (start, end),
            (StretchStart::After, Direction::Forward) => (Bound::Excluded(&self.from[..]), end),
            (StretchStart::At, Direction::Forward) => (self.range.start_from(&self.from), end),
            (StretchStart::After, Direction::Backward) => (start, Bound::Excluded(&self.from[..])),
            (StretchStart::At, Direction::Backward) => (start, self.range.end_before(&self.from)),
        };
        let request = StretchRequest { start, end, direction, wanted, is_continuation };
        self.stretch.clear();
        // Some engines refuse bounds that are crossed.
        if !no_key_between(start, end)
            && let Err(failure) = self.view.copy(request, &mut self.stretch)
        {
            self.failure = Some(failure.clone());
            return Err(failure);
        }
        assert!(self.stretch.len() <= wanted, "a view copies no more than it is asked for");
        self.direction = direction;
        Ok(self.position.land((self.stretch.len() > 0).then_some(0), direction))
    }

    fn wanted(&self, is_continuation: bool) -> usize {
        match (V::KEEPS_ITERATOR, is_continuation) {
            (true, _) => 1,
            (false, true) => (self.stretch.len() * 4).clamp(FIRST_STRETCH, LONGEST_STRETCH),
            (false, false) => FIRST_STRETCH,
        }
    }

    fn seek(&mut self, key: &[u8], direction: Direction) -> Result<bool> {
        self.from.clear();
        self.from.extend_from_slice(key);
        self.copy_stretch(StretchStart::At, direction, false)
    }

    fn current(&self) -> (&[u8], &[u8]) {
        self.stretch.entry(*self.position.entry())
    }
}

/// Where a stretch begins.
#[derive(Clone, Copy)]
enum StretchStart {
    /// At an end of the range.
    End,
    /// After a key, in the direction of the cursor.
    After,
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
