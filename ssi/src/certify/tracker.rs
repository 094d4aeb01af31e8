//! The bookkeeping: who runs, who committed beside whom, and who read and wrote what.

use std::collections::{BTreeMap, BTreeSet};

use kv::{Bytes, Conflict, Operation};

use super::certifier::{AntiDependency, Candidate, Certifier, Partner};
use super::commit_place::CommitPlace;
use super::committed::{CommittedTransaction, CommittedTransactions};
use super::explain::{explain, write_conflict};
use super::read_set::ReadSet;
use super::reads::Reads;
use super::safe_snapshots::{SafeSnapshots, Suspect, Watch};

/// The reads of running transactions, and the reads and writes of the committed ones that are concurrent to them.
#[derive(Debug, Default)]
pub struct ConflictTracker {
    running: BTreeMap<u64, RunningTransaction>,
    committed: CommittedTransactions,
    /// The place of the newest commit.
    newest: Option<CommitPlace>,
    /// The numbers of commits that a new snapshot may miss.
    in_flight: BTreeSet<u64>,
    /// Transactions that are about to take their snapshots. Each snapshot will be at least as new as its number says.
    announced: BTreeMap<Announcement, u64>,
    last_announcement: u64,
    safe_snapshots: SafeSnapshots,
}

/// A transaction that is about to take its snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Announcement(u64);

#[derive(Clone, Debug)]
pub(super) struct RunningTransaction {
    snapshot: u64,
    /// It promised to write nothing.
    read_only: bool,
    reads: Reads,
}

/// A transaction that asks to commit.
#[derive(Debug)]
pub(super) struct Asking {
    transaction: u64,
    snapshot: u64,
    pub(super) reads: ReadSet,
    pub(super) writes: BTreeMap<Bytes, Operation>,
}

impl ConflictTracker {
    /// A tracker without transactions.
    pub fn new() -> Self {
        Self::default()
    }

    /// A transaction is about to take its snapshot. From now on the tracker remembers every commit that the snapshot may miss.
    /// End it with [`ConflictTracker::begin_announced`] or [`ConflictTracker::withdraw`].
    pub fn announce(&mut self) -> Announcement {
        self.last_announcement += 1;
        let announcement = Announcement(self.last_announcement);
        let visible = self.visible();
        self.announced.insert(announcement, visible);
        announcement
    }

    /// The transaction did not begin.
    ///
    /// # Panics
    /// When the announcement has ended before.
    pub fn withdraw(&mut self, announcement: Announcement) {
        let announced = self.announced.remove(&announcement);
        assert!(announced.is_some(), "an announcement ends once");
        self.safe_snapshots.begun(announcement.0, None);
        self.forget();
    }

    /// As [`ConflictTracker::begin`], for a transaction that was announced before it took its snapshot.
    ///
    /// # Panics
    /// When the announcement has ended before, or the snapshot is older than it allows; as [`ConflictTracker::begin`].
    pub fn begin_announced(
        &mut self,
        announcement: Announcement,
        transaction: u64,
        snapshot: u64,
        read_only: bool,
    ) -> Reads {
        let least = self.announced.remove(&announcement);
        assert!(least.is_some(), "an announcement ends once");
        assert!(least <= Some(snapshot), "the snapshot has every commit that was visible before");
        let reads = self.begin(transaction, snapshot, read_only);
        let suspect = (!read_only).then_some((transaction, snapshot));
        self.safe_snapshots.begun(announcement.0, suspect);
        self.forget();
        reads
    }

    /// `transaction` takes its snapshot, in which `snapshot` is the newest number. `read_only`: it promises to write nothing. Its reads
    /// go to what is returned, before it looks at the data.
    ///
    /// # Panics
    /// When the transaction runs already.
    pub fn begin(&mut self, transaction: u64, snapshot: u64, read_only: bool) -> Reads {
        self.newest = self.newest.max(Some(CommitPlace::of_writer(snapshot)));
        let reads = Reads::new();
        let running = RunningTransaction { snapshot, read_only, reads: reads.clone() };
        let earlier = self.running.insert(transaction, running);
        assert!(earlier.is_none(), "transaction {transaction} begins twice");
        reads
    }

