//! Why a run ends early, and the exit code that says so. Each failure is one clear line on stderr.

use std::path::Path;
use std::{fmt, io};

use serde::{Deserialize, Serialize};

/// The table of exit codes as `--help` and the README show it.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
    0  everything was measured and every value was right
    2  wrong usage: a flag, an engine, a workload or a workload file
    3  wrong data: an engine returned something else than what was written; no number is printed
    4  input or output: a folder that cannot be written, a full disk
    5  an engine failed: an error, a crash, no end within its time, or none fitted into its memory
  130  interrupted; what was measured is kept";

/// The result of everything that can end a run.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// The result of one call in the loop that is measured. It has eight bytes, so it is returned in a register; an [`Outcome`] would
/// be copied through memory.
pub(crate) type CallOutcome = Result<(), Box<Failure>>;

/// Why a run ends early.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// The kind of failure.
    pub(crate) kind: FailureKind,
    /// One line that names the failure and its object.
    pub(crate) text: String,
}

/// The kinds of failure. They differ in the reaction that the user can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FailureKind {
    /// The command line or a workload file is wrong.
    Usage,
    /// An engine returned wrong data.
    WrongData,
    /// The operating system refused.
    Io,
    /// An engine returned an error, crashed or did not end.
    Engine,
    /// The user asked to stop.
    Interrupted,
}

impl FailureKind {
    /// The exit code of the process.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::WrongData => 3,
            Self::Io => 4,
            Self::Engine => 5,
            Self::Interrupted => 130,
        }
    }
}

impl Failure {
    /// A mistake on the command line or in a workload file.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { kind: FailureKind::Usage, text: text.into() }
    }

    /// An engine that lied.
    pub(crate) fn wrong_data(text: impl Into<String>) -> Self {
        Self { kind: FailureKind::WrongData, text: text.into() }
    }

    /// An engine that failed.
    pub(crate) fn engine(text: impl Into<String>) -> Self {
        Self { kind: FailureKind::Engine, text: text.into() }
    }

    /// The user asked to stop.
    pub(crate) fn interrupted() -> Self {
        Self { kind: FailureKind::Interrupted, text: "interrupted".into() }
    }

    /// The operating system refused `doing` on `path`.
    pub(crate) fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        let text = format!("cannot {doing} {}: {error}", path.display());
        Self { kind: FailureKind::Io, text }
    }

    /// The failure as one line for a terminal: names in files and messages of others may have line breaks and worse.
    pub(crate) fn line(&self) -> String {
        self.text.replace(char::is_control, " ")
    }

    /// The same failure, with where it happened in front.
    pub(crate) fn within(mut self, place: impl fmt::Display) -> Self {
        self.text = format!("{place}: {}", self.text);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Box<Failure>> for Failure {
    fn from(failure: Box<Failure>) -> Self {
        *failure
    }
}

impl From<kv::Error> for Box<Failure> {
    #[cold]
    fn from(error: kv::Error) -> Self {
        Self::new(error.into())
    }
}

/// The meaning of an engine's error for the run: damage is wrong data, a refusing disk is the disk's fault.
impl From<kv::Error> for Failure {
    fn from(error: kv::Error) -> Self {
        let root = match &error {
            kv::Error::Poisoned { cause } => cause.as_ref(),
            other => other,
        };
        let kind = match root {
            kv::Error::Corruption { .. } => FailureKind::WrongData,
            kv::Error::Io { .. } => FailureKind::Io,
            _ => FailureKind::Engine,
        };
        Self { kind, text: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_documented() {
        let kinds = [
            FailureKind::Usage,
            FailureKind::WrongData,
            FailureKind::Io,
            FailureKind::Engine,
            FailureKind::Interrupted,
        ];
        for kind in kinds {
            let code = format!("{:>5}  ", kind.exit_code());
            assert!(EXIT_CODES.lines().any(|line| line.starts_with(&code)), "{code}");
        }
    }

    #[test]
    fn a_failure_is_one_line_whatever_it_quotes() {
        let failure = Failure::usage("unknown \"a\nb\u{1b}[2J\"");
        assert_eq!(failure.line(), "unknown \"a b [2J\"");
    }

    #[test]
    fn a_poisoned_engine_is_judged_by_what_poisoned_it() {
        let full = kv::Error::io("append", "log", io::Error::other("no space"));
        let poisoned = kv::Error::Poisoned { cause: Box::new(full) };
        assert_eq!(Failure::from(poisoned).kind, FailureKind::Io);
    }
}
