//! The hook that decides the fate of each named protocol step, for the tests that prove that a wrong step would be found.

use std::fmt;
use std::sync::Arc;

use kv::{Error, Result};

/// The fate of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It runs.
    Run,
    /// It does not run, and the engine goes on as if it had succeeded.
    Skip,
    /// It does not run, and fails with `Io`.
    Fail,
    /// It does not run, and fails with `Corruption`.
    FailAsDamaged,
    /// It does not run, and fails with `StorageFull`.
    FailWithoutSpace,
    /// It runs, and a failure counts as success.
    IgnoreFailure,
    /// It runs twice, if it is a step that can.
    Repeat,
    /// It changes places with the step that follows, if it is the first of two in order.
    Swap,
}

/// Decides the fate of each step. It is called in the thread of the engine just before the step: a hook that waits
/// delays the step.
pub struct Hook<S>(Arc<dyn Fn(S) -> Action + Send + Sync>);

impl<S: Copy> Hook<S> {
    /// A hook that asks `decide` about each step.
    pub fn new(decide: impl Fn(S) -> Action + Send + Sync + 'static) -> Self {
        Self(Arc::new(decide))
    }

    /// A hook that does `action` to `step`, each time, and lets all other steps run.
    pub fn on(step: S, action: Action) -> Self
    where
        S: PartialEq + Send + Sync + 'static,
    {
        Self::new(move |other| if other == step { action } else { Action::Run })
    }

    pub(super) fn action(&self, step: S) -> Action {
        (self.0)(step)
    }
}

impl<S> Clone for Hook<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for Hook<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").finish_non_exhaustive()
    }
}

/// The value of a step that did not run.
pub trait Outcome {
    /// A step that was left out and looks as if it had succeeded.
    fn skipped() -> Self;

    /// A step that failed. A step that cannot fail looks skipped.
    fn failed(error: Error) -> Self;

    /// The same value, with a failure turned into success.
    fn ignoring_failure(self) -> Self;
}

impl Action {
    /// The error of a step that this action fails.
    pub(super) fn failure(self) -> Option<Error> {
        let io = |source| Error::io("run", "planted", source);
        match self {
            Self::Fail => Some(io(std::io::Error::other("a planted failure"))),
            Self::FailAsDamaged => Some(Error::corruption("planted", 0, "a planted failure")),
            Self::FailWithoutSpace => Some(io(std::io::ErrorKind::StorageFull.into())),
            Self::Run | Self::Skip | Self::IgnoreFailure | Self::Repeat | Self::Swap => None,
        }
    }
}

impl Outcome for () {
    fn skipped() {}

    fn failed(_: Error) {}

    fn ignoring_failure(self) {}
}

impl Outcome for u64 {
    fn skipped() -> Self {
        0
    }

    fn failed(_: Error) -> Self {
        0
    }

    fn ignoring_failure(self) -> Self {
        self
    }
}

impl<T> Outcome for Option<T> {
    fn skipped() -> Self {
        None
    }

    fn failed(_: Error) -> Self {
        None
    }

    fn ignoring_failure(self) -> Self {
        self
    }
}

impl<T: Outcome> Outcome for Result<T> {
    fn skipped() -> Self {
        Ok(T::skipped())
    }

    fn failed(error: Error) -> Self {
        Err(error)
    }

    fn ignoring_failure(self) -> Self {
        Ok(self.unwrap_or_else(|_| T::skipped()))
    }
}
