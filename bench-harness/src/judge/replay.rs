//! One thread's operations in their order, once more, against the model.

use super::scan_check::{ScanRequest, check_passed};
use super::{Judge, Part};
use crate::client::{EntryStamp, NOT_FOUND, Planned, WRONG, Walk};
use crate::dataset::Dataset;
use crate::failure::{Failure, Outcome};
use crate::model::{Bounds, KeyState, Model};
use crate::operation::Operation;
use crate::recorder::Recorder;

/// Replays `part`. Answers about keys that others write meanwhile are left to the timeline.
pub(super) fn replay(
    judge: &mut Judge<'_>,
    part: &Part<'_>,
    others_write: bool,
    recorder: &mut Recorder,
) -> Outcome<()> {
    let mut walk = part.window.begin;
    let mut answers = part.window.answers.iter().copied();
    let mut entries = &part.window.entries[..];
    for _ in 0..part.window.ops {
        let planned = walk.next(part.steps).ok_or_else(out_of_step)?;
        let line = recorder.line(planned.operation);
        line.ops += 1;
        match planned.operation {
            Operation::Get | Operation::GetMiss | Operation::ReadModifyWrite => {
                let stamp = answers.next().ok_or_else(out_of_step)?;
                line.not_found += u64::from(stamp == NOT_FOUND);
                line.verified += u64::from(judge.is_strict);
                if judge.is_strict {
                    let is_exact = !others_write || walk.owns(planned.id);
                    check_get(judge, planned, stamp, is_exact)?;
                }
            }
            Operation::Scan => {
                let count = answers.next().ok_or_else(out_of_step)? as usize;
                let (found, rest) = entries.split_at_checked(count).ok_or_else(out_of_step)?;
                entries = rest;
                line.entries += count as u64;
                if judge.is_strict {
                    line.verified += count as u64;
                    let request = ScanRequest::new(judge.dataset, planned, part.prefix_bytes);
                    let owner = others_write.then_some(&walk);
                    check_scan(judge, &request, owner, found)?;
                }
            }
            Operation::Put | Operation::Insert | Operation::Delete => {}
        }
        write(&mut judge.model, judge.dataset, planned);
    }
    judge.model.use_versions(walk.base_version + walk.taken);
    Ok(())
}

/// Applies the write of an operation, if it is one.
fn write(model: &mut Model, dataset: &Dataset, planned: Planned) {
    if let Some(state) = state_after(planned) {
        let size =
            if state.is_present() { dataset.value_bytes(planned.id, planned.extra) } else { 0 };
        model.write(planned.id, state, size);
    }
}

/// The state of the key after a write; `None` for a read.
pub(super) fn state_after(planned: Planned) -> Option<KeyState> {
    match planned.operation {
        Operation::Put | Operation::Insert | Operation::ReadModifyWrite => {
            Some(KeyState::new(planned.version, true))
        }
        Operation::Delete => Some(KeyState::new(planned.version, false)),
        Operation::Get | Operation::GetMiss | Operation::Scan => None,
    }
}

/// An answer of a get. Nobody puts a missing key; the state of another key is known if `is_exact`.
fn check_get(judge: &Judge<'_>, planned: Planned, stamp: u32, is_exact: bool) -> Outcome<()> {
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
    Err(Failure::wrong_data(format!("get found a key never put, behind {key}")))
}

/// The entries of a scan. If others write, the states of the keys of `owner` alone are known.
fn check_scan(
    judge: &Judge<'_>,
    request: &ScanRequest<'_>,
    owner: Option<&Walk>,
    found: &[EntryStamp],
) -> Outcome<()> {
    request.check_shape(found)?;
    check_passed(request.passed(found), found, |id, version| {
        if owner.is_some_and(|owner| !owner.owns(id)) {
            return Ok(());
        }
        let bounds = Bounds::exactly(judge.model.state(id));
        check_version("scan", judge.dataset, id, version, bounds)
    })
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
