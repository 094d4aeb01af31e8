//! Background work: the tasks, their performers, and how they end.
//!
//! A component that finds work for another one requests a [`Task`] and does not know its performer; the engine
//! registers the performers. A job holds the store only while it runs.
//!
//! **Closing.** The flag `closed` refuses new calls of the user. [`Background::wait_for_jobs`] waits until every submitted
//! job has ended.
//!
//! **Panics.** A job that panics poisons the store, so that the failure is seen by the next write.

use std::fmt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, Weak};

use durable::sync::atomic::AtomicBool;
use durable::{JobClass, JobFailure, JobGroup};
use kv::{Error, Result};

use crate::store::Store;

/// One kind of background work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Begin the next segment of the log ahead of need.
    PrepareSegment,
    /// Write the oldest sealed memtable to tables.
    Flush,
    /// Look for the next compaction.
    PickCompaction,
    /// Take a step of a compaction.
    MergePart,
}

/// Performs a task. It must not keep the component that it calls alive.
pub(crate) type Performer = Box<dyn Fn() + Send + Sync>;

/// The performer of each task.
pub(crate) struct Performers {
    pub(crate) prepare_segment: Performer,
    pub(crate) flush: Performer,
    pub(crate) pick_compaction: Performer,
    pub(crate) merge_part: Performer,
}

/// The background work of an open store.
#[derive(Debug)]
pub(crate) struct Background {
    weak: Weak<Self>,
    store: Arc<Store>,
    performers: OnceLock<Performers>,
    closed: AtomicBool,
    jobs: JobGroup,
}

impl Background {
    pub(crate) fn new(store: Arc<Store>) -> Arc<Self> {
        // The log only: a job that is queued must not keep the store alive.
        let (log, path) = (Arc::clone(store.log()), store.path().to_path_buf());
        let jobs = JobGroup::new(Arc::clone(&store.env.executor), move |failure| {
            drop(log.poison(job_failed(&path, failure)));
        });
        Arc::new_cyclic(|weak| Self {
            weak: weak.clone(),
            store,
            performers: OnceLock::new(),
            closed: AtomicBool::new(false),
            jobs,
        })
    }

    /// Says who performs the tasks. Until then requests are ignored.
    ///
    /// # Panics
    /// When called twice.
    pub(crate) fn register(&self, performers: Performers) {
        let registered = self.performers.set(performers);
        assert!(registered.is_ok(), "the engine registers its performers once");
    }

    /// Submits a job for `task`.
    pub(crate) fn request(&self, task: Task) {
        if self.performers.get().is_none() {
            return;
        }
        let weak = self.weak.clone();
        self.jobs.submit(task.class(), task.name(), move || {
            // A store that is gone needs no work.
            if let Some(background) = weak.upgrade() {
                background.perform(task);
            }
        });
    }

    fn perform(&self, task: Task) {
        let Some(performers) = self.performers.get() else { return };
        match task {
            Task::PrepareSegment => (performers.prepare_segment)(),
            Task::Flush => (performers.flush)(),
            Task::PickCompaction => (performers.pick_compaction)(),
            Task::MergePart => (performers.merge_part)(),
        }
    }

    /// Refuses new calls. `false`: they were refused before.
    pub(crate) fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// # Errors
    /// `Closed`.
    #[inline]
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closed() { Err(Error::Closed) } else { Ok(()) }
    }

    /// Waits until all submitted jobs have ended.
    ///
    /// # Errors
    /// `Io`, if one of them has panicked.
    pub(crate) fn wait_for_jobs(&self) -> Result<()> {
        self.jobs.wait().map_err(|failure| job_failed(self.store.path(), &failure))
    }
}

/// A failed job as an error of the store in the directory `dir`.
pub(crate) fn job_failed(dir: &Path, failure: &JobFailure) -> Error {
    Error::io("run", dir, std::io::Error::other(failure.to_string()))
}

impl Task {
    fn name(self) -> &'static str {
        match self {
            Self::PrepareSegment => "lsm-prepare",
            Self::Flush => "lsm-flush",
            Self::PickCompaction => "lsm-pick",
            Self::MergePart => "lsm-merge",
        }
    }

    /// A writer may soon wait for a segment or a flush. Compactions have time.
    fn class(self) -> JobClass {
        match self {
            Self::PrepareSegment | Self::Flush => JobClass::Urgent,
            Self::PickCompaction | Self::MergePart => JobClass::Bulk,
        }
    }
}

impl fmt::Debug for Performers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Performers").finish_non_exhaustive()
    }
}