    /// `transaction` asks to commit `writes` with the number `commit`. Either way it has ended, and the tracker has forgotten
    /// it or remembers it as committed. Call [`ConflictTracker::publish`] when every new snapshot has the commit.
    ///
    /// # Errors
    /// The explained conflict, if the transaction must not commit.
    ///
    /// # Panics
    /// When the transaction does not run, writes in spite of its promise, or `commit` is not newer than all before.
    pub fn commit(
        &mut self,
        transaction: u64,
        writes: BTreeMap<Bytes, Operation>,
        commit: u64,
        certifier: &dyn Certifier,
    ) -> Result<(), Box<Conflict>> {
        let place = CommitPlace::of_writer(commit);
        assert!(Some(place) > self.newest, "commit numbers grow");
        let committed = self.commit_at(place, transaction, writes, certifier);
        if committed.is_ok() {
            self.in_flight.insert(commit);
        }
        self.forget();
        committed
    }

    /// `transaction` asks to commit without writes. It takes no number.
    ///
    /// # Errors
    /// As [`ConflictTracker::commit`].
    ///
    /// # Panics
    /// When the transaction does not run.
    pub fn commit_reader(
        &mut self,
        transaction: u64,
        certifier: &dyn Certifier,
    ) -> Result<(), Box<Conflict>> {
        let place = self.newest.unwrap_or(CommitPlace::of_writer(0)).next_reader();
        let committed = self.commit_at(place, transaction, BTreeMap::new(), certifier);
        self.forget();
        committed
    }

    /// Every snapshot from now on has the commit with this number.
    ///
    /// # Panics
    /// When it was not committed, or was published before.
    pub fn publish(&mut self, commit: u64) {
        let was_in_flight = self.in_flight.remove(&commit);
        assert!(was_in_flight, "a commit is published once");
        self.forget();
    }

    /// `transaction` has ended without a commit.
    ///
    /// # Panics
    /// When it does not run.
    pub fn roll_back(&mut self, transaction: u64) {
        let running = self.running.remove(&transaction);
        assert!(running.is_some(), "transaction {transaction} ends before it begins");
        self.safe_snapshots.ended(transaction, None);
        self.forget();
    }

    /// Watches `snapshot`, which a read-only transaction has just taken: whether it is safe is known once all transactions have
    /// ended that can spoil it. Keep asking with [`ConflictTracker::is_safe`].
    pub fn watch(&mut self, snapshot: u64) -> Watch {
        let is_older = |other: &RunningTransaction| other.snapshot < snapshot && !other.read_only;
        let running = self.running.iter().filter(|(_, other)| is_older(other));
        let announced = self.announced.iter().filter(|(_, least)| **least < snapshot);
        let suspects = running
            .map(|(&transaction, _)| Suspect::Running(transaction))
            .chain(announced.map(|(announcement, _)| Suspect::Announced(announcement.0)));
        let watch = self.safe_snapshots.watch(snapshot, suspects.collect());
        let spoils = |other: &CommittedTransaction| {
            other.first_out.is_some_and(|first| first.is_before_snapshot(snapshot))
        };
        if self.committed.after_snapshot(snapshot).any(|(_, other)| spoils(other)) {
            self.safe_snapshots.spoil(watch);
        }
        watch
    }

    /// Whether a read-only transaction with the watched snapshot can never be part of a conflict. `None`: that is not known yet.
    /// An answer ends the watch.
    ///
    /// # Panics
    /// When the watch has ended.
    pub fn is_safe(&mut self, watch: Watch) -> Option<bool> {
        self.safe_snapshots.verdict(watch)
    }

