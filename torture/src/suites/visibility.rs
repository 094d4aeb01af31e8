//! Visible implies durable: writers that are held inside their syncs, while a reader looks, a sync fails and the power is
//! cut.
//!
//! The invariants:
//! - A reader of the writing handle that sees a batch of class `Sync` sees a durable one: after a power cut at any later
//!   moment that batch is there, and everything before it.
//! - Batches become visible in order, and an acknowledged batch is visible to every read that begins afterwards.
//! - A batch that is acknowledged as `Sync` survives each later power cut. One that is acknowledged as `Buffered` survives
//!   the death of the process.
//! - A write whose sync fails is reported, and so is every write behind it. No reader of the handle sees any of them.
//!
//! A single thread never has two batches that wait for the disk, so each round has several writers:
//!
//! 1. A random script fills a store on a simulated disk, in one thread.
//! 2. Writers work at the same time. The next one starts when the one before has written to some file, is held, or has
//!    returned. So the order of the batches is known if the engine fixes it before the first write or sync of a call. An
//!    engine does so if it holds its commit lock there. A gate holds a writer before a sync, and again after it, each with
//!    probability 3/4.
//! 3. A reader scans the store when each started writer has written to a file, is held or has returned. Also, either one
//!    is held or none runs. The reader's view is recorded beside the number of disk operations so far. If a held writer blocks
//!    the reader, the scheduler goes on after 20 ms. The view then counts from when it arrives. The seed decides the next
//!    step: another writer starts, one is released, or a background job runs. In one round of three, one sync fails, or all
//!    syncs from one on, in one of the ways of [`durable::SyncFailure`].
//! 4. At the end the power is cut at each operation since step 2, or the process dies there. A sample of the variants of each
//!    is taken. Every image is opened and judged by the acknowledgements and views up to that operation.
//!
//! The gates make a round repeatable if the engine syncs outside of its locks and at most one writer is held at a time.
//! Beside a held writer, a writer that was released counts as quiet although it may run. Then the look and the next step
//! depend on its speed. If a held writer blocks another one through a lock, the round releases the held one after
//! 20 ms. The verdict does not depend on that.

use crate::line::Line;
use crate::opening::without_panic;
use crate::report::{Failure, Report};
use crate::rounds::Rounds;
use crate::shard::Shard;
use crate::subject::Subject;
use crate::suite::{Replayed, Soak, Suite};

mod actors;
mod facts;
mod failing;
mod gate;
mod images;
mod record;
mod round;
mod scheduler;

/// The amount of work.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The seed of all random choices.
    pub seed: u64,
    /// Rounds, with all option sets in turn.
    pub rounds: u64,
    /// Steps of the script before the writers start.
    pub steps: usize,
    /// Writers in a round, one batch each.
    pub writers: usize,
    /// Variants that are judged at each crash point.
    pub variants_a_point: usize,
    /// The part of the rounds to do.
    pub shard: Shard,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 1, rounds: 120, steps: 12, writers: 4, variants_a_point: 4, shard: Shard::ALL }
    }
}

impl Options {
    /// The long form.
    pub fn soak() -> Self {
        Self { rounds: 4_000, steps: 30, writers: 6, variants_a_point: 8, ..Self::default() }
    }
}

/// The entry of this suite in the registry.
pub const SUITE: Suite = Suite {
    name: "visibility",
    run: |subject| run(subject, &Options::default()),
    soaks: &[Soak {
        name: "visibility",
        budget: "4,000 rounds of 6 writers, about 700,000 states",
        run: |subject, shard| run(subject, &Options { shard, ..Options::soak() }),
    }],
    is_repeatable: true,
    replay,
};

/// Rounds of writers that are held inside their syncs.
///
/// # Errors
/// The first broken invariant.
pub fn run(subject: &dyn Subject, options: &Options) -> Result<Report, Failure> {
    let rounds = Rounds { seed: options.seed, count: options.rounds, shard: options.shard };
    rounds.play(subject, |option_set, seed, report| {
        run_case(subject, option_set, &Options { seed, ..*options }, report)
    })
}

fn replay(subject: &dyn Subject, line: &Line) -> Replayed {
    let options = Options {
        seed: line.get("seed")?,
        rounds: 1,
        steps: line.get("steps")?,
        writers: line.get("writers")?,
        variants_a_point: line.get("variants")?,
        shard: Shard::ALL,
    };
    let mut report = Report::default();
    Ok(run_case(subject, line.get("options")?, &options, &mut report).map(|()| report))
}

fn run_case(
    subject: &dyn Subject,
    option_set: usize,
    options: &Options,
    report: &mut Report,
) -> Result<(), Failure> {
    report.steps += (options.steps + options.writers) as u64;
    let judged = without_panic(|| {
        let Some(round) = round::run_round(subject, option_set, options)? else { return Ok(0) };
        images::judge(subject, option_set, &round, options)
    });
    match judged {
        Ok(states) => {
            report.states += states;
            Ok(())
        }
        Err(what) => {
            let line = Line::new("visibility", subject.name()).with("options", option_set);
            let line = line.with("seed", options.seed).with("steps", options.steps);
            let line = line.with("writers", options.writers);
            let line = line.with("variants", options.variants_a_point);
            Err(Failure { what, replay: line.to_string(), report: *report })
        }
    }
}
