//! Crashes at the operations of a run, and the images that each may leave on the disk. [`Options`] says which are visited.
//!
//! The invariants:
//! - The crash invariant (module `oracle`). After a power cut and an opening, all reads equal `Model[j]` for one `j` between the
//!   last synced and the last begun batch. If only the process died, `j` is not before the last batch that was handed over.
//! - Opening succeeds, and the engine writes again. If batches after `j` are lost, the suite writes the first of them again
//!   with other values, and kills the process. Then it checks the crash invariant again.
//! - Recovery is monotone: content that a handle has served survives a later power cut. This is checked after each first
//!   crash that is a death of the process, and at the end of each recovery that is crashed again.
//! - Recovery is idempotent: a crash at any operation of recovery obeys the same invariants.
//!
//! For a new store, the process dies at each operation of the first opening. After each of these deaths, the second opening
//! is crashed at each operation, with every systematic variant.
//!
//! The workloads are all sequences of a small alphabet of calls up to a length, a sample of longer ones, and random scripts.
//! Of a sequence only the crash points of its last call are visited, because the shorter sequence visits the others.
//! Sequences run with the first option set, scripts with all of them in turn. Second crashes are sampled
//! ([`Options::second_one_in`]).

use durable::{MetadataModel, Variant};
use kv::Durability;

use crate::generate::Changes;
use crate::line::Line;
use crate::minimise::minimise;
use crate::opening::without_panic;
use crate::random::sub_seed;
use crate::report::{Failure, Report};
use crate::script::Script;
use crate::shard::Shard;
use crate::subject::Subject;
use crate::suite::{Replayed, Soak, Suite};

mod image;
mod record;
mod search;
mod sequences;

use image::Judge;
use record::Recording;
use search::{Search, Site};
use sequences::Sequence;

/// The amount of work.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The seed of all random choices.
    pub seed: u64,
    /// The suite runs all sequences of up to this many calls.
    pub exhaustive_len: usize,
    /// And this many sequences that are one call longer, a sample that follows from the seed.
    pub longer_sequences: u64,
    /// At most about this many states of each such sequence are visited, at crash points spread over its last call.
    pub longer_sequence_states: u64,
    /// Random scripts, with all option sets in turn.
    pub scripts: u64,
    /// At most about this many states of a random script are visited, at crash points spread over all of it.
    pub script_states: u64,
    /// Steps in a random script.
    pub steps: usize,
    /// How many variants of a crash point are visited, in random scripts and in sequences of [`Options::exhaustive_len`]
    /// calls or more. The two plainest are always among them. Shorter sequences are visited in full.
    pub variants_a_point: usize,
    /// Random variants at each point, beside the systematic ones.
    pub random_variants: usize,
    /// One in this many states is crashed again at each operation of its recovery.
    pub second_one_in: u64,
    /// How many variants of each point of such a recovery are visited.
    pub second_variants_a_point: usize,
    /// One in this many states is also maintained, closed and opened again.
    pub reopen_one_in: u64,
    /// Whether a random script that fails is made shorter, which may cost more than the search.
    pub shortens: bool,
    /// The part of the work to do.
    pub shard: Shard,
}

impl Default for Options {
    /// The form that runs with every change.
    fn default() -> Self {
        Self {
            seed: 1,
            exhaustive_len: 3,
            longer_sequences: 0,
            longer_sequence_states: 60,
            scripts: 4,
            script_states: 4_000,
            steps: 200,
            variants_a_point: 6,
            random_variants: 2,
            second_one_in: 50,
            second_variants_a_point: 3,
            reopen_one_in: 16,
            shortens: true,
            shard: Shard::ALL,
        }
    }
}

impl Options {
    /// Longer sequences.
    pub fn soak() -> Self {
        Self {
            exhaustive_len: 4,
            longer_sequences: 4_000,
            scripts: 50,
            script_states: 20_000,
            ..Self::default()
        }
    }

    /// Every second crash of short sequences.
    pub fn soak_of_second_crashes() -> Self {
        Self {
            exhaustive_len: 2,
            scripts: 4,
            script_states: 500,
            variants_a_point: usize::MAX,
            second_one_in: 1,
            second_variants_a_point: 6,
            reopen_one_in: 4,
            ..Self::default()
        }
    }
}

/// The entry of this suite in the registry.
pub const SUITE: Suite = Suite {
    name: "crash",
    run: |subject| run(subject, &Options::default()),
    soaks: &[
        Soak {
            name: "crash-sequences",
            budget: "all 4,680 sequences of up to 4 calls, and 4,000 of the 32,768 sequences of 5 calls: about 2.3 million states",
            run: |subject, shard| exhaustive(subject, &Options { shard, ..Options::soak() }),
        },
        Soak {
            name: "crash-scripts",
            budget: "50 random scripts of 200 steps with 20,000 states each: 1 million states",
            run: |subject, shard| random(subject, &Options { shard, ..Options::soak() }),
        },
        Soak {
            name: "crash-second",
            budget: "all sequences of up to 2 calls and 4 random scripts, with a second crash at each call of each recovery: about 1 million states",
            run: |subject, shard| {
                run(subject, &Options { shard, ..Options::soak_of_second_crashes() })
            },
        },
    ],
    is_repeatable: true,
    replay,
};

