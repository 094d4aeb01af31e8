//! Long runs of a store, crash after crash, from one seed.
//!
//! A life is a number of rounds. Each round has these steps:
//!
//! 1. In one round of four, the clock jumps to a random time. This happens only if no entry can expire. The engine must not
//!    order data by the clock.
//! 2. The store is opened on the disk that the last crash left.
//! 3. The content is checked by the crash invariant. `lo` is the last batch that the last crash had to keep; `hi` is the
//!    last batch begun before it.
//! 4. A random script runs. Its steps write, read, run single background jobs, close and reopen.
//! 5. The content is compared with the newest model.
//! 6. The seed picks an operation of the round. The power is cut there, and the disk keeps a random part of the data that
//!    was not durable. Or the process dies there ([`Variant::All`]), and all of that data stays in the page cache.
//! 7. The history forgets the batches after that operation. The promise of the next round is the promise at it. If the
//!    opening had not ended, the history of the round before stays valid, and so does the promise that its crash had to
//!    keep.
//!
//! An engine that keeps nothing begins a new store in each round.

use std::sync::Arc;

use durable::{SimFs, Variant};
use kv::{Capabilities, Durability, UnixMillis};

use crate::generate::{self, ScriptConfig};
use crate::line::Line;
use crate::marks::{Marks, Promise};
use crate::opening::{capabilities, without_panic};
use crate::oracle::History;
use crate::random::{Random, sub_seed};
use crate::report::{Failure, Report};
use crate::run::EngineRun;
use crate::shard::Shard;
use crate::subject::Subject;
use crate::suite::{Replayed, Soak, Suite};
use crate::universe::KEYS;
use crate::world::{BEGINNING, World};

/// The amount of work.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The seed of all random choices.
    pub seed: u64,
    /// Lives, with all option sets in turn.
    pub lives: u64,
    /// Rounds in a life.
    pub rounds: u64,
    /// Steps in a round.
    pub steps: usize,
    /// The part of the work to do.
    pub shard: Shard,
}

impl Default for Options {
    /// The form that runs with every change.
    fn default() -> Self {
        Self { seed: 1, lives: 60, rounds: 30, steps: 30, shard: Shard::ALL }
    }
}

impl Options {
    /// The long form.
    pub fn soak() -> Self {
        Self { lives: 1_000, rounds: 100, steps: 60, ..Self::default() }
    }
}

/// The entry of this suite in the registry.
pub const SUITE: Suite = Suite {
    name: "simulation",
    run: |subject| run(subject, &Options::default()),
    soaks: &[Soak {
        name: "simulation",
        budget: "1,000 lives of 100 rounds of 60 steps, 100,000 states",
        run: |subject, shard| run(subject, &Options { shard, ..Options::soak() }),
    }],
    is_repeatable: true,
    replay,
};

/// Lives of `subject`.
///
/// # Errors
/// The first broken invariant.
pub fn run(subject: &dyn Subject, options: &Options) -> Result<Report, Failure> {
    run_all(&[subject], options)
}

/// The same lives of all `subjects`: the same scripts, with only the operations that all of them support, and random
/// crashes. Only the first option set of each subject is asked what it supports, so all option sets of a subject must agree.
///
/// # Errors
/// The first broken invariant.
pub fn run_all(subjects: &[&dyn Subject], options: &Options) -> Result<Report, Failure> {
    let mut report = Report::default();
    let able = subjects.iter().map(|subject| capabilities(*subject, 0));
    let able: Vec<Capabilities> = able.flatten().collect();
    for number in (0..options.lives).filter(|number| options.shard.takes(*number)) {
        for subject in subjects {
            let config = LifeConfig {
                option_set: number as usize % subject.option_sets(),
                seed: sub_seed(options.seed, number),
                rounds: options.rounds,
                steps: options.steps,
                expiry: able.iter().all(|able| able.expiry),
                range_delete: able.iter().all(|able| able.range_delete),
            };
            run_life(*subject, &config, &mut report)?;
        }
    }
    Ok(report)
}

/// All parameters of a life. They determine it.
#[derive(Clone, Copy, Debug)]
struct LifeConfig {
    option_set: usize,
    seed: u64,
    rounds: u64,
    steps: usize,
    expiry: bool,
    range_delete: bool,
}

