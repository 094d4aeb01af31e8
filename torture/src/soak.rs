//! Runs the long form of a suite, in parts, and says how far it has come.
//!
//! A soak visits a stated number of states. `SOAK_SHARD=3/16` runs the third of sixteen parts. All parts together visit all
//! states. So a soak that was stopped resumes with the missing parts, and one part of a thousand is a smoke test.

use std::fmt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use durable::Env;

use crate::pace::Pace;
use crate::report::{Failure, Outcome, Report};
use crate::shard::Shard;
use crate::subject::{Opened, Subject, same_properties_as};
use crate::suite::Soak;
use crate::suites::SUITES;

/// The environment variable that names the part to run.
pub const SHARD: &str = "SOAK_SHARD";

/// All soaks of the registry.
pub fn soaks() -> impl Iterator<Item = &'static Soak> {
    SUITES.iter().flat_map(|suite| suite.soaks)
}

/// The part of a soak that the environment asks for: all of it if [`SHARD`] is not set.
///
/// # Errors
/// The value is not of the form `3/16`.
pub fn shard_of_environment() -> Result<Shard, String> {
    std::env::var(SHARD).map_or(Ok(Shard::ALL), |text| text.parse())
}

/// The summary of a soak.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The name of the soak.
    pub name: &'static str,
    /// The part that ran.
    pub shard: Shard,
    /// The number of states and steps that it visited.
    pub report: Report,
    /// The wall time.
    pub seconds: f64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, shard, report, seconds } = self;
        let passed = Outcome::Passed(*report);
        write!(f, "soak {name} part {shard}: {passed}, {seconds:.1} s")
    }
}

/// Runs the part `shard` of the soak called `name`. Every 30 seconds `progress` gets one line of text.
///
/// # Errors
/// The first broken invariant, or no soak has this name.
pub fn run(
    subject: &dyn Subject,
    name: &str,
    shard: Shard,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Summary, Failure> {
    let known = soaks().find(|soak| soak.name == name).ok_or_else(|| {
        let names: Vec<&str> = soaks().map(|soak| soak.name).collect();
        let what = format!("no soak is called {name}; there are {}", names.join(", "));
        Failure { what, replay: String::new(), report: Report::default() }
    })?;
    debug_assert_eq!(soaks().filter(|soak| soak.name == name).count(), 1, "a soak has its name");
    progress(&format!("soak {name} part {shard}: {}", known.budget));
    let watched = Watched::new(subject, progress, name);
    let started = Instant::now();
    let report = (known.run)(&watched, shard)?;
    Ok(Summary { name: known.name, shard, report, seconds: started.elapsed().as_secs_f64() })
}

/// Runs a long suite of real processes and returns its summary line, with the wall time.
pub fn timed(name: &str, shard: Shard, work: impl FnOnce() -> Outcome) -> String {
    let started = Instant::now();
    let outcome = work();
    format!("soak {name} part {shard}: {outcome}, {:.1} s", started.elapsed().as_secs_f64())
}

/// A subject that counts its openings and reports them as progress. Each state opens the engine at least once.
struct Watched<'s> {
    subject: &'s dyn Subject,
    progress: &'s (dyn Fn(&str) + Sync),
    name: &'s str,
    opened: AtomicU64,
    started: Instant,
    pace: Mutex<Pace>,
}

impl<'s> Watched<'s> {
    fn new(subject: &'s dyn Subject, progress: &'s (dyn Fn(&str) + Sync), name: &'s str) -> Self {
        let started = Instant::now();
        let (opened, pace) = (AtomicU64::new(0), Mutex::new(Pace::new()));
        Self { subject, progress, name, opened, started, pace }
    }

    fn count(&self) {
        let opened = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        if self.pace.lock().unwrap_or_else(PoisonError::into_inner).is_due() {
            let seconds = self.started.elapsed().as_secs();
            (self.progress)(&format!("{}: {opened} openings in {seconds} s", self.name));
        }
    }
}

impl Subject for Watched<'_> {
    fn name(&self) -> &str {
        self.subject.name()
    }

    fn open(&self, env: &Env, dir: &Path, option_set: usize) -> kv::Result<Opened> {
        self.count();
        self.subject.open(env, dir, option_set)
    }

    fn open_reserving(
        &self,
        env: &Env,
        dir: &Path,
        option_set: usize,
    ) -> Option<kv::Result<Opened>> {
        self.count();
        self.subject.open_reserving(env, dir, option_set)
    }

    same_properties_as!(subject);
}
