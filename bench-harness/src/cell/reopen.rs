//! A reopening: the engine is closed cleanly, opened again, and returns one key.

use std::time::Instant;

use kv::Kv;

use super::Job;
use super::phase_result::PhaseResult;
use super::phase_span::PhaseStart;
use crate::client::NOT_FOUND;
use crate::engines::{EngineConfig, Registration};
use crate::failure::{Failure, Outcome};
use crate::judge::Judge;
use crate::recorder::OperationStats;
use crate::values::ValueHeader;

/// Closes `engine`, opens it again as `config` says, and reads the first key that is present. The syncs of the close are
/// noted in `start`.
pub(super) fn reopen(
    engine: Box<dyn Kv>,
    (registration, job, config): (&Registration, &Job, EngineConfig),
    judge: &Judge<'_>,
    start: &mut PhaseStart,
) -> Outcome<(Box<dyn Kv>, PhaseResult)> {
    let closing = Instant::now();
    engine.close()?;
    let close = closing.elapsed();
    start.syncs.close(engine.as_ref());
    drop(engine);
    let first_id = judge.model.present_ids().next();
    let mut key = Vec::new();
    if let Some(id) = first_id {
        judge.dataset.keys.write_key(id, &mut key);
    }
    let started = Instant::now();
    let opened = (registration.open)(&job.directory, config)?;
    let found = opened.get(&key)?;
    let time = started.elapsed();
    if let Some(id) = first_id.filter(|_| judge.is_strict) {
        check_value(judge, id, found.as_deref())?;
    }
    let stats = OperationStats { ops: 1, ..OperationStats::new("all") };
    let mut result = PhaseResult::from_stats(stats, time);
    (result.open, result.close) = (Some(time), Some(close));
    Ok((opened, result))
}

/// The value of `id` must be the newest one, and as long as it was put.
fn check_value(judge: &Judge<'_>, id: u32, found: Option<&[u8]>) -> Outcome<()> {
    let wrong = |text: String| {
        let key = judge.dataset.show_key(id);
        Err(Failure::wrong_data(format!("{key} has a {text}")))
    };
    let version = match found.map(ValueHeader::read) {
        None => NOT_FOUND,
        Some(Some(header)) if header.id == id => header.version,
        Some(_) => return wrong("wrong value".into()),
    };
    judge.check_newest(id, version)?;
    let (len, expected) = (found.map_or(0, <[u8]>::len), judge.model.value_bytes(id));
    if len != expected as usize {
        return wrong(format!("value of {len} bytes where {expected} were put"));
    }
    Ok(())
}
