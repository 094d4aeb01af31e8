//! Running a cell from its first to its last phase.

use std::path::Path;
use std::time::{Duration, Instant};

use kv::{Durability, Kv};

use super::Job;
use super::clients::Clients;
use super::crew::{Crew, Ground};
use super::final_check::check_everything;
use super::measured::{CellKey, Measured, Outside};
use super::memory_use::{MemoryBase, MemoryUse};
use super::prepare::{Prepared, PreparedPhase, WARM_UP, Work, prepare, value_bytes};
use super::settle::{OthersWork, Settled, settle};
use super::sweep::sweep;
use super::sync_count::SyncCount;
use crate::client::{Desk, NOT_FOUND};
use crate::dataset::Dataset;
use crate::engines::{EngineConfig, NULL, Registration};
use crate::failure::{Failure, Outcome};
use crate::judge::{Judge, Timeline};
use crate::memory_elsewhere::Elsewhere;
use crate::memory_watch::MemoryWatch;
use crate::probe::{self, Probe};
use crate::recorder::{Line, Recorder};
use crate::row::Row;
use crate::system::{Counters, DiskUse, OtherThreads};
use crate::values::ValueHeader;
use crate::{page_cache, process_memory};

/// Of the time that is left, the most that a phase may take when others follow.
const LARGEST_SHARE: f64 = 0.6;

/// A cell between two phases.
struct Cell<'c> {
    key: CellKey<'c>,
    registration: &'c Registration,
    config: EngineConfig,
    dataset: &'c Dataset,
    judge: Judge<'c>,
    desks: Vec<Desk>,
    recorders: Vec<Recorder>,
    harness: Harness,
    /// Bytes that phases have written, loads included.
    written_bytes: u64,
    /// Whether the limit ended a phase that writes or rests: the store is not the one that later phases ask for.
    is_store_cut: bool,
    probe: &'c mut dyn Probe,
}

/// The process before the engine was opened.
struct Harness {
    memory: MemoryBase,
    /// Threads beside the one that runs the phases.
    threads: usize,
    /// Its files, and the place of the engine's.
    files: Elsewhere,
}

/// The first measurements after the clock, before answers are judged.
#[derive(Clone, Copy)]
struct After {
    memory: MemoryUse,
    settled: Settled,
}

/// The counters at the begin of a phase.
struct Before {
    counters: Counters,
    syncs: SyncCount,
    /// Samples the memory until the clock has stopped.
    watch: Option<MemoryWatch>,
}

impl Before {
    fn now(engine: &dyn Kv) -> Self {
        process_memory::forget_peak();
        let watch = Some(MemoryWatch::start());
        Self { counters: Counters::now(), syncs: SyncCount::now(engine), watch }
    }
}

/// Runs `job` on the engine of `registration`, with `probe` beside synced phases, and hands over the rows of each phase.
/// `prepared` is told the memory of the harness before the engine is opened.
pub(crate) fn run(
    registration: &Registration,
    job: &Job,
    probe: &mut dyn Probe,
    prepared: &mut dyn FnMut(u64) -> Outcome<()>,
    emit: &mut dyn FnMut(Row) -> Outcome<()>,
) -> Outcome<()> {
    let begun = Instant::now();
    let Prepared { dataset, model, room, threads, phases } = prepare(job)?;
    let values = |thread| dataset.values.writer(thread, threads, value_bytes(job) as usize);
    let desks: Vec<_> = (0..threads as u32).map(|thread| Desk::new(room, values(thread))).collect();
    let durability = registration.effective_durability(job.durability());
    let config = EngineConfig {
        memory_budget_bytes: job.memory_budget_bytes,
        durability,
        value_bytes: job.workload.value_len(),
    };
    let recorders = vec![Recorder::new(); threads];
    let timeline = Timeline::new(threads, room.samples, model.capacity());
    let is_strict = registration.name != NULL;
    let judge = Judge { dataset: &dataset, model, is_strict, timeline };
    // Everything of the harness is made and touched; memory that is added from here on is the engine's.
    let harness = Harness::now(&job.directory);
    prepared(harness.memory.harness_bytes().unwrap_or_default())?;
    let mut engine = (registration.open)(&job.directory, config)?;
    let durability = durability.min(engine.capabilities().durability);
    let mut cell = Cell {
        key: CellKey { job, engine_version: registration.version, durability },
        registration,
        config,
        dataset: &dataset,
        judge,
        desks,
        recorders,
        harness,
        written_bytes: 0,
        is_store_cut: false,
        probe,
    };
    for (at, phase) in phases.iter().enumerate() {
        let cap = job.limit.map(|limit| {
            let left = limit.saturating_sub(begun.elapsed());
            if at + 1 < phases.len() { left.mul_f64(LARGEST_SHARE) } else { left }
        });
        let (next, rows) = cell.run_phase(engine, phase, cap)?;
        engine = next;
        rows.into_iter().try_for_each(&mut *emit)?;
    }
    if cell.judge.is_strict {
        check_everything(engine.as_ref(), &dataset, &cell.judge.model)?;
    }
    engine.close()?;
    Ok(())
}

