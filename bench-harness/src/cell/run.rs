//! Running a cell from its first to its last phase.
//!
//! 1. Everything of the harness is made and touched; then the engine is opened.
//! 2. Each phase: the disk is probed if writes are synced; the loop is measured on an engine that does nothing; a phase that
//!    ends by time is warmed up; the clients run, window after window; the engine settles; the disk is probed again. A sweep
//!    and a reopening have neither loop, warm-up nor probes. A rest has no rows.
//! 3. The content is compared, here or by a second process ([`Ending`]).
//!
//! With a time limit, a phase takes at most [`LARGEST_SHARE`] of the time that is left, so that those after it get some.

use std::time::{Duration, Instant};

use kv::{Durability, Kv};

use super::final_check::check_everything;
use super::harness_share::HarnessShare;
use super::instruments::Instruments;
use super::kill_check::UnclosedStore;
use super::phase_clients::{PhaseClients, Target};
use super::phase_result::{CellIdentity, PhaseResult, ResourceUse};
use super::phase_span::{PhaseEnd, PhaseStart};
use super::phase_streams::PhaseStreams;
use super::prepare::{PhaseWork, PreparedCell, PreparedPhase, prepare};
use super::reopen::reopen;
use super::sweep::sweep;
use super::workload_input::value_bytes;
use super::{Job, WARM_UP};
use crate::dataset::Dataset;
use crate::disk_use::DiskUse;
use crate::engines::{EngineConfig, NULL_ENGINE, Registration};
use crate::failure::Outcome;
use crate::model::Model;
use crate::page_cache;
use crate::probe::Probe;
use crate::process_counters::Counters;
use crate::row::Row;
use crate::values::ValueWriter;
use crate::workload::SweepDirection;

/// The moment at which the content of an engine of class `none` is compared, in complaints.
const AT_THE_END: &str = "at the end";
/// Of the time that is left, the most that a phase may take when others follow.
const LARGEST_SHARE: f64 = 0.6;

/// The end of a cell whose phases are measured.
pub(crate) enum Ending {
    /// The content of the engine was compared here, because nothing is promised to outlive the process; or it is not judged.
    Checked,
    /// The content must outlive this process.
    MustSurvive(Box<UnclosedStore>),
}

/// A cell between two phases.
struct Cell<'c> {
    identity: CellIdentity<'c>,
    registration: &'c Registration,
    config: EngineConfig,
    dataset: &'c Dataset,
    instruments: Instruments<'c>,
    harness: HarnessShare,
    /// Bytes that phases have written, loads included.
    written_bytes: u64,
    /// Whether the limit ended a phase that writes or rests: the store is not the one that later phases ask for.
    is_store_cut: bool,
    /// Time in which the harness waited for the engine to rest. No limit counts it: the work behind it is measured, and the
    /// phases that follow need their own time.
    waited: Duration,
    probe: &'c mut dyn Probe,
}

/// A phase that was measured.
struct MeasuredPhase {
    start: PhaseStart,
    end: PhaseEnd,
    result: PhaseResult,
}

/// Runs `job` on the engine of `registration`, with `probe` beside synced phases, and hands over the rows of each phase.
/// Calls `on_prepared` with the memory of the harness before it opens the engine. The result says how the cell ends.
pub(crate) fn run(
    registration: &Registration,
    job: &Job,
    probe: &mut dyn Probe,
    on_prepared: &mut dyn FnMut(u64) -> Outcome<()>,
    emit: &mut dyn FnMut(Row) -> Outcome<()>,
) -> Outcome<Ending> {
    let begun = Instant::now();
    let PreparedCell { dataset, model, window_capacity, threads, batch, phases } = prepare(job)?;
    let instruments =
        Instruments::new((registration, job), (&dataset, model), (threads, batch), window_capacity);
    let is_strict = instruments.judge.is_strict;
    let config = job.config(registration);
    // Everything of the harness is made and touched; memory that is added from here on is the engine's.
    let harness = HarnessShare::now(&job.directory);
    on_prepared(harness.anonymous_bytes())?;
    let engine = (registration.open)(&job.directory, config)?;
    let durability = config.durability.min(engine.capabilities().durability);
    assert!(durability <= job.durability(), "an engine is never asked for more");
    let mut cell = Cell {
        identity: CellIdentity { job, engine_version: registration.version, durability },
        registration,
        config,
        dataset: &dataset,
        instruments,
        harness,
        written_bytes: 0,
        is_store_cut: false,
        waited: Duration::ZERO,
        probe,
    };
    let engine = cell.run_phases(engine, &phases, begun, emit)?;
    let (model, values) = cell.instruments.into_model_and_values();
    if !is_strict {
        engine.close()?;
        return Ok(Ending::Checked);
    }
    finish(job, engine, (dataset, model), values, durability)
}

