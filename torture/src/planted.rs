//! Planted bugs: the check on the checks.
//!
//! Each step of each protocol of an engine is left out or done wrong once, on purpose, and written down as data: a name,
//! the step, and a subject in which it is so. [`must_find`] runs the suites until one of them fails, and repeats that
//! failure from its replay line. A bug that no suite finds is a hole in the suites.

mod mistake;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use durable::{Env, Inject, OpKind, Plan};

use crate::replay::replay;
use crate::report::{Failure, Report};
use crate::subject::{Opened, Subject, same_properties_as};
use crate::suite::Suite;
pub use mistake::{Mistake, RealSuite, Wrong, are_found, check_list};

/// A subject with a known bug.
pub struct Planted {
    /// The name of the bug.
    pub name: &'static str,
    /// The step of a protocol that is left out or wrong.
    pub step: &'static str,
    subject: Box<dyn Subject>,
}

impl Planted {
    /// A bug that is built into `subject`.
    pub fn built(name: &'static str, step: &'static str, subject: impl Subject + 'static) -> Self {
        Self { name, step, subject: Box::new(subject) }
    }

    /// A bug that is a call left out: those of `kind` on paths that contain `path` succeed and do nothing.
    pub fn skipping(
        name: &'static str,
        step: &'static str,
        subject: impl Subject + 'static,
        kind: OpKind,
        path: &'static str,
    ) -> Self {
        Self::built(name, step, Skipping { subject, plan: Plan::skip(kind, path) })
    }

    /// The subject that has the bug.
    pub fn subject(&self) -> &dyn Subject {
        self.subject.as_ref()
    }
}

impl fmt::Debug for Planted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planted").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A planted bug is itself a subject, so that a [`Program`](crate::Program) can start it in a process of its own.
impl Subject for Planted {
    fn name(&self) -> &str {
        self.name
    }

    fn open(&self, env: &Env, dir: &Path, option_set: usize) -> kv::Result<Opened> {
        self.subject.open(env, dir, option_set)
    }

    fn open_reserving(
        &self,
        env: &Env,
        dir: &Path,
        option_set: usize,
    ) -> Option<kv::Result<Opened>> {
        self.subject.open_reserving(env, dir, option_set)
    }

    same_properties_as!(subject);
}

/// A subject on a file system that leaves calls out.
struct Skipping<S> {
    subject: S,
    plan: Plan,
}

impl<S> Skipping<S> {
    fn env(&self, env: &Env) -> Env {
        let fs = Arc::new(Inject::new(Arc::clone(&env.fs), self.plan.clone()));
        Env { fs, ..env.clone() }
    }
}

impl<S: Subject> Subject for Skipping<S> {
    fn name(&self) -> &str {
        self.subject.name()
    }

    fn open(&self, env: &Env, dir: &Path, option_set: usize) -> kv::Result<Opened> {
        self.subject.open(&self.env(env), dir, option_set)
    }

    fn open_reserving(
        &self,
        env: &Env,
        dir: &Path,
        option_set: usize,
    ) -> Option<kv::Result<Opened>> {
        self.subject.open_reserving(&self.env(env), dir, option_set)
    }

    same_properties_as!(subject);
}

/// Which suite found a bug.
#[derive(Clone, Debug)]
pub struct Found {
    /// The suite.
    pub suite: &'static str,
    /// How it failed, and after how many states.
    pub failure: Failure,
}

/// Runs `suites` until one finds the bug, and repeats the failure from its line.
///
/// # Errors
/// All suites passed, or the failure could not be repeated from its line, although it was on the simulated disk.
pub fn must_find(planted: &Planted, suites: &[Suite]) -> Result<Found, String> {
    let (name, step) = (planted.name, planted.step);
    let mut visited = Report::default();
    for suite in suites {
        match (suite.run)(planted.subject()) {
            Ok(report) => visited += report,
            Err(failure) => {
                if must_repeat(suite, &failure)
                    && replay(planted.subject(), &failure.replay).is_ok()
                {
                    return Err(format!("{name} ({step}): the line does not repeat it: {failure}"));
                }
                return Ok(Found { suite: suite.name, failure });
            }
        }
    }
    Err(format!("{name} ({step}) was not found in {visited}"))
}

/// Whether the line of a failure must repeat it. On a real disk it may be a race of real threads, which comes when it likes.
fn must_repeat(suite: &Suite, failure: &Failure) -> bool {
    suite.is_repeatable && !failure.replay.contains("disk=real")
}
