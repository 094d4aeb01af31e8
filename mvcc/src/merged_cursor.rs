//! A cursor of the store with the writes of a transaction laid over it.
//!
//! Two *heads* walk side by side: the cursor of the store, and the key in the write set. A move forward
//! that ends on an entry leaves each head on its first key that is not less than the entry, or without one. After a move
//! backward the same holds in the other direction. The nearer head is the next entry. If both have the same key, the
//! write set counts. A pending delete is skipped with the key that it deletes.

use std::ops::Bound;

use kv::{Bytes, Cursor, CursorPosition, Direction, Error, KeyRange, Result, StepFrom};

use crate::write_set::{Pending, WriteSet};

/// Walks over the entries of a snapshot and the writes of its transaction.
pub(crate) struct MergedCursor<'t> {
    stored: Box<dyn Cursor>,
    /// The cursor of the store stands on a key.
    has_stored: bool,
    writes: &'t WriteSet,
    /// The key of the write set, and its change.
    own: Option<(&'t Bytes, &'t Pending)>,
    range: KeyRange,
    /// The direction of the last move.
    direction: Direction,
    position: CursorPosition<Source<'t>>,
    failure: Option<Error>,
}

/// Where the entry under the cursor lies.
#[derive(Clone, Copy, Debug)]
enum Source<'t> {
    Stored,
    /// The key and the value in the write set.
    Own(&'t Bytes, &'t Bytes),
}

impl<'t> MergedCursor<'t> {
    /// `stored` is a fresh cursor over `range`.
    pub(crate) fn new(stored: Box<dyn Cursor>, writes: &'t WriteSet, range: KeyRange) -> Self {
        Self {
            stored,
            has_stored: false,
            writes,
            own: None,
            range,
            direction: Direction::Forward,
            position: CursorPosition::Fresh,
            failure: None,
        }
    }

    /// Makes a move. One that fails ends the walk.
    fn make(&mut self, direction: Direction, heads: Heads<'_>) -> Result<bool> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let found = self.move_heads(direction, heads).and_then(|()| self.settle(direction));
        match found {
            Ok(found) => {
                self.direction = direction;
                Ok(self.position.land(found, direction))
            }
            Err(failure) => {
                self.failure = Some(failure.clone());
                Err(failure)
            }
        }
    }

    fn step(&mut self, direction: Direction) -> Result<bool> {
        match self.position.step(direction) {
            // The cursor stays in its gap, unless the walk has failed.
            None => self.failure.clone().map_or(Ok(false), Err),
            // Both heads stand in the gap that the walk comes from, or have not moved yet.
            Some(StepFrom::Edge) => self.make(direction, Heads::FromEdge),
            Some(StepFrom::Entry(_)) => self.make(direction, Heads::FromEntry),
        }
    }

    fn move_heads(&mut self, direction: Direction, heads: Heads<'_>) -> Result<()> {
        match heads {
            Heads::FromEdge => {
                self.step_stored(direction)?;
                self.own = self.own_between(None, direction);
            }
            Heads::To(key) => {
                self.has_stored = match direction {
                    Direction::Forward => self.stored.seek_ge(key)?,
                    Direction::Backward => self.stored.seek_lt(key)?,
                };
                let bound = match direction {
                    Direction::Forward => self.range.start_from(key),
                    Direction::Backward => self.range.end_before(key),
                };
                self.own = own_from(self.writes, &self.range, Some(bound), direction);
            }
            Heads::FromEntry if direction == self.direction => self.pass_entry(direction)?,
            Heads::FromEntry => self.turn(direction)?,
        }
        Ok(())
    }

    /// Moves each head that stands on the present entry behind it.
    fn pass_entry(&mut self, direction: Direction) -> Result<()> {
        let source = *self.position.entry();
        let own_key = self.own.map(|(key, _)| key);
        let is_stored = match source {
            Source::Stored => true,
            Source::Own(key, _) => self.has_stored && self.stored.key() == &key[..],
        };
        if is_stored {
            self.step_stored(direction)?;
        }
        if let Source::Own(key, _) = source {
            assert_eq!(own_key, Some(key), "the head stands on the entry");
            self.own = self.own_between(Some(key), direction);
        }
        Ok(())
    }

