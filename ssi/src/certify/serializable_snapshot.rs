//! Serializable snapshot isolation: dangerous structures, with the rules of commit order and of read-only transactions.

use kv::ConflictKind;

use super::certifier::{AntiDependency, Candidate, Certifier, Partner, Refusal};
use super::commit_place::CommitPlace;

/// Refuses a transaction in a dangerous structure whose `t_out` committed first (Ports and Grittner 2012).
#[derive(Clone, Copy, Debug, Default)]
pub struct SerializableSnapshot;

impl Certifier for SerializableSnapshot {
    fn name(&self) -> &'static str {
        "ssi"
    }

    fn refuse(&self, candidate: &Candidate<'_>) -> Option<Refusal> {
        as_pivot(candidate).or_else(|| as_first(candidate))
    }
}

/// The candidate is the pivot: `t_in -> candidate -> t_out`.
fn as_pivot(candidate: &Candidate<'_>) -> Option<Refusal> {
    // The `t_out` that committed first endangers the most: every other one with it.
    let (outgoing, t_out) = earliest(&candidate.outgoing)?;
    let dangerous = |t_in: &Partner| {
        let after = t_in.commit.is_none_or(|commit| commit >= t_out);
        after && (!t_in.read_only || t_out.is_before_snapshot(t_in.snapshot))
    };
    let incoming = candidate.incoming.iter().position(|edge| dangerous(&edge.partner))?;
    Some(Refusal {
        kind: ConflictKind::DangerousStructure,
        pivot: Some(candidate.transaction),
        incoming: Some(incoming),
        outgoing: Some(outgoing),
    })
}

/// The candidate is `t_in`, the first of the structure: `candidate -> pivot -> t_out`, and the other two committed.
fn as_first(candidate: &Candidate<'_>) -> Option<Refusal> {
    let dangerous = |pivot: &Partner| {
        let Some(t_out) = pivot.first_out else { return false };
        assert!(pivot.commit > Some(t_out), "an outgoing dependency is found at the later commit");
        !candidate.read_only || t_out.is_before_snapshot(candidate.snapshot)
    };
    let outgoing = candidate.outgoing.iter().position(|edge| dangerous(&edge.partner))?;
    Some(Refusal {
        kind: ConflictKind::DangerousStructure,
        pivot: Some(candidate.outgoing[outgoing].partner.transaction),
        incoming: None,
        outgoing: Some(outgoing),
    })
}

/// The dependency whose writer committed first, and that commit.
fn earliest(outgoing: &[AntiDependency]) -> Option<(usize, CommitPlace)> {
    let commits = outgoing.iter().enumerate();
    commits
        .filter_map(|(index, edge)| Some((index, edge.partner.commit?)))
        .min_by_key(|&(_, commit)| commit)
}