/// Ends a cell whose phases are measured. The content of an engine of class `none` is compared here.
fn finish(
    job: &Job,
    engine: Box<dyn Kv>,
    (dataset, model): (Dataset, Model),
    values: ValueWriter,
    durability: Durability,
) -> Outcome<Ending> {
    if durability > Durability::None {
        let store = UnclosedStore::new(job, engine, (dataset, model), values, durability)?;
        return Ok(Ending::MustSurvive(Box::new(store)));
    }
    check_everything(engine.as_ref(), &dataset, &model, AT_THE_END)?;
    engine.close()?;
    Ok(Ending::Checked)
}

impl Cell<'_> {
    /// Runs `phases`, one after the other, and hands over the rows of each. The cell began at `begun`. Returns the engine.
    fn run_phases(
        &mut self,
        mut engine: Box<dyn Kv>,
        phases: &[PreparedPhase],
        begun: Instant,
        emit: &mut dyn FnMut(Row) -> Outcome<()>,
    ) -> Outcome<Box<dyn Kv>> {
        for (at, phase) in phases.iter().enumerate() {
            let time_limit = self.time_limit(begun, at + 1 == phases.len());
            let (next, rows) = self.run_phase(engine, phase, time_limit)?;
            engine = next;
            rows.into_iter().try_for_each(&mut *emit)?;
        }
        Ok(engine)
    }

    /// The time that the next phase may take, if the cell, which began at `begun`, has a limit.
    fn time_limit(&self, begun: Instant, is_last: bool) -> Option<Duration> {
        let spent = begun.elapsed().saturating_sub(self.waited);
        let left = self.identity.job.time_limit?.saturating_sub(spent);
        Some(if is_last { left } else { left.mul_f64(LARGEST_SHARE) })
    }

    /// Runs `phase` for `time_limit` at most and returns the engine and the rows.
    fn run_phase(
        &mut self,
        engine: Box<dyn Kv>,
        phase: &PreparedPhase,
        time_limit: Option<Duration>,
    ) -> Outcome<(Box<dyn Kv>, Vec<Row>)> {
        let durability = self.identity.durability;
        let (engine, measured, probe_before) = match &phase.work {
            PhaseWork::Rest(time) => {
                self.is_store_cut |= time_limit.is_some_and(|limit| limit < *time);
                std::thread::sleep(time_limit.map_or(*time, |limit| limit.min(*time)));
                return Ok((engine, Vec::new()));
            }
            // Nothing would be there after it.
            PhaseWork::Reopen if durability == Durability::None => return Ok((engine, Vec::new())),
            PhaseWork::Reopen => {
                let (engine, measured) = self.reopen(engine)?;
                (engine, measured, None)
            }
            PhaseWork::Sweep(direction) => {
                let measured = self.sweep(engine.as_ref(), *direction)?;
                (engine, measured, None)
            }
            PhaseWork::Streams(streams) => {
                let probe_before = self.probe_disk(phase)?;
                let target = self.target(engine.as_ref());
                let measured = self.run_clients(target, phase, streams, time_limit)?;
                (engine, measured, probe_before)
            }
        };
        let MeasuredPhase { start, end, mut result } = measured;
        self.waited += end.settled.waited;
        let mut resources = self.measure_resources(engine.as_ref(), &start, &end);
        resources.probes = (probe_before, self.probe_disk(phase)?);
        let has_cut_store = self.is_store_cut;
        self.is_store_cut |= phase.has_writes() && result.cut_short;
        result.cut_short |= has_cut_store;
        assert!(result.threads > 0, "a phase has a thread");
        Ok((engine, result.rows(&self.identity, &phase.name, &resources)))
    }

    /// The disk's own time for a sync, where clients of an engine that does something wait for syncs.
    fn probe_disk(&mut self, phase: &PreparedPhase) -> Outcome<Option<f64>> {
        let promises_sync = self.identity.durability == Durability::Sync;
        let is_synced =
            phase.has_writes() && promises_sync && self.registration.name != NULL_ENGINE;
        is_synced.then(|| self.probe.sync_ns()).transpose()
    }

    /// The resources that the process used in a phase, after the final sync.
    fn measure_resources(
        &self,
        engine: &dyn Kv,
        start: &PhaseStart,
        end: &PhaseEnd,
    ) -> ResourceUse {
        let PhaseEnd { mut memory, settled } = *end;
        let directory = self.identity.directory();
        memory.page_cache_bytes = page_cache::bytes_below(directory);
        ResourceUse {
            settled,
            counters: Counters::now().since(&start.counters),
            memory,
            fsyncs: start.syncs.until_now(engine),
            disk: DiskUse::of(directory),
            live: self.instruments.judge.model.live(&self.dataset.keys),
            probes: (None, None),
        }
    }

    fn target<'t>(&self, engine: &'t dyn Kv) -> Target<'t>
    where
        Self: 't,
    {
        Target { engine, dataset: self.dataset, durability: self.identity.durability }
    }

    /// Runs the streams of a phase, each on its own thread.
    fn run_clients(
        &mut self,
        target: Target<'_>,
        phase: &PreparedPhase,
        streams: &PhaseStreams,
        time_limit: Option<Duration>,
    ) -> Outcome<MeasuredPhase> {
        let deadline = time_limit.map(|limit| Instant::now() + limit);
        let Self { instruments, harness, .. } = self;
        let Instruments { judge, all_buffers, recorders } = instruments;
        let mut clients = PhaseClients::new(target, phase, streams, &judge.model, deadline);
        let mean_bytes = judge.model.mean_value_bytes().unwrap_or(value_bytes(self.identity.job));
        let (loop_ns, background_loop_ns) = clients.loop_times(&mut all_buffers[0], mean_bytes)?;
        let warm_up = match warm_up_time(phase, deadline) {
            Some(time) => Some(clients.warm_up(time, all_buffers, recorders, judge)?),
            None => None,
        };
        let mut start = PhaseStart::begin(target.engine);
        let mut end = None;
        let mut settle = |wall| {
            let wrote_for = streams.has_writes().then_some(wall);
            end = Some(start.end(target.engine, harness, wrote_for)?);
            Ok(())
        };
        let times =
            clients.measure(phase.duration, all_buffers, (recorders, judge), &mut settle)?;
        let mut result = PhaseResult::from_clients(&times, streams, self.identity.job.rate);
        (result.loop_ns, result.background_loop_ns) = (Some(loop_ns), background_loop_ns);
        result.warm_up = warm_up;
        result.asked = phase.duration;
        self.written_bytes += result.bytes_written();
        result.written_bytes = self.written_bytes;
        let Some(end) = end else { unreachable!("the last window of a phase settles it") };
        Ok(MeasuredPhase { start, end, result })
    }

    /// Reads everything with one cursor.
    fn sweep(&mut self, engine: &dyn Kv, direction: SweepDirection) -> Outcome<MeasuredPhase> {
        let target = self.target(engine);
        let Instruments { judge, all_buffers, .. } = &mut self.instruments;
        let mut start = PhaseStart::begin(engine);
        let result = sweep(target, direction, &mut all_buffers[0], judge)?;
        let end = start.end(engine, &self.harness, None)?;
        Ok(MeasuredPhase { start, end, result })
    }

    /// Closes the engine and opens it again.
    fn reopen(&self, engine: Box<dyn Kv>) -> Outcome<(Box<dyn Kv>, MeasuredPhase)> {
        let mut start = PhaseStart::begin(engine.as_ref());
        let opening = (self.registration, self.identity.job, self.config);
        let (engine, result) = reopen(engine, opening, &self.instruments.judge, &mut start)?;
        let end = start.end(engine.as_ref(), &self.harness, None)?;
        Ok((engine, MeasuredPhase { start, end, result }))
    }
}

/// The time for which a phase runs before it is measured, if nothing but time ends it. A deadline shortens the warm-up and
/// the measured time alike.
fn warm_up_time(phase: &PreparedPhase, deadline: Option<Instant>) -> Option<Duration> {
    let time = phase.duration.filter(|_| phase.max_steps == u32::MAX)?;
    let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
    let measured = left.map_or(time, |left| time.min(left.div_f64(1.0 + WARM_UP)));
    Some(measured.mul_f64(WARM_UP))
}
