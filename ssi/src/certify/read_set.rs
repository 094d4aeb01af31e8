//! The keys and ranges that a transaction read.
//!
//! A scan that goes on has an *extent*: the part of its range that it has read so far. Each move changes it in place. When the
//! scan ends, its extent joins the ranges, of which those that overlap or touch become one.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;

use foldhash::fast::RandomState;
use kv::{Access, Bytes, Direction, KeyRange, Operation, Target};

/// The reads of one transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadSet {
    keys: HashSet<Bytes, RandomState>,
    /// The beginning of each range, and its end. They do not touch.
    ranges: BTreeMap<Edge, Edge>,
    /// Those of the scans that go on and have read something.
    extents: BTreeMap<Scan, Extent>,
    last_scan: u64,
}

/// A place between keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Edge {
    /// Before this key (`false`), or behind it.
    At(Vec<u8>, bool),
    /// Behind all keys.
    End,
}

/// The keys between two edges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    start: Edge,
    end: Edge,
}

/// A scan of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scan(u64);

impl Edge {
    /// Where a range begins.
    pub(crate) fn start(bound: Bound<&[u8]>) -> Self {
        match bound {
            Bound::Included(key) => Self::At(key.to_vec(), false),
            Bound::Excluded(key) => Self::At(key.to_vec(), true),
            Bound::Unbounded => Self::At(Vec::new(), false),
        }
    }

    /// Where a range ends.
    pub(crate) fn end(bound: Bound<&[u8]>) -> Self {
        match bound {
            Bound::Included(key) => Self::At(key.to_vec(), true),
            Bound::Excluded(key) => Self::At(key.to_vec(), false),
            Bound::Unbounded => Self::End,
        }
    }

    /// Moves to `key`, in the same memory.
    fn move_to(&mut self, key: &[u8], is_behind: bool) {
        match self {
            Self::At(before, behind) => {
                before.clear();
                before.extend_from_slice(key);
                *behind = is_behind;
            }
            Self::End => *self = Self::At(key.to_vec(), is_behind),
        }
    }

    /// Whether it lies before `key`.
    fn is_before(&self, key: &[u8]) -> bool {
        match self {
            Self::At(at, behind) => **at < *key || **at == *key && !behind,
            Self::End => false,
        }
    }
}

impl Extent {
    /// The keys of a range.
    pub(crate) fn of(range: &KeyRange) -> Self {
        Self { start: Edge::start(range.start()), end: Edge::end(range.end()) }
    }

    /// The keys from one edge to another: none, if that lies before it.
    pub(crate) fn between(start: Edge, end: Edge) -> Self {
        let end = end.max(start.clone());
        Self { start, end }
    }

    fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    fn touches(&self, other: &Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    fn join(&mut self, other: Self) {
        debug_assert!(self.touches(&other), "nothing lies between them");
        if other.start < self.start {
            self.start = other.start;
        }
        if other.end > self.end {
            self.end = other.end;
        }
    }

    /// Makes it reach to `key`, which has been read, too.
    fn reach(&mut self, key: &[u8], direction: Direction) {
        match direction {
            Direction::Forward if self.end.is_before(key) => self.end.move_to(key, true),
            Direction::Backward if !self.start.is_before(key) => self.start.move_to(key, false),
            _ => {}
        }
        debug_assert!(self.contains(key), "it has the key");
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.start.is_before(key) && !self.end.is_before(key)
    }

    /// The same as a range.
    fn range(&self) -> KeyRange {
        let start = match &self.start {
            Edge::At(key, false) => Bound::Included(&key[..]),
            Edge::At(key, true) => Bound::Excluded(&key[..]),
            Edge::End => Bound::Unbounded,
        };
        let end = match &self.end {
            Edge::At(key, false) => Bound::Excluded(&key[..]),
            Edge::At(key, true) => Bound::Included(&key[..]),
            Edge::End => Bound::Unbounded,
        };
        KeyRange::new((start, end))
    }
}

impl ReadSet {
    /// Adds a key or a range.
    pub(super) fn add(&mut self, target: Target) {
        match target {
            Target::Key(key) => {
                self.keys.insert(key);
            }
            Target::Range(range) => self.add_extent(Extent::of(&range)),
            // `Target` can grow: a target that is not known is everything.
            _ => self.add_extent(Extent::of(&KeyRange::all())),
        }
    }

