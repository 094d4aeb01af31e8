//! The last commits: the names of their transactions, and the marks that they made.
//!
//! The store knows which number has written a key last. This table adds two things that the store does not know:
//! - which transaction has got a number, so that a conflict names both transactions;
//! - which keys were *marked* without being written. A mark leaves nothing in the store.
//!
//! # Concurrency of marks
//!
//! A transaction that only marks gets no number, so numbers cannot tell whether it is concurrent to another one. Each commit
//! gets a *ticket* here, in the order of validation. A ticket *ends* when the commit has returned from the store. A transaction that
//! begins gets the *watermark*, the greatest ticket up to which all have ended, before it pins its snapshot. So
//! - a commit with a ticket up to the watermark is contained in the snapshot;
//! - a commit with a greater ticket is concurrent, unless it has a number that the snapshot contains.
//!
//! # Memory
//!
//! An entry is dropped when no transaction is left that began before it: the watermarks of all have reached its ticket. If one transaction stays open for long, names are dropped beyond [`MAX_NAMES`]: a conflict then names the other
//! transaction 0. Marks are dropped beyond [`MAX_MARKS`]: a transaction that began before a dropped mark can no longer know
//! whether it conflicts, so its commit fails. Both limits only ever add conflicts.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use durable::sync::Mutex;
use foldhash::fast::RandomState;
use kv::{Bytes, SequenceNumber};

use crate::lock_order;
use crate::write_set::WriteSet;

/// Commits whose transactions are known by name: 1.5 MiB.
const MAX_NAMES: usize = 1 << 16;

/// Marked keys that are remembered.
const MAX_MARKS: usize = 1 << 16;

/// Names and marks of the last commits.
#[derive(Debug)]
pub(crate) struct RecentCommits {
    state: Mutex<State>,
    max_names: usize,
    max_marks: usize,
}

#[derive(Debug, Default)]
struct State {
    /// The last ticket that was given.
    ticket: u64,
    /// Tickets that have not ended.
    in_flight: BTreeSet<u64>,
    /// The watermarks of the transactions in flight that may write, with their counts.
    begun: BTreeMap<u64, usize>,
    /// Commits that got a number, ascending.
    names: VecDeque<Name>,
    /// The last mark of each key.
    marks: HashMap<Bytes, Mark, RandomState>,
    /// All marks, in the order of their tickets; some were replaced by later ones.
    mark_order: VecDeque<(u64, Bytes)>,
    /// The greatest ticket of a mark that was dropped while a transaction might have needed it.
    lost_marks: u64,
}

#[derive(Clone, Copy, Debug)]
struct Name {
    ticket: u64,
    sequence: SequenceNumber,
    transaction: u64,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    ticket: u64,
    /// The number of the commit; `None` if it has written nothing.
    sequence: Option<SequenceNumber>,
    transaction: u64,
}

/// A commit that wants to enter the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'c> {
    pub(crate) transaction: u64,
    pub(crate) watermark: u64,
    pub(crate) snapshot: SequenceNumber,
    /// The number that the commit will get; `None` if it writes nothing.
    pub(crate) sequence: Option<SequenceNumber>,
    /// The keys that it writes or marks.
    pub(crate) writes: &'c WriteSet,
}

/// A mark of a concurrent transaction that keeps a candidate from committing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum MarkConflict {
    /// On this key, made by this transaction.
    Known(Bytes, u64),
    /// Marks were dropped that might conflict.
    Forgotten,
}

impl RecentCommits {
    pub(crate) fn new() -> Arc<Self> {
        Self::with_limits(MAX_NAMES, MAX_MARKS)
    }

    fn with_limits(max_names: usize, max_marks: usize) -> Arc<Self> {
        let state = Mutex::ranked(lock_order::RECENT_COMMITS, State::default());
        Arc::new(Self { state, max_names, max_marks })
    }

    /// Registers a transaction that may write. Call it before the snapshot is pinned.
    pub(crate) fn begin(self: &Arc<Self>) -> BegunWriter {
        let mut state = self.state.lock();
        let watermark = state.watermark();
        *state.begun.entry(watermark).or_default() += 1;
        BegunWriter { recent: Arc::clone(self), watermark }
    }

    /// Whether a concurrent transaction has marked a key of `candidate`.
    pub(crate) fn check(&self, candidate: &Candidate<'_>) -> Result<(), MarkConflict> {
        self.state.lock().check(candidate)
    }

