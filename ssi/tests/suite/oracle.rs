//! Brute force: a small history is serializable if one of all serial orders explains it, and so on.

use std::collections::BTreeMap;

use ssi::history::{Completion, History, HistoryBuilder, Operation, Outcome, Scalar};

pub(crate) type Key = char;

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Read(Key, Option<i64>),
    Write(Key, Option<i64>),
    /// From the first key to below the second.
    Scan(Key, Key, Vec<(Key, i64)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Txn {
    /// Events at which it begins and ends.
    pub(crate) begin: u64,
    pub(crate) end: u64,
    pub(crate) commit: u64,
    pub(crate) ops: Vec<Op>,
}

type State = BTreeMap<Key, i64>;

impl Txn {
    /// Whether the transaction reads what it read, if it runs on `state`. Applies its writes.
    fn runs_on(&self, state: &mut State) -> bool {
        self.ops.iter().all(|op| match op {
            Op::Read(key, value) => state.get(key) == value.as_ref(),
            Op::Write(key, Some(value)) => {
                state.insert(*key, *value);
                true
            }
            Op::Write(key, None) => {
                state.remove(key);
                true
            }
            Op::Scan(from, to, found) => {
                state.range(*from..*to).map(|(key, value)| (*key, *value)).eq(found.iter().copied())
            }
        })
    }

    fn writes(&self, key: Key) -> bool {
        self.ops.iter().any(|op| matches!(op, Op::Write(written, _) if *written == key))
    }

    fn written(&self) -> impl Iterator<Item = (Key, Option<i64>)> + '_ {
        self.ops.iter().filter_map(|op| match op {
            Op::Write(key, value) => Some((*key, *value)),
            _ => None,
        })
    }

    fn writes_same_key(&self, other: &Txn) -> bool {
        self.written().any(|(key, _)| other.writes(key))
    }
}

/// What an order has to respect besides the reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Transactions that do not overlap keep their order.
    pub(crate) real_time: bool,
    /// Writers of a key keep the order of their commit numbers.
    pub(crate) versions: bool,
}

impl Rules {
    /// Whether transaction `next` may come before all of `waiting`.
    fn allow(self, txns: &[Txn], next: usize, waiting: &mut dyn Iterator<Item = usize>) -> bool {
        waiting.filter(|&other| other != next).all(|other| {
            let (next, other) = (&txns[next], &txns[other]);
            let late = self.real_time && other.end < next.begin;
            let older = self.versions && other.commit < next.commit && other.writes_same_key(next);
            !late && !older
        })
    }
}

/// Whether a serial order of all transactions explains every read.
pub(crate) fn is_serializable(txns: &[Txn], rules: Rules) -> bool {
    fn place(txns: &[Txn], rules: Rules, placed: &mut Vec<bool>, state: &State) -> bool {
        if placed.iter().all(|placed| *placed) {
            return true;
        }
        (0..txns.len()).any(|next| {
            let mut waiting = (0..txns.len()).filter(|&other| !placed[other]);
            if placed[next] || !rules.allow(txns, next, &mut waiting) {
                return false;
            }
            let mut after = state.clone();
            if !txns[next].runs_on(&mut after) {
                return false;
            }
            placed[next] = true;
            let explained = place(txns, rules, placed, &after);
            placed[next] = false;
            explained
        })
    }
    place(txns, rules, &mut vec![false; txns.len()], &State::new())
}

/// Whether an order of all snapshots and commits explains every read, such that of two transactions with a written key in
/// common one takes its snapshot after the commit of the other.
pub(crate) fn is_snapshot_isolated(txns: &[Txn], rules: Rules) -> bool {
    #[derive(Clone, Copy, PartialEq)]
    enum Phase {
        Waiting,
        Running,
        Committed,
    }
    fn step(txns: &[Txn], rules: Rules, phases: &mut Vec<Phase>, state: &State) -> bool {
        if phases.iter().all(|phase| *phase == Phase::Committed) {
            return true;
        }
        (0..txns.len()).any(|next| {
            let phase = phases[next];
            let mut after = state.clone();
            let uncommitted = |other: &usize| phases[*other] != Phase::Committed;
            let order = Rules { versions: rules.versions && phase == Phase::Running, ..rules };
            let order = Rules { real_time: rules.real_time && phase == Phase::Waiting, ..order };
            let allowed = order.allow(txns, next, &mut (0..txns.len()).filter(uncommitted));
            let allowed = allowed
                && match phase {
                    Phase::Waiting => txns[next].runs_on(&mut state.clone()),
                    // First committer wins: the others that write a key of it must not be running.
                    Phase::Running => (0..txns.len()).all(|other| {
                        let rival = other != next && txns[other].writes_same_key(&txns[next]);
                        !rival || phases[other] != Phase::Running
                    }),
                    Phase::Committed => false,
                };
            if !allowed {
                return false;
            }
            phases[next] = Phase::Running;
            if phase == Phase::Running {
                phases[next] = Phase::Committed;
                for (key, value) in txns[next].written() {
                    match value {
                        Some(value) => after.insert(key, value),
                        None => after.remove(&key),
                    };
                }
            }
            let explained = step(txns, rules, phases, &after);
            phases[next] = phase;
            explained
        })
    }
    step(txns, rules, &mut vec![Phase::Waiting; txns.len()], &State::new())
}

/// The same transactions for the checker, with or without commit numbers.
pub(crate) fn recorded(txns: &[Txn], commits: bool) -> History {
    let mut events: Vec<(u64, usize)> = Vec::new();
    for (index, txn) in txns.iter().enumerate() {
        events.extend([(txn.begin, index), (txn.end, index)]);
    }
    events.sort_unstable();
    let mut builder = HistoryBuilder::new();
    for (event, index) in events {
        let txn = &txns[index];
        if event == txn.begin {
            builder.invoke(index as u64).unwrap();
            continue;
        }
        let mut completion =
            Completion::new(Outcome::Committed, txn.ops.iter().map(operation).collect())
                .number(index as u64);
        if commits {
            completion = completion.commit(txn.commit);
        }
        builder.complete(index as u64, completion).unwrap();
    }
    builder.finish()
}

fn operation(op: &Op) -> Operation {
    let text = |key: &Key| Scalar::Text(key.to_string());
    let value = |value: &Option<i64>| value.map(Scalar::Integer);
    match op {
        Op::Read(key, found) => Operation::Read(text(key), value(found)),
        Op::Write(key, new) => Operation::Write(text(key), value(new)),
        Op::Scan(from, to, found) => Operation::Scan(
            Some(from.to_string()),
            Some(to.to_string()),
            found.iter().map(|(key, found)| (text(key), Scalar::Integer(*found))).collect(),
        ),
    }
}
