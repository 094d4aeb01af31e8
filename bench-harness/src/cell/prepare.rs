//! Making all data of a cell before anything is measured: the input, the model, and the operations of every phase.

use std::time::Duration;

use super::Job;
use super::clients::{Clients, SCANNED_WINDOW};
use crate::client::{Arrivals, Room};
use crate::dataset::Dataset;
use crate::distribution::KeyChoice;
use crate::failure::{Failure, Outcome};
use crate::input::{self, Input, TraceStep};
use crate::keys::{KeyOrder, KeySpace};
use crate::model::Model;
use crate::operation::{Operation, Step, StreamPlan};
use crate::quantity::floor_to_u64;
use crate::random::{Random, hash_name};
use crate::values::{HEADER_BYTES, Values};
use crate::workload::{LengthRange, LoadOrder, Mix, Phase, PhaseKind, SweepDirection};

/// The length of scans where a phase says nothing.
const DEFAULT_SCAN_LENGTH: LengthRange = LengthRange { least: 100, most: 100 };
/// The room for inserts where a phase does not say how many there will be: as many as there are records, at least this.
const LEAST_ROOM_FOR_INSERTS: u64 = 10_000;

/// The share of a phase's time that it runs before it is measured, if nothing but time ends it.
pub(super) const WARM_UP: f64 = 0.1;
/// Keeps the schedule of a thread apart from its operations.
const ARRIVALS: u64 = 1 << 32;
/// The most operations in a second of a mix that inserts, for the room that new keys need; and of one that scans, too.
const FASTEST_INSERTS: f64 = 5e6;
const FASTEST_SCANS: f64 = 5e5;
/// Times between arrivals that are drawn for a thread; they start over at the end.
const GAPS: usize = 1 << 16;

/// A cell, ready to run.
pub(super) struct Prepared {
    /// Keys and payloads.
    pub(super) dataset: Dataset,
    /// The right answers.
    pub(super) model: Model,
    /// The room that the windows of its phases need.
    pub(super) room: Room,
    /// The most threads of a phase, the background included.
    pub(super) threads: usize,
    /// The phases with their operations.
    pub(super) phases: Vec<PreparedPhase>,
}

/// A phase, ready to run.
pub(super) struct PreparedPhase {
    /// The name in the results.
    pub(super) name: String,
    /// The work of the phase.
    pub(super) work: Work,
    /// How many writes go into one batch.
    pub(super) batch: usize,
    /// The most steps of a thread.
    pub(super) max_steps: u32,
    /// The most time.
    pub(super) duration: Option<Duration>,
}

/// The work of a phase, with everything that it needs.
pub(super) enum Work {
    /// Steps on threads.
    Clients(Clients),
    /// One cursor over everything.
    Sweep(SweepDirection),
    /// Nothing, for a while.
    Rest(Duration),
    /// Close and open.
    Reopen,
}

/// The material of the whole workload.
struct Material {
    keys: KeySpace,
    values: Values,
    records: u32,
    trace: Vec<TraceStep>,
}

/// Makes everything that `job` needs.
pub(super) fn prepare(job: &Job) -> Outcome<Prepared> {
    let material = material(job)?;
    let threads = job.workload.threads.unwrap_or(1);
    let phases = job.workload.phase.iter();
    let room: u64 = phases.map(|phase| room_for_inserts(phase, threads, &material)).sum();
    let capacity = (u64::from(material.records) + room).min(u64::from(u32::MAX >> 1)) as u32;
    let phases = job.workload.phase.iter().enumerate();
    let phases = phases
        .map(|(at, phase)| prepare_phase(job, at, phase, &material))
        .collect::<Outcome<Vec<_>>>()?;
    let rooms = phases.iter().map(PreparedPhase::room);
    let room = rooms.fold(Room::default(), Room::max);
    let threads = phases.iter().map(PreparedPhase::threads).max().unwrap_or(1);
    let has_scans = phases.iter().any(|phase| match &phase.work {
        Work::Clients(clients) => clients.has(Operation::Scan),
        Work::Sweep(_) | Work::Rest(_) | Work::Reopen => false,
    });
    assert!(capacity >= material.records, "every loaded record has an id");
    let order = has_scans.then(|| KeyOrder::new(&material.keys, capacity));
    let model = Model::new(capacity);
    let dataset = Dataset { keys: material.keys, values: material.values, capacity, order };
    Ok(Prepared { dataset, model, room, threads, phases })
}

