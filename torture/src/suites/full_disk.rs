//! Full disks: a store that meets the end of its space, at every amount of space up to the need of a script.
//!
//! A store is opened on a disk with room, and then the disk is limited. The invariants:
//! - The call that finds no space returns an error that says so ([`durable::is_disk_full`]). It never poisons the store:
//!   reads answer as before, and a sync succeeds.
//! - A subject that reserves space ([`Subject::open_reserving`]) deletes, syncs and maintains itself on the full disk.
//! - After the disk has space again, the same handle writes, maintains itself and closes.
//! - A crash on the full disk leaves a store that obeys the crash invariant (module `oracle`). With reserved space it opens
//!   and deletes on the full disk. Without it, it opens as soon as the disk has space.
//! - After the next opening, no orphan is left of a file that was begun without space ([`Opened::with_orphans`]).
//!
//! [`Opened::with_orphans`]: crate::Opened::with_orphans
//!
//! The crash points of a run begin with the refusal: the end of each call since then, and some others.

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

mod crashes;
mod tenant;
mod work;

use tenant::{Setup, Tenant};

/// No script of this suite needs more space, in bytes.
const LARGEST_SPACE: u64 = 256 << 10;

/// The amount of work.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Everything random follows from it.
    pub seed: u64,
    /// Scripts, each with all option sets, with and without reserved space.
    pub scripts: u64,
    /// Steps in a script.
    pub steps: usize,
    /// The amounts of free space differ by so many bytes.
    pub space_step_bytes: u64,
    /// So many crash points are judged in a run, evenly spread, besides the ends of all calls.
    pub crash_points: usize,
    /// So many variants are judged at each crash point.
    pub variants_a_point: usize,
    /// The part of the work to do.
    pub shard: Shard,
}

impl Default for Options {
    /// The form that runs with every change.
    fn default() -> Self {
        Self {
            seed: 1,
            scripts: 2,
            steps: 40,
            space_step_bytes: 512,
            crash_points: 6,
            variants_a_point: 3,
            shard: Shard::ALL,
        }
    }
}

impl Options {
    /// The long form.
    pub fn soak() -> Self {
        Self {
            scripts: 16,
            space_step_bytes: 256,
            crash_points: 16,
            variants_a_point: 6,
            ..Self::default()
        }
    }
}

/// The entry of this suite in the registry.
pub const SUITE: Suite = Suite {
    name: "full-disk",
    run: |subject| run(subject, &Options::default()),
    soaks: &[Soak {
        name: "full-disk",
        budget: "16 scripts of 40 steps with every 256th amount of free space, about 800,000 states",
        run: |subject, shard| run(subject, &Options { shard, ..Options::soak() }),
    }],
    is_repeatable: true,
    replay,
};

/// Fills disks of every size with random scripts.
///
/// # Errors
/// The first broken invariant.
pub fn run(subject: &dyn Subject, options: &Options) -> Result<Report, Failure> {
    let mut report = Report::default();
    for number in (0..options.scripts).filter(|number| options.shard.takes(*number)) {
        for option_set in 0..subject.option_sets() {
            let changes = Changes {
                steps: options.steps,
                one_sync_in: 6,
                // A script that goes on after an opening has no single moment of refusal.
                reopens: false,
                least: Durability::Sync,
            };
            let seed = sub_seed(options.seed, number);
            let Some(script) = changes.script(subject, option_set, seed) else { continue };
            for reserves in [false, true] {
                let setup = Setup { option_set, reserves };
                every_space(subject, setup, &script, options, &mut report)?;
            }
        }
    }
    Ok(report)
}

/// Runs `script` with more and more free space, until it finds enough.
fn every_space(
    subject: &dyn Subject,
    setup: Setup,
    script: &Script,
    options: &Options,
    report: &mut Report,
) -> Result<(), Failure> {
    for space in (0..LARGEST_SPACE).step_by(options.space_step_bytes.max(1) as usize) {
        if !one(subject, setup, script, space, options, report)? {
            return Ok(());
        }
    }
    Ok(())
}

/// One run. `false`: the space was enough, or the subject has no such setup.
fn one(
    subject: &dyn Subject,
    setup: Setup,
    script: &Script,
    space: u64,
    options: &Options,
    report: &mut Report,
) -> Result<bool, Failure> {
    report.steps += script.0.len() as u64;
    let judged = without_panic(|| {
        let Some(mut tenant) = Tenant::move_in(subject, setup, script, space)? else {
            return Ok(None);
        };
        if !tenant.fill(script)? {
            return Ok(None);
        }
        tenant.live_on_full_disk()?;
        tenant.get_space_again()?;
        let states = crashes::judge(&tenant, options)?;
        tenant.move_out()?;
        Ok(Some(states))
    });
    match judged {
        Ok(states) => {
            report.states += states.map_or(0, |states| states + 1);
            Ok(states.is_some())
        }
        Err(what) => {
            let line = Line::new(SUITE.name, subject.name()).with("options", setup.option_set);
            let line = line.with("reserves", setup.reserves).with("space", space);
            let line = line.with("points", options.crash_points);
            let line = line.with("variants", options.variants_a_point).with("seed", options.seed);
            let replay = line.with_script(script).to_string();
            Err(Failure { what, replay, report: *report })
        }
    }
}

fn replay(subject: &dyn Subject, line: &Line) -> Replayed {
    let options = Options {
        seed: line.get("seed")?,
        crash_points: line.get("points")?,
        variants_a_point: line.get("variants")?,
        ..Options::default()
    };
    let setup = Setup { option_set: line.get("options")?, reserves: line.get("reserves")? };
    let (space, mut report) = (line.get("space")?, Report::default());
    let repeated = one(subject, setup, line.script()?, space, &options, &mut report);
    Ok(repeated.map(|_was_full| report))
}
