//! Walking over entries in key order, in both directions.
//!
//! A cursor stands on an entry, or in one of two gaps: before the first entry or after the last one. A fresh cursor
//! has not chosen yet: `next` takes it to the first entry and `prev` to the last. A move that finds nothing returns
//! `false` and leaves the cursor in the gap at that end, from where the opposite move leads back in.

use crate::{Bytes, Result};

/// A walk over a frozen view: writes after the cursor was opened are never seen.
///
/// The cursor lends `key` and `value` until the next move; an engine need not copy them. Once a move has failed, every
/// later move fails with the same error: a cursor never skips over damage.
pub trait Cursor: Send {
    /// Moves to the first entry whose key is not less than `key`. `false`: there is none, and it is after the last.
    ///
    /// # Errors
    /// Any read error of the engine.
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool>;

    /// Moves to the last entry whose key is less than `key`. `false`: there is none, and it is before the first.
    ///
    /// # Errors
    /// Any read error of the engine.
    fn seek_lt(&mut self, key: &[u8]) -> Result<bool>;

    /// Moves to the entry with the next greater key.
    ///
    /// # Errors
    /// Any read error of the engine.
    fn next(&mut self) -> Result<bool>;

    /// Moves to the entry with the next smaller key.
    ///
    /// # Errors
    /// Any read error of the engine.
    fn prev(&mut self) -> Result<bool>;

    /// The key under the cursor.
    ///
    /// # Panics
    /// When the last move did not return `Ok(true)`: that is a mistake in the calling code.
    fn key(&self) -> &[u8];

    /// The value under the cursor.
    ///
    /// # Panics
    /// As [`Cursor::key`].
    fn value(&self) -> &[u8];
}

/// Which way [`Entries`] walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Ascending keys.
    Forward,
    /// Descending keys.
    Backward,
}

/// The entries of a cursor as an owning iterator. Ends after the first error.
///
/// ```
/// # use kv::{Direction, Durability, Entries, Kv, KeyRange, memory::MemoryEngine};
/// let engine = MemoryEngine::new();
/// engine.put(b"a", b"1", Durability::Buffered)?;
/// engine.put(b"b", b"2", Durability::Buffered)?;
/// let entries = Entries::new(engine.scan(KeyRange::all())?, Direction::Backward);
/// let keys = entries.map(|entry| entry.map(|(key, _)| key)).collect::<kv::Result<Vec<_>>>()?;
/// assert_eq!(keys, ["b", "a"]);
/// # Ok::<_, kv::Error>(())
/// ```
#[expect(missing_debug_implementations, reason = "a cursor is opaque")]
pub struct Entries {
    cursor: Box<dyn Cursor>,
    direction: Direction,
    done: bool,
}

impl Entries {
    /// Walks on from where `cursor` stands; a fresh cursor starts at the end that `direction` comes from.
    pub fn new(cursor: Box<dyn Cursor>, direction: Direction) -> Self {
        Self { cursor, direction, done: false }
    }
}

impl Iterator for Entries {
    type Item = Result<(Bytes, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let moved = match self.direction {
            Direction::Forward => self.cursor.next(),
            Direction::Backward => self.cursor.prev(),
        };
        let own = |cursor: &dyn Cursor| {
            (Bytes::copy_from_slice(cursor.key()), Bytes::copy_from_slice(cursor.value()))
        };
        self.done = !matches!(moved, Ok(true));
        match moved {
            Ok(true) => Some(Ok(own(self.cursor.as_ref()))),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}