impl PreparedPhase {
    /// Threads that run it.
    fn threads(&self) -> usize {
        match &self.work {
            Work::Clients(clients) => clients.threads(),
            Work::Sweep(_) | Work::Rest(_) | Work::Reopen => 1,
        }
    }

    /// The room that each window of the phase needs.
    fn room(&self) -> Room {
        let clients = match &self.work {
            Work::Clients(clients) => clients,
            Work::Sweep(_) => {
                return Room { entries: SCANNED_WINDOW, ..Room::default() };
            }
            Work::Rest(_) | Work::Reopen => return Room::default(),
        };
        clients.room(self.batch)
    }
}

fn material(job: &Job) -> Outcome<Material> {
    let workload = &job.workload;
    let Some(name) = &workload.input else {
        let records = workload.records.map_or(0, |records| records.0) as u32;
        let keys = KeySpace::Shaped(workload.key.unwrap_or_default());
        return Ok(Material { keys, values: Values::Pooled, records, trace: Vec::new() });
    };
    Ok(match input::read(name, workload.input_rows())? {
        Input::Records { keys, texts } => {
            let records = keys.len() as u32;
            let values = Values::Records(texts);
            Material { keys: KeySpace::Listed(keys), values, records, trace: Vec::new() }
        }
        Input::Trace { keys, steps } => {
            let records = keys.len() as u32;
            let values = Values::Pooled;
            Material { keys: KeySpace::Listed(keys), values, records, trace: steps }
        }
    })
}

/// The room for the new keys of a phase, which runs on `threads` threads unless it says otherwise.
fn room_for_inserts(phase: &Phase, threads: u32, material: &Material) -> u64 {
    let Some(mix) = phase.mix else { return 0 };
    let by_records = u64::from(material.records).max(LEAST_ROOM_FOR_INSERTS);
    let of_thread = |mix: Mix, ops: Option<u64>| {
        let most = match (ops, phase.duration) {
            (Some(ops), _) => ops,
            // Time ends the phase, not the keys, unless an engine is faster than any that keeps what it is given.
            (None, Some(time)) => {
                let fastest = if mix.scan > 0 { FASTEST_SCANS } else { FASTEST_INSERTS };
                floor_to_u64(time.0.as_secs_f64() * (1.0 + WARM_UP) * fastest)
            }
            (None, None) => by_records,
        };
        // With a margin for the chance in the mix.
        let most_inserts = most * u64::from(mix.insert) / mix.total().max(1) + most / 10 + 100;
        if mix.insert > 0 { most_inserts } else { 0 }
    };
    // The background runs for as long as the others: a phase of so many operations says little about its own number.
    let ops_beside = phase.ops.map(|ops| ops.0.max(by_records));
    let beside = phase.background.map(|mix| of_thread(mix, ops_beside));
    let of_thread = of_thread(mix, phase.ops.map(|ops| ops.0)).max(beside.unwrap_or_default());
    // New keys go to all threads in turn, whether they insert or not.
    let threads = phase.threads.unwrap_or(threads) + u32::from(beside.is_some());
    of_thread * u64::from(threads)
}

fn prepare_phase(
    job: &Job,
    at: usize,
    phase: &Phase,
    material: &Material,
) -> Outcome<PreparedPhase> {
    let kind = phase.kind().map_err(Failure::usage)?;
    let batch = phase.batch.unwrap_or(1) as usize;
    let prepared = |work, max_steps, duration| {
        let work = match work {
            Work::Clients(clients) => {
                Work::Clients(clients.time_calls(job, batch, max_steps, duration))
            }
            other => other,
        };
        PreparedPhase { name: phase.name.clone(), work, batch, max_steps, duration }
    };
    let ops = phase.ops.map_or(u32::MAX, |ops| ops.0.min(u64::from(u32::MAX)) as u32);
    let duration = phase.duration.map(|span| span.0);
    Ok(match kind {
        PhaseKind::Load(order) => {
            let steps = load_steps(job, at, order, material);
            let count = steps.len() as u32;
            prepared(one_client(steps), count, duration)
        }
        PhaseKind::Replay => {
            let steps = replay_steps(job, &material.trace);
            let count = ops.min(steps.len() as u32);
            prepared(one_client(steps), count, None)
        }
        PhaseKind::Mix(mix) => prepared(mix_clients(job, at, phase, mix, material), ops, duration),
        PhaseKind::Sweep(direction) => prepared(Work::Sweep(direction), 1, None),
        PhaseKind::Rest(time) => prepared(Work::Rest(time.0), 1, None),
        PhaseKind::Reopen => prepared(Work::Reopen, 1, None),
    })
}

