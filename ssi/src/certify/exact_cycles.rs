//! The exact test: a transaction is refused only if it closes a cycle.

use std::collections::BTreeSet;

use kv::ConflictKind;

use super::certifier::{Candidate, Certifier, Refusal};
use super::commit_place::CommitPlace;

/// Refuses a transaction that closes a cycle of dependencies and real time (Revilak, O'Neil and O'Neil 2011, with real-time
/// edges).
///
/// Under snapshot isolation, a dependency of a write or a read on a write joins two transactions, of which one committed before
/// the snapshot of the other. So there are two kinds of edges. Those of real time lead from each transaction to the ones whose
/// snapshot is not older than its commit. The others are anti-dependencies.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExactCycles;

impl Certifier for ExactCycles {
    fn name(&self) -> &'static str {
        "pssi-rt"
    }

    fn refuse(&self, candidate: &Candidate<'_>) -> Option<Refusal> {
        let outgoing = candidate
            .outgoing
            .iter()
            .position(|edge| leads_back(candidate, edge.partner.commit))?;
        Some(Refusal {
            kind: ConflictKind::DangerousStructure,
            pivot: None,
            incoming: (!candidate.incoming.is_empty()).then_some(0),
            outgoing: Some(outgoing),
        })
    }
}

/// Whether a path leads from the transaction with this place to the candidate.
pub(super) fn leads_back(candidate: &Candidate<'_>, from: Option<CommitPlace>) -> bool {
    let last: BTreeSet<CommitPlace> =
        candidate.incoming.iter().filter_map(|edge| edge.partner.commit).collect();
    let mut seen = BTreeSet::new();
    let mut open: Vec<CommitPlace> = from.into_iter().collect();
    while let Some(commit) = open.pop() {
        // It committed before the snapshot of the candidate, or it read a key that the candidate writes.
        if commit.is_before_snapshot(candidate.snapshot) || last.contains(&commit) {
            return true;
        }
        if seen.insert(commit) {
            candidate.committed.each_successor(commit, &mut |next| open.push(next));
        }
    }
    false
}
