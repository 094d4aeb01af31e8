//! A round: prepares the store and the batches, has the scheduler run the writers, and collects the facts.

use std::sync::{Arc, Mutex};

use durable::{Inject, Plan, SimFs, SyncFailure};
use kv::{Capabilities, Durability, UnixMillis};

use super::Options;
use super::actors::{Shared, Task};
use super::facts::facts;
use super::failing::Failing;
use super::gate::Gate;
use super::record::Round;
use super::scheduler::schedule_writers;
use crate::generate::{self, ScriptConfig};
use crate::opening::capabilities;
use crate::oracle::History;
use crate::random::{Random, sub_seed};
use crate::run::EngineRun;
use crate::script::{Change, Script, Step, batch_of};
use crate::subject::Subject;
use crate::world::World;

/// Runs a round. `None`: the engine does not support class `Sync`.
pub(super) fn run_round(
    subject: &dyn Subject,
    option_set: usize,
    options: &Options,
) -> Result<Option<Round>, String> {
    let able = capabilities(subject, option_set).ok_or("the engine does not open")?;
    if able.durability < Durability::Sync {
        return Ok(None);
    }
    let (sim, inject, gate) = gated_disk(options);
    let world = World::on(Arc::new(inject.clone()), 1);
    let steps = script(options, able, options.steps, 0);
    let writes = script(options, able, 8 * options.writers, 2);
    let keys = [steps.keys(), writes.keys()].concat();
    let mut run = EngineRun::start(subject, option_set, world, keys.clone())?;
    run.steps(&steps)?;
    run.step(&Step::Drain)?;
    let now = run.now();
    let mut history = run.history.clone();
    let is_long = Random::new(sub_seed(options.seed, 5)).one_in(LONG_VALUES_ONE_IN);
    let most = if is_long { usize::MAX } else { SHORT_BYTES };
    let tasks = tasks(&writes.0, &mut history, now, options.writers, most);
    let from = sim.ops();
    let failing = Failing::of(options);
    if let Some(mode) = failing.mode {
        sim.set_sync_failure(mode);
    }
    let (engine, stepper, answers) = (run.share(), run.stepper(), Mutex::default());
    let shared =
        Shared { engine, sim: sim.clone(), inject, gate, stepper, keys: keys.clone(), answers };
    let looks =
        schedule_writers(&shared, &tasks, failing, &Random::new(sub_seed(options.seed, 3)))?;
    let has_reverted = shared.has_failed() && failing.mode == Some(SyncFailure::Reverts);
    shared.inject.lift();
    let facts = facts(&shared, &tasks, looks, has_reverted, &mut history, now)?;
    Ok(Some(Round { sim, history, keys, now, from, has_reverted, facts }))
}

/// A simulated disk, and the gate that each sync on it passes.
fn gated_disk(options: &Options) -> (SimFs, Inject, Arc<Gate>) {
    let sim = SimFs::new();
    let inject = Inject::over_sim(sim.clone(), Plan::none());
    let gate = Arc::new(Gate::new(options.writers, sub_seed(options.seed, 1)));
    let (before, after) = (Arc::clone(&gate), Arc::clone(&gate));
    inject.on_call(Arc::new(move |call| before.before(call)));
    inject.on_return(Arc::new(move |call| after.after(call)));
    (sim, inject, gate)
}

/// A script of this engine; `part` tells scripts of one seed apart.
fn script(options: &Options, able: Capabilities, steps: usize, part: u64) -> Script {
    let mut capabilities = able;
    capabilities.expiry = false;
    let config =
        ScriptConfig { steps, reads: false, persistent: false, one_sync_in: 2, capabilities };
    generate::script(sub_seed(options.seed, part), &config)
}

/// In most rounds the values are so short that all batches fit into one file. Then the gate never stops a writer that owns a
/// lock. One round in this many keeps the lengths of the script.
const LONG_VALUES_ONE_IN: usize = 6;
const SHORT_BYTES: usize = 24;

fn shortened(changes: &[Change], most: usize) -> Vec<Change> {
    let shorten = |change: &Change| match *change {
        Change::Put { key, len } => Change::Put { key, len: len.min(most) },
        other => other,
    };
    changes.iter().map(shorten).collect()
}

/// The first `count` batches of `steps`, begun in `history`. Values are at most `most` bytes long.
fn tasks(
    steps: &[Step],
    history: &mut History,
    now: UnixMillis,
    count: usize,
    most: usize,
) -> Vec<Task> {
    let writes = steps.iter().filter_map(|step| match step {
        Step::Write(changes, durability) => Some((changes, *durability)),
        _ => None,
    });
    let mut tasks = Vec::new();
    for (changes, durability) in writes.take(count) {
        // Values must differ from all earlier ones.
        let first_value = (history.issued() as u64 + 1) * 1_000;
        let batch = batch_of(&shortened(changes, most), first_value, now);
        let j = history.issue(&batch, durability);
        tasks.push(Task { j, batch, durability });
    }
    assert!(tasks.len() <= count, "one batch for each writer");
    assert!(tasks.is_sorted_by_key(|task| task.j), "batches are begun in their order");
    tasks
}