/// Crashes all sequences of calls, then random scripts.
///
/// # Errors
/// The first broken invariant.
pub fn run(subject: &dyn Subject, options: &Options) -> Result<Report, Failure> {
    let mut report = exhaustive(subject, options)?;
    let random = random(subject, options);
    let so_far = report;
    report += random.map_err(|mut failure| {
        failure.report += so_far;
        failure
    })?;
    Ok(report)
}

/// Crashes all sequences of up to [`Options::exhaustive_len`] calls, and the sample of longer ones.
///
/// # Errors
/// The first broken invariant.
pub fn exhaustive(subject: &dyn Subject, options: &Options) -> Result<Report, Failure> {
    let mut search = Search::new(subject, 0, options);
    if options.shard.takes(0) {
        search.variants_a_point = usize::MAX;
        search.script(&Script::default(), 0)?;
        search.openings()?;
    }
    let (longest, seed) = (options.exhaustive_len, sub_seed(options.seed, 0));
    let sample = Sequence::sample(seed, longest + 1, options.longer_sequences);
    let sequences = Sequence::all(longest).chain(sample).zip(1..);
    for (sequence, _) in sequences.filter(|(_, number)| options.shard.takes(*number)) {
        let is_short = sequence.len() < longest;
        search.variants_a_point = if is_short { usize::MAX } else { options.variants_a_point };
        let is_sampled = sequence.len() > longest;
        search.script_states = if is_sampled { options.longer_sequence_states } else { u64::MAX };
        let (script, before_last) = sequence.script();
        search.script(&script, before_last)?;
    }
    Ok(search.report)
}

/// Crashes [`Options::scripts`] random scripts.
///
/// # Errors
/// The first broken invariant, with a script as short as still shows it.
pub fn random(subject: &dyn Subject, options: &Options) -> Result<Report, Failure> {
    let mut report = Report::default();
    for number in (0..options.scripts).filter(|number| options.shard.takes(*number)) {
        let option_set = number as usize % subject.option_sets();
        let changes = Changes {
            steps: options.steps,
            one_sync_in: 8,
            reopens: true,
            least: Durability::Buffered,
        };
        let seed = sub_seed(options.seed, number);
        let Some(script) = changes.script(subject, option_set, seed) else { continue };
        let mut search = Search::new(subject, option_set, options);
        search.script_states = options.script_states;
        search.report = report;
        search.script(&script, 0).map_err(|failure| {
            if options.shortens { shorten(&search, &script, failure) } else { failure }
        })?;
        report = search.report;
    }
    Ok(report)
}

/// Each shorter script costs as much as the first, so the number of visited states is limited.
fn shorten(search: &Search<'_>, script: &Script, failure: Failure) -> Failure {
    const MOST_STATES: u64 = 100_000;
    let report = failure.report;
    let mut effort = 0;
    let mut shortest = failure.clone();
    let fails = |script: &Script| {
        if effort > MOST_STATES {
            return None;
        }
        let mut search = Search::new(search.subject, search.option_set, &search.options);
        search.script_states = search.options.script_states;
        let found = search.script(script, 0).err();
        effort += search.report.states;
        found.map(|found| {
            shortest = found.clone();
            found.what
        })
    };
    minimise(script, failure.what, fails);
    Failure { report, ..shortest }
}

fn replay(subject: &dyn Subject, line: &Line) -> Replayed {
    let script = line.script()?;
    let option_set = line.get("options")?;
    let options = Options { reopen_one_in: 1, second_one_in: u64::MAX, ..Options::default() };
    let mut search = Search::new(subject, option_set, &options);
    let recording = without_panic(|| Recording::make(subject, option_set, script));
    let recording = match recording {
        Ok(recording) => recording,
        Err(what) => return Ok(Err(search.failure(script, None, what))),
    };
    let Ok(point) = line.get("point") else { return Ok(Ok(search.report)) };
    let variant: Variant = line.get("variant")?;
    let mut sweep = recording.sim.sweep();
    while sweep.next_point().is_some_and(|at| at < point) {}
    let site = Site { point, variant, second: None };
    let Ok(second_point) = line.get("second_point") else {
        return Ok(search.state(&recording, &sweep, &site).map(|()| search.report));
    };
    let second_variant: Variant = line.get("second_variant")?;
    let judge = Judge::new(subject, option_set, &recording, point).with_reopening(true);
    let judged = without_panic(|| {
        let recovered = judge.recover(&sweep, &site.variant)?;
        let mut second = recovered.sim.sweep();
        while second.next_point().is_some_and(|at| at < second_point) {}
        judge.second(&recovered, &second, second_point, &second_variant)
    });
    let site = Site { second: Some((second_point, second_variant)), ..site };
    Ok(judged.map(|()| search.report).map_err(|what| search.failure(script, Some(&site), what)))
}

/// The two variants in which only synced data survives.
const NOTHING_SURVIVES: [Variant; 2] =
    [Variant::None(MetadataModel::Strict), Variant::None(MetadataModel::Journalled)];
