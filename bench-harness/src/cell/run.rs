//! Running a cell from its first to its last phase.

use std::time::{Duration, Instant};

use kv::{Durability, Kv};

use super::Job;
use super::clients::Clients;
use super::crew::{Crew, Ground};
use super::final_check::check_everything;
use super::measured::{CellKey, Measured, Outside};
use super::memory_use::{MemoryBase, MemoryUse};
use super::prepare::{Prepared, PreparedPhase, WARM_UP, Work, prepare, value_bytes};
use super::sweep::sweep;
use crate::client::{Desk, NOT_FOUND};
use crate::dataset::Dataset;
use crate::engines::{EngineConfig, NULL, Registration};
use crate::failure::{Failure, Outcome};
use crate::judge::{Judge, Timeline};
use crate::probe::Probe;
use crate::recorder::{Line, Recorder};
use crate::row::Row;
use crate::system::{Counters, DiskUse};
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
    base: MemoryBase,
    /// Bytes that phases have written, loads included.
    written_bytes: u64,
    /// Whether the limit ended a phase that writes or rests: the store is not the one that later phases ask for.
    is_store_cut: bool,
    probe: &'c mut dyn Probe,
}

/// The counters at the begin of a phase.
struct Before {
    counters: Counters,
    fsyncs: Option<u64>,
    /// The syncs of the instance that the phase has closed: the next one counts from 0.
    closed_fsyncs: u64,
}

impl Before {
    fn now(engine: &dyn Kv) -> Self {
        process_memory::forget_peak();
        Self { counters: Counters::now(), fsyncs: fsyncs(engine), closed_fsyncs: 0 }
    }

    /// The syncs of the phase, when the engine that is open counts `now`. A count that went back is none.
    fn fsyncs_until(&self, now: Option<u64>) -> Option<u64> {
        (now? + self.closed_fsyncs).checked_sub(self.fsyncs?)
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
    let base = MemoryBase::now();
    prepared(base.harness_bytes().unwrap_or_default())?;
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
        base,
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

impl Cell<'_> {
    fn run_phase(
        &mut self,
        engine: Box<dyn Kv>,
        phase: &PreparedPhase,
        cap: Option<Duration>,
    ) -> Outcome<(Box<dyn Kv>, Vec<Row>)> {
        let durability = self.key.durability;
        let probe_before = self.probe_disk(&phase.work)?;
        let (engine, before, mut measured) = match &phase.work {
            Work::Rest(time) => {
                self.is_store_cut |= cap.is_some_and(|cap| cap < *time);
                std::thread::sleep(cap.map_or(*time, |cap| cap.min(*time)));
                return Ok((engine, Vec::new()));
            }
            Work::Reopen if durability == Durability::None => return Ok((engine, Vec::new())),
            Work::Reopen => {
                let mut before = Before::now(engine.as_ref());
                let (engine, measured) = self.reopen(engine, &mut before)?;
                (engine, before, measured)
            }
            Work::Sweep(direction) => {
                let ground = self.ground(engine.as_ref());
                let before = Before::now(engine.as_ref());
                let measured = sweep(ground, *direction, &mut self.desks[0], &self.judge)?;
                (engine, before, measured)
            }
            Work::Clients(clients) => {
                let ground = self.ground(engine.as_ref());
                let (before, measured) = self.run_clients(ground, phase, clients, cap)?;
                (engine, before, measured)
            }
        };
        let mut outside = self.outside(engine.as_ref(), &before)?;
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

    /// The measurements of a phase from outside, after a final sync.
    fn outside(&self, engine: &dyn Kv, before: &Before) -> Outcome<Outside> {
        // Before the sync, which may empty the buffers that the phase has filled.
        let mut memory = MemoryUse::now(self.base);
        let settling = Instant::now();
        engine.sync()?;
        let settle = settling.elapsed();
        let directory = self.key.directory();
        memory.page_cache_bytes = page_cache::bytes_below(directory);
        Ok(Outside {
            settle,
            counters: Counters::now().since(&before.counters),
            memory,
            fsyncs: before.fsyncs_until(fsyncs(engine)),
            disk: DiskUse::of(directory),
            live: self.judge.model.live(&self.dataset.keys),
            probes: (None, None),
        })
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
    ) -> Outcome<(Before, Measured)> {
        let deadline = cap.map(|cap| Instant::now() + cap);
        let Self { desks, recorders, judge, .. } = self;
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
        let before = Before::now(ground.engine);
        let times = crew.measure(phase.duration, desks, recorders, judge)?;
        let mut measured = Measured::from_crew(&times, clients, self.key.job.rate);
        (measured.loop_ns, measured.background_loop_ns) = (Some(loop_ns), background_loop_ns);
        measured.warm_up = warm_up;
        measured.asked = phase.duration;
        self.written_bytes += measured.bytes_written();
        measured.written_bytes = self.written_bytes;
        Ok((before, measured))
    }

    /// Closes the engine cleanly, opens it again and reads one key. The syncs of the close are noted in `before`.
    fn reopen(&self, engine: Box<dyn Kv>, before: &mut Before) -> Outcome<(Box<dyn Kv>, Measured)> {
        engine.close()?;
        before.closed_fsyncs = fsyncs(engine.as_ref()).unwrap_or_default();
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

/// The number of syncs that the engine counts, if it does.
fn fsyncs(engine: &dyn Kv) -> Option<u64> {
    let stats = engine.stats();
    stats.get("syncs").or(stats.get("sync_rounds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_syncs_of_a_reopening_are_those_of_the_close_and_of_the_next_opening() {
        let before = Before { counters: Counters::default(), fsyncs: Some(7), closed_fsyncs: 9 };
        assert_eq!(before.fsyncs_until(Some(1)), Some(3));
        assert_eq!(before.fsyncs_until(None), None);
    }
}
