//! The bookkeeping: who runs, who committed beside whom, and who read and wrote what.

use std::collections::BTreeMap;
use std::ops::Bound;

use kv::{Bytes, Conflict, Operation, Target};

use super::certifier::{AntiDependency, Candidate, Certifier, Partner};
use super::explain::{explain, write_conflict};
use super::read_set::ReadSet;

/// The reads of running transactions, and the reads and writes of the committed ones that are concurrent to them.
#[derive(Debug, Default)]
pub struct ConflictTracker {
    running: BTreeMap<u64, RunningTransaction>,
    committed: CommittedTransactions,
    newest_commit: u64,
}

#[derive(Clone, Debug)]
pub(super) struct RunningTransaction {
    snapshot: u64,
    /// It promised to write nothing.
    read_only: bool,
    pub(super) reads: ReadSet,
}

/// A committed transaction that a running one is concurrent with.
#[derive(Clone, Debug)]
pub(super) struct CommittedTransaction {
    pub(super) transaction: u64,
    snapshot: u64,
    pub(super) reads: ReadSet,
    pub(super) writes: BTreeMap<Bytes, Operation>,
    /// The commits that it has an anti-dependency to, those that are forgotten included.
    outgoing: Vec<u64>,
    /// The oldest of those that committed before it.
    first_out: Option<u64>,
}

/// Committed transactions by their commit number.
#[derive(Clone, Debug, Default)]
pub(super) struct CommittedTransactions {
    by_commit: BTreeMap<u64, CommittedTransaction>,
}

impl ConflictTracker {
    /// A tracker without transactions.
    pub fn new() -> Self {
        Self::default()
    }

    /// `transaction` takes its snapshot, in which `snapshot` is the newest commit. `read_only`: it promises to write nothing.
    ///
    /// # Panics
    /// When the transaction runs already, or the snapshot is newer than the newest commit that the tracker knows, unless the
    /// tracker knows none.
    pub fn begin(&mut self, transaction: u64, snapshot: u64, read_only: bool) {
        self.newest_commit = self.newest_commit.max(snapshot);
        let running = RunningTransaction { snapshot, read_only, reads: ReadSet::default() };
        let earlier = self.running.insert(transaction, running);
        assert!(earlier.is_none(), "transaction {transaction} begins twice");
    }

    /// `transaction` is going to read a key, or the keys of a range.
    ///
    /// # Panics
    /// When the transaction does not run.
    pub fn read(&mut self, transaction: u64, target: Target) {
        let running = self.running.get_mut(&transaction);
        assert!(running.is_some(), "transaction {transaction} reads before it begins");
        if let Some(running) = running {
            running.reads.add(target);
        }
    }

