//! Answers about keys that other threads write: each must lie between what was acknowledged before its call and what was
//! begun before its end.
//!
//! Not every call is timed, so time comes in segments: the operations behind one timed call, up to and with the next one.
//! A segment lasts from the end of the first of these calls to the end of the second. Its writes count as begun from its
//! start and as acknowledged from its end, its reads as begun at its start and ended at its end. The clocks of two cores
//! may differ by a little, and a store may leave a core late: [`SLACK_NS`] is given on both sides. So a stale answer is
//! found when it is older than two segments and the slack.

use std::collections::VecDeque;

use super::replay::{check_version, out_of_step, state_after};
use super::{Part, scan_check};
use crate::client::{NOT_FOUND, Planned, Walk};
use crate::dataset::Dataset;
use crate::failure::{Failure, Outcome};
use crate::model::KeyState;
use crate::operation::Operation;

/// Events of a segment: one of each kind.
const EVENTS_OF_SEGMENT: usize = 4;
/// How far apart two threads may see one moment.
const SLACK_NS: i64 = 10_000;

/// What happens to the operations of a segment. At one moment, the order is the one that accuses least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Its writes may be seen.
    Issue,
    /// Its reads begin.
    Capture,
    /// Its reads have ended.
    Judge,
    /// Its writes must be seen.
    Acknowledge,
}

/// A moment at which something happens to `ops` operations of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at_ns: i64,
    kind: Kind,
    part: usize,
    ops: u32,
}

/// How far the operations of one part were followed, for each kind of event.
struct Thread<'w> {
    part: Part<'w>,
    walks: [Walk; 4],
    /// The answers and entries that are not judged yet.
    answers: &'w [u32],
    entries: &'w [crate::client::EntryStamp],
    /// The acknowledged states at the begin of reads that have not ended yet.
    captured: VecDeque<KeyState>,
}

/// The memory in which the answers of several threads are judged, used by one window after the other.
#[derive(Debug)]
pub(crate) struct Timeline {
    events: Vec<Event>,
    /// The states that reads may have seen.
    issued: Vec<KeyState>,
    /// The states that reads must have seen.
    acked: Vec<KeyState>,
}

impl Timeline {
    /// The memory for `threads` threads that take the time of at most `samples` calls each, all of it touched; none for a
    /// single thread.
    pub(crate) fn new(threads: usize, samples: usize, capacity: u32) -> Self {
        let (threads, capacity) = if threads > 1 { (threads, capacity as usize) } else { (0, 0) };
        let no_event = Event { at_ns: i64::MAX, kind: Kind::Issue, part: usize::MAX, ops: 0 };
        let mut events = vec![no_event; EVENTS_OF_SEGMENT * threads * (samples + 1)];
        events.clear();
        let states = vec![KeyState::new(1, true); capacity];
        Self { events, issued: states.clone(), acked: states }
    }

    /// Notes the states with which the threads begin.
    pub(super) fn begin(&mut self, states: &[KeyState]) {
        assert_eq!(self.acked.len(), states.len(), "there is room for every key");
        self.issued.copy_from_slice(states);
        self.acked.copy_from_slice(states);
    }

    /// Checks the answers of `parts`, which began with the states that were noted.
    pub(super) fn check(&mut self, dataset: &Dataset, parts: &[Part<'_>]) -> Outcome<()> {
        let epoch = parts.iter().map(|part| part.window.begun).min();
        self.events.clear();
        for (at, part) in parts.iter().enumerate() {
            let offset = epoch.map(|epoch| part.window.begun.duration_since(epoch));
            add_events(&mut self.events, at, part, offset.unwrap_or_default().as_nanos() as i64);
        }
        self.events.sort_unstable();
        follow(dataset, parts, self)
    }
}

/// Follows the events in their order.
fn follow(dataset: &Dataset, parts: &[Part<'_>], timeline: &mut Timeline) -> Outcome<()> {
    let Timeline { events, issued, acked } = timeline;
    let mut threads: Vec<_> = parts.iter().map(|part| Thread::new(*part)).collect();
    for event in events.iter() {
        let thread = &mut threads[event.part];
        for _ in 0..event.ops {
            let walk = &mut thread.walks[event.kind as usize];
            let planned = walk.next(thread.part.steps).ok_or_else(out_of_step)?;
            let owns = walk.owns(planned.id);
            match event.kind {
                Kind::Issue => apply(issued, planned),
                Kind::Acknowledge => apply(acked, planned),
                Kind::Capture => thread.captured.push_back(acked[planned.id as usize]),
                Kind::Judge => thread.judge(dataset, planned, owns, issued)?,
            }
        }
    }
    debug_assert!(issued == acked, "in the end every write is acknowledged");
    Ok(())
}

/// The events of one part: its segments, each with its operations.
fn add_events(events: &mut Vec<Event>, part: usize, of: &Part<'_>, offset: i64) {
    let mut add = |start: i64, end: i64, ops: u32| {
        let event = |at_ns, kind| Event { at_ns: at_ns + offset, kind, part, ops };
        events.push(event(start - SLACK_NS, Kind::Issue));
        events.push(event(start, Kind::Capture));
        events.push(event(end, Kind::Judge));
        events.push(event(end + SLACK_NS, Kind::Acknowledge));
    };
    let (mut start, mut done) = (0, 0);
    for sample in &of.window.samples {
        // A batch that is written at the end of the window stands behind its last operation.
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

fn apply(states: &mut [KeyState], planned: Planned) {
    if let Some(state) = state_after(planned) {
        states[planned.id as usize] = state;
    }
}

impl<'w> Thread<'w> {
    fn new(part: Part<'w>) -> Self {
        Self {
            part,
            walks: [part.window.begin; 4],
            answers: &part.window.answers,
            entries: &part.window.entries,
            captured: VecDeque::new(),
        }
    }

    /// Judges the answer to `planned`, unless the replay has done it because this thread owns the key.
    fn judge(
        &mut self,
        dataset: &Dataset,
        planned: Planned,
        owns: bool,
        issued: &[KeyState],
    ) -> Outcome<()> {
        let before = self.captured.pop_front().ok_or_else(out_of_step)?;
        if matches!(planned.operation, Operation::Put | Operation::Insert | Operation::Delete) {
            return Ok(());
        }
        let (&answer, rest) = self.answers.split_first().ok_or_else(out_of_step)?;
        self.answers = rest;
        match planned.operation {
            Operation::Scan => self.judge_scan(dataset, answer as usize, issued),
            Operation::GetMiss if answer != NOT_FOUND => {
                let key = dataset.show_key(planned.id);
                Err(Failure::wrong_data(format!("get found a key never put, behind {key}")))
            }
            Operation::Get if !owns => {
                let after = issued[planned.id as usize];
                check_version(dataset, planned.id, answer, (before, after))
            }
            _ => Ok(()),
        }
    }

    /// No entry of a scan comes from the future.
    fn judge_scan(&mut self, dataset: &Dataset, count: usize, issued: &[KeyState]) -> Outcome<()> {
        let (found, rest) = self.entries.split_at_checked(count).ok_or_else(out_of_step)?;
        self.entries = rest;
        let mut key = Vec::new();
        for entry in found {
            scan_check::check_key(dataset, entry, &mut key)?;
            if entry.version > issued[entry.id as usize].version() {
                let key = dataset.show_key(entry.id);
                return Err(Failure::wrong_data(format!("a scan found {key} from the future")));
            }
        }
        Ok(())
    }
}
