//! The seam between the suites and an engine.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::{Env, OpKind};
use kv::{Kv, Result, SequenceNumber, Snapshots};

/// A call to the file system that failed by plan.
#[derive(Clone, Copy, Debug)]
pub struct FailedCall<'c> {
    /// Its kind.
    pub kind: OpKind,
    /// The file or directory.
    pub path: &'c Path,
    /// Whether it was the first append to a log since the log was created.
    pub is_first_append: bool,
    /// Whether a background job made it. A call of the engine that waits for jobs may have run that job.
    pub in_background: bool,
}

/// An engine to be tortured.
///
/// Every engine needs [`Subject::open`]. Each other method states a property of the engine, and has a strict default.
pub trait Subject: Send + Sync {
    /// A short word for replay lines, without spaces.
    fn name(&self) -> &str;

    /// Opens the engine in `dir` of `env.fs`, creating the store if there is none.
    ///
    /// The limits should be tiny: files of 2 KiB, buffers of 1 KiB, a fan-out of 2. Then a script of a few dozen writes
    /// passes through every structural event. Background work must go to `env.executor`: the suites step it.
    /// All option sets must read the same content, and each must open the store of another one.
    ///
    /// # Errors
    /// The errors of the engine's own opening; the suites judge them.
    fn open(&self, env: &Env, dir: &Path, option_set: usize) -> Result<Opened>;

    /// As [`Subject::open`], with disk space reserved. While the reserve lasts, opening, deleting and the upkeep
    /// ([`Opened::with_maintain`]) must then work on a full disk. The reserve should be tiny as well: a few files. `None`: the
    /// engine reserves nothing.
    fn open_reserving(&self, env: &Env, dir: &Path, option_set: usize) -> Option<Result<Opened>> {
        let _ = (env, dir, option_set);
        None
    }

    /// How many sets of options there are to run the suites with; at least one.
    fn option_sets(&self) -> usize {
        1
    }

    /// The files whose end may look like a torn tail after an unclean stop, out of all files of the store.
    ///
    /// If nothing was written after the last group of a log, damage to that group looks like a write that a crash cut
    /// short. In a store that was not closed, the damage suite accepts the loss of that group for these files. If the
    /// damage reaches to the end of the file, it accepts the loss of any number of groups. If the file is an older version of
    /// itself, it accepts the loss of everything that is newer. In a store that was closed it accepts no loss.
    fn tails(&self, files: &[PathBuf]) -> Vec<PathBuf> {
        let _ = files;
        Vec::new()
    }

    /// Whether a witness in this file, one of [`Subject::tails`], says how far it was durable. Then damage to its end is an
    /// error after the death of the process. After a power cut it may hide the last round of syncs. An older version of the
    /// whole file goes unnoticed in both cases.
    fn has_witness(&self, file: &Path) -> bool {
        let _ = file;
        false
    }

    /// Whether a failed call may go unreported because nothing that the engine promises depends on it: a removal that
    /// is tried again later, a file that only makes the next opening faster.
    fn may_swallow(&self, op: OpKind, path: &Path) -> bool {
        let _ = path;
        matches!(op, OpKind::Remove | OpKind::FreeSpace)
    }

    /// Whether background work tries again, without telling anybody, when this call finds the disk full.
    fn may_wait_for_space(&self, call: &FailedCall<'_>) -> bool {
        let _ = call;
        false
    }
}

/// The methods of a [`Subject`] that state its properties, for a subject that wraps another one in the field `$subject`.
macro_rules! same_properties_as {
    ($subject:ident) => {
        fn option_sets(&self) -> usize {
            self.$subject.option_sets()
        }

        fn tails(&self, files: &[std::path::PathBuf]) -> Vec<std::path::PathBuf> {
            self.$subject.tails(files)
        }

        fn has_witness(&self, file: &std::path::Path) -> bool {
            self.$subject.has_witness(file)
        }

        fn may_swallow(&self, op: durable::OpKind, path: &std::path::Path) -> bool {
            self.$subject.may_swallow(op, path)
        }

        fn may_wait_for_space(&self, call: &$crate::FailedCall<'_>) -> bool {
            self.$subject.may_wait_for_space(call)
        }
    };
}
pub(crate) use same_properties_as;