    /// The transactions that run.
    pub fn running_count(&self) -> usize {
        self.running.len()
    }

    /// The committed transactions that the tracker remembers.
    pub fn committed_count(&self) -> usize {
        self.committed.len()
    }

    fn commit_at(
        &mut self,
        place: CommitPlace,
        transaction: u64,
        writes: BTreeMap<Bytes, Operation>,
        certifier: &dyn Certifier,
    ) -> Result<(), Box<Conflict>> {
        let running = self.running.remove(&transaction);
        assert!(running.is_some(), "transaction {transaction} ends before it begins");
        let Some(running) = running else { return Ok(()) };
        assert!(!running.read_only || writes.is_empty(), "a read-only transaction writes nothing");
        let asking =
            Asking { transaction, snapshot: running.snapshot, reads: running.reads.take(), writes };
        let judged = self.judge(&asking, certifier);
        if let Ok(outgoing) = &judged {
            self.newest = Some(place);
            let first_out = outgoing.iter().filter_map(|edge| edge.partner.commit).min();
            self.safe_snapshots.ended(transaction, first_out);
            self.remember(asking, place, outgoing);
        }
        if judged.is_err() {
            self.safe_snapshots.ended(transaction, None);
        }
        judged.map(drop)
    }

    /// The outgoing anti-dependencies of a transaction that may commit.
    fn judge(
        &self,
        asking: &Asking,
        certifier: &dyn Certifier,
    ) -> Result<Vec<AntiDependency>, Box<Conflict>> {
        let &Asking { transaction, snapshot, ref reads, ref writes } = asking;
        let concurrent = || self.committed.after_snapshot(snapshot);
        if !certifier.allows_concurrent_writes() {
            let both = |other: &CommittedTransaction| {
                writes.iter().find(|(key, _)| other.writes.contains_key(*key))
            };
            if let Some((other, write)) =
                concurrent().find_map(|(_, other)| Some((other, both(other)?)))
            {
                return Err(Box::new(write_conflict(transaction, other, write)));
            }
        }
        let outgoing = concurrent().filter_map(|(&commit, other)| {
            let key = other.writes.keys().find(|key| reads.covers(key))?.clone();
            Some(AntiDependency { partner: other.partner(commit), key })
        });
        let candidate = Candidate {
            transaction,
            snapshot,
            read_only: writes.is_empty(),
            outgoing: outgoing.collect(),
            incoming: self.incoming(snapshot, writes),
            committed: &self.committed,
        };
        match certifier.refuse(&candidate) {
            None => Ok(candidate.outgoing),
            Some(refusal) => Err(Box::new(explain(self, &candidate, asking, &refusal))),
        }
    }

    /// The anti-dependencies from concurrent transactions to one that commits `writes`.
    fn incoming(&self, snapshot: u64, writes: &BTreeMap<Bytes, Operation>) -> Vec<AntiDependency> {
        if writes.is_empty() {
            return Vec::new();
        }
        let read = |reads: &ReadSet| writes.keys().find(|key| reads.covers(key)).cloned();
        let committed = self.committed.after_snapshot(snapshot).filter_map(|(&commit, other)| {
            Some(AntiDependency { partner: other.partner(commit), key: read(&other.reads)? })
        });
        let running = self.running.iter().filter_map(|(&transaction, other)| {
            let partner = Partner {
                transaction,
                snapshot: other.snapshot,
                commit: None,
                read_only: other.read_only,
                first_out: None,
            };
            Some(AntiDependency { partner, key: other.reads.look(read)? })
        });
        committed.chain(running).collect()
    }

