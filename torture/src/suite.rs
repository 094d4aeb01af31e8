//! A suite as a value: its name, how to run it with each effort, and how to repeat one of its failures.

use crate::line::Line;
use crate::report::{Failure, Report};
use crate::shard::Shard;
use crate::subject::Subject;

/// The result of a repeated failure. The outer `Err` says why the line cannot be repeated.
pub(crate) type Replayed = Result<Result<Report, Failure>, String>;

/// Runs a suite with the effort that every change is worth.
pub type RunFn = fn(&dyn Subject) -> Result<Report, Failure>;

/// One suite of the registry [`SUITES`](crate::suites::SUITES).
#[derive(Clone, Copy, Debug)]
pub struct Suite {
    /// The first word of the suite's replay lines.
    pub name: &'static str,
    /// Runs the short form.
    pub run: RunFn,
    /// The long forms of the suite. Empty if the short form is all there is.
    pub soaks: &'static [Soak],
    /// Whether a replay line repeats a failure. `false` for suites with real threads.
    pub is_repeatable: bool,
    pub(crate) replay: fn(&dyn Subject, &Line) -> Replayed,
}

impl Suite {
    /// The same suite with another run, for example a shorter one.
    #[must_use]
    pub fn with_run(self, run: RunFn) -> Self {
        Self { run, ..self }
    }
}

/// A long form of a suite, for [`soak::run`](crate::soak::run).
#[derive(Clone, Copy, Debug)]
pub struct Soak {
    /// The name on the command line, for example `crash-sequences`.
    pub name: &'static str,
    /// The budget in words, for example the number of states on a Bitcask.
    pub budget: &'static str,
    /// Runs one part of the soak.
    pub run: fn(&dyn Subject, Shard) -> Result<Report, Failure>,
}