    /// `transaction` asks to commit `writes` with the number `commit`. Either way it has ended, and the tracker has forgotten
    /// it or remembers it as committed.
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
        let running = self.running.remove(&transaction);
        assert!(running.is_some(), "transaction {transaction} ends before it begins");
        assert!(commit > self.newest_commit, "commit numbers grow");
        let Some(running) = running else { return Ok(()) };
        assert!(!running.read_only || writes.is_empty(), "a read-only transaction writes nothing");
        let judged = self.judge(transaction, &running, &writes, certifier);
        if let Ok(outgoing) = &judged {
            self.newest_commit = commit;
            self.remember(transaction, running, writes, commit, outgoing);
        }
        self.forget();
        judged.map(drop)
    }

    /// `transaction` has ended without a commit.
    ///
    /// # Panics
    /// When it does not run.
    pub fn roll_back(&mut self, transaction: u64) {
        let running = self.running.remove(&transaction);
        assert!(running.is_some(), "transaction {transaction} ends before it begins");
        self.forget();
    }

    /// The transactions that run.
    pub fn running_count(&self) -> usize {
        self.running.len()
    }

    /// The committed transactions that the tracker remembers.
    pub fn committed_count(&self) -> usize {
        self.committed.by_commit.len()
    }

    /// The outgoing anti-dependencies of a transaction that may commit.
    fn judge(
        &self,
        transaction: u64,
        running: &RunningTransaction,
        writes: &BTreeMap<Bytes, Operation>,
        certifier: &dyn Certifier,
    ) -> Result<Vec<AntiDependency>, Box<Conflict>> {
        let concurrent = || self.committed.after(running.snapshot);
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
            let key = other.writes.keys().find(|key| running.reads.covers(key))?.clone();
            Some(AntiDependency { partner: other.partner(commit), key })
        });
        let candidate = Candidate {
            transaction,
            snapshot: running.snapshot,
            read_only: writes.is_empty(),
            outgoing: outgoing.collect(),
            incoming: self.incoming(running.snapshot, writes),
            committed: &self.committed,
        };
        match certifier.refuse(&candidate) {
            None => Ok(candidate.outgoing),
            Some(refusal) => Err(Box::new(explain(self, &candidate, running, writes, &refusal))),
        }
    }

    /// The anti-dependencies from concurrent transactions to one that commits `writes`.
    fn incoming(&self, snapshot: u64, writes: &BTreeMap<Bytes, Operation>) -> Vec<AntiDependency> {
        let read = |reads: &ReadSet| writes.keys().find(|key| reads.covers(key)).cloned();
        let committed = self.committed.after(snapshot).filter_map(|(&commit, other)| {
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
            Some(AntiDependency { partner, key: read(&other.reads)? })
        });
        committed.chain(running).collect()
    }

    fn remember(
        &mut self,
        transaction: u64,
        running: RunningTransaction,
        writes: BTreeMap<Bytes, Operation>,
        commit: u64,
        outgoing: &[AntiDependency],
    ) {
        // The committed readers of the keys come before this transaction: paths of the exact test lead over them.
        for edge in self.incoming(running.snapshot, &writes) {
            if let Some(reader) =
                edge.partner.commit.and_then(|at| self.committed.by_commit.get_mut(&at))
            {
                reader.outgoing.push(commit);
            }
        }
        let outgoing: Vec<u64> = outgoing.iter().filter_map(|edge| edge.partner.commit).collect();
        let first_out = outgoing.iter().min().copied();
        assert!(first_out < Some(commit), "an outgoing dependency is found at the later commit");
        let committed = CommittedTransaction {
            transaction,
            snapshot: running.snapshot,
            reads: running.reads,
            writes,
            outgoing,
            first_out,
        };
        let earlier = self.committed.by_commit.insert(commit, committed);
        assert!(earlier.is_none(), "a commit number is handed out once");
    }

    /// Forgets the committed transactions that no running one is concurrent with.
    fn forget(&mut self) {
        let oldest = self.running.values().map(|running| running.snapshot).min();
        match oldest {
            None => self.committed.by_commit.clear(),
            Some(oldest) => {
                let kept = self.committed.by_commit.split_off(&(oldest + 1));
                self.committed.by_commit = kept;
            }
        }
        debug_assert!(
            self.committed.by_commit.keys().next().copied() > oldest
                || self.committed.by_commit.is_empty(),
            "only concurrent transactions are remembered"
        );
    }

    pub(super) fn running_reads(&self, transaction: u64) -> Option<&ReadSet> {
        self.running.get(&transaction).map(|running| &running.reads)
    }
}

impl CommittedTransactions {
    /// The transactions that committed after `snapshot`, the oldest first.
    fn after(&self, snapshot: u64) -> impl Iterator<Item = (&u64, &CommittedTransaction)> {
        self.by_commit.range((Bound::Excluded(snapshot), Bound::Unbounded))
    }

    pub(super) fn get(&self, commit: u64) -> Option<&CommittedTransaction> {
        self.by_commit.get(&commit)
    }

    /// Calls `visit` with the commit number of each transaction that comes after the one with number `commit`: by an
    /// anti-dependency, or because it took its snapshot later.
    pub(super) fn each_successor(&self, commit: u64, visit: &mut dyn FnMut(u64)) {
        if let Some(transaction) = self.by_commit.get(&commit) {
            transaction.outgoing.iter().copied().for_each(&mut *visit);
        }
        let later = self.after(commit).filter(|(_, other)| other.snapshot >= commit);
        later.for_each(|(&later, _)| visit(later));
    }
}

impl CommittedTransaction {
    fn partner(&self, commit: u64) -> Partner {
        Partner {
            transaction: self.transaction,
            snapshot: self.snapshot,
            commit: Some(commit),
            read_only: self.writes.is_empty(),
            first_out: self.first_out,
        }
    }
}
