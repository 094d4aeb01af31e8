//! A walk over the entries.

use std::ops::Bound;
use std::sync::Arc;

use kv::{Cursor, CursorPosition, Direction, Error, Result, StepFrom};

use super::entry::{Probe, WORD};
use super::{EntryTree, Place};
use crate::internal_key::{self, Trailer};

/// A walk over the entries inside bounds, in both directions, as [`kv::Cursor`] describes it. Its keys are internal keys. It
/// keeps the tree alive.
#[derive(Debug)]
pub(crate) struct EntryCursor {
    tree: Arc<EntryTree>,
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
    position: CursorPosition<Place>,
    /// The internal key of the entry under the cursor.
    key: Vec<u8>,
    /// The value that was asked for last.
    value: Vec<[u8; WORD]>,
}

impl EntryCursor {
    /// A cursor over the entries whose internal keys lie in `bounds`.
    pub(crate) fn new(tree: Arc<EntryTree>, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> Self {
        let own = |bound: Bound<&[u8]>| bound.map(<[u8]>::to_vec);
        let (start, end) = (own(bounds.0), own(bounds.1));
        let (position, key, value) = (CursorPosition::Fresh, Vec::new(), Vec::new());
        Self { tree, start, end, position, key, value }
    }

    /// Lands on the entry at `found` if it lies in the bounds.
    fn land(&mut self, found: Option<Place>, direction: Direction) -> bool {
        let inside = found.filter(|&place| match direction {
            Direction::Forward => !self.is_behind_end(place),
            Direction::Backward => !self.is_before_start(place),
        });
        if let Some(place) = inside {
            self.tree.entry(place).copy_key(&mut self.key);
        }
        self.position.land(inside, direction)
    }

    fn is_before_start(&self, place: Place) -> bool {
        let compare = |key| self.tree.entry(place).compare(&probe(key));
        match &self.start {
            Bound::Unbounded => false,
            Bound::Included(start) => compare(start).is_lt(),
            Bound::Excluded(start) => compare(start).is_le(),
        }
    }

    fn is_behind_end(&self, place: Place) -> bool {
        let compare = |key| self.tree.entry(place).compare(&probe(key));
        match &self.end {
            Bound::Unbounded => false,
            Bound::Included(end) => compare(end).is_gt(),
            Bound::Excluded(end) => compare(end).is_ge(),
        }
    }

    /// The first entry behind the start of the bounds.
    fn first(&self) -> Option<Place> {
        let tree = &self.tree;
        match &self.start {
            Bound::Unbounded => tree.first(),
            Bound::Included(start) => tree.first_from(&probe(start)),
            Bound::Excluded(start) => {
                let place = tree.first_from(&probe(start))?;
                if self.is_before_start(place) { tree.next(place) } else { Some(place) }
            }
        }
    }

    /// The last entry before the end of the bounds.
    fn last(&self) -> Option<Place> {
        let tree = &self.tree;
        match &self.end {
            Bound::Unbounded => tree.last(),
            Bound::Excluded(end) => tree.last_before(&probe(end)),
            Bound::Included(end) => {
                let behind = tree.first_from(&probe(end));
                let equal = behind.filter(|&place| !self.is_behind_end(place));
                equal.or_else(|| tree.last_before(&probe(end)))
            }
        }
    }
}

/// An internal key as a place. A key that is too short comes before all versions of itself.
fn probe(key: &[u8]) -> Probe<'_> {
    let (user, trailer) = internal_key::split(key).unwrap_or((key, Trailer::NEWEST));
    Probe { user, trailer }
}

fn checked(key: &[u8]) -> Result<Probe<'_>> {
    let split = internal_key::split(key);
    let short = || Error::InvalidArgument("a key shorter than its suffix".into());
    split.map(|(user, trailer)| Probe { user, trailer }).ok_or_else(short)
}

impl Cursor for EntryCursor {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        let found = self.tree.first_from(&checked(key)?);
        let found = if found.is_some_and(|place| self.is_before_start(place)) {
            self.first()
        } else {
            found
        };
        Ok(self.land(found, Direction::Forward))
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        let found = self.tree.last_before(&checked(key)?);
        let found =
            if found.is_some_and(|place| self.is_behind_end(place)) { self.last() } else { found };
        Ok(self.land(found, Direction::Backward))
    }

    #[inline]
    fn next(&mut self) -> Result<bool> {
        let found = match self.position.step(Direction::Forward) {
            // The cursor stays in the gap at the end of the walk.
            None => return Ok(false),
            Some(StepFrom::Edge) => self.first(),
            Some(StepFrom::Entry(&place)) => self.tree.next(place),
        };
        Ok(self.land(found, Direction::Forward))
    }

    #[inline]
    fn prev(&mut self) -> Result<bool> {
        let found = match self.position.step(Direction::Backward) {
            // The cursor stays in the gap at the end of the walk.
            None => return Ok(false),
            Some(StepFrom::Edge) => self.last(),
            Some(StepFrom::Entry(&place)) => self.tree.previous(place),
        };
        Ok(self.land(found, Direction::Backward))
    }

    #[inline]
    fn key(&self) -> &[u8] {
        debug_assert!(matches!(self.position, CursorPosition::On(_)), "the cursor is on an entry");
        &self.key
    }

    #[inline]
    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        let entry = self.tree.entry(*self.position.entry());
        Ok((&self.key, entry.value(&mut self.value)))
    }
}
