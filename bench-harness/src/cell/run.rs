//! Running a cell from its first to its last phase.

use std::time::{Duration, Instant};

use kv::{Durability, Kv};

use super::Job;
use super::final_check::check_everything;
use super::measured::{CellKey, Measured, Outside};
use super::phase_runner::PhaseRunner;
use super::prepare::{Prepared, PreparedPhase, Work, prepare};
use crate::dataset::Dataset;
use crate::engines::{EngineConfig, Registration};
use crate::failure::{Failure, Outcome};
use crate::recorder::Line;
use crate::row::Row;
use crate::system::{self, Counters, DiskUse};

/// Of the time that is left, the most that a phase may take when others follow.
const LARGEST_SHARE: f64 = 0.6;

/// Runs `job` on the engine of `registration` and hands over the rows of each phase.
pub(crate) fn run(
    registration: &Registration,
    job: &Job,
    emit: &mut dyn FnMut(Row) -> Outcome<()>,
) -> Outcome<()> {
    let begun = Instant::now();
    let Prepared { dataset, phases } = prepare(job)?;
    let durability = registration.effective_durability(job.durability());
    let config = EngineConfig { memory_budget_bytes: job.memory_budget_bytes, durability };
    let rss_base_bytes = system::memory_bytes();
    let mut engine = (registration.open)(&job.directory, config)?;
    let durability = durability.min(engine.capabilities().durability);
    let cell = CellKey { job, engine_version: registration.version, durability };
    for (at, phase) in phases.iter().enumerate() {
        let cap = job.limit.map(|limit| {
            let left = limit.saturating_sub(begun.elapsed());
            if at + 1 < phases.len() { left.mul_f64(LARGEST_SHARE) } else { left }
        });
        let before = Counters::now();
        let fsyncs_before = fsyncs(engine.as_ref());
        system::forget_memory_peak();
        let measured = match &phase.work {
            Work::Rest(time) => {
                std::thread::sleep(cap.map_or(*time, |cap| cap.min(*time)));
                continue;
            }
            Work::Reopen if durability == Durability::None => continue,
            Work::Reopen => {
                let (opened, measured) =
                    reopen(engine, || (registration.open)(&job.directory, config), &dataset)?;
                engine = opened;
                measured
            }
            _ => run_phase(
                PhaseRunner { engine: engine.as_ref(), dataset: &dataset, durability, cap },
                phase,
            )?,
        };
        let settling = Instant::now();
        engine.sync()?;
        let outside = Outside {
            settle: settling.elapsed(),
            counters: Counters::now().since(&before),
            rss_peak_bytes: system::memory_peak_bytes(),
            rss_base_bytes,
            fsyncs: fsyncs(engine.as_ref())
                .zip(fsyncs_before)
                .map(|(now, then)| now.saturating_sub(then)),
            disk: DiskUse::of(cell.directory()),
            live: dataset.live(),
        };
        measured.rows(&cell, &phase.name, &outside).into_iter().try_for_each(&mut *emit)?;
    }
    check_everything(engine.as_ref(), &dataset)?;
    engine.close()?;
    Ok(())
}

fn run_phase(runner: PhaseRunner<'_>, phase: &PreparedPhase) -> Outcome<Measured> {
    match &phase.work {
        Work::Clients(clients) => runner.clients(phase, clients),
        Work::Sweep(direction) => runner.sweep(*direction),
        Work::Rest(_) | Work::Reopen => Err(Failure::engine("this is not run by a thread")),
    }
}

/// Closes the engine cleanly, opens it again and reads one key.
fn reopen(
    engine: Box<dyn Kv>,
    open: impl FnOnce() -> kv::Result<Box<dyn Kv>>,
    dataset: &Dataset,
) -> Outcome<(Box<dyn Kv>, Measured)> {
    engine.close()?;
    drop(engine);
    let probe = dataset.model.present_ids().next();
    let mut key = Vec::new();
    if let Some(id) = probe {
        dataset.keys.write_key(id, &mut key);
    }
    let started = Instant::now();
    let opened = open()?;
    let found = opened.get(&key)?;
    let time: Duration = started.elapsed();
    if let Some(id) = probe {
        let state = dataset.model.acked(id);
        dataset.check_get(id, (state, state), found.as_deref())?;
    }
    let mut measured = Measured::from_line(Line { ops: 1, busy: time, ..Line::new("all") });
    measured.open = Some(time);
    Ok((opened, measured))
}

/// The number of syncs that the engine counts, if it does.
fn fsyncs(engine: &dyn Kv) -> Option<u64> {
    let stats = engine.stats();
    stats.get("syncs").or(stats.get("sync_rounds"))
}
