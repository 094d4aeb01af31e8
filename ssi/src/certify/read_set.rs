//! The keys and ranges that a transaction read.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use kv::{Access, Bytes, KeyRange, Operation, Target};

/// The reads of one transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadSet {
    keys: BTreeSet<Bytes>,
    /// The first key of each range, and the first key behind it; `None`: it has all later keys. They do not touch.
    ranges: BTreeMap<Bytes, Option<Bytes>>,
}

impl ReadSet {
    /// Adds a key or a range. Ranges that overlap or touch become one.
    pub(super) fn add(&mut self, target: Target) {
        match target {
            Target::Key(key) => {
                self.keys.insert(key);
            }
            Target::Range(range) => self.add_range(&range),
            // `Target` can grow: a target that is not known is everything.
            _ => self.add_range(&KeyRange::all()),
        }
    }

    fn add_range(&mut self, range: &KeyRange) {
        let mut start = match range.start() {
            Bound::Included(key) => Bytes::copy_from_slice(key),
            Bound::Excluded(key) => after(key),
            Bound::Unbounded => Bytes::new(),
        };
        let mut end = match range.end() {
            Bound::Included(key) => Some(after(key)),
            Bound::Excluded(key) => Some(Bytes::copy_from_slice(key)),
            Bound::Unbounded => None,
        };
        if end.as_ref().is_some_and(|end| *end <= start) {
            return;
        }
        // The last range that begins before the end touches the new one if it ends behind the start.
        while let Some((first, last)) = self.last_before(end.as_ref()) {
            if last.as_ref().is_some_and(|last| *last < start) {
                break;
            }
            self.ranges.remove(&first);
            start = start.min(first);
            end = end.zip(last).map(|(one, other)| one.max(other));
        }
        self.ranges.insert(start, end);
    }

    /// The last range that begins at `end` or before it.
    fn last_before(&self, end: Option<&Bytes>) -> Option<(Bytes, Option<Bytes>)> {
        let up_to = end.map_or(Bound::Unbounded, Bound::Included);
        let found = self.ranges.range::<Bytes, _>((Bound::Unbounded, up_to)).next_back();
        found.map(|(first, last)| (first.clone(), last.clone()))
    }

    /// Whether the transaction read `key`, or a range with it.
    pub(super) fn covers(&self, key: &[u8]) -> bool {
        self.keys.contains(key) || self.range_of(key).is_some()
    }

    fn range_of(&self, key: &[u8]) -> Option<(&Bytes, &Option<Bytes>)> {
        let up_to_key = (Bound::Unbounded, Bound::Included(key));
        let candidate = self.ranges.range::<[u8], _>(up_to_key).next_back();
        candidate.filter(|(_, end)| end.as_ref().is_none_or(|end| *key < **end))
    }

    /// The read of `key` by `transaction`, for an explanation.
    pub(super) fn access(&self, transaction: u64, key: &Bytes) -> Access {
        if self.keys.contains(key) {
            return Access::new(transaction, Operation::Get, key.clone());
        }
        let range = self.range_of(key);
        debug_assert!(range.is_some(), "only a covered key is explained");
        let range = range.map_or_else(KeyRange::all, |(start, end)| match end {
            Some(end) => KeyRange::new(&start[..]..&end[..]),
            None => KeyRange::new(&start[..]..),
        });
        Access::new(transaction, Operation::Scan, range)
    }
}

/// The first key behind `key`.
fn after(key: &[u8]) -> Bytes {
    [key, &[0]].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_covers_its_keys_and_no_others() {
        let mut reads = ReadSet::default();
        reads.add(Target::from(b"x"));
        reads.add(Target::from(KeyRange::new(&b"b"[..]..&b"d"[..])));
        let covered = [&b"a"[..], b"b", b"c", b"d", b"x", b"xx"].map(|key| reads.covers(key));
        assert_eq!(covered, [false, true, true, false, true, false]);
    }

    /// Every set of three ranges over a few keys, with every kind of bounds, against the definition.
    #[test]
    fn ranges_that_touch_become_one_and_cover_the_same_keys() {
        let keys: Vec<Vec<u8>> = (0..5).map(|key| vec![b'a' + key]).collect();
        let bounds = |key: &Vec<u8>| [Bound::Included(key.clone()), Bound::Excluded(key.clone())];
        let mut ends: Vec<Bound<Vec<u8>>> = keys.iter().flat_map(bounds).collect();
        ends.push(Bound::Unbounded);
        let ranges: Vec<KeyRange> = (0..ends.len() * ends.len())
            .map(|at| {
                let (start, end) = (&ends[at / ends.len()], &ends[at % ends.len()]);
                KeyRange::new((
                    start.as_ref().map(|key| &key[..]),
                    end.as_ref().map(|key| &key[..]),
                ))
            })
            .filter(|range| range.check().is_ok())
            .collect();
        let probes: Vec<Vec<u8>> =
            keys.iter().flat_map(|key| [key.clone(), [&key[..], b"\0"].concat()]).collect();
        for (at, one) in ranges.iter().enumerate() {
            for other in &ranges {
                let third = &ranges[(at * 7 + 3) % ranges.len()];
                let mut reads = ReadSet::default();
                for range in [one, other, third] {
                    reads.add(Target::Range(range.clone()));
                }
                for probe in &probes {
                    let expected = [one, other, third].iter().any(|range| range.contains(probe));
                    assert_eq!(reads.covers(probe), expected, "{one:?} {other:?} {third:?}");
                }
                let ends = reads.ranges.iter().zip(reads.ranges.iter().skip(1));
                let apart = |((_, end), (next, _)): ((_, &Option<Bytes>), (&Bytes, _))| {
                    end.as_ref().is_some_and(|end| end < next)
                };
                assert!(ends.into_iter().all(apart), "{:?}", reads.ranges);
            }
        }
    }
}
