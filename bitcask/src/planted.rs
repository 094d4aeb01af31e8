//! The hook that decides what happens to the named steps of the protocols. Present only with the feature `planted`, for
//! the tests that prove that a wrong step would be found.
//!
//! The list of planted mistakes, each a step and an action, belongs to the tests (`tests/torture/planted.rs`). A mistake
//! that is a file system call left out needs no step: `durable::Inject` leaves it out.

use std::fmt;
use std::sync::Arc;

pub use crate::steps::{Outcome, Step};

/// What happens to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It runs.
    Run,
    /// It does not run, and the engine goes on as if it had succeeded.
    Skip,
    /// It does not run, and fails with `Io`.
    Fail,
    /// It runs, and a failure counts as success.
    IgnoreFailure,
    /// It runs twice, if it is a step that can.
    Repeat,
    /// It changes places with the step that follows, if it is the first of two in order.
    Swap,
}

/// Decides what happens to each step. It is called in the thread of the engine just before the step: a hook that waits
/// delays the step.
#[derive(Clone)]
pub struct Hook(Arc<dyn Fn(Step) -> Action + Send + Sync>);

impl Hook {
    /// A hook that asks `decide` about each step.
    pub fn new(decide: impl Fn(Step) -> Action + Send + Sync + 'static) -> Self {
        Self(Arc::new(decide))
    }

    /// A hook that does `action` to `step`, each time, and lets all other steps run.
    pub fn on(step: Step, action: Action) -> Self {
        Self::new(move |other| if other == step { action } else { Action::Run })
    }

    pub(crate) fn action(&self, step: Step) -> Action {
        (self.0)(step)
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").finish_non_exhaustive()
    }
}
