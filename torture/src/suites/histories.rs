//! Random histories against the oracle.
//!
//! The invariant: after each step of any history, every read answers as a sorted map would. Reads are gets, scans both ways,
//! cursor moves, and views that are held open while others write. A clean close keeps everything. A killed process keeps
//! everything that was handed to the operating system. Frozen views do not move.
//!
//! The invariant holds with all option sets of an engine. Two engines that both obey it agree: [`differential`] runs one
//! history on several engines and names the one that differs.

use crate::generate::{self, ScriptConfig};
use crate::line::Line;
use crate::minimise::minimise;
use crate::opening::{capabilities, without_panic};
use crate::random::sub_seed;
use crate::report::{Failure, Report};
use crate::run::EngineRun;
use crate::script::Script;
use crate::shard::Shard;
use crate::subject::Subject;
use crate::suite::{Replayed, Soak, Suite};
use crate::world::Disk;

/// The amount of work.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Everything follows from it.
    pub seed: u64,
    /// Histories on the simulated disk, for each option set.
    pub simulated: u64,
    /// Histories on the real disk, for each option set. A sync costs milliseconds there.
    pub real: u64,
    /// Steps in a history.
    pub steps: usize,
    /// The part of the work to do.
    pub shard: Shard,
}

impl Default for Options {
    /// The form that runs with every change.
    fn default() -> Self {
        Self { seed: 1, simulated: 150, real: 5, steps: 120, shard: Shard::ALL }
    }
}

impl Options {
    /// The long form.
    pub fn soak() -> Self {
        Self { simulated: 20_000, real: 400, steps: 400, ..Self::default() }
    }
}

/// The entry of this suite in the registry.
pub const SUITE: Suite = Suite {
    name: "histories",
    run: |subject| run(subject, &Options::default()),
    soaks: &[Soak {
        name: "histories",
        budget: "20,000 histories on the simulated disk and 400 on the real one, for each option set",
        run: |subject, shard| run(subject, &Options { shard, ..Options::soak() }),
    }],
    is_repeatable: true,
    replay,
};

/// Runs random histories of `subject` on both disks.
///
/// # Errors
/// The first history that went wrong, with as few steps as still show it.
pub fn run(subject: &dyn Subject, options: &Options) -> Result<Report, Failure> {
    let mut report = Report::default();
    for (disk, count) in [(Disk::Simulated, options.simulated), (Disk::Real, options.real)] {
        for number in (0..count).filter(|number| options.shard.takes(*number)) {
            let seed = sub_seed(options.seed, number);
            for option_set in 0..subject.option_sets() {
                let script = random_script(&[subject], option_set, seed, disk, options.steps);
                judge(subject, option_set, disk, &script, &mut report)?;
            }
        }
    }
    Ok(report)
}

/// Runs the same random histories on all of `subjects`, with only the operations that all of them support.
///
/// # Errors
/// The first engine whose content differs from the oracle's, and so from the other engines'.
pub fn differential(subjects: &[&dyn Subject], options: &Options) -> Result<Report, Failure> {
    let mut report = Report::default();
    for number in 0..options.simulated {
        let seed = sub_seed(options.seed, number);
        let script = random_script(subjects, 0, seed, Disk::Simulated, options.steps);
        for subject in subjects {
            judge(*subject, 0, Disk::Simulated, &script, &mut report)?;
        }
    }
    Ok(report)
}

fn replay(subject: &dyn Subject, line: &Line) -> Replayed {
    let (option_set, disk) = (line.get("options")?, line.get("disk")?);
    let mut report = Report::default();
    Ok(judge(subject, option_set, disk, line.script()?, &mut report).map(|()| report))
}

/// A script of operations that all of `subjects` support.
fn random_script(
    subjects: &[&dyn Subject],
    option_set: usize,
    seed: u64,
    disk: Disk,
    steps: usize,
) -> Script {
    let known: Vec<_> =
        subjects.iter().filter_map(|subject| capabilities(*subject, option_set)).collect();
    let Some(mut shared) = known.first().copied() else { return Script::default() };
    for other in &known {
        shared.expiry &= other.expiry;
        shared.range_delete &= other.range_delete;
        shared.durability = shared.durability.min(other.durability);
    }
    let one_sync_in = if disk == Disk::Real { 40 } else { 6 };
    let persistent = shared.durability > kv::Durability::None;
    let config = ScriptConfig { steps, reads: true, persistent, one_sync_in, capabilities: shared };
    generate::script(seed, &config)
}

fn judge(
    subject: &dyn Subject,
    option_set: usize,
    disk: Disk,
    script: &Script,
    report: &mut Report,
) -> Result<(), Failure> {
    report.states += 1;
    report.steps += script.0.len() as u64;
    let Err(what) = history(subject, option_set, disk, script) else { return Ok(()) };
    let (script, what) =
        minimise(script, what, |script| history(subject, option_set, disk, script).err());
    let line = Line::new("histories", subject.name()).with("options", option_set);
    let replay = line.with("disk", disk).with_script(&script).to_string();
    Err(Failure { what, replay, report: *report })
}

fn history(
    subject: &dyn Subject,
    option_set: usize,
    disk: Disk,
    script: &Script,
) -> Result<(), String> {
    without_panic(|| {
        let mut run = EngineRun::start(subject, option_set, disk.world(1)?, script.keys())?;
        run.steps(script)?;
        run.compare_newest()?;
        run.close()
    })
}
