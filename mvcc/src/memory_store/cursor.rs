//! A walk over one snapshot of the in-memory store.

use std::ops::Bound;
use std::sync::Arc;

use kv::{
    Bytes, Cursor, CursorPosition, Direction, Error, KeyRange, Result, SequenceNumber, StepFrom,
};

use super::pin::MemoryPin;
use super::versions::Searched;
use crate::store::{NewerSeen, Pin as _};

/// A cursor that searches the map anew for each move, so it holds no lock between moves.
pub(super) struct VersionCursor {
    pin: Arc<MemoryPin>,
    range: KeyRange,
    newer: Option<NewerSeen>,
    position: CursorPosition<(Bytes, Bytes)>,
    /// The error of the move that ended the walk.
    failure: Option<Error>,
}

impl VersionCursor {
    pub(super) fn new(pin: Arc<MemoryPin>, range: KeyRange, newer: Option<NewerSeen>) -> Self {
        Self { pin, range, newer, position: CursorPosition::Fresh, failure: None }
    }

    /// Moves to the entry between the bounds that is the first in `direction`.
    fn search(
        &mut self,
        start: Bound<Bytes>,
        end: Bound<Bytes>,
        direction: Direction,
    ) -> Result<bool> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let found = self.search_in_steps(start, end, direction);
        if let Err(failure) = self.pin.check() {
            self.failure = Some(failure.clone());
            return Err(failure);
        }
        assert!(found.as_ref().is_none_or(|(key, _)| self.range.contains(key)), "in the range");
        Ok(self.position.land(found, direction))
    }

    fn search_in_steps(
        &mut self,
        mut start: Bound<Bytes>,
        mut end: Bound<Bytes>,
        direction: Direction,
    ) -> Option<(Bytes, Bytes)> {
        let snapshot = self.pin.sequence();
        loop {
            let mut seen: Vec<(Bytes, SequenceNumber)> = Vec::new();
            let is_asked = self.newer.is_some();
            let mut see = |key: &Bytes, newest| {
                if is_asked {
                    seen.push((key.clone(), newest));
                }
            };
            let bounds = (start.as_ref().map(|key| &key[..]), end.as_ref().map(|key| &key[..]));
            let searched = self.pin.versions().search(bounds, direction, snapshot, &mut see);
            // Without the lock of the map.
            if let Some(newer) = &mut self.newer {
                for (key, newest) in &seen {
                    newer(key, *newest);
                }
            }
            match (searched, direction) {
                (Searched::Found(key, value), _) => return Some((key, value)),
                (Searched::Ended, _) => return None,
                (Searched::Paused(last), Direction::Forward) => start = Bound::Excluded(last),
                (Searched::Paused(last), Direction::Backward) => end = Bound::Excluded(last),
            }
        }
    }

    fn step(&mut self, direction: Direction) -> Result<bool> {
        let behind = match self.position.step(direction) {
            None => {
                // The cursor stays in its gap, unless the walk has failed.
                return self.failure.clone().map_or(Ok(false), Err);
            }
            Some(StepFrom::Edge) => None,
            Some(StepFrom::Entry((key, _))) => Some(Bound::Excluded(key.clone())),
        };
        let (start, end) = (own(self.range.start()), own(self.range.end()));
        match direction {
            Direction::Forward => self.search(behind.unwrap_or(start), end, direction),
            Direction::Backward => self.search(start, behind.unwrap_or(end), direction),
        }
    }
}

fn own(bound: Bound<&[u8]>) -> Bound<Bytes> {
    bound.map(Bytes::copy_from_slice)
}

impl Cursor for VersionCursor {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        let (start, end) = (own(self.range.start_from(key)), own(self.range.end()));
        self.search(start, end, Direction::Forward)
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        let (start, end) = (own(self.range.start()), own(self.range.end_before(key)));
        self.search(start, end, Direction::Backward)
    }

    fn next(&mut self) -> Result<bool> {
        self.step(Direction::Forward)
    }

    fn prev(&mut self) -> Result<bool> {
        self.step(Direction::Backward)
    }

    fn key(&self) -> &[u8] {
        &self.position.entry().0
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        let (key, value) = self.position.entry();
        debug_assert!(self.range.contains(key), "a cursor stays in its range");
        Ok((key, value))
    }
}
