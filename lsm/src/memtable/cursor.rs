//! A walk over the entries of a memtable.

use std::ops::Bound;
use std::sync::Arc;

use kv::{Cursor, CursorPosition, Direction, Error, Result, StepFrom};

use super::Memtable;
use super::entry::{AsParts, Entry, Probe};
use crate::internal_key::{self, Trailer};

/// A walk over the entries inside bounds, in both directions, as [`kv::Cursor`] describes it. Its keys are internal keys. It
/// keeps the memtable alive.
///
/// Each move is a search from the top of the skip list: a node of the list cannot be kept without a borrow of the list.
#[derive(Debug)]
pub(crate) struct MemtableCursor {
    memtable: Arc<Memtable>,
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
    position: CursorPosition<Entry>,
    /// The internal key of the entry under the cursor.
    key: Vec<u8>,
}

impl MemtableCursor {
    /// A cursor over the entries whose internal keys lie in `bounds`.
    pub(crate) fn new(memtable: Arc<Memtable>, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> Self {
        let own = |bound: Bound<&[u8]>| bound.map(<[u8]>::to_vec);
        let (start, end) = (own(bounds.0), own(bounds.1));
        let (position, key) = (CursorPosition::Fresh, Vec::new());
        Self { memtable, start, end, position, key }
    }

    /// The first entry from `from` on, if it lies in the bounds. `from` lies in the bounds or before them.
    fn first_from(&self, from: Bound<Probe<'_>>) -> Option<Entry> {
        let start = self.start.as_ref().map(|key| probe(key));
        let from = match (from, start) {
            (from, Bound::Unbounded) => from,
            (from, start) if is_before(from, start) => start,
            (from, _) => from,
        };
        let from = from.as_ref().map(|probe| probe as &dyn AsParts);
        let node = self.memtable.map.lower_bound(from)?;
        let is_inside = match &self.end {
            Bound::Unbounded => true,
            Bound::Included(end) => node.key().parts() <= probe(end).parts(),
            Bound::Excluded(end) => node.key().parts() < probe(end).parts(),
        };
        is_inside.then(|| node.key().clone())
    }

    /// The last entry up to `to`, if it lies in the bounds.
    fn last_up_to(&self, to: Bound<Probe<'_>>) -> Option<Entry> {
        let end = self.end.as_ref().map(|key| probe(key));
        let to = match (to, end) {
            (to, Bound::Unbounded) => to,
            (to, end) if is_behind(to, end) => end,
            (to, _) => to,
        };
        let to = to.as_ref().map(|probe| probe as &dyn AsParts);
        let node = self.memtable.map.upper_bound(to)?;
        let is_inside = match &self.start {
            Bound::Unbounded => true,
            Bound::Included(start) => node.key().parts() >= probe(start).parts(),
            Bound::Excluded(start) => node.key().parts() > probe(start).parts(),
        };
        is_inside.then(|| node.key().clone())
    }

    fn land(&mut self, found: Option<Entry>, direction: Direction) -> bool {
        if let Some(entry) = &found {
            internal_key::encode(entry.user(), entry.trailer(), &mut self.key);
        }
        self.position.land(found, direction)
    }
}

/// Whether a walk from `one` on begins with keys that a walk from `start` does not have. `start` is bounded.
fn is_before(one: Bound<Probe<'_>>, start: Bound<Probe<'_>>) -> bool {
    let (Bound::Included(key) | Bound::Excluded(key)) = one else { return true };
    match start {
        Bound::Included(start) => key.parts() < start.parts(),
        Bound::Excluded(start) => key.parts() <= start.parts(),
        Bound::Unbounded => false,
    }
}

/// The same for the end of a walk.
fn is_behind(one: Bound<Probe<'_>>, end: Bound<Probe<'_>>) -> bool {
    let (Bound::Included(key) | Bound::Excluded(key)) = one else { return true };
    match end {
        Bound::Included(end) => key.parts() > end.parts(),
        Bound::Excluded(end) => key.parts() >= end.parts(),
        Bound::Unbounded => false,
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

impl Cursor for MemtableCursor {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        let found = self.first_from(Bound::Included(checked(key)?));
        Ok(self.land(found, Direction::Forward))
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        let found = self.last_up_to(Bound::Excluded(checked(key)?));
        Ok(self.land(found, Direction::Backward))
    }

    fn next(&mut self) -> Result<bool> {
        let found = match self.position.step(Direction::Forward) {
            // The cursor stays in the gap at the end of the walk.
            None => return Ok(false),
            Some(StepFrom::Edge) => self.first_from(Bound::Unbounded),
            Some(StepFrom::Entry(entry)) => {
                let here = Probe { user: entry.user(), trailer: entry.trailer() };
                self.first_from(Bound::Excluded(here))
            }
        };
        Ok(self.land(found, Direction::Forward))
    }

    fn prev(&mut self) -> Result<bool> {
        let found = match self.position.step(Direction::Backward) {
            // The cursor stays in the gap at the end of the walk.
            None => return Ok(false),
            Some(StepFrom::Edge) => self.last_up_to(Bound::Unbounded),
            Some(StepFrom::Entry(entry)) => {
                let here = Probe { user: entry.user(), trailer: entry.trailer() };
                self.last_up_to(Bound::Excluded(here))
            }
        };
        Ok(self.land(found, Direction::Backward))
    }

    fn key(&self) -> &[u8] {
        debug_assert!(matches!(self.position, CursorPosition::On(_)), "the cursor is on an entry");
        &self.key
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        let entry = self.position.entry();
        Ok((&self.key, entry.value()))
    }
}