/// A step of a subject's own upkeep.
type Maintain = Box<dyn Fn() -> Result<()> + Send + Sync>;

/// A rule that holds between any two calls; an `Err` says how it is broken.
type Invariant = Box<dyn Fn() -> std::result::Result<(), String> + Send + Sync>;

/// Something that is counted.
type Count = Box<dyn Fn() -> u64 + Send + Sync>;

/// A list of files.
type Listing = Box<dyn Fn() -> Result<Vec<PathBuf>> + Send + Sync>;

/// An open engine, and its further abilities.
///
/// An engine handle that is needed for several of these is shared through an [`Arc`]. Dropping an `Opened` must drop
/// the engine, as a crash of the process would.
pub struct Opened {
    engine: Arc<dyn Kv>,
    snapshots: Option<Arc<dyn Snapshots>>,
    recovered: Option<SequenceNumber>,
    maintain: Option<Maintain>,
    invariant: Option<Invariant>,
    background_failures: Option<Count>,
    orphans: Option<Listing>,
}

impl Opened {
    /// `engine`, of which nothing but the contract is known.
    pub fn new(engine: Arc<dyn Kv>) -> Self {
        Self {
            engine,
            snapshots: None,
            recovered: None,
            maintain: None,
            invariant: None,
            background_failures: None,
            orphans: None,
        }
    }

    /// The engine can also take snapshots, which the histories then hold and compare.
    #[must_use]
    pub fn with_snapshots(mut self, snapshots: Arc<dyn Snapshots>) -> Self {
        self.snapshots = Some(snapshots);
        self
    }

    /// The newest write that opening found, if the engine knows. The suites compare it with the content.
    #[must_use]
    pub fn with_recovered(mut self, newest: SequenceNumber) -> Self {
        self.recovered = Some(newest);
        self
    }

    /// The script step `maintain`: a flush, a compaction or a merge. It changes files and no entries.
    #[must_use]
    pub fn with_maintain(
        mut self,
        maintain: impl Fn() -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.maintain = Some(Box::new(maintain));
        self
    }

    /// A rule of the engine's own, looked at after each opening and at the end of each script.
    #[must_use]
    pub fn with_invariant(
        mut self,
        invariant: impl Fn() -> std::result::Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.invariant = Some(Box::new(invariant));
        self
    }

    /// How much background work has failed and was given up, by the engine's own statistics: a failure that is counted
    /// there was told.
    #[must_use]
    pub fn with_background_failures(
        mut self,
        count: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        self.background_failures = Some(Box::new(count));
        self
    }

    /// The files in the store's directory that the engine made and that are no part of the store. After an opening there
    /// must be none.
    #[must_use]
    pub fn with_orphans(
        mut self,
        orphans: impl Fn() -> Result<Vec<PathBuf>> + Send + Sync + 'static,
    ) -> Self {
        self.orphans = Some(Box::new(orphans));
        self
    }

    /// The engine.
    pub fn engine(&self) -> &dyn Kv {
        self.engine.as_ref()
    }

    pub(crate) fn share(&self) -> Arc<dyn Kv> {
        Arc::clone(&self.engine)
    }

    pub(crate) fn snapshots(&self) -> Option<&dyn Snapshots> {
        self.snapshots.as_deref()
    }

    pub(crate) fn recovered(&self) -> Option<SequenceNumber> {
        self.recovered
    }

    pub(crate) fn background_failures(&self) -> u64 {
        self.background_failures.as_ref().map_or(0, |count| count())
    }

    pub(crate) fn orphans(&self) -> Result<Vec<PathBuf>> {
        self.orphans.as_ref().map_or(Ok(Vec::new()), |orphans| orphans())
    }

    pub(crate) fn maintain(&self) -> Result<()> {
        self.maintain.as_ref().map_or(Ok(()), |maintain| maintain())
    }

    pub(crate) fn check_invariant(&self) -> std::result::Result<(), String> {
        self.invariant.as_ref().map_or(Ok(()), |invariant| invariant())
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("recovered", &self.recovered).finish_non_exhaustive()
    }
}
