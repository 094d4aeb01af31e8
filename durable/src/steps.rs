//! Protocol steps with names, so that a test can leave one out.
//!
//! An engine names the steps of its protocols in an enum `S`, and runs each through [`Steps`]. With the feature `planted`,
//! which only tests turn on, a `Hook` decides the fate of each step. So a test proves that a wrong step would be found.
//! Without the feature `Steps` has no size, and each call is the step itself.
//!
//! A mistake that is a file system call left out needs no step: [`Inject`](crate::Inject) leaves it out.

#[cfg(feature = "planted")]
mod claims;
#[cfg(feature = "planted")]
mod hook;

use std::marker::PhantomData;
use std::sync::Arc;

use kv::Result;

use crate::fs::Mapped;
use crate::identity::StoreId;

#[cfg(feature = "planted")]
pub use hook::{Action, Hook, Outcome};

/// Runs the steps `S` of an engine. See the [module](self).
#[derive(Clone, Debug)]
pub struct Steps<S> {
    #[cfg(feature = "planted")]
    hook: Option<Hook<S>>,
    named: PhantomData<fn(S)>,
}

/// Every step runs.
impl<S> Default for Steps<S> {
    fn default() -> Self {
        Self {
            #[cfg(feature = "planted")]
            hook: None,
            named: PhantomData,
        }
    }
}

#[cfg(not(feature = "planted"))]
impl<S: Copy> Steps<S> {
    /// Runs a step.
    #[inline]
    pub fn run<T>(&self, _: S, act: impl FnOnce() -> T) -> T {
        act()
    }

    /// Runs a step that may be repeated.
    #[inline]
    pub fn repeatable<T>(&self, _: S, act: impl Fn() -> T) -> T {
        act()
    }

    /// A check: whether the engine goes on.
    #[inline]
    pub fn check(&self, _: S, passes: bool) -> bool {
        passes
    }

    /// The bytes of segment `id` of `store`, whose claims the step checks.
    #[inline]
    pub fn claims(&self, _: S, bytes: Arc<dyn Mapped>, _: StoreId, _: u64) -> Arc<dyn Mapped> {
        bytes
    }

    /// The value of a step that comes before its turn. `None`: it waits for its turn.
    #[inline]
    pub fn too_early<T>(&self, _: S, _: impl FnOnce() -> T) -> Option<T> {
        None
    }

    /// A step over `items`.
    #[inline]
    pub fn each<'i, T>(&self, _: S, items: &'i [T]) -> &'i [T] {
        items
    }

    /// Two steps, one after the other; the second only if the first succeeds.
    ///
    /// # Errors
    /// That of the step that failed.
    #[inline]
    pub fn in_order(
        &self,
        (_, first): (S, impl FnOnce() -> Result<()>),
        (_, second): (S, impl FnOnce() -> Result<()>),
    ) -> Result<()> {
        first()?;
        second()
    }
}

#[cfg(feature = "planted")]
impl<S: Copy> Steps<S> {
    /// The fate of each step is that which `hook` decides.
    pub fn with_hook(hook: Hook<S>) -> Self {
        Self { hook: Some(hook), named: PhantomData }
    }

    fn action(&self, step: S) -> Action {
        self.hook.as_ref().map_or(Action::Run, |hook| hook.action(step))
    }

    /// Runs a step, as the hook decides.
    pub fn run<T: Outcome>(&self, step: S, act: impl FnOnce() -> T) -> T {
        let action = self.action(step);
        match (action, action.failure()) {
            (_, Some(failure)) => T::failed(failure),
            (Action::Skip, _) => T::skipped(),
            (Action::IgnoreFailure, _) => act().ignoring_failure(),
            _ => act(),
        }
    }

    /// Runs a step that may be repeated, as the hook decides.
    pub fn repeatable<T: Outcome>(&self, step: S, act: impl Fn() -> T) -> T {
        match self.action(step) {
            Action::Repeat => {
                drop(act());
                act()
            }
            _ => self.run(step, act),
        }
    }

    /// A check, which passes if the hook skips it.
    pub fn check(&self, step: S, passes: bool) -> bool {
        passes || self.action(step) == Action::Skip
    }

    /// The bytes of segment `id` of `store`, with the claims that it began with if the hook skips the check of claims.
    pub fn claims(
        &self,
        step: S,
        bytes: Arc<dyn Mapped>,
        store: StoreId,
        id: u64,
    ) -> Arc<dyn Mapped> {
        if self.action(step) == Action::Skip { claims::forget(bytes, store, id) } else { bytes }
    }

    /// The value of a step that comes before its turn, because the hook swaps it with what is in front of it. The hook is
    /// asked again afterwards, so that a test can do something in between.
    pub fn too_early<T>(&self, step: S, act: impl FnOnce() -> T) -> Option<T> {
        if self.action(step) != Action::Swap {
            return None;
        }
        let value = act();
        self.action(step);
        Some(value)
    }

    /// A step over `items`; if the hook skips it, the last item is left out unless it is the only one.
    pub fn each<'i, T>(&self, step: S, items: &'i [T]) -> &'i [T] {
        let skipped = usize::from(self.action(step) == Action::Skip && items.len() > 1);
        &items[..items.len() - skipped]
    }

    /// Two steps, in the other order if the hook swaps the first.
    ///
    /// # Errors
    /// That of the step that failed.
    pub fn in_order(
        &self,
        first: (S, impl FnOnce() -> Result<()>),
        second: (S, impl FnOnce() -> Result<()>),
    ) -> Result<()> {
        if self.action(first.0) == Action::Swap {
            self.run(second.0, second.1)?;
            return self.run(first.0, first.1);
        }
        self.run(first.0, first.1)?;
        self.run(second.0, second.1)
    }
}