fn one_client(steps: Vec<Step>) -> Work {
    Work::Clients(Clients {
        steps: vec![steps],
        background: None,
        latest: false,
        prefix_bytes: None,
        stride: 1,
        arrivals: Vec::new(),
        window_ops: 0,
    })
}

/// The size of made-up values.
pub(super) fn value_bytes(job: &Job) -> u32 {
    job.workload.value_len() as u32
}

fn load_steps(job: &Job, at: usize, order: LoadOrder, material: &Material) -> Vec<Step> {
    let extra = value_bytes(job);
    let put = |pick| Step::new(Operation::Put, pick, extra);
    let mut steps: Vec<_> = (0..material.records).map(put).collect();
    if order == LoadOrder::Random {
        random(job, at, 0).shuffle(&mut steps);
    }
    steps
}

fn replay_steps(job: &Job, trace: &[TraceStep]) -> Vec<Step> {
    let divisor = job.workload.value_divisor.map_or(1, |divisor| divisor.0 as u32);
    let replayed = |step: &TraceStep| match step.value_bytes {
        Some(size) => Step::new(Operation::Put, step.id, (size / divisor).max(HEADER_BYTES as u32)),
        None => Step::new(Operation::Delete, step.id, 0),
    };
    trace.iter().map(replayed).collect()
}

fn mix_clients(job: &Job, at: usize, phase: &Phase, mix: Mix, material: &Material) -> Work {
    let keys = phase.keys.unwrap_or(KeyChoice::Uniform);
    let steps = phase.ops.map_or(job.stream_steps, |ops| job.stream_steps.min(ops.0 as usize));
    let plan = StreamPlan {
        mix,
        keys,
        key_count: material.records.max(1),
        scan_length: phase.scan_length.unwrap_or(DEFAULT_SCAN_LENGTH),
        value_bytes: value_bytes(job),
        steps,
    };
    let threads = phase.threads.or(job.workload.threads).unwrap_or(1);
    let batch = phase.batch.unwrap_or(1);
    let draw = |plan: &StreamPlan, thread| plan.draw(&mut random(job, at, thread));
    let background = phase
        .background
        .map(|mix| draw(&StreamPlan { mix, keys: KeyChoice::Uniform, ..plan }, u64::from(threads)));
    Work::Clients(Clients {
        steps: (0..threads).map(|thread| draw(&plan, u64::from(thread))).collect(),
        background,
        latest: matches!(keys, KeyChoice::Latest(_)),
        prefix_bytes: phase.prefix_bytes.map(|bytes| bytes as usize),
        stride: 1,
        arrivals: job.rate.map_or(Vec::new(), |rate| arrivals(job, at, threads, rate, batch)),
        window_ops: 0,
    })
}

/// The schedules of all threads, which together make `rate` operations a second in calls of `batch` operations: times
/// between arrivals of calls are exponentially distributed.
fn arrivals(job: &Job, phase: usize, threads: u32, rate: f64, batch: u32) -> Vec<Arrivals> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn room(text: &str, threads: u32) -> u64 {
        let keys = KeySpace::Shaped(crate::keys::KeyShape::User);
        let material = Material { keys, values: Values::Pooled, records: 1_000, trace: Vec::new() };
        room_for_inserts(&toml::from_str(text).unwrap(), threads, &material)
    }

    #[test]
    fn every_thread_of_the_workload_and_the_background_have_room_for_new_keys() {
        let run = "name = \"run\"\nops = 50_000\n";
        let inserts = format!("{run}mix = {{ insert = 1 }}\n");
        assert!(room(&inserts, 4) >= 200_000);
        assert!(room(&(inserts + "threads = 2"), 4) < 200_000);
        let beside = format!("{run}mix = {{ get = 1 }}\nbackground = {{ insert = 1 }}");
        assert!(room(&beside, 1) >= 100_000);
        assert_eq!(room(&format!("{run}mix = {{ get = 1 }}"), 1), 0);
    }

    #[test]
    fn a_phase_that_time_ends_has_new_keys_for_five_million_operations_a_second() {
        let text = "name = \"run\"\nmix = { get = 95, insert = 5 }\nduration = \"1s\"";
        assert!(room(text, 1) >= 250_000);
    }
}
