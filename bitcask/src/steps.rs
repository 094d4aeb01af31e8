//! The protocol steps that have a name, so that a test can leave one out.
//!
//! The engine runs each step through [`Steps`]. With the feature `planted`, which only the tests of this crate turn on, a
//! hook decides the fate of each step: see `steps/hook.rs`. Without the feature `Steps` has no size, and each call is the
//! step itself.

#[cfg(feature = "planted")]
mod claims;
#[cfg(feature = "planted")]
pub(crate) mod hook;

use std::sync::Arc;

use durable::Mapped;
use durable::log::StoreId;
use kv::Result;

#[cfg(feature = "planted")]
use hook::{Action, Hook, Outcome};

/// One step of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(
    not(feature = "planted"),
    expect(unreachable_pub, reason = "tests name steps, with the feature")
)]
pub enum Step {
    /// Append: the records of a batch are encoded into one append.
    LogRecords,
    /// Append: a batch of tombstones that finds no space releases the disk reserve.
    UseReserve,
    /// An edit of the manifest that finds no space leaves the store as it was, and does not poison it.
    SpareOnFullDisk,
    /// A view reads its time under the lock that merges take for their horizon.
    ReadViewTime,
    /// Opening: the lock of a store of this process that was dropped is waited for.
    AwaitLeftover,
    /// Group commit: a batch of class `Sync` is queued until the log is durable, instead of becoming visible at once.
    QueueUntilDurable,
    /// Group commit: the writer waits until its batch is durable and visible, and reports a failure.
    AwaitPublication,
    /// Publication: a batch that waited for the disk is read back from the log.
    ReadBatchBack,
    /// Publication: a put enters the keydir.
    ApplyPut,
    /// Publication: a tombstone removes its key from the keydir.
    ApplyTombstone,
    /// Beginning a file: the manifest names the file before anything is appended to it.
    NameFile,
    /// Sealing: the manifest gets length and checksum of the sealed file.
    NameSealedFile,
    /// Loading: the bytes of a hint file are checked against the manifest.
    CheckHint,
    /// Loading: a tombstone in a hint file hides older puts of its key.
    LoadHintedTombstone,
    /// Recovery: a tombstone in the log hides older puts of its key.
    LoadLoggedTombstone,
    /// Recovery: the tail of the log is held against the claims of its witnesses.
    CheckClaims,
    /// Recovery: the log ends at a torn file, and later files are discarded.
    EndLogAtTear,
    /// Recovery: files that the manifest does not name are removed.
    RemoveOrphans,
    /// Recovery: files that no longer count are discarded, newest first.
    DiscardTail,
    /// Recovery: the files that count are cut and sealed.
    SealTail,
    /// Recovery: sequence numbers go on after the highest one that was found.
    ResumeNumbering,
    /// Merging, 1: a file is left alone until the keydir knows its newest record.
    CheckPublished,
    /// Merging, 1: a file is dropped unread only if its last record has expired, not just its first.
    CheckLastExpiry,
    /// Merging, 2: nothing counts as expired that has not expired for every open view.
    LimitHorizonToViews,
    /// Merging, 2: a tombstone is kept while a file outside the merge may hold an older put of its key.
    GuardTombstone,
    /// Merging, 2: an expired put is kept as a tombstone by the same rule.
    GuardExpiredPut,
    /// Merging, 4: the log is synced, because the record that made another one dead may not be durable.
    SyncLogBeforeEdit,
    /// Merging, 5: an output enters the edit that takes the inputs out.
    NameOutput,
    /// Merging, 5: one edit brings the outputs in and takes the inputs out.
    EditManifest,
    /// Merging, 6: the keydir is pointed at the copies.
    Relocate,
    /// Merging, 6: a key is pointed at its copy only if its newest record is the copied one.
    CompareSequence,
    /// Merging, 7: open views hold the inputs.
    HoldInputs,
    /// Merging, 7: the inputs are unlinked after their last reader.
    RetireInputs,
}

/// Runs steps. See the [module](self).
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps {
    #[cfg(feature = "planted")]
    hook: Option<Hook>,
}

#[cfg(not(feature = "planted"))]
#[expect(clippy::unused_self, reason = "the build with the feature looks at the hook")]
impl Steps {
    /// Runs a step.
    #[inline]
    pub(crate) fn run<T>(&self, _: Step, act: impl FnOnce() -> T) -> T {
        act()
    }

