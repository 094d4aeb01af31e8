//! A cursor over entries that were collected and sorted: how the yardsticks scan.

use kv::{Bytes, Cursor, Result};

/// Reads the value of an entry into a buffer.
type ReadValue<V> = Box<dyn Fn(&V, &mut Vec<u8>) -> Result<()> + Send>;

/// A frozen, sorted list of keys and something to read each value with.
pub(super) struct SortedCursor<V> {
    entries: Vec<(Bytes, V)>,
    place: Place,
    /// The value of the entry under the cursor, once it has been asked for.
    value: Vec<u8>,
    is_read: bool,
    read: ReadValue<V>,
}

#[derive(Clone, Copy)]
enum Place {
    Fresh,
    BeforeFirst,
    At(usize),
    AfterLast,
}

impl<V: Send> SortedCursor<V> {
    /// A cursor over `entries` in any order. `read` reads a value when the caller asks for it.
    pub(super) fn new(
        mut entries: Vec<(Bytes, V)>,
        read: impl Fn(&V, &mut Vec<u8>) -> Result<()> + Send + 'static,
    ) -> Self {
        entries.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        let (place, value, read) = (Place::Fresh, Vec::new(), Box::new(read));
        Self { entries, place, value, is_read: false, read }
    }

    /// Moves to entry `at`; none is there when it is out of range.
    fn stand_at(&mut self, at: Option<usize>, otherwise: Place) -> bool {
        let found = at.filter(|&at| at < self.entries.len());
        self.place = found.map_or(otherwise, Place::At);
        self.is_read = false;
        found.is_some()
    }

    fn first_not_less(&self, key: &[u8]) -> usize {
        self.entries.partition_point(|(entry, _)| entry[..] < *key)
    }
}

impl<V: Send> Cursor for SortedCursor<V> {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        Ok(self.stand_at(Some(self.first_not_less(key)), Place::AfterLast))
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        Ok(self.stand_at(self.first_not_less(key).checked_sub(1), Place::BeforeFirst))
    }

    fn next(&mut self) -> Result<bool> {
        let at = match self.place {
            Place::Fresh | Place::BeforeFirst => Some(0),
            Place::At(at) => Some(at + 1),
            Place::AfterLast => None,
        };
        Ok(self.stand_at(at, Place::AfterLast))
    }

    fn prev(&mut self) -> Result<bool> {
        let at = match self.place {
            Place::Fresh | Place::AfterLast => self.entries.len().checked_sub(1),
            Place::At(at) => at.checked_sub(1),
            Place::BeforeFirst => None,
        };
        Ok(self.stand_at(at, Place::BeforeFirst))
    }

    fn key(&self) -> &[u8] {
        match self.place {
            Place::At(at) => &self.entries[at].0,
            _ => panic!("the cursor stands on no entry"),
        }
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        let Place::At(at) = self.place else { panic!("the cursor stands on no entry") };
        let (key, location) = &self.entries[at];
        if !self.is_read {
            (self.read)(location, &mut self.value)?;
            self.is_read = true;
        }
        Ok((key, &self.value))
    }
}
