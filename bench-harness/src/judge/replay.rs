//! One thread's operations in their order, once more, against the model.

use super::scan_check::ScanCheck;
use super::{Judge, Part};
use crate::client::{NOT_FOUND, Planned, WRONG};
use crate::dataset::Dataset;
use crate::failure::{Failure, Outcome};
use crate::model::{KeyState, Model};
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
        let is_exact = !others_write || walk.owns(planned.id);
        let line = recorder.line(planned.operation);
        line.ops += 1;
        match planned.operation {
            Operation::Get | Operation::GetMiss | Operation::ReadModifyWrite => {
                let stamp = answers.next().ok_or_else(out_of_step)?;
                line.not_found += u64::from(stamp == NOT_FOUND);
                line.verified += u64::from(judge.is_strict);
                if judge.is_strict && is_exact {
                    check_get(judge, planned, stamp)?;
                }
            }
            Operation::Scan => {
                let count = answers.next().ok_or_else(out_of_step)? as usize;
                let (found, rest) = entries.split_at_checked(count).ok_or_else(out_of_step)?;
                entries = rest;
                line.entries += count as u64;
                if judge.is_strict {
                    line.verified += count as u64;
                    let check = ScanCheck::new(judge, planned, part.prefix_bytes, !others_write);
                    check.judge(found)?;
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

/// An answer about a key whose state is known exactly.
fn check_get(judge: &Judge<'_>, planned: Planned, stamp: u32) -> Outcome<()> {
    if planned.operation == Operation::GetMiss {
        return if stamp == NOT_FOUND {
            Ok(())
        } else {
            let key = judge.dataset.show_key(planned.id);
            Err(Failure::wrong_data(format!("get found a key never put, behind {key}")))
        };
    }
    let state = judge.model.state(planned.id);
    check_version(judge.dataset, planned.id, stamp, (state, state))
}

/// Judges the stamp of a get of `id` that began at `before` and ended at `after`.
pub(super) fn check_version(
    dataset: &Dataset,
    id: u32,
    stamp: u32,
    (before, after): (KeyState, KeyState),
) -> Outcome<()> {
    assert!(stamp != WRONG, "a wrong answer comes with a complaint");
    let version = (stamp != NOT_FOUND).then_some(stamp);
    if Model::allows(before, after, version) {
        return Ok(());
    }
    let found = version.map_or("nothing".into(), |version| format!("version {version}"));
    let expected = if before == after && !before.is_present() {
        "nothing".into()
    } else if before == after {
        format!("version {}", before.version())
    } else {
        format!("version {} to {}", before.version(), after.version())
    };
    Err(Failure::wrong_data(format!(
        "get of {} found {found} where {expected} was expected",
        dataset.show_key(id)
    )))
}

/// A mistake of the harness: the stamps do not fit the operations.
pub(super) fn out_of_step() -> Failure {
    Failure::engine("the answers of a window do not fit its operations")
}
