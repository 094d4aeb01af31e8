//! The controller of a round: it decides which writer starts or goes on, and collects the reader's views.

use std::sync::{Arc, Mutex};
use std::thread;

use durable::{Inject, Plan, SimFs};
use kv::{Capabilities, Durability, UnixMillis};

use super::Options;
use super::actors::{Help, Helper, Look, Stage, Task};
use super::gate::{Gate, Phase};
use super::record::{Fact, Round};
use crate::generate::{self, ScriptConfig};
use crate::opening::capabilities;
use crate::oracle::History;
use crate::random::{Random, sub_seed};
use crate::run::Run;
use crate::script::{Change, Script, Step, batch_of};
use crate::subject::Subject;
use crate::world::World;

/// Plays a round. `None`: nothing that the engine writes is ever durable.
pub(super) fn play(
    subject: &dyn Subject,
    option_set: usize,
    options: &Options,
) -> Result<Option<Round>, String> {
    let able = capabilities(subject, option_set).ok_or("the engine does not open")?;
    if able.durability < Durability::Sync {
        return Ok(None);
    }
    let sim = SimFs::new();
    let inject = Inject::over_sim(sim.clone(), Plan::none());
    let gate = Arc::new(Gate::new(options.writers, sub_seed(options.seed, 1)));
    let (before, after) = (Arc::clone(&gate), Arc::clone(&gate));
    inject.on_call(Arc::new(move |call| before.before(call)));
    inject.on_return(Arc::new(move |call| after.after(call)));
    let world = World::on(Arc::new(inject), 1);
    let steps = script(options, able, options.steps, 0);
    let writes = script(options, able, 8 * options.writers, 2);
    let keys = [steps.keys(), writes.keys()].concat();
    let mut run = Run::start(subject, option_set, world, keys.clone())?;
    run.steps(&steps)?;
    run.step(&Step::Drain)?;
    let now = run.now();
    let mut history = run.history.clone();
    let is_long = Random::new(sub_seed(options.seed, 5)).one_in(LONG_VALUES_ONE_IN);
    let most = if is_long { usize::MAX } else { SHORT_BYTES };
    let tasks = tasks(&writes.0, &mut history, now, options.writers, most);
    let from = sim.ops();
    let stage = Stage {
        engine: run.share(),
        sim: sim.clone(),
        gate,
        stepper: run.stepper(),
        keys: keys.clone(),
        answers: Mutex::default(),
    };
    let looks = conduct(&stage, &tasks, &Random::new(sub_seed(options.seed, 3)))?;
    let facts = facts(&stage, &tasks, looks, &mut history, now)?;
    Ok(Some(Round { sim, history, keys, now, from, facts }))
}

/// A script of this engine; `part` tells scripts of one seed apart.
fn script(options: &Options, able: Capabilities, steps: usize, part: u64) -> Script {
    let mut capabilities = able;
    capabilities.expiry = false;
    let config =
        ScriptConfig { steps, reads: false, persistent: false, one_sync_in: 2, capabilities };
    generate::script(sub_seed(options.seed, part), &config)
}

/// In most rounds the values are so short that all batches fit into one file of a subject: then no writer holds a lock
/// while it is held at the gate. One round in this many keeps the lengths of the script.
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
    tasks
}