    /// Enters a commit, unless a concurrent transaction has marked one of its keys. Call it inside the commit section of the
    /// store, when all other checks have passed: the commit can no longer fail by itself.
    pub(crate) fn enter(
        self: &Arc<Self>,
        candidate: Candidate<'_>,
    ) -> Result<EnteredCommit, MarkConflict> {
        let mut state = self.state.lock();
        state.check(&candidate)?;
        state.drop_unneeded();
        state.ticket += 1;
        let (ticket, sequence, transaction) =
            (state.ticket, candidate.sequence, candidate.transaction);
        state.in_flight.insert(ticket);
        for key in candidate.writes.marked() {
            state.marks.insert(key.clone(), Mark { ticket, sequence, transaction });
            state.mark_order.push_back((ticket, key.clone()));
        }
        if let Some(sequence) = sequence {
            let last = state.names.back().map(|name| name.sequence);
            assert!(last.is_none_or(|last| last < sequence), "commits enter in order");
            state.names.push_back(Name { ticket, sequence, transaction });
        }
        state.shrink(self.max_names, self.max_marks);
        Ok(EnteredCommit { recent: Arc::clone(self), ticket })
    }

    /// The transaction that got number `sequence`; 0 if it is not known any more.
    pub(crate) fn transaction_of(&self, sequence: SequenceNumber) -> u64 {
        let state = self.state.lock();
        let at = state.names.binary_search_by_key(&sequence, |name| name.sequence);
        at.map_or(0, |at| state.names[at].transaction)
    }
}

impl State {
    /// All tickets up to this one have ended.
    fn watermark(&self) -> u64 {
        self.in_flight.first().map_or(self.ticket, |first| first - 1)
    }

    fn check(&self, candidate: &Candidate<'_>) -> Result<(), MarkConflict> {
        if candidate.watermark < self.lost_marks {
            return Err(MarkConflict::Forgotten);
        }
        self.find_conflict(candidate).map_or(Ok(()), Err)
    }

    /// The conflict of a candidate with the mark of a concurrent transaction.
    fn find_conflict(&self, candidate: &Candidate<'_>) -> Option<MarkConflict> {
        // Most programs mark no keys.
        if self.marks.is_empty() {
            return None;
        }
        candidate.writes.keys().find_map(|(key, _)| {
            let mark = self.marks.get(key)?;
            let is_concurrent = mark.is_concurrent(candidate.watermark, candidate.snapshot);
            is_concurrent.then(|| MarkConflict::Known(key.clone(), mark.transaction))
        })
    }

    /// Drops the entries that neither a transaction in flight nor a later one can need.
    fn drop_unneeded(&mut self) {
        // A later transaction gets a watermark that is not less: watermarks never fall, and the candidate itself has one.
        let unneeded = *self.begun.keys().next().expect("the candidate has begun");
        debug_assert!(unneeded <= self.watermark(), "watermarks never fall");
        while self.names.front().is_some_and(|name| name.ticket <= unneeded) {
            self.names.pop_front();
        }
        while self.mark_order.front().is_some_and(|(ticket, _)| *ticket <= unneeded) {
            self.drop_first_mark();
        }
    }

    /// Keeps the table within its limits.
    fn shrink(&mut self, max_names: usize, max_marks: usize) {
        while self.names.len() > max_names {
            self.names.pop_front();
        }
        while self.mark_order.len() > max_marks {
            self.lost_marks = self.drop_first_mark();
        }
    }

    /// Drops the oldest mark, and returns its ticket.
    fn drop_first_mark(&mut self) -> u64 {
        let (ticket, key) = self.mark_order.pop_front().expect("the caller has seen one");
        // A later mark on the same key stays.
        if self.marks.get(&key).is_some_and(|mark| mark.ticket == ticket) {
            self.marks.remove(&key);
        }
        ticket
    }
}

impl Mark {
    /// Whether the commit that made the mark is missing from a snapshot that was pinned after `watermark` was read.
    fn is_concurrent(&self, watermark: u64, snapshot: SequenceNumber) -> bool {
        self.ticket > watermark && self.sequence.is_none_or(|sequence| sequence > snapshot)
    }
}

/// A transaction in flight that may write. Ends when dropped.
#[derive(Debug)]
pub(crate) struct BegunWriter {
    recent: Arc<RecentCommits>,
    watermark: u64,
}

impl BegunWriter {
    /// Commits with a ticket up to this one are contained in its snapshot.
    pub(crate) fn watermark(&self) -> u64 {
        self.watermark
    }
}

impl Drop for BegunWriter {
    fn drop(&mut self) {
        let mut state = self.recent.state.lock();
        let count = state.begun.get_mut(&self.watermark).expect("the transaction is registered");
        *count -= 1;
        if *count == 0 {
            state.begun.remove(&self.watermark);
        }
    }
}

/// A commit that has entered. Drop it when the store has returned: then its ticket has ended.
#[derive(Debug)]
pub(crate) struct EnteredCommit {
    recent: Arc<RecentCommits>,
    ticket: u64,
}

impl Drop for EnteredCommit {
    fn drop(&mut self) {
        let was_in_flight = self.recent.state.lock().in_flight.remove(&self.ticket);
        assert!(was_in_flight, "a ticket ends once");
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests;
