//! A refusal as a conflict that explains itself.

use kv::{Access, Bytes, Conflict, ConflictEdge, ConflictKind, Cycle, Operation};

use super::certifier::{AntiDependency, Candidate, Refusal};
use super::committed::CommittedTransaction;
use super::exact_cycles::leads_back;
use super::read_set::ReadSet;
use super::tracker::{Asking, ConflictTracker};

/// Both transactions write a key, and the other one committed first.
pub(super) fn write_conflict(
    transaction: u64,
    other: &CommittedTransaction,
    (key, &operation): (&Bytes, &Operation),
) -> Conflict {
    let theirs = other.writes.get(key).copied().unwrap_or(Operation::Put);
    let theirs = Access::new(other.transaction, theirs, key.clone());
    let ours = Access::new(transaction, operation, key.clone());
    Conflict::new(ConflictKind::Write, transaction).with_edge(ConflictEdge::new(theirs, ours))
}

/// The conflict of a refused candidate: the incoming dependency first, then the outgoing one.
pub(super) fn explain(
    tracker: &ConflictTracker,
    candidate: &Candidate<'_>,
    asking: &Asking,
    refusal: &Refusal,
) -> Conflict {
    let mut conflict = Conflict::new(refusal.kind, candidate.transaction);
    if let Some(pivot) = refusal.pivot {
        conflict = conflict.with_pivot(pivot);
    }
    let write = |transaction, operation: Option<&Operation>, key: &Bytes| {
        Access::new(transaction, operation.copied().unwrap_or(Operation::Put), key.clone())
    };
    if let Some(AntiDependency { partner, key }) =
        refusal.incoming.map(|index| &candidate.incoming[index])
    {
        let committed = partner.commit.and_then(|commit| candidate.committed.get(commit));
        let access = |reads: &ReadSet| reads.access(partner.transaction, key);
        let running = || tracker.running_reads(partner.transaction);
        let read = committed.map(|committed| access(&committed.reads));
        if let Some(read) = read.or_else(|| running().map(|reads| reads.look(access))) {
            let written = write(candidate.transaction, asking.writes.get(key), key);
            conflict = conflict.with_edge(ConflictEdge::new(read, written));
        }
    }
    if let Some(AntiDependency { partner, key }) =
        refusal.outgoing.map(|index| &candidate.outgoing[index])
    {
        let committed = partner.commit.and_then(|commit| candidate.committed.get(commit));
        let operation = committed.and_then(|committed| committed.writes.get(key));
        let read = asking.reads.access(candidate.transaction, key);
        let written = write(partner.transaction, operation, key);
        conflict = conflict.with_edge(ConflictEdge::new(read, written));
    }
    let real = candidate.outgoing.iter().any(|edge| leads_back(candidate, edge.partner.commit));
    conflict.with_cycle(if real { Cycle::Real } else { Cycle::Absent })
}