    fn remember(&mut self, asking: Asking, place: CommitPlace, outgoing: &[AntiDependency]) {
        let Asking { transaction, snapshot, reads, writes } = asking;
        // The committed readers of the keys come before this transaction: paths of the exact test lead over them.
        for edge in self.incoming(snapshot, &writes) {
            if let Some(reader) = edge.partner.commit.and_then(|at| self.committed.get_mut(at)) {
                reader.outgoing.push(place);
            }
        }
        let outgoing: Vec<CommitPlace> =
            outgoing.iter().filter_map(|edge| edge.partner.commit).collect();
        let first_out = outgoing.iter().min().copied();
        assert!(first_out < Some(place), "an outgoing dependency is found at the later commit");
        let committed =
            CommittedTransaction { transaction, snapshot, reads, writes, outgoing, first_out };
        self.committed.insert(place, committed);
    }

    /// Every snapshot from now on has all commits up to this number.
    fn visible(&self) -> u64 {
        let newest = self.newest.map_or(0, CommitPlace::number);
        self.in_flight.first().map_or(newest, |first| first - 1)
    }

    /// Forgets the committed transactions that nobody can be concurrent with any more.
    fn forget(&mut self) {
        let is_alone = self.running.is_empty() && self.announced.is_empty();
        if is_alone && self.in_flight.is_empty() {
            return self.committed.clear();
        }
        let snapshots = self.running.values().map(|running| running.snapshot);
        let oldest = snapshots.chain(self.announced.values().copied()).min();
        let visible = self.visible();
        self.committed.forget_up_to(oldest.map_or(visible, |oldest| oldest.min(visible)));
    }

    pub(super) fn running_reads(&self, transaction: u64) -> Option<&Reads> {
        self.running.get(&transaction).map(|running| &running.reads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certify::SerializableSnapshot;
    use kv::Target;

    fn puts(key: &'static [u8]) -> BTreeMap<Bytes, Operation> {
        BTreeMap::from([(Bytes::from_static(key), Operation::Put)])
    }

    fn commit(tracker: &mut ConflictTracker, transaction: u64, key: &'static [u8], number: u64) {
        tracker.commit(transaction, puts(key), number, &SerializableSnapshot).expect("it is alone");
    }

    #[test]
    fn a_commit_that_is_not_visible_yet_is_remembered_for_snapshots_that_miss_it() {
        let mut tracker = ConflictTracker::new();
        tracker.begin(1, 0, false);
        commit(&mut tracker, 1, b"x", 1);
        assert_eq!(tracker.committed_count(), 1, "nobody runs, and the next snapshot misses it");
        let announcement = tracker.announce();
        tracker.publish(1);
        assert_eq!(tracker.committed_count(), 1, "the announced snapshot may miss it");
        let reads = tracker.begin_announced(announcement, 2, 0, false);
        reads.add(Target::from(b"x"));
        let lost = tracker.commit(2, puts(b"x"), 2, &SerializableSnapshot);
        assert!(lost.is_err(), "the first committer wins");
        assert_eq!(tracker.committed_count(), 0);
    }

    #[test]
    fn an_announced_transaction_that_sees_a_commit_lets_it_be_forgotten() {
        let mut tracker = ConflictTracker::new();
        tracker.begin(1, 0, false);
        let (first, second) = (tracker.announce(), tracker.announce());
        commit(&mut tracker, 1, b"x", 1);
        tracker.publish(1);
        tracker.begin_announced(first, 2, 1, false);
        assert_eq!(tracker.committed_count(), 1, "the second one may miss it");
        tracker.withdraw(second);
        assert_eq!(tracker.committed_count(), 0);
    }

    #[test]
    fn readers_that_commit_between_two_writers_have_places_of_their_own() {
        let mut tracker = ConflictTracker::new();
        for transaction in 1..=4 {
            tracker.begin(transaction, 0, false).add(Target::from(b"x"));
        }
        for reader in [1, 2] {
            tracker.commit_reader(reader, &SerializableSnapshot).expect("it has read one state");
        }
        commit(&mut tracker, 3, b"x", 1);
        tracker.publish(1);
        tracker.commit_reader(4, &SerializableSnapshot).expect("it has read one state");
        assert_eq!((tracker.running_count(), tracker.committed_count()), (0, 0));
    }
}
