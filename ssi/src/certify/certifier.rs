//! The decision, apart from the bookkeeping.

use std::fmt::Debug;

use kv::{Bytes, ConflictKind};

use super::commit_place::CommitPlace;
use super::committed::CommittedTransactions;

/// Decides whether a transaction may commit.
pub trait Certifier: Debug + Send + Sync {
    /// The name in tables and statistics.
    fn name(&self) -> &'static str;

    /// Whether two concurrent transactions may both write a key. If not, the first to commit wins, and the tracker refuses
    /// the other one before it asks the certifier.
    fn allows_concurrent_writes(&self) -> bool {
        false
    }

    /// Whether a transaction that writes nothing can always commit, whatever its snapshot is. Then its reads need no tracking.
    fn spares_readers(&self) -> bool {
        false
    }

    /// Why `candidate` must not commit. `None` lets it commit.
    fn refuse(&self, candidate: &Candidate<'_>) -> Option<Refusal>;
}

/// A transaction that asks to commit, with its anti-dependencies.
#[derive(Debug)]
pub struct Candidate<'t> {
    /// Its name.
    pub transaction: u64,
    /// The newest commit that it sees.
    pub snapshot: u64,
    /// Whether it writes nothing.
    pub read_only: bool,
    /// From the candidate to writers that committed after its snapshot.
    pub outgoing: Vec<AntiDependency>,
    /// From concurrent readers to the candidate.
    pub incoming: Vec<AntiDependency>,
    /// The transactions that the tracker remembers.
    pub(super) committed: &'t CommittedTransactions,
}

/// An anti-dependency between the candidate and another transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AntiDependency {
    /// The other transaction.
    pub partner: Partner,
    /// A key that one of them read and the other one writes.
    pub key: Bytes,
}

/// The other transaction of an anti-dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Partner {
    /// Its name.
    pub transaction: u64,
    /// The newest commit that it sees.
    pub snapshot: u64,
    /// The place of its commit; `None` while it runs.
    pub commit: Option<CommitPlace>,
    /// Whether it is known to write nothing: declared so, or committed without a write.
    pub read_only: bool,
    /// The oldest commit that it had an outgoing anti-dependency to when it committed.
    pub first_out: Option<CommitPlace>,
}

/// Why a transaction must not commit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The rule.
    pub kind: ConflictKind,
    /// The transaction with an anti-dependency on either side, if the rule knows one.
    pub pivot: Option<u64>,
    /// The incoming dependency of the candidate that the rule needs, as an index.
    pub incoming: Option<usize>,
    /// The outgoing one.
    pub outgoing: Option<usize>,
}

impl Refusal {
    /// A refusal by a rule, without details.
    pub fn new(kind: ConflictKind) -> Self {
        Self { kind, pivot: None, incoming: None, outgoing: None }
    }
}
