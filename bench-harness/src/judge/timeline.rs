//! Answers about keys that other threads write: each must lie between the newest version that was acknowledged when its
//! segment began and the newest one that was begun when its segment ended.
//!
//! Not every call is timed, so time comes in segments: the operations after one timed call, up to and with the next one.
//! A segment lasts from the end of the first of these calls to the end of the second. Its writes count as begun from its
//! start on, and as acknowledged from its end on. Its reads begin at its start and end at its end. The clocks of two cores
//! may differ by a little, and a store instruction may become visible to another core late: [`SLACK_NS`] is given on both
//! sides. So a stale answer is found when it is older than two segments and the slack.
//!
//! A key may be missing only if it was absent when the call began, or if a deletion of it was begun since. A scan is
//! judged like gets of all keys that it has passed.

use std::collections::VecDeque;

use super::Part;
use super::replay::{check_stamp, check_version, out_of_step, state_after};
use super::scan_check::{ScanRequest, check_passed};
use crate::client::{EntryStamp, PlannedOperation, StreamPosition};
use crate::dataset::Dataset;
use crate::failure::Outcome;
use crate::model::{Bounds, KeyState};
use crate::operation::Operation;

/// Events of a segment: one of each kind.
const EVENTS_OF_SEGMENT: usize = 4;
/// How far apart two threads may see one moment.
const SLACK_NS: i64 = 10_000;

/// An event in the life of the operations of a segment. Events of one moment come in this order: it accepts the most answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum EventKind {
    /// Its writes may be seen.
    WriteStart,
    /// Its reads begin.
    ReadStart,
    /// Its reads have ended.
    ReadEnd,
    /// Its writes must be seen.
    WriteEnd,
}

/// A moment at which something happens to `ops` operations of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at_ns: i64,
    kind: EventKind,
    part: usize,
    ops: u32,
}

/// The events of one thread, followed up to some moment.
struct ThreadEvents<'w> {
    part: Part<'w>,
    /// The next operation, for each kind of event.
    positions: [StreamPosition; EVENTS_OF_SEGMENT],
    /// The stamps of the reads that have not begun yet.
    answers: &'w [u32],
    /// The entries of the scans among them.
    entries: &'w [EntryStamp],
    /// The reads that have begun and not ended.
    reads: VecDeque<Read<'w>>,
    /// The acknowledged states of the keys that the scans among them pass, as they were when each began.
    passed_states: VecDeque<KeyState>,
}

/// A read that has begun, with its answer.
enum Read<'w> {
    /// A get found `stamp`, and began with the key's acknowledged state `before`.
    Get { stamp: u32, before: KeyState },
    /// A scan `found` entries on its way over the keys `passed`.
    Scan { found: &'w [EntryStamp], passed: &'w [u32] },
}

/// The newest state of a key whose write was begun.
#[derive(Clone, Copy, Debug)]
struct BegunWrite {
    state: KeyState,
    /// The version of the last deletion in the window; 0 without one.
    last_deletion: u32,
}

/// The memory in which the answers of several threads are judged, used by one window after the other.
#[derive(Debug)]
pub(crate) struct Timeline {
    events: Vec<Event>,
    /// The states that reads may have seen.
    begun: Vec<BegunWrite>,
    /// The states that reads must have seen.
    acknowledged: Vec<KeyState>,
}

impl Timeline {
    /// The memory for `threads` threads that take the time of at most `samples` calls each, all of it touched; none for a
    /// single thread.
    pub(crate) fn new(threads: usize, samples: usize, capacity: u32) -> Self {
        let (threads, capacity) = if threads > 1 { (threads, capacity as usize) } else { (0, 0) };
        let kind = EventKind::WriteStart;
        let no_event = Event { at_ns: i64::MAX, kind, part: usize::MAX, ops: 0 };
        let mut events = vec![no_event; EVENTS_OF_SEGMENT * threads * (samples + 1)];
        events.clear();
        let state = KeyState::new(1, true);
        let begun = vec![BegunWrite { state, last_deletion: 0 }; capacity];
        Self { events, begun, acknowledged: vec![state; capacity] }
    }

    /// Notes the states with which the threads begin.
    pub(super) fn begin(&mut self, states: &[KeyState]) {
        assert_eq!(self.acknowledged.len(), states.len(), "each key has a state");
        assert_eq!(self.begun.len(), states.len(), "each key has a state");
        for (begun, &state) in self.begun.iter_mut().zip(states) {
            *begun = BegunWrite { state, last_deletion: 0 };
        }
        self.acknowledged.copy_from_slice(states);
    }

    /// Checks the answers of `parts`, which began with the states that were noted.
    pub(super) fn check<'w>(&mut self, dataset: &'w Dataset, parts: &[Part<'w>]) -> Outcome<()> {
        let epoch = parts.iter().map(|part| part.window.begun).min();
        self.events.clear();
        for (at, part) in parts.iter().enumerate() {
            let offset = epoch.map(|epoch| part.window.begun.duration_since(epoch));
            add_events(&mut self.events, at, part, offset.unwrap_or_default().as_nanos() as i64);
        }
        self.events.sort_unstable();
        let ops_of_events: u64 = self.events.iter().map(|event| u64::from(event.ops)).sum();
        let ops: u64 = parts.iter().map(|part| u64::from(part.window.ops)).sum();
        assert_eq!(ops_of_events, EVENTS_OF_SEGMENT as u64 * ops, "each operation is in a segment");
        follow(dataset, parts, self)
    }
}

