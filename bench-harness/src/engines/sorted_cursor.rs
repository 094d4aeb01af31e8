//! A cursor over entries that were collected and sorted: how a yardstick without order scans.

use kv::{Bytes, Cursor, CursorPosition, Direction, Result};

/// Reads the value of an entry into a buffer.
type ReadValue<V> = Box<dyn Fn(&V, &mut Vec<u8>) -> Result<()> + Send>;

/// A frozen, sorted list of keys and something to read each value with.
pub(super) struct SortedCursor<V> {
    entries: Vec<(Bytes, V)>,
    position: CursorPosition<usize>,
    /// The value of the entry under the cursor, once it has been asked for.
    value: Vec<u8>,
    is_read: bool,
    read: ReadValue<V>,
}

impl<V: Send> SortedCursor<V> {
    /// A cursor over `entries` in any order. `read` reads a value when the caller asks for it.
    pub(super) fn new(
        mut entries: Vec<(Bytes, V)>,
        read: impl Fn(&V, &mut Vec<u8>) -> Result<()> + Send + 'static,
    ) -> Self {
        entries.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        debug_assert!(entries.is_sorted_by(|left, right| left.0 < right.0), "a key comes once");
        let (position, value, read) = (CursorPosition::Fresh, Vec::new(), Box::new(read));
        Self { entries, position, value, is_read: false, read }
    }

    /// Ends a move in `direction` that found the entry at an index, or none.
    fn land(&mut self, found: Option<usize>, direction: Direction) -> bool {
        self.is_read = false;
        self.position.land(found, direction)
    }

    fn step(&mut self, direction: Direction) -> bool {
        let found = self.position.step_in(self.entries.len(), direction);
        found.is_some_and(|found| self.land(found, direction))
    }

    fn first_not_less(&self, key: &[u8]) -> usize {
        self.entries.partition_point(|(entry, _)| entry[..] < *key)
    }
}

impl<V: Send> Cursor for SortedCursor<V> {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        let at = self.first_not_less(key);
        Ok(self.land((at < self.entries.len()).then_some(at), Direction::Forward))
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        Ok(self.land(self.first_not_less(key).checked_sub(1), Direction::Backward))
    }

    fn next(&mut self) -> Result<bool> {
        Ok(self.step(Direction::Forward))
    }

    fn prev(&mut self) -> Result<bool> {
        Ok(self.step(Direction::Backward))
    }

    fn key(&self) -> &[u8] {
        &self.entries[*self.position.entry()].0
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        let (key, location) = &self.entries[*self.position.entry()];
        if !self.is_read {
            (self.read)(location, &mut self.value)?;
            self.is_read = true;
        }
        Ok((key, &self.value))
    }
}
