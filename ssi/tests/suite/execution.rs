//! Runs schedules of small transactions on a store in memory with a certifier.
//!
//! Certifiers compare versions, so that the judges have to: a delete writes a negative value of its own, which reads and scans
//! show.

use std::collections::BTreeMap;

use kv::{Bytes, Conflict, KeyRange, Operation, Target};
use ssi::certify::{Certifier, ConflictTracker, Reads};

use crate::oracle::{Key, Op, Txn};

/// One operation of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Get(Key),
    Put(Key),
    Delete(Key),
    /// From the first key to below the second.
    Scan(Key, Key),
}

/// A transaction: each entry is executed without a break, and then it commits.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) parts: Vec<Vec<Step>>,
    pub(crate) read_only: bool,
}

impl Program {
    /// A program in which other transactions can come between each two steps.
    pub(crate) fn of(steps: &[Step]) -> Self {
        Self { parts: steps.iter().map(|step| vec![*step]).collect(), read_only: false }
    }

    /// The turns that it takes: one for each part, one for the commit.
    pub(crate) fn turns(&self) -> usize {
        self.parts.len() + 1
    }
}

/// A refused commit.
#[derive(Debug)]
pub(crate) struct Abort {
    pub(crate) program: usize,
    pub(crate) conflict: Conflict,
    /// The transactions that had committed, and the refused one as if it had.
    pub(crate) would_be: Vec<Txn>,
}

/// The result of a schedule.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// The committed transactions in the order of their commits.
    pub(crate) committed: Vec<Txn>,
    pub(crate) aborts: Vec<Abort>,
}

struct Running {
    begin: u64,
    snapshot: u64,
    reads: Reads,
    ops: Vec<Op>,
    next: usize,
}

/// All versions of all keys, by key and commit.
#[derive(Default)]
struct Versions(BTreeMap<Key, Vec<(u64, Option<i64>)>>);

impl Versions {
    fn get(&self, key: Key, snapshot: u64) -> Option<i64> {
        let versions = self.0.get(&key)?.iter().rev();
        versions.skip_while(|(commit, _)| *commit > snapshot).map(|(_, value)| *value).next()?
    }

    /// The value that a transaction with these operations so far sees.
    fn see(&self, running: &Running, key: Key) -> Option<i64> {
        let own = running.ops.iter().rev().find_map(|op| match op {
            Op::Write(written, value) if *written == key => Some(*value),
            _ => None,
        });
        own.unwrap_or_else(|| self.get(key, running.snapshot))
    }
}

/// The name of a program's transaction.
pub(crate) fn number(program: usize) -> u64 {
    program as u64 + 1
}

fn bytes(key: Key) -> Bytes {
    Bytes::from(key.to_string())
}

/// Runs `programs` in the order of their turns. `setup` keys have a value before.
pub(crate) fn run(
    programs: &[Program],
    order: &[usize],
    setup: &[Key],
    certifier: &dyn Certifier,
) -> Run {
    let mut tracker = ConflictTracker::new();
    let mut versions = Versions::default();
    let mut run = Run::default();
    let mut values = 0;
    let mut commit = 0;
    if !setup.is_empty() {
        commit = 1;
        let mut ops = Vec::new();
        for &key in setup {
            values += 1;
            versions.0.entry(key).or_default().push((1, Some(values)));
            ops.push(Op::Write(key, Some(values)));
        }
        run.committed.push(Txn { begin: 0, end: 1, commit, ops });
    }
    let mut running: Vec<Option<Running>> = programs.iter().map(|_| None).collect();
    for (event, &index) in (2..).zip(order) {
        let program = &programs[index];
        let txn = running[index].get_or_insert_with(|| {
            let reads = tracker.begin(number(index), commit, program.read_only);
            Running { begin: event, snapshot: commit, reads, ops: Vec::new(), next: 0 }
        });
        if let Some(part) = program.parts.get(txn.next) {
            txn.next += 1;
            for &step in part {
                execute(step, txn, &versions, &mut values);
            }
            continue;
        }
        let ended = Txn { begin: txn.begin, end: event, commit: commit + 1, ops: txn.ops.clone() };
        match tracker.commit(number(index), writes(&ended), commit + 1, certifier) {
            Ok(()) => {
                commit += 1;
                tracker.publish(commit);
                for op in &ended.ops {
                    if let Op::Write(key, value) = op {
                        let versions = versions.0.entry(*key).or_default();
                        versions.retain(|(at, _)| *at != commit);
                        versions.push((commit, *value));
                    }
                }
                run.committed.push(ended);
            }
            Err(conflict) => {
                let mut would_be = run.committed.clone();
                would_be.push(ended);
                run.aborts.push(Abort { program: index, conflict: *conflict, would_be });
            }
        }
    }
    assert_eq!(tracker.running_count(), 0, "every program has ended");
    assert_eq!(tracker.committed_count(), 0, "nobody runs, so nothing is remembered");
    run
}

fn execute(step: Step, txn: &mut Running, versions: &Versions, values: &mut i64) {
    let op = match step {
        Step::Get(key) => {
            txn.reads.add(Target::Key(bytes(key)));
            Op::Read(key, versions.see(txn, key))
        }
        Step::Put(key) => {
            *values += 1;
            Op::Write(key, Some(*values))
        }
        Step::Delete(key) => {
            *values += 1;
            Op::Write(key, Some(-*values))
        }
        Step::Scan(from, to) => {
            let bounds = (bytes(from), bytes(to));
            let range = KeyRange::new(&bounds.0[..]..&bounds.1[..]);
            txn.reads.add(Target::Range(range));
            let found = (from..to).filter_map(|key| Some((key, versions.see(txn, key)?)));
            Op::Scan(from, to, found.collect())
        }
    };
    txn.ops.push(op);
}

fn writes(txn: &Txn) -> BTreeMap<Bytes, Operation> {
    let written = txn.ops.iter().filter_map(|op| match op {
        Op::Write(key, Some(..0)) => Some((bytes(*key), Operation::Delete)),
        Op::Write(key, _) => Some((bytes(*key), Operation::Put)),
        _ => None,
    });
    written.collect()
}

/// Calls `visit` with each order of the turns of `programs`.
pub(crate) fn each_order(programs: &[Program], visit: &mut dyn FnMut(&[usize])) {
    fn extend(left: &mut [usize], order: &mut Vec<usize>, visit: &mut dyn FnMut(&[usize])) {
        if left.iter().all(|&left| left == 0) {
            return visit(order);
        }
        for program in 0..left.len() {
            if left[program] > 0 {
                left[program] -= 1;
                order.push(program);
                extend(left, order, visit);
                order.pop();
                left[program] += 1;
            }
        }
    }
    let mut left: Vec<usize> = programs.iter().map(Program::turns).collect();
    extend(&mut left, &mut Vec::new(), visit);
}
