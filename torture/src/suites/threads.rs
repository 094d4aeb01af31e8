//! Many threads on one engine, on the real disk with real background threads.
//!
//! Each value names its write, and each write has a sequence number, so all invariants are checked in linear time after the
//! threads have ended:
//! - Batches become visible whole, in the order of their numbers. A thread knows a write if the write was acknowledged before,
//!   or if a get has shown it. Then no get shows any key as it was before that write.
//! - A scan shows one moment. If it shows a write, it shows every older write too. The two keys of a batch always show the
//!   same batch.
//! - Each number is given out once. In the end each key holds the write with the greatest number, also after a close in the
//!   middle of the work and a reopening.
//!
//! The schedule of the threads cannot be repeated. Repeatable schedules belong to the engines' own tests under `shuttle`.

use crate::line::Line;
use crate::opening::{open, without_panic};
use crate::report::{Failure, Report};
use crate::rounds::Rounds;
use crate::shard::Shard;
use crate::subject::Subject;
use crate::suite::{Replayed, Soak, Suite};
use crate::world::World;

mod actors;
mod judgement;

use actors::Hub;

/// The amount of work.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The work of the threads follows from it; their timing does not.
    pub seed: u64,
    /// Rounds, with all option sets in turn.
    pub rounds: u64,
    /// Threads that write.
    pub writers: usize,
    /// Threads that get, and as many that scan.
    pub readers: usize,
    /// Batches of each writer.
    pub batches: usize,
    /// The part of the work to do.
    pub shard: Shard,
}

impl Default for Options {
    /// The form that runs with every change.
    fn default() -> Self {
        Self { seed: 1, rounds: 4, writers: 3, readers: 2, batches: 600, shard: Shard::ALL }
    }
}

impl Options {
    /// The long form.
    pub fn soak() -> Self {
        Self { rounds: 80, writers: 6, readers: 4, batches: 1_000, ..Self::default() }
    }
}

/// The entry of this suite in the registry.
pub const SUITE: Suite = Suite {
    name: "threads",
    run: |subject| run(subject, &Options::default()),
    soaks: &[Soak {
        name: "threads",
        budget: "80 rounds of 6 writers with 1,000 batches each, beside 8 readers",
        run: |subject, shard| run(subject, &Options { shard, ..Options::soak() }),
    }],
    is_repeatable: false,
    replay,
};

/// Rounds of threads.
///
/// # Errors
/// The first broken invariant.
pub fn run(subject: &dyn Subject, options: &Options) -> Result<Report, Failure> {
    let rounds = Rounds { seed: options.seed, count: options.rounds, shard: options.shard };
    rounds.play(subject, |option_set, seed, report| {
        one(subject, option_set, &Options { seed, ..*options }, report)
    })
}

fn replay(subject: &dyn Subject, line: &Line) -> Replayed {
    let options = Options {
        seed: line.get("seed")?,
        rounds: 1,
        writers: line.get("writers")?,
        readers: line.get("readers")?,
        batches: line.get("batches")?,
        shard: Shard::ALL,
    };
    let mut report = Report::default();
    Ok(one(subject, line.get("options")?, &options, &mut report).map(|()| report))
}

fn one(
    subject: &dyn Subject,
    option_set: usize,
    options: &Options,
    report: &mut Report,
) -> Result<(), Failure> {
    report.states += 1;
    report.steps += (options.writers * options.batches) as u64;
    without_panic(|| round(subject, option_set, options)).map_err(|what| {
        let line = Line::new("threads", subject.name()).with("options", option_set);
        let line = line.with("seed", options.seed).with("writers", options.writers);
        let line = line.with("readers", options.readers).with("batches", options.batches);
        Failure { what, replay: line.to_string(), report: *report }
    })
}

fn round(subject: &dyn Subject, option_set: usize, options: &Options) -> Result<(), String> {
    let mut world = World::real(options.seed)?;
    world.start_threads();
    let opened = open(subject, option_set, &world)?;
    let is_persistent = opened.engine().capabilities().durability > kv::Durability::None;
    let hub = Hub::new(opened.share(), options);
    let records = actors::run(&hub, &opened, options)?;
    let writes = judgement::judge(&records)?;
    if !is_persistent {
        return Ok(());
    }
    drop(hub);
    drop(opened);
    world.next_life();
    world.start_threads();
    let opened = open(subject, option_set, &world)?;
    judgement::judge_end(&writes, opened.engine())
}
