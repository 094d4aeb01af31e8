//! Damage to every byte of every file, and the reads of a damaged store.
//!
//! The invariant: a damaged store answers every read as if it were whole, or returns `Corruption`. The error comes at the
//! opening, or from the reads that touch the damage. The store never returns a wrong value, misses a key, ends a scan early
//! without an error, or panics. A cursor that has failed keeps failing. Foreign files are left alone.
//!
//! For each option set three stores are damaged: one that was closed, one whose process died, and one whose power was cut.
//! In the latter two, the last write is synced.
//!
//! In these two the files that [`Subject::tails`] names are an exception. Damage to the last synced group of a log looks
//! like a write that a crash cut short. A log without its end looks like a shorter log. Such a store may hold the content
//! after an earlier batch:
//!
//! | the damage | a file without a witness | with a witness ([`Subject::has_witness`]) |
//! |---|---|---|
//! | in the last synced group | may lose that group | after a power cut, may lose that group |
//! | to the end of the file | may lose any number of groups | after a power cut, may lose the last group |
//! | an older version of the whole file | may lose what is newer | may lose what is newer |

use crate::line::Line;
use crate::opening::without_panic;
use crate::random::Random;
use crate::report::{Failure, Report};
use crate::shard::Shard;
use crate::subject::Subject;
use crate::suite::{Replayed, Soak, Suite};

mod corruption;
mod fixture;
mod judge;
mod reading;
mod stop;

use corruption::Corruption;
use fixture::Fixture;
use stop::Stop;

/// The amount of work.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Everything random follows from it.
    pub seed: u64,
    /// Whether each bit of each byte is flipped, not only one of them.
    pub every_bit: bool,
    /// One in this many bytes is also set to `0x00` and to `0xFF`.
    pub one_set_in: usize,
    /// To so many lengths each file is cut, besides the shortest and the longest; evenly spread, all if there are fewer.
    pub cuts: usize,
    /// Takes the size in bytes of the largest single allocation since it was last called. With it the suite checks that
    /// no allocation is larger than four times the store plus 1 MiB, whatever a length field says.
    pub largest_allocation: Option<fn() -> usize>,
    /// The part of the work to do.
    pub shard: Shard,
}

impl Default for Options {
    /// The form that runs with every change.
    fn default() -> Self {
        Self {
            seed: 1,
            every_bit: false,
            one_set_in: 4,
            cuts: 200,
            largest_allocation: None,
            shard: Shard::ALL,
        }
    }
}

impl Options {
    /// The long form.
    pub fn soak() -> Self {
        Self { every_bit: true, one_set_in: 1, cuts: usize::MAX, ..Self::default() }
    }
}

/// The entry of this suite in the registry.
pub const SUITE: Suite = Suite {
    name: "damage",
    run: |subject| run(subject, &Options::default()),
    soaks: &[Soak {
        name: "damage",
        budget: "every bit of every byte and every cut, about 1.1 million states",
        run: |subject, shard| run(subject, &Options { shard, ..Options::soak() }),
    }],
    is_repeatable: true,
    replay,
};

/// Damages the stores in every way.
///
/// # Errors
/// The first broken invariant.
pub fn run(subject: &dyn Subject, options: &Options) -> Result<Report, Failure> {
    let mut report = Report::default();
    for option_set in 0..subject.option_sets() {
        for stop in Stop::ALL {
            let line = line(subject, option_set, stop);
            let made = without_panic(|| Fixture::make(subject, option_set, stop));
            let fixture = made.map_err(|what| {
                let what = format!("a store to be damaged: {what}");
                Failure { what, replay: line.to_string(), report }
            })?;
            let random = Random::new(options.seed);
            let corruptions = corruption::all(&fixture, options, &random).into_iter().zip(0..);
            let mine = corruptions.filter(|(_, number)| options.shard.takes(*number));
            for (corruption, _) in mine {
                report.states += 1;
                let judged =
                    without_panic(|| fixture.judge(&corruption, options.largest_allocation));
                judged.map_err(|what| {
                    let replay = line.clone().with("corruption", corruption).to_string();
                    Failure { what: format!("after {corruption}: {what}"), replay, report }
                })?;
            }
        }
    }
    Ok(report)
}

fn line(subject: &dyn Subject, option_set: usize, stop: Stop) -> Line {
    Line::new("damage", subject.name()).with("options", option_set).with("stop", stop)
}

fn replay(subject: &dyn Subject, line: &Line) -> Replayed {
    let (option_set, stop) = (line.get("options")?, line.get("stop")?);
    let report = Report { states: 1, steps: 0 };
    let fail = |what| Failure { what, replay: line.to_string(), report };
    let made = without_panic(|| Fixture::make(subject, option_set, stop));
    let fixture = match made {
        Ok(fixture) => fixture,
        Err(what) => return Ok(Err(fail(what))),
    };
    let Ok(corruption) = line.get::<Corruption>("corruption") else { return Ok(Ok(report)) };
    let judged = without_panic(|| fixture.judge(&corruption, None));
    Ok(judged.map(|()| report).map_err(fail))
}