    /// Moves both heads to the other side of the present entry. A head that stands on it or beyond it has no key between,
    /// so one step is enough.
    fn turn(&mut self, direction: Direction) -> Result<()> {
        // Copied, because the step of the stored head takes the key away.
        let entry = Bytes::copy_from_slice(self.key());
        self.step_stored(direction)?;
        debug_assert!(
            !self.has_stored
                || (self.stored.key() < &entry[..]) == (direction == Direction::Backward),
            "the head has passed the entry"
        );
        self.own = own_from(self.writes, &self.range, Some(Bound::Excluded(&entry)), direction);
        Ok(())
    }

    /// Skips pending deletes, and returns the nearer head. `None`: neither head has a key left.
    fn settle(&mut self, direction: Direction) -> Result<Option<Source<'t>>> {
        loop {
            let Some((key, pending)) = self.own else {
                return Ok(self.has_stored.then_some(Source::Stored));
            };
            let stored = self.has_stored.then(|| self.stored.key());
            let is_same = stored == Some(&key[..]);
            let is_stored_nearer = stored.is_some_and(|stored| match direction {
                Direction::Forward => stored < &key[..],
                Direction::Backward => stored > &key[..],
            });
            if is_stored_nearer {
                return Ok(Some(Source::Stored));
            }
            if let Pending::Put(value) = pending {
                return Ok(Some(Source::Own(key, value)));
            }
            // A pending delete, and the entry that it deletes.
            if is_same {
                self.step_stored(direction)?;
            }
            self.own = self.own_between(Some(key), direction);
        }
    }

    fn step_stored(&mut self, direction: Direction) -> Result<()> {
        self.has_stored = match direction {
            Direction::Forward => self.stored.next()?,
            Direction::Backward => self.stored.prev()?,
        };
        Ok(())
    }

    /// The first key of the write set in `direction`, behind `behind` or from the edge of the range.
    fn own_between(
        &self,
        behind: Option<&Bytes>,
        direction: Direction,
    ) -> Option<(&'t Bytes, &'t Pending)> {
        let bound = behind.map(|key| Bound::Excluded(&key[..]));
        own_from(self.writes, &self.range, bound, direction)
    }
}

/// Where the heads go in a move.
#[derive(Clone, Copy, Debug)]
enum Heads<'k> {
    /// To the first keys of the range, from the gap at its end.
    FromEdge,
    /// Behind the present entry.
    FromEntry,
    /// To the first keys from this one on, or before it.
    To(&'k [u8]),
}

/// The first key of `writes` in `direction`, from the bound or the edge of the range on.
fn own_from<'t>(
    writes: &'t WriteSet,
    range: &KeyRange,
    from: Option<Bound<&[u8]>>,
    direction: Direction,
) -> Option<(&'t Bytes, &'t Pending)> {
    let bounds = match direction {
        Direction::Forward => (from.unwrap_or(range.start()), range.end()),
        Direction::Backward => (range.start(), from.unwrap_or(range.end())),
    };
    let found = writes.first_between(bounds, direction);
    debug_assert!(found.is_none_or(|(key, _)| range.contains(key)), "in the range");
    found
}

impl Cursor for MergedCursor<'_> {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        self.make(Direction::Forward, Heads::To(key))
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        self.make(Direction::Backward, Heads::To(key))
    }

    fn next(&mut self) -> Result<bool> {
        self.step(Direction::Forward)
    }

    fn prev(&mut self) -> Result<bool> {
        self.step(Direction::Backward)
    }

    fn key(&self) -> &[u8] {
        match self.position.entry() {
            Source::Stored => self.stored.key(),
            Source::Own(key, _) => key,
        }
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        match *self.position.entry() {
            Source::Stored => self.stored.entry(),
            Source::Own(key, value) => Ok((key, value)),
        }
    }
}