/// Starts and releases writers in an order that follows from `random`, and looks in between.
fn conduct(stage: &Stage, tasks: &[Task], random: &Random) -> Result<Vec<Look>, String> {
    thread::scope(|scope| {
        let mut looks = Vec::new();
        let mut helper = Helper::start(scope, stage);
        let mut steps = || -> Result<(), String> {
            let mut started = 0;
            loop {
                stage.gate.wait_until_quiet()?;
                looks.extend(helper.ask(Help::Look)?);
                let phases = stage.gate.phases();
                let has_phase = |wanted: Phase| phases.contains(&wanted);
                let mut choices: Vec<Choice> = (0..tasks.len())
                    .filter(|at| phases[*at] == Phase::Held)
                    .map(Choice::Release)
                    .collect();
                // The order of two batches is known if the first is in the log before the second begins.
                if started < tasks.len() && !has_phase(Phase::Writing) {
                    choices.push(Choice::Start);
                }
                if choices.is_empty() && !has_phase(Phase::Appended) && !has_phase(Phase::Writing) {
                    return Ok(());
                }
                if choices.is_empty() {
                    continue;
                }
                if random.one_in(4) {
                    looks.extend(helper.ask(Help::Job)?);
                }
                match *random.pick(&choices) {
                    Choice::Release(writer) => stage.gate.release(writer),
                    Choice::Start => {
                        let (writer, task) = (started, &tasks[started]);
                        stage.gate.set(writer, Phase::Writing);
                        scope.spawn(move || stage.write(writer, task));
                        started += 1;
                    }
                }
            }
        };
        let mut conducted = steps();
        stage.gate.open();
        if conducted.is_ok() {
            conducted = helper.finish().map(|look| looks.extend(look));
        }
        conducted.map(|()| looks)
    })
}

#[derive(Clone, Copy, Debug)]
enum Choice {
    Start,
    Release(usize),
}

/// Judges the answers and the looks, and returns the facts that crashes are judged by.
fn facts(
    stage: &Stage,
    tasks: &[Task],
    looks: Vec<Look>,
    history: &mut History,
    now: UnixMillis,
) -> Result<Vec<(usize, Fact)>, String> {
    let mut facts = Vec::new();
    for answer in stage.answers().iter() {
        let j = answer.j;
        let sequence =
            answer.sequence.clone().map_err(|error| format!("write {j} failed: {error}"))?;
        history.acknowledge(j, sequence)?;
        let task = tasks.iter().find(|task| task.j == j).ok_or("an answer to no task")?;
        facts.push((answer.ops, Fact::Acknowledged { j, durability: task.durability }));
    }
    // Everything from before the writers is visible.
    let base = tasks.first().map_or(history.issued(), |first| first.j - 1);
    facts.extend(seen(looks, base, history, now)?);
    Ok(facts)
}

/// The views of all looks, in their order. Each shows every batch that was acknowledged before it began, and every batch
/// of an earlier view; the first shows batch `base`.
fn seen(
    looks: Vec<Look>,
    base: usize,
    history: &History,
    now: UnixMillis,
) -> Result<Vec<(usize, Fact)>, String> {
    let mut newest = base;
    let mut facts = Vec::new();
    for look in looks {
        let observed = look.observed?;
        let least = look.acknowledged.max(newest);
        let v = history.find(&observed, None, (least, history.issued()), now);
        let v = v.map_err(|what| format!("a reader beside the writers: {what}"))?;
        assert!(v >= newest, "views only grow");
        newest = v;
        facts.push((look.ops, Fact::Seen { v }));
    }
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use kv::WriteBatch;

    use super::*;
    use crate::observe::Observed;

    const NOW: UnixMillis = UnixMillis(1);

    fn look(acknowledged: usize, shown: u8) -> Look {
        let observed = Observed { entries: vec![("a".into(), vec![shown].into())] };
        Look { acknowledged, observed: Ok(observed), ops: 9 }
    }

    #[test]
    fn a_view_shows_all_acknowledged_batches_and_never_goes_back() {
        let mut history = History::new();
        for number in 1..=3_u8 {
            let mut batch = WriteBatch::new();
            batch.put(b"a", &[number]);
            history.issue(&batch, Durability::Sync);
        }
        let judged = |looks| seen(looks, 1, &history, NOW).map(|facts| facts.len());
        assert_eq!(judged(vec![look(1, 1), look(1, 2), look(2, 3)]), Ok(3));
        judged(vec![look(2, 1)]).unwrap_err();
        judged(vec![look(1, 2), look(1, 1)]).unwrap_err();
        judged(vec![look(0, 4)]).unwrap_err();
    }
}
