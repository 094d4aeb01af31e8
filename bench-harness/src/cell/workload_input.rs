//! The input of a workload: its keys, the source of its values, and its trace.

use super::Job;
use crate::dataset::Dataset;
use crate::failure::Outcome;
use crate::input::{self, Input, TraceStep};
use crate::keys::KeySpace;
use crate::values::Values;

/// The input of the whole workload, read from a file or made up by rule.
pub(super) struct WorkloadInput {
    /// Its keys.
    pub(super) keys: KeySpace,
    /// The source of its values.
    pub(super) values: Values,
    /// Keys that a load puts.
    pub(super) records: u32,
    /// The operations of a replay.
    pub(super) trace: Vec<TraceStep>,
}

impl WorkloadInput {
    /// Reads the input of `job`, if it has one.
    pub(super) fn of(job: &Job) -> Outcome<Self> {
        let workload = &job.workload;
        let Some(name) = &workload.input else {
            let records = workload.records.map_or(0, |records| records.0) as u32;
            let keys = KeySpace::Shaped(workload.key.unwrap_or_default());
            return Ok(Self { keys, values: Values::Pooled, records, trace: Vec::new() });
        };
        let (keys, values, trace) = match input::read(name, workload.input_rows())? {
            Input::Records { keys, texts } => (keys, Values::Records(texts), Vec::new()),
            Input::Trace { keys, steps } => (keys, Values::Pooled, steps),
        };
        let records = keys.len() as u32;
        Ok(Self { keys: KeySpace::Listed(keys), values, records, trace })
    }

    /// Its keys and values, of at most `capacity` keys.
    pub(super) fn dataset(self, job: &Job, capacity: u32) -> Dataset {
        let Self { keys, values, trace, .. } = self;
        let common_value_bytes = trace.is_empty().then(|| value_bytes(job));
        Dataset { keys, values, common_value_bytes, capacity, order: None }
    }
}

/// The keys and values of `job`, for a look at a store with at most `capacity` keys: no operation is drawn.
pub(super) fn dataset(job: &Job, capacity: u32) -> Outcome<Dataset> {
    Ok(WorkloadInput::of(job)?.dataset(job, capacity))
}

/// The size of made-up values.
pub(super) fn value_bytes(job: &Job) -> u32 {
    job.workload.value_len() as u32
}