    /// Adds a key.
    pub(super) fn add_key(&mut self, key: &[u8]) {
        if !self.keys.contains(key) {
            self.keys.insert(Bytes::copy_from_slice(key));
        }
    }

    /// A scan begins. It has read nothing.
    pub(super) fn begin_scan(&mut self) -> Scan {
        self.last_scan += 1;
        Scan(self.last_scan)
    }

    /// The scan has sought, and has read the keys of `extent`.
    pub(super) fn seek(&mut self, scan: Scan, extent: Extent) {
        match self.extents.get_mut(&scan) {
            Some(before) if before.touches(&extent) => before.join(extent),
            _ => {
                if let Some(apart) = self.extents.insert(scan, extent) {
                    self.add_extent(apart);
                }
            }
        }
    }

    /// The scan has moved from where it was to `key`, and has read the keys between them.
    pub(super) fn reach(&mut self, scan: Scan, key: &[u8], direction: Direction) {
        let extent = self.extents.get_mut(&scan).expect("the scan has a place");
        extent.reach(key, direction);
    }

    /// The scan has found nothing more up to `end`, which is where its range ends in this direction.
    pub(super) fn reach_end(&mut self, scan: Scan, end: Edge, direction: Direction) {
        let extent = self.extents.get_mut(&scan).expect("the scan has a place");
        match direction {
            Direction::Forward if extent.end < end => extent.end = end,
            Direction::Backward if end < extent.start => extent.start = end,
            _ => {}
        }
    }

    /// The scan has ended.
    pub(super) fn end_scan(&mut self, scan: Scan) {
        if let Some(extent) = self.extents.remove(&scan) {
            self.add_extent(extent);
        }
    }

    fn add_extent(&mut self, mut extent: Extent) {
        if extent.is_empty() {
            return;
        }
        // The last range that begins up to the end touches the extent if it ends at the start or later.
        while let Some((start, end)) = self.ranges.range(..=&extent.end).next_back() {
            if *end < extent.start {
                break;
            }
            let start = start.clone();
            let end = self.ranges.remove(&start).expect("it was found");
            extent.join(Extent { start, end });
        }
        self.ranges.insert(extent.start, extent.end);
    }

    /// Whether the transaction read `key`, or a range with it.
    pub(super) fn covers(&self, key: &[u8]) -> bool {
        self.keys.contains(key) || self.extent_of(key).is_some()
    }

    /// A range or an extent with `key`.
    fn extent_of(&self, key: &[u8]) -> Option<Extent> {
        if let Some(extent) = self.extents.values().find(|extent| extent.contains(key)) {
            return Some(extent.clone());
        }
        if self.ranges.is_empty() {
            return None;
        }
        let (start, end) = self.ranges.range(..=Edge::At(key.to_vec(), false)).next_back()?;
        let range = Extent { start: start.clone(), end: end.clone() };
        range.contains(key).then_some(range)
    }

    /// The read of `key` by `transaction`, for an explanation.
    pub(super) fn access(&self, transaction: u64, key: &Bytes) -> Access {
        if self.keys.contains(key) {
            return Access::new(transaction, Operation::Get, key.clone());
        }
        let extent = self.extent_of(key);
        debug_assert!(extent.is_some(), "only a covered key is explained");
        let range = extent.map_or_else(KeyRange::all, |extent| extent.range());
        Access::new(transaction, Operation::Scan, range)
    }
}

#[cfg(test)]
mod tests;
