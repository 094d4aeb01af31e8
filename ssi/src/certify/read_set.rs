//! The keys and ranges that a transaction read.

use std::collections::BTreeSet;

use kv::{Access, Bytes, KeyRange, Operation, Target};

/// The reads of one transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadSet {
    keys: BTreeSet<Bytes>,
    ranges: Vec<KeyRange>,
}

impl ReadSet {
    /// Adds a key or a range.
    pub(super) fn add(&mut self, target: Target) {
        match target {
            Target::Key(key) => {
                self.keys.insert(key);
            }
            Target::Range(range) if range.is_empty() || self.ranges.contains(&range) => {}
            Target::Range(range) => self.ranges.push(range),
            // `Target` can grow: a target that is not known is everything.
            _ => self.ranges.push(KeyRange::all()),
        }
    }

    /// Whether the transaction read `key`, or a range with it.
    pub(super) fn covers(&self, key: &[u8]) -> bool {
        self.keys.contains(key) || self.ranges.iter().any(|range| range.contains(key))
    }

    /// The read of `key` by `transaction`, for an explanation.
    pub(super) fn access(&self, transaction: u64, key: &Bytes) -> Access {
        if self.keys.contains(key) {
            return Access::new(transaction, Operation::Get, key.clone());
        }
        let range = self.ranges.iter().find(|range| range.contains(key));
        debug_assert!(range.is_some(), "only a covered key is explained");
        let range = range.cloned().unwrap_or_else(KeyRange::all);
        Access::new(transaction, Operation::Scan, range)
    }
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
}
