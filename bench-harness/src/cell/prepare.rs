//! Making all data of a cell before anything is measured: the input, the model, and the operations of every phase.

use std::time::Duration;

use super::Job;
use super::draw::{load_steps, mix_streams, replay_steps};
use super::new_keys::most_new_keys;
use super::phase_streams::{PhaseStreams, SCAN_ENTRIES_PER_WINDOW};
use super::workload_input::WorkloadInput;
use crate::client::WindowCapacity;
use crate::dataset::Dataset;
use crate::failure::{Failure, Outcome};
use crate::keys::KeyOrder;
use crate::model::Model;
use crate::operation::Operation;
use crate::workload::{Phase, PhaseKind, SweepDirection};

/// The most ids of a cell: they are 31-bit numbers.
const MOST_IDS: u32 = u32::MAX >> 1;

/// A cell, ready to run.
pub(super) struct PreparedCell {
    /// Keys and payloads.
    pub(super) dataset: Dataset,
    /// The right answers.
    pub(super) model: Model,
    /// The capacity that the windows of its phases need.
    pub(super) window_capacity: WindowCapacity,
    /// The most threads of a phase, the background included.
    pub(super) threads: usize,
    /// The most writes of a batch.
    pub(super) batch: usize,
    /// The phases with their operations.
    pub(super) phases: Vec<PreparedPhase>,
}

/// A phase, ready to run.
pub(super) struct PreparedPhase {
    /// The name in the results.
    pub(super) name: String,
    /// The work of the phase.
    pub(super) work: PhaseWork,
    /// How many writes go into one batch.
    pub(super) batch: usize,
    /// The most steps of a thread.
    pub(super) max_steps: u32,
    /// The most time.
    pub(super) duration: Option<Duration>,
}

/// The work of a phase, with everything that it needs.
pub(super) enum PhaseWork {
    /// Streams of operations on threads.
    Streams(PhaseStreams),
    /// One cursor over everything.
    Sweep(SweepDirection),
    /// Nothing, for a while.
    Rest(Duration),
    /// Close and open.
    Reopen,
}

/// Makes everything that `job` needs.
pub(super) fn prepare(job: &Job) -> Outcome<PreparedCell> {
    let input = WorkloadInput::of(job)?;
    let threads = job.workload.threads.unwrap_or(1);
    let phases = job.workload.phase.iter();
    let new_keys: u64 = phases.map(|phase| most_new_keys(phase, threads, input.records)).sum();
    let capacity = (u64::from(input.records) + new_keys).min(u64::from(MOST_IDS)) as u32;
    assert!(capacity >= input.records, "every loaded record has an id");
    let phases = job.workload.phase.iter().enumerate();
    let phases = phases
        .map(|(at, phase)| PreparedPhase::new(job, at, phase, &input))
        .collect::<Outcome<Vec<_>>>()?;
    let capacities = phases.iter().map(PreparedPhase::window_capacity);
    let window_capacity = capacities.fold(WindowCapacity::default(), WindowCapacity::max);
    let threads = phases.iter().map(PreparedPhase::threads).max().unwrap_or(1);
    let batch = phases.iter().map(|phase| phase.batch).max().unwrap_or(1);
    assert!(threads > 0 && batch > 0, "a cell has a thread, and a write is a batch of one");
    let has_scans = phases.iter().any(PreparedPhase::has_scans);
    let order = has_scans.then(|| KeyOrder::new(&input.keys, capacity));
    let model = Model::new(capacity);
    let dataset = Dataset { order, ..input.dataset(job, capacity) };
    Ok(PreparedCell { dataset, model, window_capacity, threads, batch, phases })
}

impl PreparedPhase {
    /// The phase at `at` of the workload.
    fn new(job: &Job, at: usize, phase: &Phase, input: &WorkloadInput) -> Outcome<Self> {
        let ops = phase.ops.map_or(u32::MAX, |ops| ops.0.min(u64::from(u32::MAX)) as u32);
        let time = phase.duration.map(|span| span.0);
        let (work, max_steps, duration) = match phase.kind().map_err(Failure::usage)? {
            PhaseKind::Load(order) => {
                let steps = load_steps(job, at, order, input);
                let count = steps.len() as u32;
                (PhaseWork::Streams(PhaseStreams::of_one_thread(steps)), count, time)
            }
            PhaseKind::Replay => {
                let steps = replay_steps(job, &input.trace);
                let count = ops.min(steps.len() as u32);
                (PhaseWork::Streams(PhaseStreams::of_one_thread(steps)), count, None)
            }
            PhaseKind::Mix(mix) => {
                (PhaseWork::Streams(mix_streams(job, at, phase, mix, input)), ops, time)
            }
            PhaseKind::Sweep(direction) => (PhaseWork::Sweep(direction), 1, None),
            PhaseKind::Rest(time) => (PhaseWork::Rest(time.0), 1, None),
            PhaseKind::Reopen => (PhaseWork::Reopen, 1, None),
        };
        let batch = phase.batch.unwrap_or(1) as usize;
        let work = match work {
            PhaseWork::Streams(streams) => {
                PhaseWork::Streams(streams.with_timing_and_window(job, batch, max_steps, duration))
            }
            other => other,
        };
        Ok(Self { name: phase.name.clone(), work, batch, max_steps, duration })
    }

    /// Its streams, if it has any.
    pub(super) fn streams(&self) -> Option<&PhaseStreams> {
        match &self.work {
            PhaseWork::Streams(streams) => Some(streams),
            PhaseWork::Sweep(_) | PhaseWork::Rest(_) | PhaseWork::Reopen => None,
        }
    }

    /// Whether any of its operations writes.
    pub(super) fn has_writes(&self) -> bool {
        self.streams().is_some_and(PhaseStreams::has_writes)
    }

    fn has_scans(&self) -> bool {
        self.streams().is_some_and(|streams| streams.has_operation(Operation::Scan))
    }

    /// Threads that run it.
    fn threads(&self) -> usize {
        self.streams().map_or(1, PhaseStreams::threads)
    }

    /// The capacity that each window of the phase needs.
    fn window_capacity(&self) -> WindowCapacity {
        match &self.work {
            PhaseWork::Streams(streams) => streams.window_capacity(self.batch),
            PhaseWork::Sweep(_) => {
                WindowCapacity { entries: SCAN_ENTRIES_PER_WINDOW, ..WindowCapacity::default() }
            }
            PhaseWork::Rest(_) | PhaseWork::Reopen => WindowCapacity::default(),
        }
    }
}
