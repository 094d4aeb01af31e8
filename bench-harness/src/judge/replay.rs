//! One thread's operations in their order, once more, against the model.

use super::read_bytes::{ReadBytes, value_bytes};
use super::scan_check::{ScanRequest, check_passed};
use super::{Judge, Part};
use crate::client::{EntryStamp, NOT_FOUND, PlannedOperation, StreamPosition, WRONG, Window};
use crate::dataset::Dataset;
use crate::failure::{Failure, Outcome};
use crate::model::{Bounds, KeyState, Model};
use crate::operation::Operation;
use crate::recorder::{OperationStats, Recorder};

/// The answers of a window that the replay has not reached yet, and the bytes of the right ones before them.
struct Answers<'w> {
    stamps: std::slice::Iter<'w, u32>,
    entries: &'w [EntryStamp],
    read_bytes: ReadBytes,
}

/// The keys whose states the model has while a thread is replayed.
#[derive(Clone, Copy)]
enum KnownKeys<'p> {
    /// All keys: no other thread writes.
    All,
    /// Those that this thread alone writes.
    OwnedBy(&'p StreamPosition),
}

impl KnownKeys<'_> {
    fn has(self, id: u32) -> bool {
        match self {
            Self::All => true,
            Self::OwnedBy(position) => position.owns(id),
        }
    }
}

/// Replays `part`. Answers about keys that others write meanwhile are left to the timeline.
pub(super) fn replay(
    judge: &mut Judge<'_>,
    part: &Part<'_>,
    others_write: bool,
    recorder: &mut Recorder,
) -> Outcome<()> {
    assert!(part.window.ops <= part.window.most_ops, "a window was overrun");
    let mut position = part.window.start;
    let mut answers = Answers::of(part.window);
    for _ in 0..part.window.ops {
        let planned = position.next(part.steps).ok_or_else(out_of_step)?;
        let known = if others_write { KnownKeys::OwnedBy(&position) } else { KnownKeys::All };
        let stats = recorder.stats(planned.operation);
        stats.ops += 1;
        match planned.operation {
            Operation::Get | Operation::GetMiss | Operation::ReadModifyWrite => {
                replay_get(judge, planned, known, &mut answers, stats)?;
            }
            Operation::Scan => {
                let request = ScanRequest::new(judge.dataset, planned, part.prefix_bytes);
                replay_scan(judge, &request, known, &mut answers, stats)?;
            }
            Operation::Put | Operation::Insert | Operation::Delete => {}
        }
        apply(&mut judge.model, judge.dataset, planned);
    }
    assert!(answers.is_at_end(), "each answer belongs to an operation");
    assert_eq!(position.taken - part.window.start.taken, part.window.ops, "each step is replayed");
    judge.model.raise_newest_version(position.base_version + position.taken);
    if judge.is_strict { answers.read_bytes.check(part.window) } else { Ok(()) }
}

impl<'w> Answers<'w> {
    fn of(window: &'w Window) -> Self {
        Self {
            stamps: window.answers.iter(),
            entries: &window.entries,
            read_bytes: ReadBytes::new(),
        }
    }

    fn next_stamp(&mut self) -> Outcome<u32> {
        self.stamps.next().copied().ok_or_else(out_of_step)
    }

    /// The entries of the next scan.
    fn next_entries(&mut self) -> Outcome<&'w [EntryStamp]> {
        let count = self.next_stamp()? as usize;
        let (found, rest) = self.entries.split_at_checked(count).ok_or_else(out_of_step)?;
        self.entries = rest;
        Ok(found)
    }

    fn is_at_end(&self) -> bool {
        self.stamps.as_slice().is_empty() && self.entries.is_empty()
    }
}

/// Counts the answer of a get in `stats` and checks it, if answers are compared.
fn replay_get(
    judge: &Judge<'_>,
    planned: PlannedOperation,
    known: KnownKeys<'_>,
    answers: &mut Answers<'_>,
    stats: &mut OperationStats,
) -> Outcome<()> {
    let stamp = answers.next_stamp()?;
    stats.not_found += u64::from(stamp == NOT_FOUND);
    if !judge.is_strict {
        return Ok(());
    }
    stats.verified += 1;
    let is_exact = known.has(planned.id);
    check_get(judge, planned, stamp, is_exact)?;
    answers.read_bytes.add(planned.operation, get_bytes(judge, planned, stamp, is_exact));
    Ok(())
}

