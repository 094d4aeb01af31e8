//! A cursor over a list, which says where a cursor over tables should be.

use std::ops::Bound;

use durable::{Entropy, SeededEntropy};
use kv::Cursor;

use crate::fixture::{Model, key};

/// Where a walk over a list stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Fresh,
    Before,
    On(usize),
    After,
}

pub(crate) type Entry = (ModelKey, Vec<u8>);
/// A stem and a suffix.
pub(crate) type ModelKey = (Vec<u8>, Vec<u8>);
pub(crate) type ModelBounds = (Bound<ModelKey>, Bound<ModelKey>);

/// The cursor that the documentation of `kv::Cursor` describes, over a list.
pub(crate) struct ModelCursor {
    entries: Vec<Entry>,
    /// The keys of the entries.
    keys: Vec<Vec<u8>>,
    at: At,
}

impl ModelCursor {
    pub(crate) fn over(model: &Model, bounds: &ModelBounds) -> Self {
        let inside = |key: &ModelKey| std::ops::RangeBounds::contains(bounds, key);
        let entries = model.iter().filter(|(key, _)| inside(key));
        let entries = entries.map(|(key, value)| (key.clone(), value.clone())).collect();
        Self::of(entries)
    }

    pub(crate) fn of(entries: Vec<Entry>) -> Self {
        let keys = entries.iter().map(|(split, _)| key(split)).collect();
        Self { entries, keys, at: At::Fresh }
    }

    /// Stands on the first entry from `index` on.
    fn forward(&mut self, index: usize) -> bool {
        self.at = if index < self.entries.len() { At::On(index) } else { At::After };
        self.at != At::After
    }

    /// Stands on the last entry before `index`.
    fn backward(&mut self, index: usize) -> bool {
        self.at = index.checked_sub(1).map_or(At::Before, At::On);
        self.at != At::Before
    }

    fn step_forward(&mut self) -> bool {
        match self.at {
            At::Fresh | At::Before => self.forward(0),
            At::On(index) => self.forward(index + 1),
            At::After => false,
        }
    }

    fn step_backward(&mut self) -> bool {
        match self.at {
            At::Fresh | At::After => self.backward(self.entries.len()),
            At::On(index) => self.backward(index),
            At::Before => false,
        }
    }

    /// The parts of `key`: all suffixes have one length.
    fn split(&self, key: &[u8]) -> ModelKey {
        let suffix_len = self.entries.first().map_or(0, |((_, suffix), _)| suffix.len());
        let (stem, suffix) = key.split_at(key.len() - suffix_len);
        (stem.to_vec(), suffix.to_vec())
    }

    fn count_less(&self, key: &ModelKey) -> usize {
        self.entries.partition_point(|(other, _)| other < key)
    }
}

/// The list as a source of a merge.
impl Cursor for ModelCursor {
    fn seek_ge(&mut self, key: &[u8]) -> kv::Result<bool> {
        let index = self.count_less(&self.split(key));
        Ok(self.forward(index))
    }

    fn seek_lt(&mut self, key: &[u8]) -> kv::Result<bool> {
        let index = self.count_less(&self.split(key));
        Ok(self.backward(index))
    }

    fn next(&mut self) -> kv::Result<bool> {
        Ok(self.step_forward())
    }

    fn prev(&mut self) -> kv::Result<bool> {
        Ok(self.step_backward())
    }

    fn key(&self) -> &[u8] {
        let At::On(index) = self.at else { panic!("the cursor is on no entry") };
        &self.keys[index]
    }

    fn entry(&mut self) -> kv::Result<(&[u8], &[u8])> {
        let At::On(index) = self.at else { panic!("the cursor is on no entry") };
        Ok((&self.keys[index], &self.entries[index].1))
    }
}

/// Takes `steps` random moves with both cursors.
pub(crate) fn walk(
    cursor: &mut impl Cursor,
    model: &mut ModelCursor,
    keys: &[ModelKey],
    random: &SeededEntropy,
    steps: usize,
) {
    for _ in 0..steps {
        let number = random.next_u64();
        let sought = &keys[(number >> 8) as usize % keys.len()];
        let (moved, expected) = match number % 10 {
            0..4 => (cursor.next(), model.step_forward()),
            4..8 => (cursor.prev(), model.step_backward()),
            8 => {
                let index = model.count_less(sought);
                (cursor.seek_ge(&key(sought)), model.forward(index))
            }
            _ => {
                let index = model.count_less(sought);
                (cursor.seek_lt(&key(sought)), model.backward(index))
            }
        };
        assert_eq!(moved.expect("the disk is whole"), expected, "{:?}", model.at);
        let At::On(index) = model.at else { continue };
        let (expected, value) = &model.entries[index];
        let expected = key(expected);
        assert_eq!(cursor.key(), expected);
        if number >> 40 & 1 == 1 {
            // A walk need not ask for the value.
            assert_eq!(cursor.entry().expect("the disk is whole"), (&expected[..], &value[..]));
        }
    }
}

pub(crate) fn random_bounds(keys: &[ModelKey], random: &SeededEntropy) -> ModelBounds {
    let bound = || {
        let number = random.next_u64();
        let key = keys[(number >> 8) as usize % keys.len()].clone();
        match number % 3 {
            0 => Bound::Unbounded,
            1 => Bound::Included(key),
            _ => Bound::Excluded(key),
        }
    };
    (bound(), bound())
}

pub(crate) fn is_inverted(bounds: &ModelBounds) -> bool {
    let key = |bound: &Bound<ModelKey>| match bound {
        Bound::Included(key) | Bound::Excluded(key) => Some(key.clone()),
        Bound::Unbounded => None,
    };
    key(&bounds.0).zip(key(&bounds.1)).is_some_and(|(start, end)| start > end)
}

/// The bounds as keys of a table.
pub(crate) fn as_keys(bounds: &ModelBounds) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    (bounds.0.as_ref().map(key), bounds.1.as_ref().map(key))
}
