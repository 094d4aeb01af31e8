//! An error at every call to the file system, one at a time, and disks with too little space.
//!
//! 1. A random script runs once without a fault, and each call to the file system is recorded.
//! 2. It runs again for each call and each fault that the call can have. The fault happens once, or at every later call of
//!    the run as well. A failing sync treats the page cache in each of four ways ([`durable::SyncFailure`]).
//! 3. It runs on disks of 0, step, 2 * step, ... bytes, up to the first size at which no call fails.
//!
//! The script of a run stops early when four batches are indeterminate, because each doubles the number of possible
//! contents. Then the fault is cleared, and the same handle is read once more.
//!
//! The invariants of a failed call:
//! - A write that returned an error is indeterminate. It is not visible in this handle. After an opening it is present or absent,
//!   as a whole. It never makes another batch disappear.
//! - After a failed sync or a failed append to a log the handle takes no more writes and returns `Poisoned`. An append that
//!   found no space is no such failure. Reads answer as before. Closing does not panic. The next opening recovers.
//! - No error of a call that changes something is lost. It reaches the caller, the next write, the engine's count of failed
//!   background work, or at the latest the close.
//!
//! The final state is judged in three ways: closed and opened again, killed and opened, and opened after a power cut.

use durable::{Fault, Inject, OpKind, Plan, SimFs, SyncFailure};
use kv::Durability;

use crate::generate::Changes;
use crate::line::Line;
use crate::opening::without_panic;
use crate::random::sub_seed;
use crate::report::{Failure, Report};
use crate::script::Script;
use crate::shard::Shard;
use crate::subject::Subject;
use crate::suite::{Replayed, Soak, Suite};

mod fault_run;

use fault_run::FaultRun;

/// The amount of work.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The seed of all random choices.
    pub seed: u64,
    /// Scripts to run, each once for each of its calls and each kind of fault; with all option sets in turn.
    pub scripts: u64,
    /// Steps in a script.
    pub steps: usize,
    /// The difference in free space between two runs on a small disk.
    pub space_step_bytes: u64,
    /// The part of the work to do.
    pub shard: Shard,
}

impl Default for Options {
    /// The form that runs with every change.
    fn default() -> Self {
        Self { seed: 1, scripts: 3, steps: 30, space_step_bytes: 256, shard: Shard::ALL }
    }
}

impl Options {
    /// The long form.
    pub fn soak() -> Self {
        Self { scripts: 40, steps: 60, space_step_bytes: 32, ..Self::default() }
    }
}

/// The entry of this suite in the registry.
pub const SUITE: Suite = Suite {
    name: "faults",
    run: |subject| run(subject, &Options::default()),
    soaks: &[Soak {
        name: "faults",
        budget: "40 scripts of 60 steps with every fault at every call, about 1.4 million states",
        run: |subject, shard| run(subject, &Options { shard, ..Options::soak() }),
    }],
    is_repeatable: true,
    replay,
};

/// The faults of one run.
#[derive(Clone, Debug)]
pub(crate) struct FaultPlan {
    fault: Plan,
    sync_failure: SyncFailure,
    /// The free space of the disk, if it is limited.
    space: Option<u64>,
}

/// Runs scripts with every plan.
///
/// # Errors
/// The first broken invariant.
pub fn run(subject: &dyn Subject, options: &Options) -> Result<Report, Failure> {
    let mut report = Report::default();
    for number in (0..options.scripts).filter(|number| options.shard.takes(*number)) {
        let option_set = number as usize % subject.option_sets();
        let changes = Changes {
            steps: options.steps,
            one_sync_in: 4,
            reopens: true,
            least: Durability::None,
        };
        let seed = sub_seed(options.seed, number);
        let Some(script) = changes.script(subject, option_set, seed) else { continue };
        let mut search = Search { subject, option_set, script, report };
        search.faults()?;
        search.full_disks(options.space_step_bytes)?;
        report = search.report;
    }
    Ok(report)
}

struct Search<'s> {
    subject: &'s dyn Subject,
    option_set: usize,
    script: Script,
    report: Report,
}

