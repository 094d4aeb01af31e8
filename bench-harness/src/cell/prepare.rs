//! Making all data of a cell before anything is measured: the input, the model, and the operations of every phase.

use std::time::Duration;

use kv::Durability;

use super::Job;
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

/// The size of values where a workload says nothing.
const DEFAULT_VALUE_BYTES: u32 = 100;
/// The length of scans where a phase says nothing.
const DEFAULT_SCAN_LENGTH: LengthRange = LengthRange { least: 100, most: 100 };
/// The room for inserts where a phase does not say how many there will be: as many as there are records, at least this.
const LEAST_ROOM_FOR_INSERTS: u64 = 10_000;

/// Calls of which one is timed: two looks at the clock cost as much as a fast call. A prime number, so that nothing
/// that an engine does at regular distances is always or never timed.
const STRIDE: u32 = 17;
/// Operations of all threads in one window. Only engines that make more in a phase are paused for the judge.
const WINDOW_OPS: u32 = 8 << 20;
/// The same where every call is timed, because it takes long, and for the entries of scans.
const TIMED_WINDOW_OPS: u32 = 1 << 20;
/// The most operations that any engine makes in a second on one thread, and where every call is timed.
const FASTEST: f64 = 25e6;
const FASTEST_TIMED: f64 = 2e6;
/// Keeps the schedule of a thread apart from its operations.
const ARRIVALS: u64 = 1 << 32;
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

/// The operations of each thread of a phase.
pub(super) struct Clients {
    /// One stream a thread.
    pub(super) steps: Vec<Vec<Step>>,
    /// The stream of the background thread.
    pub(super) background: Option<Vec<Step>>,
    /// Whether picks count back from the newest key.
    pub(super) latest: bool,
    /// Scans stay within the keys that share this many bytes.
    pub(super) prefix_bytes: Option<usize>,
    /// Calls of which one is timed.
    pub(super) stride: u32,
    /// The schedule of each thread, where there is one.
    pub(super) arrivals: Vec<Arrivals>,
    /// The most operations of a window of each thread.
    pub(super) window_ops: u32,
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
    let room: u64 = job.workload.phase.iter().map(|phase| room_for_inserts(phase, &material)).sum();
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
                return Room { entries: TIMED_WINDOW_OPS as usize, ..Room::default() };
            }
            Work::Rest(_) | Work::Reopen => return Room::default(),
        };
        let ops = clients.window_ops as usize;
        let reads = Operation::ALL.into_iter().filter(|operation| operation.is_read());
        let has_reads = reads.into_iter().any(|operation| clients.has(operation));
        let longest = |steps: &Vec<Step>| steps.iter().map(|step| step.extra()).max();
        let longest = clients.all_steps().filter_map(longest).max().unwrap_or_default() as usize;
        Room {
            ops: clients.window_ops,
            answers: if has_reads { ops } else { 0 },
            // A read-modify-write has two parts, and what is left of a batch is one more call.
            samples: 2 * ops / (clients.stride as usize).max(self.batch) + 4,
            entries: if clients.has(Operation::Scan) {
                ops.saturating_mul(longest).clamp(longest, (TIMED_WINDOW_OPS as usize).max(longest))
            } else {
                0
            },
        }
    }
}

impl Clients {
    /// Threads, the background included.
    pub(super) fn threads(&self) -> usize {
        self.steps.len() + usize::from(self.background.is_some())
    }

    fn all_steps(&self) -> impl Iterator<Item = &Vec<Step>> {
        self.steps.iter().chain(&self.background)
    }

    fn has(&self, operation: Operation) -> bool {
        self.all_steps().any(|steps| steps.iter().any(|step| step.operation() == operation))
    }

    /// Decides which calls are timed, and how long a window is.
    fn time_calls(
        mut self,
        job: &Job,
        batch: usize,
        max_steps: u32,
        time: Option<Duration>,
    ) -> Self {
        let is_slow =
            job.durability() == Durability::Sync || self.has(Operation::Scan) || batch > 1;
        self.stride = if is_slow || !self.arrivals.is_empty() { 1 } else { STRIDE };
        let (limit, fastest) = if self.stride == 1 && batch == 1 {
            (TIMED_WINDOW_OPS, FASTEST_TIMED)
        } else {
            (WINDOW_OPS, FASTEST)
        };
        let threads = self.threads() as u32;
        let in_time = time.map_or(f64::from(limit), |time| time.as_secs_f64() * fastest);
        let in_time = floor_to_u64(in_time.min(f64::from(limit))) as u32;
        // The background goes on for as long as the others take, so its steps are no limit.
        let steps = if self.background.is_some() { limit } else { max_steps };
        self.window_ops = (limit / threads).min(in_time).min(steps).max(1_000);
        self
    }
}

fn material(job: &Job) -> Outcome<Material> {
    let workload = &job.workload;
    let Some(name) = &workload.input else {
        let records = workload.records.map_or(0, |records| records.0) as u32;
        let keys = KeySpace::Shaped(workload.key.unwrap_or_default());
        return Ok(Material { keys, values: Values::Pooled, records, trace: Vec::new() });
    };
    let replayed = workload.phase.iter().find(|phase| phase.replay).and_then(|phase| phase.ops);
    let limit = workload.records.or(replayed).map_or(u64::MAX, |limit| limit.0);
    Ok(match input::read(name, limit)? {
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

/// How many new keys a phase may insert.
fn room_for_inserts(phase: &Phase, material: &Material) -> u64 {
    let Some(mix) = phase.mix.filter(|mix| mix.insert > 0) else { return 0 };
    let by_records = u64::from(material.records).max(LEAST_ROOM_FOR_INSERTS);
    let threads = u64::from(phase.threads.unwrap_or(1));
    let all = phase.ops.map_or(by_records, |ops| ops.0 * threads);
    // With a margin for the chance in the mix.
    all * u64::from(mix.insert) / mix.total() + all / 10 + 100
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
    job.workload.value_bytes.map_or(DEFAULT_VALUE_BYTES, |size| size.0 as u32)
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
        arrivals: job.rate.map_or(Vec::new(), |rate| arrivals(job, at, threads, rate)),
        window_ops: 0,
    })
}

/// The schedules of all threads, which together make `rate` operations a second: times between arrivals are
/// exponentially distributed.
fn arrivals(job: &Job, phase: usize, threads: u32, rate: f64) -> Vec<Arrivals> {
    let mean = f64::from(threads) / rate;
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
