//! Certifiers with one rule left out are found: the schedules are able to fail.

use kv::ConflictKind;
use ssi::certify::{Candidate, Certifier, CommitPlace, Partner, Refusal};
use ssi::history::{IsolationLevel, check};

use crate::certifiers::{STRICT, each_schedule, programs, receipts};
use crate::execution::{Step, each_order, run};
use crate::oracle::{is_serializable, recorded};
use Step::{Get, Put, Scan};

/// A mistake in the rules of serializable snapshot isolation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    /// `t_out` must have committed before the last commit that a read-only `t_in` sees, not at it.
    StrictlyBefore,
    /// A `t_in` that still runs is no danger.
    IgnoresRunning,
    /// A pivot that has committed is no danger.
    IgnoresCommittedPivots,
    /// A read-only `t_in` is no danger.
    IgnoresReaders,
    /// A `t_in` that is also `t_out` is no danger.
    IgnoresPairs,
    /// Whatever asks may commit, as under snapshot isolation.
    IgnoresAll,
}

/// Serializable snapshot isolation with these mistakes.
#[derive(Clone, Copy, Debug)]
struct Mutant(&'static [Mistake]);

impl Mutant {
    fn has(self, mistake: Mistake) -> bool {
        self.0.contains(&mistake)
    }

    fn before(self, t_out: CommitPlace, snapshot: u64) -> bool {
        let is_at_it = t_out == CommitPlace::of_writer(snapshot);
        t_out.is_before_snapshot(snapshot) && !(self.has(Mistake::StrictlyBefore) && is_at_it)
    }

    fn is_dangerous(self, t_in: &Partner, t_out: CommitPlace) -> bool {
        let late = match t_in.commit {
            None => !self.has(Mistake::IgnoresRunning),
            Some(commit) if self.has(Mistake::IgnoresPairs) => commit > t_out,
            Some(commit) => commit >= t_out,
        };
        let reader = t_in.read_only
            && (self.has(Mistake::IgnoresReaders) || !self.before(t_out, t_in.snapshot));
        late && !reader
    }
}

impl Certifier for Mutant {
    fn name(&self) -> &'static str {
        "mutant"
    }

    fn refuse(&self, candidate: &Candidate<'_>) -> Option<Refusal> {
        let t_out = candidate.outgoing.iter().filter_map(|edge| edge.partner.commit).min();
        let pivot = t_out.is_some_and(|t_out| {
            candidate.incoming.iter().any(|edge| self.is_dangerous(&edge.partner, t_out))
        });
        let first =
            candidate.outgoing.iter().filter_map(|edge| edge.partner.first_out).any(|t_out| {
                !candidate.read_only
                    || !self.has(Mistake::IgnoresReaders) && self.before(t_out, candidate.snapshot)
            });
        let refused = !self.has(Mistake::IgnoresAll)
            && (pivot || first && !self.has(Mistake::IgnoresCommittedPivots));
        refused.then(|| Refusal::new(ConflictKind::DangerousStructure))
    }
}

/// Whether some schedule of the suite commits a history that is not strictly serializable. The history checker must agree.
fn is_found(mutant: Mutant) -> bool {
    let mut found = false;
    let mut try_order = |programs: &[_], order: &[usize], setup: &[char]| {
        if !found {
            let run = run(programs, order, setup, &mutant);
            if !is_serializable(&run.committed, STRICT) {
                let report = check(&recorded(&run.committed, true)).unwrap();
                assert!(!report.holds(IsolationLevel::StrictSerializable), "{report}");
                assert!(report.holds(IsolationLevel::SnapshotIsolation), "{report}");
                found = true;
            }
        }
    };
    for declared in [true, false] {
        each_order(&receipts(declared), &mut |order| {
            try_order(&receipts(declared), order, &['b', 'r', 's']);
        });
    }
    let steps = [Get('a'), Get('b'), Put('a'), Put('b'), Scan('a', 'c')];
    each_schedule(&programs(&steps, 2), 3, (7, 31), &mut |chosen, order| {
        try_order(chosen, order, &['a']);
    });
    found
}

#[test]
fn every_mistake_in_the_rules_commits_an_anomaly_in_some_schedule() {
    let mutants = [
        Mutant(&[Mistake::StrictlyBefore]),
        Mutant(&[Mistake::IgnoresCommittedPivots]),
        Mutant(&[Mistake::IgnoresReaders]),
        Mutant(&[Mistake::IgnoresPairs]),
        Mutant(&[Mistake::IgnoresAll]),
    ];
    for mutant in mutants {
        assert!(is_found(mutant), "{mutant:?}");
    }
    assert!(!is_found(Mutant(&[])), "without a mistake nothing is found");
}

#[test]
fn a_pivot_may_commit_while_its_reader_runs_because_the_reader_pays() {
    assert!(!is_found(Mutant(&[Mistake::IgnoresRunning])));
    assert!(is_found(Mutant(&[Mistake::IgnoresRunning, Mistake::IgnoresCommittedPivots])));
}
