//! A cursor over entries that were collected and sorted: how the yardsticks scan.

use kv::{Bytes, Cursor, Result};

/// Fills in the value that an entry stands for.
type ReadValue<V> = Box<dyn Fn(&V, &mut Vec<u8>) -> Result<()> + Send>;

/// A frozen, sorted list of keys and something to read each value with.
pub(super) struct SortedCursor<V> {
    entries: Vec<(Bytes, V)>,
    place: Place,
    value: Vec<u8>,
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
    /// A cursor over `entries` in any order; `read` fills in a value when the cursor comes to stand on it.
    pub(super) fn new(
        mut entries: Vec<(Bytes, V)>,
        read: impl Fn(&V, &mut Vec<u8>) -> Result<()> + Send + 'static,
    ) -> Self {
        entries.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        Self { entries, place: Place::Fresh, value: Vec::new(), read: Box::new(read) }
    }

    /// Moves to entry `at`; none is there when it is out of range.
    fn stand_at(&mut self, at: Option<usize>, otherwise: Place) -> Result<bool> {
        let found = at.and_then(|at| Some((at, self.entries.get(at)?)));
        let Some((at, (_, value))) = found else {
            self.place = otherwise;
            return Ok(false);
        };
        (self.read)(value, &mut self.value)?;
        self.place = Place::At(at);
        Ok(true)
    }

    fn first_not_less(&self, key: &[u8]) -> usize {
        self.entries.partition_point(|(entry, _)| entry[..] < *key)
    }
}

impl<V: Send> Cursor for SortedCursor<V> {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        self.stand_at(Some(self.first_not_less(key)), Place::AfterLast)
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        self.stand_at(self.first_not_less(key).checked_sub(1), Place::BeforeFirst)
    }

    fn next(&mut self) -> Result<bool> {
        let at = match self.place {
            Place::Fresh | Place::BeforeFirst => Some(0),
            Place::At(at) => Some(at + 1),
            Place::AfterLast => None,
        };
        self.stand_at(at, Place::AfterLast)
    }

    fn prev(&mut self) -> Result<bool> {
        let at = match self.place {
            Place::Fresh | Place::AfterLast => self.entries.len().checked_sub(1),
            Place::At(at) => at.checked_sub(1),
            Place::BeforeFirst => None,
        };
        self.stand_at(at, Place::BeforeFirst)
    }

    fn key(&self) -> &[u8] {
        match self.place {
            Place::At(at) => &self.entries[at].0,
            _ => panic!("the cursor stands on no entry"),
        }
    }

    fn value(&self) -> &[u8] {
        match self.place {
            Place::At(_) => &self.value,
            _ => panic!("the cursor stands on no entry"),
        }
    }
}