impl Search<'_> {
    /// Every fault at every call that it can happen to.
    fn faults(&mut self) -> Result<(), Failure> {
        let calls = without_panic(|| self.calls());
        let calls = calls.map_err(|what| self.failure(&FaultPlan::none(), what))?;
        for (at, kind) in calls.into_iter().enumerate() {
            for fault in faults_of(kind) {
                for sticky in [false, true] {
                    for &sync_failure in sync_failures_of(kind) {
                        let plan = Plan { at, fault: fault.clone(), sticky };
                        self.one(&FaultPlan { fault: plan, sync_failure, space: None })?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Runs the script on disks of 0, step, 2 * step, ... bytes, and stops at the first size at which no call fails.
    fn full_disks(&mut self, step_bytes: u64) -> Result<(), Failure> {
        const LARGEST: u64 = 64 << 10;
        assert!(step_bytes > 0, "the disks grow");
        for space in (0..LARGEST).step_by(step_bytes as usize) {
            if !self.one(&FaultPlan { space: Some(space), ..FaultPlan::none() })? {
                break;
            }
        }
        Ok(())
    }

    /// The kinds of all calls of an undisturbed run.
    fn calls(&self) -> Result<Vec<OpKind>, String> {
        let fault_run =
            FaultRun::start(self.subject, self.option_set, &self.script, &FaultPlan::none())?;
        fault_run.run(&self.script).map(|run| run.calls)
    }

    /// One run. `false`: nothing went wrong in it.
    fn one(&mut self, plan: &FaultPlan) -> Result<bool, Failure> {
        let lived = without_panic(|| {
            FaultRun::start(self.subject, self.option_set, &self.script, plan)?.run(&self.script)
        });
        let run = lived.map_err(|what| self.failure(plan, what))?;
        self.report.states += 3;
        self.report.steps += self.script.0.len() as u64;
        Ok(run.was_hit)
    }

    fn failure(&self, plan: &FaultPlan, what: String) -> Failure {
        let line = Line::new("faults", self.subject.name()).with("options", self.option_set);
        let line = line.with("plan", &plan.fault);
        let line = line.with("sync", sync_failure_name(plan.sync_failure));
        let line = plan.space.map_or(line.clone(), |space| line.with("space", space));
        let replay = line.with_script(&self.script).to_string();
        Failure { what, replay, report: self.report }
    }
}

impl FaultPlan {
    fn none() -> Self {
        Self { fault: Plan::none(), sync_failure: SyncFailure::KeepsNew, space: None }
    }

    /// A new disk on which this will go wrong.
    fn disk(&self) -> (SimFs, Inject) {
        let sim = SimFs::new();
        sim.set_sync_failure(self.sync_failure);
        sim.set_free_space(self.space);
        (sim.clone(), Inject::over_sim(sim, self.fault.clone()))
    }
}

/// The faults that can happen to a call.
fn faults_of(kind: OpKind) -> Vec<Fault> {
    use OpKind::{
        Append, Create, CreateDir, CreateLog, Cut, Finish, List, Lock, Map, Open, OpenWritable,
        Remove, Write,
    };
    let mut faults = vec![Fault::Eio];
    if kind.is_mutating() {
        faults.push(Fault::Late);
    }
    if kind == Lock || (kind.is_mutating() && !matches!(kind, Remove | Cut | Finish)) {
        faults.extend([Fault::NoSpace, Fault::Quota]);
    }
    if matches!(kind, CreateDir | List | Open | OpenWritable | Create | CreateLog | Lock) {
        faults.push(Fault::TooManyFiles);
    }
    if kind == Map {
        faults.push(Fault::NoMemory);
    }
    if matches!(kind, Write | Append) {
        faults.extend([Fault::Fills, Fault::Short, Fault::Torn(1)]);
    }
    faults
}

const SYNC_FAILURES: [SyncFailure; 4] =
    [SyncFailure::KeepsNew, SyncFailure::Reverts, SyncFailure::StaysDirty, SyncFailure::KeepsPart];

/// The ways in which a page cache may treat a failed sync.
fn sync_failures_of(kind: OpKind) -> &'static [SyncFailure] {
    if kind == OpKind::SyncFile { &SYNC_FAILURES } else { &SYNC_FAILURES[..1] }
}

fn sync_failure_name(mode: SyncFailure) -> &'static str {
    match mode {
        SyncFailure::KeepsNew => "keeps-new",
        SyncFailure::Reverts => "reverts",
        SyncFailure::StaysDirty => "stays-dirty",
        SyncFailure::KeepsPart => "keeps-part",
    }
}

fn replay(subject: &dyn Subject, line: &Line) -> Replayed {
    let sync: String = line.get("sync")?;
    let sync_failure = SYNC_FAILURES.into_iter().find(|mode| sync_failure_name(*mode) == sync);
    let sync_failure = sync_failure.ok_or_else(|| format!("no failing sync is called {sync}"))?;
    let plan = FaultPlan { fault: line.get("plan")?, sync_failure, space: line.get("space").ok() };
    let (option_set, script) = (line.get("options")?, line.script()?.clone());
    let mut search = Search { subject, option_set, script, report: Report::default() };
    Ok(search.one(&plan).map(|_was_hit| search.report))
}
