//! The committed transactions that somebody may be concurrent with, in the order of their commits.

use std::collections::BTreeMap;
use std::ops::Bound;

use kv::{Bytes, Operation};

use super::certifier::Partner;
use super::commit_place::CommitPlace;
use super::read_set::ReadSet;

/// Committed transactions by the places of their commits.
#[derive(Clone, Debug, Default)]
pub(super) struct CommittedTransactions {
    by_place: BTreeMap<CommitPlace, CommittedTransaction>,
}

/// A committed transaction that a running one may be concurrent with.
#[derive(Clone, Debug)]
pub(super) struct CommittedTransaction {
    pub(super) transaction: u64,
    pub(super) snapshot: u64,
    pub(super) reads: ReadSet,
    pub(super) writes: BTreeMap<Bytes, Operation>,
    /// The commits that it has an anti-dependency to, those that are forgotten included.
    pub(super) outgoing: Vec<CommitPlace>,
    /// The oldest of those that committed before it.
    pub(super) first_out: Option<CommitPlace>,
}

impl CommittedTransactions {
    pub(super) fn len(&self) -> usize {
        self.by_place.len()
    }

    pub(super) fn get(&self, place: CommitPlace) -> Option<&CommittedTransaction> {
        self.by_place.get(&place)
    }

    pub(super) fn get_mut(&mut self, place: CommitPlace) -> Option<&mut CommittedTransaction> {
        self.by_place.get_mut(&place)
    }

    pub(super) fn insert(&mut self, place: CommitPlace, committed: CommittedTransaction) {
        let earlier = self.by_place.insert(place, committed);
        assert!(earlier.is_none(), "a place is taken once");
    }

    /// The transactions that a snapshot with this newest number may miss, the oldest first.
    pub(super) fn after_snapshot(
        &self,
        snapshot: u64,
    ) -> impl Iterator<Item = (&CommitPlace, &CommittedTransaction)> {
        self.after(CommitPlace::of_writer(snapshot))
    }

    fn after(
        &self,
        place: CommitPlace,
    ) -> impl Iterator<Item = (&CommitPlace, &CommittedTransaction)> {
        self.by_place.range((Bound::Excluded(place), Bound::Unbounded))
    }

    /// Calls `visit` with the place of each transaction that comes after the one at `place`: by an anti-dependency, or because
    /// it took its snapshot later.
    pub(super) fn each_successor(&self, place: CommitPlace, visit: &mut dyn FnMut(CommitPlace)) {
        if let Some(transaction) = self.get(place) {
            transaction.outgoing.iter().copied().for_each(&mut *visit);
        }
        let later = self.after(place).filter(|(_, other)| place.is_before_snapshot(other.snapshot));
        later.for_each(|(&later, _)| visit(later));
    }

    /// Forgets the transactions that every snapshot from `snapshot` on has.
    pub(super) fn forget_up_to(&mut self, snapshot: u64) {
        let is_seen = |place: CommitPlace| place.is_before_snapshot(snapshot);
        while self.by_place.first_key_value().is_some_and(|(&place, _)| is_seen(place)) {
            self.by_place.pop_first();
        }
    }

    pub(super) fn clear(&mut self) {
        self.by_place.clear();
    }
}

impl CommittedTransaction {
    pub(super) fn partner(&self, place: CommitPlace) -> Partner {
        Partner {
            transaction: self.transaction,
            snapshot: self.snapshot,
            commit: Some(place),
            read_only: self.writes.is_empty(),
            first_out: self.first_out,
        }
    }
}