/// The same for the entries of a scan.
fn replay_scan(
    judge: &Judge<'_>,
    request: &ScanRequest<'_>,
    known: KnownKeys<'_>,
    answers: &mut Answers<'_>,
    stats: &mut OperationStats,
) -> Outcome<()> {
    let found = answers.next_entries()?;
    stats.entries += found.len() as u64;
    if !judge.is_strict {
        return Ok(());
    }
    stats.verified += found.len() as u64;
    let bytes = check_scan(judge, request, known, found)?;
    answers.read_bytes.add(Operation::Scan, bytes);
    Ok(())
}

/// Applies an operation to the model, if it is a write.
fn apply(model: &mut Model, dataset: &Dataset, planned: PlannedOperation) {
    if let Some(state) = state_after(planned) {
        let size =
            if state.is_present() { dataset.value_bytes(planned.id, planned.length) } else { 0 };
        model.write(planned.id, state, size);
    }
}

/// The state of the key after a write; `None` for a read.
pub(super) fn state_after(planned: PlannedOperation) -> Option<KeyState> {
    match planned.operation {
        Operation::Put | Operation::Insert | Operation::ReadModifyWrite => {
            Some(KeyState::new(planned.version, true))
        }
        Operation::Delete => Some(KeyState::new(planned.version, false)),
        Operation::Get | Operation::GetMiss | Operation::Scan => None,
    }
}

/// An answer of a get. Nobody puts a missing key; the state of another key is known if `is_exact`.
fn check_get(
    judge: &Judge<'_>,
    planned: PlannedOperation,
    stamp: u32,
    is_exact: bool,
) -> Outcome<()> {
    if planned.operation != Operation::GetMiss {
        let bounds = Bounds::exactly(judge.model.state(planned.id));
        return if is_exact {
            check_stamp(judge.dataset, planned.id, stamp, bounds)
        } else {
            Ok(())
        };
    }
    if stamp == NOT_FOUND {
        return Ok(());
    }
    let key = judge.dataset.show_key(planned.id);
    Err(Failure::wrong_data(format!("get found a key never put, just after {key}")))
}

/// The bytes that a get returned, if its answer is right; `None` if the length of the value is not known.
fn get_bytes(
    judge: &Judge<'_>,
    planned: PlannedOperation,
    stamp: u32,
    is_exact: bool,
) -> Option<u64> {
    if stamp == NOT_FOUND {
        return Some(0);
    }
    let key_bytes = judge.dataset.keys.key_len(planned.id) as u64;
    let value_bytes = value_bytes(judge.dataset, &judge.model, planned.id, is_exact)?;
    Some(key_bytes + value_bytes)
}

/// The entries of a scan, compared with the states of the `known` keys. Returns the bytes of the entries, if all of their
/// lengths are known.
fn check_scan(
    judge: &Judge<'_>,
    request: &ScanRequest<'_>,
    known: KnownKeys<'_>,
    found: &[EntryStamp],
) -> Outcome<Option<u64>> {
    let key_bytes = request.check_shape(found)?;
    check_passed(request.passed(found), found, |id, version| {
        if !known.has(id) {
            return Ok(());
        }
        let bounds = Bounds::exactly(judge.model.state(id));
        check_version("scan", judge.dataset, id, version, bounds)
    })?;
    let mut lens = found
        .iter()
        .map(|EntryStamp { id, .. }| value_bytes(judge.dataset, &judge.model, *id, known.has(*id)));
    Ok(lens.try_fold(key_bytes, |sum, len| Some(sum + len?)))
}

/// Judges the stamp of a get of `id`.
pub(super) fn check_stamp(dataset: &Dataset, id: u32, stamp: u32, bounds: Bounds) -> Outcome<()> {
    assert!(stamp != WRONG, "a wrong answer comes with a complaint");
    check_version("get", dataset, id, (stamp != NOT_FOUND).then_some(stamp), bounds)
}

/// Judges the version of `id` that a `call` found.
#[inline]
pub(super) fn check_version(
    call: &str,
    dataset: &Dataset,
    id: u32,
    version: Option<u32>,
    bounds: Bounds,
) -> Outcome<()> {
    if bounds.allow(version) {
        return Ok(());
    }
    let found = version.map_or("nothing".into(), |version| format!("version {version}"));
    let expected = bounds.expected();
    let key = dataset.show_key(id);
    Err(Failure::wrong_data(format!("{call} of {key} found {found} where {expected} was expected")))
}

/// A mistake of the harness: the stamps do not fit the operations.
pub(super) fn out_of_step() -> Failure {
    Failure::engine("the answers of a window do not fit its operations")
}
