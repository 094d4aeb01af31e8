//! The other memtable: a skip list of `crossbeam-skiplist`, with key and value of an entry in one allocation.

use std::borrow::Borrow;
use std::cmp::{Ordering, Reverse};
use std::ops::Bound;

use bytes::Bytes;
use crossbeam_skiplist::SkipMap;

use crate::internal_key::{Kind, Trailer};
use crate::{Direction, Measured};

#[derive(Default)]
pub(super) struct SkipList(SkipMap<Entry, ()>);

impl Measured for SkipList {
    fn insert(&self, user: &[u8], sequence: u64, value: &[u8]) {
        drop(self.0.insert(Entry::new(user, Trailer::new(sequence, Kind::Put), value), ()));
    }

    fn get(&self, user: &[u8], sequence: u64, found: &mut dyn FnMut(&[u8])) -> bool {
        let probe = Probe { user, trailer: Trailer::seen_at(sequence) };
        let node = self.0.lower_bound(Bound::Included(&probe as &dyn AsParts));
        let node = node.filter(|node| node.key().user() == user);
        node.inspect(|node| found(node.key().value())).is_some()
    }

    fn walk(&self, direction: Direction, visit: &mut dyn FnMut(&[u8], &[u8])) {
        let mut visit = |entry: &Entry| visit(entry.user(), entry.value());
        match direction {
            Direction::Forward => self.0.iter().for_each(|node| visit(node.key())),
            Direction::Backward => self.0.iter().rev().for_each(|node| visit(node.key())),
        }
    }
}

struct Entry {
    /// The user key, and behind it the value.
    bytes: Bytes,
    key_len: u32,
    trailer: Trailer,
}

impl Entry {
    fn new(user: &[u8], trailer: Trailer, value: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(user.len() + value.len());
        bytes.extend_from_slice(user);
        bytes.extend_from_slice(value);
        Self { bytes: bytes.into(), key_len: user.len() as u32, trailer }
    }

    fn user(&self) -> &[u8] {
        &self.bytes[..self.key_len as usize]
    }

    fn value(&self) -> &[u8] {
        &self.bytes[self.key_len as usize..]
    }
}

/// A place in the order of entries.
struct Probe<'k> {
    user: &'k [u8],
    trailer: Trailer,
}

/// A user key and a trailer, owned or borrowed. Ordered as internal keys are.
trait AsParts {
    fn parts(&self) -> (&[u8], Reverse<Trailer>);
}

impl AsParts for Entry {
    fn parts(&self) -> (&[u8], Reverse<Trailer>) {
        (self.user(), Reverse(self.trailer))
    }
}

impl AsParts for Probe<'_> {
    fn parts(&self) -> (&[u8], Reverse<Trailer>) {
        (self.user, Reverse(self.trailer))
    }
}

impl<'k> Borrow<dyn AsParts + 'k> for Entry {
    fn borrow(&self) -> &(dyn AsParts + 'k) {
        self
    }
}

impl Ord for dyn AsParts + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for dyn AsParts + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn AsParts + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for dyn AsParts + '_ {}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}
