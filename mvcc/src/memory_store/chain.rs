//! The versions of one key.

use std::collections::VecDeque;

use kv::{Bytes, SequenceNumber};

use crate::visibility::{Horizon, is_visible};

/// One version of a key.
#[derive(Clone, Debug)]
pub(super) struct Version {
    /// The number of the batch that wrote it.
    pub(super) sequence: SequenceNumber,
    /// `None`: a tombstone.
    pub(super) value: Option<Bytes>,
}

impl Version {
    /// The memory that the version takes, in bytes, about.
    fn cost(&self) -> u64 {
        (size_of::<Self>() + self.value.as_ref().map_or(0, Bytes::len)) as u64
    }
}

/// The versions of one key. Most keys have one, which needs no memory besides the chain.
#[derive(Debug)]
pub(super) struct Chain {
    newest: Version,
    /// Ascending, and all older than `newest`. Most versions leave at the front.
    older: VecDeque<Version>,
    /// Where the key waits for the collector.
    pub(super) waits_in: Queue,
}

/// A queue of the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// In none: the key is tidy.
    None,
    /// Among the keys that were written lately.
    Recent,
    /// Among the keys that a pinned snapshot needs a version of.
    Held,
}

/// Versions that the store would not keep without readers of the past: replaced ones, and newest ones that are tombstones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Retained {
    pub(super) versions: u64,
    pub(super) bytes: u64,
}

impl Retained {
    pub(super) fn add(&mut self, version: &Version) {
        self.versions += 1;
        self.bytes += version.cost();
    }

    pub(super) fn remove(&mut self, version: &Version) {
        assert!(self.versions > 0 && self.bytes >= version.cost(), "each version is counted once");
        self.versions -= 1;
        self.bytes -= version.cost();
    }
}

impl Chain {
    /// A key with its first version.
    pub(super) fn new(version: Version, retained: &mut Retained) -> Self {
        if version.value.is_none() {
            retained.add(&version);
        }
        Self { newest: version, older: VecDeque::new(), waits_in: Queue::None }
    }

    /// The newest version, visible or not.
    pub(super) fn newest(&self) -> &Version {
        &self.newest
    }

    /// The version that `snapshot` sees.
    pub(super) fn visible_at(&self, snapshot: SequenceNumber) -> Option<&Version> {
        if is_visible(self.newest.sequence, snapshot) {
            return Some(&self.newest);
        }
        let visible = self.older.partition_point(|older| is_visible(older.sequence, snapshot));
        visible.checked_sub(1).map(|at| &self.older[at])
    }

    /// Adds the newest version.
    pub(super) fn push(&mut self, version: Version, retained: &mut Retained) {
        assert!(version.sequence > self.newest.sequence, "versions of a key ascend");
        if version.value.is_none() {
            retained.add(&version);
        }
        let replaced = std::mem::replace(&mut self.newest, version);
        // A tombstone was counted when it was added.
        if replaced.value.is_some() {
            retained.add(&replaced);
        }
        self.older.push_back(replaced);
    }

    /// Drops every version that no snapshot of `horizon` needs. Returns whether the key itself can go.
    pub(super) fn prune(&mut self, horizon: &Horizon, retained: &mut Retained) -> bool {
        // A version that was replaced after the floor is needed, so a long history costs one search.
        let mut kept = 0;
        let replaced = self.replaced_up_to(horizon.floor());
        for at in 0..replaced {
            let replaced_by = self.older.get(at + 1).unwrap_or(&self.newest).sequence;
            if horizon.needs(self.older[at].sequence, replaced_by) {
                // Moves dropped versions behind the kept ones; those behind `at` stay in their places.
                self.older.swap(kept, at);
                kept += 1;
            }
        }
        for dropped in self.older.drain(kept..replaced) {
            retained.remove(&dropped);
        }
        debug_assert!(self.older.iter().is_sorted_by_key(|version| version.sequence), "in order");
        if self.older.is_empty() {
            // Gives the memory back: most keys get no second version soon.
            self.older = VecDeque::new();
        }
        let is_gone = self.older.is_empty()
            && self.newest.value.is_none()
            && horizon.outlived(self.newest.sequence);
        if is_gone {
            retained.remove(&self.newest);
        }
        is_gone
    }

    /// How many of the older versions were replaced up to number `floor`.
    fn replaced_up_to(&self, floor: SequenceNumber) -> usize {
        if is_visible(self.newest.sequence, floor) {
            return self.older.len();
        }
        // The last one that the floor sees was replaced after it.
        let seen = self.older.partition_point(|version| is_visible(version.sequence, floor));
        seen.saturating_sub(1)
    }

    /// The least number behind `floor` at which the floor lets a version go. `None`: there is none to wait for.
    pub(super) fn next_collectable(&self, floor: SequenceNumber) -> Option<SequenceNumber> {
        let next = match self.older.get(self.replaced_up_to(floor) + 1) {
            Some(replacing) => replacing.sequence,
            None => self.newest.sequence,
        };
        (!self.is_tidy() && !is_visible(next, floor)).then_some(next)
    }

    /// Whether the collector has nothing to do for the key, now or later.
    pub(super) fn is_tidy(&self) -> bool {
        self.older.is_empty() && self.newest.value.is_some()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    fn version(sequence: u64, value: Option<&'static [u8]>) -> Version {
        Version { sequence: SequenceNumber(sequence), value: value.map(Bytes::from_static) }
    }

    fn chain(sequences: std::ops::RangeInclusive<u64>) -> (Chain, Retained) {
        let mut retained = Retained::default();
        let mut chain = Chain::new(version(*sequences.start(), Some(b"v")), &mut retained);
        for sequence in sequences.skip(1) {
            chain.push(version(sequence, Some(b"v")), &mut retained);
        }
        (chain, retained)
    }

    fn horizon(pinned: &[u64], floor: u64) -> Horizon {
        let pinned = pinned.iter().copied().map(SequenceNumber).collect();
        Horizon::new(pinned, SequenceNumber(floor))
    }

    #[test]
    fn a_chain_keeps_one_version_for_each_pin_and_the_newest() {
        let (mut chain, mut retained) = chain(1..=100);
        assert_eq!(retained.versions, 99);
        assert!(!chain.prune(&horizon(&[10, 11, 70], 100), &mut retained));
        let kept: Vec<u64> = chain.older.iter().map(|version| version.sequence.0).collect();
        assert_eq!((kept, retained.versions), (vec![10, 11, 70], 3));
        assert_eq!(chain.visible_at(SequenceNumber(70)).unwrap().sequence.0, 70);
        assert!(!chain.prune(&horizon(&[], 100), &mut retained));
        assert!(chain.is_tidy());
        assert_eq!(retained, Retained::default());
    }

    #[test]
    fn a_tombstone_goes_when_no_older_snapshot_is_left() {
        let (mut chain, mut retained) = chain(3..=4);
        chain.push(version(5, None), &mut retained);
        assert!(!chain.prune(&horizon(&[2], 9), &mut retained), "written after the pin");
        assert_eq!((chain.older.len(), retained.versions), (0, 1));
        assert!(!chain.prune(&horizon(&[], 4), &mut retained), "the floor has not reached it");
        assert!(chain.prune(&horizon(&[5], 9), &mut retained));
        assert_eq!(retained, Retained::default());
    }
}