fn run_life(
    subject: &dyn Subject,
    config: &LifeConfig,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut round = 0;
    let lived = without_panic(|| {
        let Some(able) = capabilities(subject, config.option_set) else {
            return Err("the engine does not open".into());
        };
        let mut life = Life::new(subject, config, able);
        while round < config.rounds {
            report.states += 1;
            report.steps += config.steps as u64;
            life.round(round)?;
            round += 1;
        }
        Ok(())
    });
    lived.map_err(|what| {
        let line = Line::new("simulation", subject.name()).with("options", config.option_set);
        let line =
            line.with("seed", config.seed).with("rounds", round + 1).with("steps", config.steps);
        let line = line.with("expiry", config.expiry).with("range_delete", config.range_delete);
        let what = format!("in round {round}: {what}");
        Failure { what, replay: line.to_string(), report: *report }
    })
}

fn replay(subject: &dyn Subject, line: &Line) -> Replayed {
    let config = LifeConfig {
        option_set: line.get("options")?,
        seed: line.get("seed")?,
        rounds: line.get("rounds")?,
        steps: line.get("steps")?,
        expiry: line.get("expiry")?,
        range_delete: line.get("range_delete")?,
    };
    let mut report = Report::default();
    Ok(run_life(subject, &config, &mut report).map(|()| report))
}

/// A store between two rounds.
struct Life<'s> {
    subject: &'s dyn Subject,
    config: LifeConfig,
    able: Capabilities,
    random: Random,
    sim: SimFs,
    history: History,
    /// The promise that the last crash had to keep.
    promise: Promise,
    was_power_cut: bool,
}

impl<'s> Life<'s> {
    fn new(subject: &'s dyn Subject, config: &LifeConfig, able: Capabilities) -> Self {
        let mut able = able;
        (able.expiry, able.range_delete) = (config.expiry, config.range_delete);
        Self {
            subject,
            config: *config,
            able,
            random: Random::new(config.seed),
            sim: SimFs::new(),
            history: History::new(),
            promise: Promise { synced: 0, handed_over: 0, issued: 0, now: BEGINNING },
            was_power_cut: true,
        }
    }

    fn round(&mut self, round: u64) -> Result<(), String> {
        if !self.able.expiry && self.random.one_in(4) {
            self.promise.now = UnixMillis(self.random.next() % (2 * BEGINNING.0));
        }
        let Promise { issued, now, .. } = self.promise;
        let seed = sub_seed(self.config.seed, round);
        let persistent = self.able.durability > Durability::None;
        let (steps, capabilities) = (self.config.steps, self.able);
        let config = ScriptConfig { steps, reads: true, persistent, one_sync_in: 6, capabilities };
        let script = generate::script(seed, &config);
        let world = World::at(Arc::new(self.sim.clone()), seed, now);
        let lo = self.lo();
        assert!(lo <= issued && issued <= self.history.issued(), "the history ends at the crash");
        let keys = (0..KEYS as u8).collect();
        let history = self.history.clone();
        let (subject, option_set) = (self.subject, self.config.option_set);
        let mut run = EngineRun::resume(subject, option_set, world, keys, history, (lo, issued))?;
        let mut marks = Marks::default();
        marks.note(&run, &self.sim);
        for (at, step) in script.0.iter().enumerate() {
            run.step(step).map_err(|what| format!("step {at} ({step}): {what}"))?;
            marks.note(&run, &self.sim);
        }
        run.compare_newest()?;
        let history = run.history.clone();
        drop(run);
        if persistent {
            self.crash(history, &marks);
        } else {
            *self =
                Self { random: Random::new(seed), ..Self::new(subject, &self.config, self.able) };
        }
        Ok(())
    }

    /// The batch that the last crash had to keep.
    fn lo(&self) -> usize {
        if self.was_power_cut { self.promise.synced } else { self.promise.handed_over }
    }

    /// The process or the machine dies, at some operation of the round.
    fn crash(&mut self, history: History, marks: &Marks) {
        let point = self.random.below(self.sim.ops() + 1);
        assert!(point <= self.sim.ops(), "the crash comes in this round");
        // A crash during the opening must keep only what the crash before it had to keep.
        let opening = Promise { handed_over: self.lo(), ..self.promise };
        let promise = marks.promise_at(point, opening);
        let mut sweep = self.sim.sweep();
        while sweep.next_point().is_some_and(|at| at < point) {}
        let variant = self.random.pick(&sweep.all_variants(4)).clone();
        self.was_power_cut = variant != Variant::All;
        self.sim = if self.was_power_cut { sweep.image(&variant) } else { sweep.restarted() };
        // Before the opening had ended, the history was still the one of the round before.
        self.history = if point < marks.ops_after(0) { self.history.clone() } else { history };
        assert!(promise.synced <= promise.issued, "only batches that were begun are promised");
        self.history.truncate(promise.issued);
        self.promise = promise;
    }
}