impl Harness {
    /// To be called before the engine is opened in `directory`.
    fn now(directory: &Path) -> Self {
        Self {
            memory: MemoryBase::now(),
            threads: OtherThreads::now().unwrap_or_default().count,
            files: Elsewhere::new(directory, &probe::path_beside(directory)),
        }
    }

    /// Measures `engine` when the clock has stopped, syncs it, and waits until it is at rest if it wrote for `wrote_for`.
    fn after(
        &self,
        engine: &dyn Kv,
        before: &mut Before,
        wrote_for: Option<Duration>,
    ) -> Outcome<After> {
        let others = OthersWork::begin();
        // Before the sync, which may empty the buffers that the phase has filled.
        let memory = MemoryUse::now(self.memory, before.watch.take(), &self.files);
        let settled = settle(engine, wrote_for, self.threads, others.so_far())?;
        Ok(After { memory, settled })
    }
}

impl Cell<'_> {
    fn run_phase(
        &mut self,
        engine: Box<dyn Kv>,
        phase: &PreparedPhase,
        cap: Option<Duration>,
    ) -> Outcome<(Box<dyn Kv>, Vec<Row>)> {
        let durability = self.key.durability;
        let probe_before = self.probe_disk(&phase.work)?;
        let (engine, before, after, mut measured) = match &phase.work {
            Work::Rest(time) => {
                self.is_store_cut |= cap.is_some_and(|cap| cap < *time);
                std::thread::sleep(cap.map_or(*time, |cap| cap.min(*time)));
                return Ok((engine, Vec::new()));
            }
            Work::Reopen if durability == Durability::None => return Ok((engine, Vec::new())),
            Work::Reopen => {
                let mut before = Before::now(engine.as_ref());
                let (engine, measured) = self.reopen(engine, &mut before)?;
                let after = self.harness.after(engine.as_ref(), &mut before, None)?;
                (engine, before, after, measured)
            }
            Work::Sweep(direction) => {
                let ground = self.ground(engine.as_ref());
                let mut before = Before::now(engine.as_ref());
                let measured = sweep(ground, *direction, &mut self.desks[0], &self.judge)?;
                let after = self.harness.after(engine.as_ref(), &mut before, None)?;
                (engine, before, after, measured)
            }
            Work::Clients(clients) => {
                let ground = self.ground(engine.as_ref());
                let (before, after, measured) = self.run_clients(ground, phase, clients, cap)?;
                (engine, before, after, measured)
            }
        };
        let mut outside = self.outside(engine.as_ref(), &before, &after);
        outside.probes = (probe_before, self.probe_disk(&phase.work)?);
        let writes = matches!(&phase.work, Work::Clients(clients) if clients.has_writes());
        let has_cut_store = self.is_store_cut;
        self.is_store_cut |= writes && measured.cut_short;
        measured.cut_short |= has_cut_store;
        Ok((engine, measured.rows(&self.key, &phase.name, &outside)))
    }

    /// The disk's own time for a sync, where clients of an engine that does something wait for syncs.
    fn probe_disk(&mut self, work: &Work) -> Outcome<Option<f64>> {
        let has_writes = matches!(work, Work::Clients(clients) if clients.has_writes());
        let is_promised = self.key.durability == Durability::Sync && self.registration.name != NULL;
        let is_synced = has_writes && is_promised;
        is_synced.then(|| self.probe.sync_ns()).transpose()
    }

    /// The measurements of a phase from outside, after the final sync.
    fn outside(&self, engine: &dyn Kv, before: &Before, after: &After) -> Outside {
        let After { mut memory, settled } = *after;
        let directory = self.key.directory();
        memory.page_cache_bytes = page_cache::bytes_below(directory);
        Outside {
            settled,
            counters: Counters::now().since(&before.counters),
            memory,
            fsyncs: before.syncs.until_now(engine),
            disk: DiskUse::of(directory),
            live: self.judge.model.live(&self.dataset.keys),
            probes: (None, None),
        }
    }

    fn ground<'g>(&self, engine: &'g dyn Kv) -> Ground<'g>
    where
        Self: 'g,
    {
        Ground { engine, dataset: self.dataset, durability: self.key.durability }
    }

    /// Runs the streams of a phase, each on its own thread.
    fn run_clients(
        &mut self,
        ground: Ground<'_>,
        phase: &PreparedPhase,
        clients: &Clients,
        cap: Option<Duration>,
    ) -> Outcome<(Before, After, Measured)> {
        let deadline = cap.map(|cap| Instant::now() + cap);
        let Self { desks, recorders, judge, harness, .. } = self;
        let mut crew = Crew::new(ground, phase, clients, &judge.model, deadline);
        let mean_bytes = judge.model.mean_value_bytes().unwrap_or(value_bytes(self.key.job));
        let (loop_ns, background_loop_ns) = crew.loop_times(&mut desks[0], mean_bytes)?;
        let warm_up = phase.duration.filter(|_| phase.max_steps == u32::MAX);
        let warm_up = warm_up.map(|time| {
            // The limit shortens the warm-up and the measured time alike.
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            left.map_or(time, |left| time.min(left.div_f64(1.0 + WARM_UP))).mul_f64(WARM_UP)
        });
        if let Some(time) = warm_up {
            crew.warm_up(time, desks, recorders, judge)?;
        }
        let mut before = Before::now(ground.engine);
        let mut after = None;
        let mut settle = |wall| {
            let wrote_for = clients.has_writes().then_some(wall);
            after = Some(harness.after(ground.engine, &mut before, wrote_for)?);
            Ok(())
        };
        let times = crew.measure(phase.duration, desks, (recorders, judge), &mut settle)?;
        let mut measured = Measured::from_crew(&times, clients, self.key.job.rate);
        (measured.loop_ns, measured.background_loop_ns) = (Some(loop_ns), background_loop_ns);
        measured.warm_up = warm_up;
        measured.asked = phase.duration;
        self.written_bytes += measured.bytes_written();
        measured.written_bytes = self.written_bytes;
        let Some(after) = after else { unreachable!("the last window of a phase settles it") };
        Ok((before, after, measured))
    }

    /// Closes the engine cleanly, opens it again and reads one key. The syncs of the close are noted in `before`.
    fn reopen(&self, engine: Box<dyn Kv>, before: &mut Before) -> Outcome<(Box<dyn Kv>, Measured)> {
        engine.close()?;
        before.syncs.close(engine.as_ref());
        drop(engine);
        let probe = self.judge.model.present_ids().next();
        let mut key = Vec::new();
        if let Some(id) = probe {
            self.dataset.keys.write_key(id, &mut key);
        }
        let started = Instant::now();
        let opened = (self.registration.open)(&self.key.job.directory, self.config)?;
        let found = opened.get(&key)?;
        let time = started.elapsed();
        if let Some(id) = probe.filter(|_| self.judge.is_strict) {
            let header = found.as_deref().map(ValueHeader::read);
            let version = match header {
                None => NOT_FOUND,
                Some(Some(header)) if header.id == id => header.version,
                Some(_) => {
                    let key = self.dataset.show_key(id);
                    return Err(Failure::wrong_data(format!("{key} has a wrong value")));
                }
            };
            self.judge.check_now(id, version)?;
        }
        let mut measured = Measured::from_line(Line { ops: 1, ..Line::new("all") }, time);
        measured.open = Some(time);
        Ok((opened, measured))
    }
}
