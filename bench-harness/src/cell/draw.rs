//! The operations of a phase, drawn or read before anything is measured. The engine has no part in them.

use std::time::Duration;

use super::Job;
use super::phase_streams::PhaseStreams;
use super::workload_input::{WorkloadInput, value_bytes};
use crate::client::Arrivals;
use crate::distribution::KeyChoice;
use crate::input::TraceStep;
use crate::operation::{Operation, Step, StreamPlan};
use crate::random::{Random, hash_name};
use crate::values::HEADER_BYTES;
use crate::workload::{LengthRange, LoadOrder, Mix, Phase};

/// The length of scans where a phase says nothing.
const DEFAULT_SCAN_LENGTH: LengthRange = LengthRange { least: 100, most: 100 };
/// Keeps the schedule of a thread apart from its operations.
const ARRIVALS: u64 = 1 << 32;
/// Times between arrivals that are drawn for a thread; they start over at the end.
const GAPS: usize = 1 << 16;

/// Puts of all records, in the order that the load asks for.
pub(super) fn load_steps(
    job: &Job,
    at: usize,
    order: LoadOrder,
    input: &WorkloadInput,
) -> Vec<Step> {
    let value_bytes = value_bytes(job);
    let put = |pick| Step::new(Operation::Put, pick, value_bytes);
    let mut steps: Vec<_> = (0..input.records).map(put).collect();
    if order == LoadOrder::Random {
        random(job, at, 0).shuffle(&mut steps);
    }
    assert_eq!(steps.len(), input.records as usize, "each record is put once");
    steps
}

/// The operations of `trace`, with the sizes of values that the workload asks for.
pub(super) fn replay_steps(job: &Job, trace: &[TraceStep]) -> Vec<Step> {
    let divisor = job.workload.value_divisor.map_or(1, |divisor| divisor.0 as u32);
    let replayed = |step: &TraceStep| match step.value_bytes {
        Some(size) => Step::new(Operation::Put, step.id, (size / divisor).max(HEADER_BYTES as u32)),
        None => Step::new(Operation::Delete, step.id, 0),
    };
    let steps: Vec<_> = trace.iter().map(replayed).collect();
    assert_eq!(steps.len(), trace.len(), "each operation is replayed once");
    steps
}

/// The streams of a phase that mixes operations: one for each thread, and one for the background if it has one.
pub(super) fn mix_streams(
    job: &Job,
    at: usize,
    phase: &Phase,
    mix: Mix,
    input: &WorkloadInput,
) -> PhaseStreams {
    let keys = phase.keys.unwrap_or(KeyChoice::Uniform);
    let steps = phase.ops.map_or(job.stream_steps, |ops| job.stream_steps.min(ops.0 as usize));
    let plan = StreamPlan {
        mix,
        keys,
        key_count: input.records.max(1),
        scan_length: phase.scan_length.unwrap_or(DEFAULT_SCAN_LENGTH),
        value_bytes: value_bytes(job),
        steps,
    };
    let threads = phase.threads.or(job.workload.threads).unwrap_or(1);
    let batch = phase.batch.unwrap_or(1);
    let draw = |plan: &StreamPlan, thread| plan.draw(&mut random(job, at, thread));
    assert!(steps > 0 && threads > 0, "a mix has operations on a thread");
    let background = phase
        .background
        .map(|mix| draw(&StreamPlan { mix, keys: KeyChoice::Uniform, ..plan }, u64::from(threads)));
    PhaseStreams {
        steps: (0..threads).map(|thread| draw(&plan, u64::from(thread))).collect(),
        background,
        latest: matches!(keys, KeyChoice::Latest(_)),
        prefix_bytes: phase.prefix_bytes.map(|bytes| bytes as usize),
        stride: 1,
        arrivals: job.rate.map_or(Vec::new(), |rate| arrivals(job, at, threads, rate, batch)),
        window_ops: 0,
    }
}

/// The schedules of all threads, which together make `rate` operations a second in calls of `batch` operations: times
/// between arrivals of calls are exponentially distributed.
fn arrivals(job: &Job, phase: usize, threads: u32, rate: f64, batch: u32) -> Vec<Arrivals> {
    assert!(rate > 0.0, "a schedule has operations");
    let mean = f64::from(threads) * f64::from(batch) / rate;
    let thread = |thread| {
        let mut random = random(job, phase, u64::from(thread) | ARRIVALS);
        let gap = |_| Duration::from_secs_f64(-(1.0 - random.unit()).ln() * mean);
        Arrivals::new((0..GAPS).map(gap).collect())
    };
    (0..threads).map(thread).collect()
}

/// The random stream of a thread of a phase; the engine has no part in it.
fn random(job: &Job, phase: usize, thread: u64) -> Random {
    let purpose = [u64::from(job.block), hash_name(&job.workload_name), phase as u64, thread];
    Random::new(job.seed, &purpose)
}
