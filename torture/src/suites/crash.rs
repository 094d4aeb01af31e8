//! Crashes at every operation of a run, and every image that each may leave on the disk.
//!
//! The invariants:
//! - The main theorem (module `oracle`). After a power cut and an opening, all reads equal `Model[j]` for one `j` between the
//!   last synced and the last begun batch. If only the process died, `j` is not before the last batch that was handed over.
//! - Opening succeeds, and the engine writes again. If the crash took the batches behind `j`, the first of them is written
//!   once more with other values, the process dies, and the main theorem is checked again.
//! - Recovery is monotone: content that a handle has served survives a later power cut. This is checked after each death of
//!   the process.
//! - Recovery is idempotent: a crash at any operation of recovery obeys the same invariants.
//!
//! The first two openings of a store are crashed everywhere: the process dies at each operation of the first one, and then
//! the power is cut at each operation of the second one, with every variant.
//!
//! The workloads are all sequences of a small alphabet of calls up to a length, and random scripts. Of a sequence only the
//! crash points of its last call are visited, because the shorter sequence visits the others. Sequences run with the first
//! option set, scripts with all of them in turn. Second crashes are sampled ([`Options::second_one_in`]).

use durable::{MetadataModel, Variant};

use crate::generate::{self, ScriptConfig};
use crate::line::Line;
use crate::minimise::minimise;
use crate::opening::{capabilities, without_panic};
use crate::random::sub_seed;
use crate::report::{Failure, Report};
use crate::script::Script;
use crate::shard::Shard;
use crate::subject::Subject;
use crate::suite::{Replayed, Soak, Suite};

mod image;
mod record;
mod search;

use image::Judge;
use record::Recording;
use search::{Search, Site};

/// The amount of work.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The seed of all random choices.
    pub seed: u64,
    /// Sequences of up to so many calls are all run.
    pub exhaustive_len: usize,
    /// At most so many states are visited in each sequence of [`Options::exhaustive_len`] calls.
    pub sequence_states: u64,
    /// Random scripts, with all option sets in turn.
    pub scripts: u64,
    /// So many states are visited in a random script, at crash points spread over all of it.
    pub script_states: u64,
    /// Steps in a random script.
    pub steps: usize,
    /// Of the variants at each point of a sequence of [`Options::exhaustive_len`] calls, and of a random script, so many
    /// are visited: the plainest two, and a sample of the others. Shorter sequences are visited in full.
    pub variants_a_point: usize,
    /// Random variants at each point, beside the systematic ones.
    pub random_variants: usize,
    /// One in this many states is crashed again at each operation of its recovery.
    pub second_one_in: u64,
    /// Of the variants at each point of such a recovery, so many are visited.
    pub second_variants_a_point: usize,
    /// One in this many states is also maintained, closed and opened again.
    pub deep_one_in: u64,
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
            sequence_states: u64::MAX,
            scripts: 4,
            script_states: 4_000,
            steps: 200,
            variants_a_point: 6,
            random_variants: 2,
            second_one_in: 50,
            second_variants_a_point: 3,
            deep_one_in: 16,
            shortens: true,
            shard: Shard::ALL,
        }
    }
}

impl Options {
    /// Longer sequences; runs for an hour or more.
    pub fn soak() -> Self {
        Self {
            exhaustive_len: 5,
            sequence_states: 60,
            scripts: 50,
            script_states: 20_000,
            ..Self::default()
        }
    }

    /// Every second crash of short sequences; runs for an hour or more.
    pub fn soak_of_second_crashes() -> Self {
        Self {
            exhaustive_len: 2,
            scripts: 4,
            script_states: 500,
            variants_a_point: usize::MAX,
            second_one_in: 1,
            second_variants_a_point: 6,
            deep_one_in: 4,
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
            budget: "all 37,449 sequences of up to 5 calls, at most about 60 states for each of 5 calls: about 5 million states",
            run: |subject, shard| exhaustive(subject, &Options { shard, ..Options::soak() }),
        },
        Soak {
            name: "crash-scripts",
            budget: "50 random scripts of 200 steps with 20,000 states each: 1 million states",
            run: |subject, shard| random(subject, &Options { shard, ..Options::soak() }),
        },
        Soak {
            name: "crash-second",
            budget: "all sequences of up to 2 calls and 4 random scripts, with a second crash at each call of each recovery: about 300,000 states",
            run: |subject, shard| {
                run(subject, &Options { shard, ..Options::soak_of_second_crashes() })
            },
        },
    ],
    is_repeatable: true,
    replay,
};

/// The calls that sequences are made of. The values are so large that three of them fill a file.
const ALPHABET: [&str; 8] = [
    "p0.900/b",
    "p1.900/b",
    "d0/b",
    "p0.20+p1.20/b",
    "sync",
    "p0.900/s",
    "maintain drain",
    "reopen",
];

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

/// Crashes all sequences of up to [`Options::exhaustive_len`] calls.
///
/// # Errors
/// The first broken invariant.
pub fn exhaustive(subject: &dyn Subject, options: &Options) -> Result<Report, Failure> {
    let mut search = Search::new(subject, 0, options);
    let calls = ALPHABET.map(calls_of);
    let mut sequences = vec![Script::default()];
    search.variants_a_point = usize::MAX;
    let mut number = 0;
    if options.shard.takes(number) {
        search.script(&Script::default(), 0)?;
        search.openings()?;
    }
    for len in 1..=options.exhaustive_len {
        if len == options.exhaustive_len {
            search.variants_a_point = options.variants_a_point;
            search.script_states = options.sequence_states;
        }
        let mut longer = Vec::new();
        for sequence in &sequences {
            for call in &calls {
                let mut script = sequence.clone();
                script.0.extend(call.0.iter().cloned());
                number += 1;
                if options.shard.takes(number) {
                    search.script(&script, sequence.0.len())?;
                }
                longer.push(script);
            }
        }
        sequences = longer;
    }
    Ok(search.report)
}

fn calls_of(letter: &str) -> Script {
    letter.parse().expect("the alphabet is well-formed")
}

/// Crashes [`Options::scripts`] random scripts.
///
/// # Errors
/// The first broken invariant, with a script as short as still shows it.
pub fn random(subject: &dyn Subject, options: &Options) -> Result<Report, Failure> {
    let mut report = Report::default();
    for number in (0..options.scripts).filter(|number| options.shard.takes(*number)) {
        let option_set = number as usize % subject.option_sets();
        let able = capabilities(subject, option_set);
        let able = able.filter(|able| able.durability > kv::Durability::None);
        let Some(capabilities) = able else { continue };
        let steps = options.steps;
        let config =
            ScriptConfig { steps, reads: false, persistent: true, one_sync_in: 8, capabilities };
        let script = generate::script(sub_seed(options.seed, number), &config);
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
    let options = Options { deep_one_in: 1, second_one_in: u64::MAX, ..Options::default() };
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
    let judge = Judge::new(subject, option_set, &recording, point).deep(true);
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
