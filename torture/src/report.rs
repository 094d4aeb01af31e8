//! The result of a suite: the amount of work, or a failure with the line that repeats it.

use std::fmt;
use std::ops::AddAssign;

/// How much a suite visited. Budgets are counted in these, never in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Stores judged against the oracle: crash images opened, runs with a fault, damaged copies, histories, stories.
    pub states: u64,
    /// Script steps taken on the way.
    pub steps: u64,
}

impl AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.states += other.states;
        self.steps += other.steps;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} states, {} steps", self.states, self.steps)
    }
}

/// The result of a suite that needs more of the machine than the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All invariants held.
    Passed(Report),
    /// Nothing was tested, because this is missing.
    Skipped(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed(report) => write!(f, "passed: {report}"),
            Self::Skipped(missing) => write!(f, "SKIPPED: {missing}"),
        }
    }
}

/// An invariant that an engine broke.
///
/// `Debug` prints the same as `Display`, so that an `unwrap` in a test shows the line to replay.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure {
    /// The expected and the actual result.
    pub what: String,
    /// The line that [`replay`](crate::replay) takes to make it happen again.
    pub replay: String,
    /// How much had been visited before.
    pub report: Report,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nafter {}; replay with\n{}", self.what, self.report, self.replay)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failure {}