    /// Runs a step that may be repeated.
    #[inline]
    pub(crate) fn repeatable<T>(&self, _: Step, act: impl Fn() -> T) -> T {
        act()
    }

    /// A check: whether the engine goes on.
    #[inline]
    pub(crate) fn check(&self, _: Step, passes: bool) -> bool {
        passes
    }

    /// The bytes of segment `id` of `store`, whose claims the step checks.
    #[inline]
    pub(crate) fn claims(
        &self,
        _: Step,
        bytes: Arc<dyn Mapped>,
        _: StoreId,
        _: u64,
    ) -> Arc<dyn Mapped> {
        bytes
    }

    /// The value of a step that comes before its turn. `None`: it waits for its turn.
    #[inline]
    pub(crate) fn too_early<T>(&self, _: Step, _: impl FnOnce() -> T) -> Option<T> {
        None
    }

    /// A step over `items`.
    #[inline]
    pub(crate) fn each<'i, T>(&self, _: Step, items: &'i [T]) -> &'i [T] {
        items
    }

    /// Two steps, one after the other; the second only if the first succeeds.
    #[inline]
    pub(crate) fn in_order(
        &self,
        (_, first): (Step, impl FnOnce() -> Result<()>),
        (_, second): (Step, impl FnOnce() -> Result<()>),
    ) -> Result<()> {
        first()?;
        second()
    }
}

#[cfg(feature = "planted")]
impl Steps {
    pub(crate) fn with_hook(hook: Hook) -> Self {
        Self { hook: Some(hook) }
    }

    fn action(&self, step: Step) -> Action {
        self.hook.as_ref().map_or(Action::Run, |hook| hook.action(step))
    }

    /// Runs a step, as the hook decides.
    pub(crate) fn run<T: Outcome>(&self, step: Step, act: impl FnOnce() -> T) -> T {
        let action = self.action(step);
        match (action, action.failure()) {
            (_, Some(failure)) => T::failed(failure),
            (Action::Skip, _) => T::skipped(),
            (Action::IgnoreFailure, _) => act().ignoring_failure(),
            _ => act(),
        }
    }

    /// Runs a step that may be repeated, as the hook decides.
    pub(crate) fn repeatable<T: Outcome>(&self, step: Step, act: impl Fn() -> T) -> T {
        match self.action(step) {
            Action::Repeat => {
                drop(act());
                act()
            }
            _ => self.run(step, act),
        }
    }

    /// A check, which passes if the hook skips it.
    pub(crate) fn check(&self, step: Step, passes: bool) -> bool {
        passes || self.action(step) == Action::Skip
    }

    /// The bytes of segment `id` of `store`, with the claims that it began with if the hook skips the check of claims.
    pub(crate) fn claims(
        &self,
        step: Step,
        bytes: Arc<dyn Mapped>,
        store: StoreId,
        id: u64,
    ) -> Arc<dyn Mapped> {
        if self.action(step) == Action::Skip { claims::forget(bytes, store, id) } else { bytes }
    }

    /// The value of a step that comes before its turn, because the hook swaps it with what is in front of it. The hook is
    /// asked again afterwards, so that a test can do something in between.
    pub(crate) fn too_early<T>(&self, step: Step, act: impl FnOnce() -> T) -> Option<T> {
        if self.action(step) != Action::Swap {
            return None;
        }
        let value = act();
        self.action(step);
        Some(value)
    }

    /// A step over `items`; if the hook skips it, the last item is left out unless it is the only one.
    pub(crate) fn each<'i, T>(&self, step: Step, items: &'i [T]) -> &'i [T] {
        let skipped = usize::from(self.action(step) == Action::Skip && items.len() > 1);
        &items[..items.len() - skipped]
    }

    /// Two steps, in the other order if the hook swaps the first.
    pub(crate) fn in_order(
        &self,
        first: (Step, impl FnOnce() -> Result<()>),
        second: (Step, impl FnOnce() -> Result<()>),
    ) -> Result<()> {
        if self.action(first.0) == Action::Swap {
            self.run(second.0, second.1)?;
            return self.run(first.0, first.1);
        }
        self.run(first.0, first.1)?;
        self.run(second.0, second.1)
    }
}
