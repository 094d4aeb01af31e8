//! Walking over entries in key order, in both directions.

use crate::{Bytes, Result};

/// A walk over a frozen view: a cursor never sees a write that came after it was opened.
///
/// # Position
/// A cursor stands on an entry or in a gap: before the first entry, or after the last one. A fresh cursor has no
/// position yet. Each move starts from the position and ends in a new one:
///
/// | position | `next` moves to | `prev` moves to |
/// |---|---|---|
/// | fresh | the first entry | the last entry |
/// | before the first entry | the first entry | nothing, stays |
/// | on an entry | the next greater key | the next smaller key |
/// | after the last entry | nothing, stays | the last entry |
///
/// `seek_ge` and `seek_lt` work from any position. A move that finds no entry returns `false` and leaves the cursor in
/// the gap at that end of the range: `next` and `seek_ge` after the last entry, `prev` and `seek_lt` before the first.
///
/// # Lending
/// The cursor lends keys and values until the next move, so an engine need not copy them. Values are lazy: a walk that
/// asks for keys alone reads no value, except where an engine has to find out whether an entry has expired; such an
/// engine documents which records it reads.
///
/// # Failures
/// - A move that fails ends the walk: every later move fails with the same error, so a cursor never skips damage.
/// - A value that cannot be read is reported by [`Cursor::value`] and [`Cursor::entry`] alone. The cursor stays on its
///   entry, [`Cursor::key`] still answers, the value may be asked for again, and moves go on. A caller that ignores the
///   error loses one value and no key.
///
/// ```
/// # use kv::{Cursor, Durability, Kv, KeyRange, memory::MemoryEngine};
/// let engine = MemoryEngine::new();
/// for (key, value) in [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")] {
///     engine.put(key, value, Durability::Buffered)?;
/// }
/// let mut cursor = engine.scan(KeyRange::all())?;
/// assert!(cursor.prev()?); // fresh: the walk starts at the end
/// assert_eq!(cursor.entry()?, (&b"c"[..], &b"3"[..]));
/// assert!(!cursor.next()?); // in the gap after the last entry
/// assert!(!cursor.next()?); // stays there
/// assert!(cursor.prev()?); // the way back leads to the last entry
/// assert_eq!(cursor.key(), b"c");
/// assert!(cursor.seek_ge(b"aa")?);
/// assert_eq!(cursor.value()?, b"2");
/// # Ok::<_, kv::Error>(())
/// ```
pub trait Cursor: Send {
    /// Moves to the first entry whose key is not less than `key`. `false`: no such entry, the cursor is after the last.
    ///
    /// # Errors
    /// Any read error of the engine.
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool>;

    /// Moves to the last entry whose key is less than `key`. `false`: no such entry, the cursor is before the first.
    ///
    /// # Errors
    /// Any read error of the engine.
    fn seek_lt(&mut self, key: &[u8]) -> Result<bool>;

    /// Moves to the entry with the next greater key. `false`: no such entry, the cursor is after the last.
    ///
    /// # Errors
    /// Any read error of the engine.
    fn next(&mut self) -> Result<bool>;

    /// Moves to the entry with the next smaller key. `false`: no such entry, the cursor is before the first.
    ///
    /// # Errors
    /// Any read error of the engine.
    fn prev(&mut self) -> Result<bool>;

    /// The key under the cursor. Reads nothing.
    ///
    /// # Panics
    /// When the last move did not return `Ok(true)`: that is a mistake in the calling code.
    fn key(&self) -> &[u8];

    /// The key and the value under the cursor. The first call after a move may read the value; further calls lend the
    /// same bytes again.
    ///
    /// # Errors
    /// Any read error of the engine. The cursor stays on its entry.
    ///
    /// # Panics
    /// As [`Cursor::key`].
    fn entry(&mut self) -> Result<(&[u8], &[u8])>;

    /// The value under the cursor: the second half of [`Cursor::entry`].
    ///
    /// # Errors
    /// As [`Cursor::entry`].
    ///
    /// # Panics
    /// As [`Cursor::key`].
    fn value(&mut self) -> Result<&[u8]> {
        self.entry().map(|(_, value)| value)
    }
}

impl<C: Cursor + ?Sized> Cursor for Box<C> {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        (**self).seek_ge(key)
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        (**self).seek_lt(key)
    }

    fn next(&mut self) -> Result<bool> {
        (**self).next()
    }

    fn prev(&mut self) -> Result<bool> {
        (**self).prev()
    }

    fn key(&self) -> &[u8] {
        (**self).key()
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        (**self).entry()
    }

    fn value(&mut self) -> Result<&[u8]> {
        (**self).value()
    }
}

/// The direction in which [`Entries`] walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Ascending keys.
    Forward,
    /// Descending keys.
    Backward,
}

/// The entries of a cursor as an owning iterator. It reads every value, and ends after the first error.
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
    has_ended: bool,
}

impl Entries {
    /// Continues from the position of `cursor`. A fresh cursor starts at the first entry for [`Direction::Forward`] and
    /// at the last one for [`Direction::Backward`].
    pub fn new(cursor: Box<dyn Cursor>, direction: Direction) -> Self {
        Self { cursor, direction, has_ended: false }
    }

    fn advance(&mut self) -> Result<Option<(Bytes, Bytes)>> {
        let is_on_entry = match self.direction {
            Direction::Forward => self.cursor.next()?,
            Direction::Backward => self.cursor.prev()?,
        };
        if !is_on_entry {
            return Ok(None);
        }
        let (key, value) = self.cursor.entry()?;
        Ok(Some((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value))))
    }
}

impl Iterator for Entries {
    type Item = Result<(Bytes, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let advanced = self.advance();
        self.has_ended = !matches!(advanced, Ok(Some(_)));
        advanced.transpose()
    }
}