/// Follows the events in their order.
fn follow<'w>(dataset: &'w Dataset, parts: &[Part<'w>], timeline: &mut Timeline) -> Outcome<()> {
    let Timeline { events, begun, acknowledged } = timeline;
    let mut threads: Vec<_> = parts.iter().map(|part| ThreadEvents::new(*part)).collect();
    for event in events.iter() {
        let thread = &mut threads[event.part];
        for _ in 0..event.ops {
            let position = &mut thread.positions[event.kind as usize];
            let planned = position.next(thread.part.steps).ok_or_else(out_of_step)?;
            match event.kind {
                EventKind::WriteStart => begin_write(begun, planned),
                EventKind::ReadStart => thread.begin_read(dataset, planned, acknowledged)?,
                EventKind::ReadEnd => thread.end_read(dataset, planned, begun)?,
                EventKind::WriteEnd => end_write(acknowledged, planned),
            }
        }
    }
    debug_assert!(
        begun.iter().zip(&*acknowledged).all(|(begun, acknowledged)| begun.state == *acknowledged),
        "in the end every write is acknowledged"
    );
    debug_assert!(
        threads.iter().all(ThreadEvents::is_at_end),
        "in the end every answer has been checked"
    );
    Ok(())
}

/// The events of one part: its segments, each with its operations.
fn add_events(events: &mut Vec<Event>, part: usize, of: &Part<'_>, offset: i64) {
    let mut add = |start: i64, end: i64, ops: u32| {
        let event = |at_ns, kind| Event { at_ns: at_ns + offset, kind, part, ops };
        assert!(start <= end && ops > 0, "a segment holds operations and ends after it has begun");
        events.push(event(start - SLACK_NS, EventKind::WriteStart));
        events.push(event(start, EventKind::ReadStart));
        events.push(event(end, EventKind::ReadEnd));
        events.push(event(end + SLACK_NS, EventKind::WriteEnd));
    };
    let (mut start, mut done) = (0, 0);
    let mut samples = of.window.samples.iter().peekable();
    while let Some(sample) = samples.next() {
        // The two parts of a read-modify-write are one operation: it ends with the second.
        if samples.peek().is_some_and(|next| next.at == sample.at) {
            continue;
        }
        // A batch that is written at the end of the window has the index after its last operation.
        let next = (sample.at + 1).min(of.window.ops);
        let end = sample.end_ns.cast_signed();
        if next > done {
            add(start, end, next - done);
        }
        (start, done) = (end, next.max(done));
    }
    if of.window.ops > done {
        let end = of.window.since_begin(of.window.ended).cast_signed();
        add(start, end, of.window.ops - done);
    }
}

fn begin_write(begun: &mut [BegunWrite], planned: PlannedOperation) {
    if let Some(state) = state_after(planned) {
        let known = &mut begun[planned.id as usize];
        known.state = state;
        if !state.is_present() {
            known.last_deletion = state.version();
        }
    }
}

fn end_write(acknowledged: &mut [KeyState], planned: PlannedOperation) {
    if let Some(state) = state_after(planned) {
        acknowledged[planned.id as usize] = state;
    }
}

/// The states of `id` that a read may have seen if it began with `before`.
fn bounds(before: KeyState, begun: &[BegunWrite], id: u32) -> Bounds {
    let BegunWrite { state, last_deletion } = begun[id as usize];
    Bounds::between(before, state, last_deletion)
}

impl<'w> ThreadEvents<'w> {
    fn new(part: Part<'w>) -> Self {
        Self {
            part,
            positions: [part.window.start; EVENTS_OF_SEGMENT],
            answers: &part.window.answers,
            entries: &part.window.entries,
            reads: VecDeque::new(),
            passed_states: VecDeque::new(),
        }
    }

    /// Whether every read has begun and ended.
    fn is_at_end(&self) -> bool {
        let has_unread = !self.answers.is_empty() || !self.entries.is_empty();
        !has_unread && self.reads.is_empty() && self.passed_states.is_empty()
    }

    /// Notes the acknowledged states with which a read begins: of its key, or of all keys that a scan will pass.
    fn begin_read(
        &mut self,
        dataset: &'w Dataset,
        planned: PlannedOperation,
        acknowledged: &[KeyState],
    ) -> Outcome<()> {
        if !planned.operation.is_read() {
            return Ok(());
        }
        let (&stamp, rest) = self.answers.split_first().ok_or_else(out_of_step)?;
        self.answers = rest;
        if planned.operation != Operation::Scan {
            self.reads.push_back(Read::Get { stamp, before: acknowledged[planned.id as usize] });
            return Ok(());
        }
        let split = self.entries.split_at_checked(stamp as usize);
        let (found, rest) = split.ok_or_else(out_of_step)?;
        self.entries = rest;
        let passed = ScanRequest::new(dataset, planned, self.part.prefix_bytes).passed(found);
        self.passed_states.extend(passed.iter().map(|id| acknowledged[*id as usize]));
        self.reads.push_back(Read::Scan { found, passed });
        Ok(())
    }

    /// Judges the answer to `planned`, unless the replay has done it because this thread owns the key or nobody puts it.
    fn end_read(
        &mut self,
        dataset: &Dataset,
        planned: PlannedOperation,
        begun: &[BegunWrite],
    ) -> Outcome<()> {
        if !planned.operation.is_read() {
            return Ok(());
        }
        match self.reads.pop_front().ok_or_else(out_of_step)? {
            Read::Scan { found, passed } => check_passed(passed, found, |id, version| {
                let before = self.passed_states.pop_front().ok_or_else(out_of_step)?;
                check_version("scan", dataset, id, version, bounds(before, begun, id))
            }),
            Read::Get { stamp, before } => {
                let is_foreign = !self.part.window.start.owns(planned.id);
                if planned.operation != Operation::Get || !is_foreign {
                    return Ok(());
                }
                check_stamp(dataset, planned.id, stamp, bounds(before, begun, planned.id))
            }
        }
    }
}
