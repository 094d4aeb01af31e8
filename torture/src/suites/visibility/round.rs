//! The controller of a round: it decides which writer starts or goes on, and collects the reader's views.

use std::sync::{Arc, Mutex};
use std::thread;

use durable::{Fault, Inject, OpKind, Plan, SimFs, SyncFailure};
use kv::{Capabilities, Durability, Error, UnixMillis};

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
    let world = World::on(Arc::new(inject.clone()), 1);
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
    let failing = Failing::of(options);
    if let Some(mode) = failing.mode {
        sim.set_sync_failure(mode);
    }
    let stage = Stage {
        engine: run.share(),
        sim: sim.clone(),
        inject,
        gate,
        stepper: run.stepper(),
        keys: keys.clone(),
        answers: Mutex::default(),
    };
    let looks = conduct(&stage, &tasks, failing, &Random::new(sub_seed(options.seed, 3)))?;
    let has_reverted = stage.has_failed() && failing.mode == Some(SyncFailure::Reverts);
    stage.inject.lift();
    let facts = facts(&stage, &tasks, (looks, has_reverted), &mut history, now)?;
    Ok(Some(Round { sim, history, keys, now, from, has_reverted, facts }))
}

/// How syncs fail in a round.
#[derive(Clone, Copy, Debug)]
struct Failing {
    /// `None`: none fails.
    mode: Option<SyncFailure>,
    /// Whether all later syncs fail as well.
    sticky: bool,
}

impl Failing {
    const MODES: [SyncFailure; 4] = [
        SyncFailure::KeepsNew,
        SyncFailure::Reverts,
        SyncFailure::StaysDirty,
        SyncFailure::KeepsPart,
    ];

    /// One round of three has a failing sync.
    fn of(options: &Options) -> Self {
        let random = Random::new(sub_seed(options.seed, 6));
        let mode = random.one_in(3).then(|| *random.pick(&Self::MODES));
        Self { mode, sticky: random.one_in(2) }
    }

    /// The plan by which the next sync after `calls` calls fails.
    fn plan(self, calls: usize) -> Plan {
        let fault = Fault::EioOf { kind: OpKind::SyncFile, path: String::new() };
        Plan { at: calls, fault, sticky: self.sticky }
    }
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
fn conduct(
    stage: &Stage,
    tasks: &[Task],
    failing: Failing,
    random: &Random,
) -> Result<Vec<Look>, String> {
    thread::scope(|scope| {
        let mut looks = Vec::new();
        let mut helper = Helper::start(scope, stage);
        let mut steps = || -> Result<(), String> {
            let mut started = 0;
            let mut is_armed = failing.mode.is_none();
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
                if !is_armed && random.one_in(3) {
                    is_armed = true;
                    stage.inject.arm(failing.plan(stage.inject.calls()));
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

/// Judges the answers and the looks, and returns the facts that crashes are judged by. `has_reverted`: a failed sync has
/// taken bytes out of the page cache.
fn facts(
    stage: &Stage,
    tasks: &[Task],
    (looks, has_reverted): (Vec<Look>, bool),
    history: &mut History,
    now: UnixMillis,
) -> Result<Vec<(usize, Fact)>, String> {
    let mut facts = Vec::new();
    // Batches from here on are not visible: a sync that they needed has failed.
    let mut first_failed = history.issued() + 1;
    for answer in stage.answers().iter() {
        let j = answer.j;
        let sequence = match &answer.sequence {
            Ok(sequence) => *sequence,
            Err(Error::Io { .. } | Error::Poisoned { .. }) if stage.has_failed() => {
                first_failed = first_failed.min(j);
                continue;
            }
            Err(error) => return Err(format!("write {j} failed: {error}")),
        };
        history.acknowledge(j, sequence)?;
        let task = tasks.iter().find(|task| task.j == j).ok_or("an answer to no task")?;
        facts.push((answer.ops, Fact::Acknowledged { j, durability: task.durability }));
    }
    let acknowledged = facts.iter().filter_map(|(_, fact)| match fact {
        Fact::Acknowledged { j, .. } => Some(*j),
        Fact::Seen { .. } => None,
    });
    if let Some(j) = acknowledged.max().filter(|j| *j > first_failed) {
        return Err(format!(
            "write {j} was acknowledged behind write {first_failed}, which failed"
        ));
    }
    // Everything from before the writers is visible.
    let base = tasks.first().map_or(history.issued(), |first| first.j - 1);
    let shows = Shows { base, newest: first_failed - 1, may_fail: has_reverted };
    facts.extend(seen(looks, shows, history, now)?);
    Ok(facts)
}

/// The batches that the views of a round may show.
#[derive(Clone, Copy, Debug)]
struct Shows {
    /// The first view shows this batch at least.
    base: usize,
    /// The last view shows this batch at most.
    newest: usize,
    /// A look may fail, because a sync has failed and may have taken the bytes away that it reads.
    may_fail: bool,
}

/// The views of all looks, in their order. Each shows every batch that was acknowledged before it began, and every batch
/// of an earlier view.
fn seen(
    looks: Vec<Look>,
    shows: Shows,
    history: &History,
    now: UnixMillis,
) -> Result<Vec<(usize, Fact)>, String> {
    let mut newest = shows.base;
    let mut facts = Vec::new();
    for look in looks {
        let observed = match look.observed {
            Err(_) if shows.may_fail => continue,
            observed => observed?,
        };
        let least = look.acknowledged.max(newest);
        let v = history.find(&observed, None, (least, shows.newest), now);
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
        let judged = |looks| {
            let shows = Shows { base: 1, newest: 3, may_fail: false };
            seen(looks, shows, &history, NOW).map(|facts| facts.len())
        };
        assert_eq!(judged(vec![look(1, 1), look(1, 2), look(2, 3)]), Ok(3));
        judged(vec![look(2, 1)]).unwrap_err();
        judged(vec![look(1, 2), look(1, 1)]).unwrap_err();
        judged(vec![look(0, 4)]).unwrap_err();
        let failed = Shows { base: 1, newest: 2, may_fail: true };
        seen(vec![look(0, 3)], failed, &history, NOW).unwrap_err();
        seen(vec![look(0, 2)], failed, &history, NOW).unwrap();
    }
}
