//! The background work of an open store: the tasks, their performers, and how they end.
//!
//! A component that finds work for another one requests a [`Task`] and does not know its performer. The engine composes the
//! components and registers the performers. A job holds the store only while it runs.
//!
//! **Closing.** The flag `closed` refuses new calls of the user. A performer may look at it between its steps, so that a job
//! which runs while the store is closed or dropped ends soon. [`Background::end_jobs`] waits until every submitted job has
//! ended.
//!
//! **Retries.** A task that fails for want of a resource, such as disk space, asks for another attempt
//! ([`Background::retry`]). It comes after a pause that grows with each failure in a row, on the clock of the executor. A close
//! does not wait for the pause, and afterwards no attempt is made.
//!
//! **Panics.** A job that panics poisons the log of the store, so that the next write sees the failure.

mod retries;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};

use kv::{Error, Result};

use crate::executor::{Executor, JobClass, JobFailure, JobGroup};
use crate::lock_order;
use crate::log::GroupSync;
use crate::reclaim::FileReclaimer;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};
use retries::Retries;
pub use retries::{LONGEST_RETRY_PAUSE, SHORTEST_RETRY_PAUSE};

/// One kind of background work of an engine.
pub trait Task: Copy + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// The name of its jobs, in messages.
    fn name(self) -> &'static str;

    /// How soon its jobs have to run.
    fn class(self) -> JobClass;

    /// Whether a job that has not begun does the work of every request up to then, so that a second one beside it is not
    /// submitted.
    fn is_queued_once(self) -> bool;
}

/// Performs a task. It must not keep the component that it calls alive.
pub type Performer = Box<dyn Fn() + Send + Sync>;

/// Performs a task with `perform` on `component`, as long as somebody else keeps the component.
pub fn performer<C: Send + Sync + 'static>(component: &Arc<C>, perform: fn(&C)) -> Performer {
    let component: Weak<C> = Arc::downgrade(component);
    Box::new(move || {
        if let Some(component) = component.upgrade() {
            perform(&component);
        }
    })
}

/// The background work of an open store, with tasks `T`.
pub struct Background<T> {
    weak: Weak<Self>,
    /// The directory of the store, for errors.
    dir: PathBuf,
    performers: OnceLock<Vec<(T, Performer)>>,
    closed: AtomicBool,
    /// The tasks of [`Task::is_queued_once`] whose job has not begun.
    queued: Mutex<Vec<T>>,
    retries: Mutex<Retries<T>>,
    jobs: JobGroup,
}

impl<T: Task> Background<T> {
    /// No jobs yet, for the store in the directory `dir` with this `log`.
    pub fn new(executor: Arc<dyn Executor>, log: &Arc<GroupSync>, dir: &Path) -> Arc<Self> {
        // The log only: a job that is queued must not keep the store alive.
        let (log, path) = (Arc::clone(log), dir.to_path_buf());
        let jobs = JobGroup::new(executor, move |failure| {
            drop(log.poison(job_failed(&path, failure)));
        });
        Arc::new_cyclic(|weak| Self {
            weak: weak.clone(),
            dir: dir.into(),
            performers: OnceLock::new(),
            closed: AtomicBool::new(false),
            queued: Mutex::ranked(lock_order::QUEUED_TASKS, Vec::new()),
            retries: Mutex::ranked(lock_order::RETRIES, Retries::new()),
            jobs,
        })
    }

    /// Says who performs the tasks. A request of another task is ignored, and so is each one before this call.
    ///
    /// # Panics
    /// When called twice.
    pub fn register(&self, performers: Vec<(T, Performer)>) {
        let registered = self.performers.set(performers);
        assert!(registered.is_ok(), "the engine registers its performers once");
    }

    /// Submits a job for `task`.
    pub fn request(&self, task: T) {
        if self.performer_of(task).is_none() || !self.enter_queue(task) {
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

    /// `task` has failed, because a resource has run out. Submits a job for it after a pause, unless one waits already.
    pub fn retry(&self, task: T) {
        let Some(pause) = self.retries.lock().begin_pause(task) else { return };
        let weak = self.weak.clone();
        self.jobs.submit_after(pause, task.class(), task.name(), move || {
            // A store that is gone or closed needs no further attempt.
            if let Some(background) = weak.upgrade()
                && !background.is_closed()
            {
                background.retries.lock().end_pause(task);
                background.perform(task);
            }
        });
    }

    /// `task` has done what was to be done: the pause after its next failure is the shortest one.
    pub fn succeeded(&self, task: T) {
        self.retries.lock().succeeded(task);
    }

    /// `false`: a job for `task` is queued, and another one would do nothing more.
    fn enter_queue(&self, task: T) -> bool {
        if !task.is_queued_once() {
            return true;
        }
        let mut queued = self.queued.lock();
        let is_new = !queued.contains(&task);
        if is_new {
            queued.push(task);
        }
        is_new
    }

    fn perform(&self, task: T) {
        // Before the work: what is requested from now on may come too late for it.
        self.queued.lock().retain(|queued| *queued != task);
        if let Some(perform) = self.performer_of(task) {
            perform();
        }
    }

    fn performer_of(&self, task: T) -> Option<&Performer> {
        let performers = self.performers.get()?;
        performers.iter().find_map(|(known, performer)| (*known == task).then_some(performer))
    }

    /// Refuses new calls. `false`: they were refused before.
    pub fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }

    /// Whether new calls are refused.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Refuses a call to a store that is closed.
    ///
    /// # Errors
    /// `Closed`.
    #[inline]
    pub fn check_open(&self) -> Result<()> {
        if self.is_closed() { Err(Error::Closed) } else { Ok(()) }
    }

    /// Waits until all submitted jobs have ended.
    ///
    /// # Errors
    /// `Io`, if one of them has panicked.
    pub fn wait_for_jobs(&self) -> Result<()> {
        self.jobs.wait().map_err(|failure| job_failed(&self.dir, &failure))
    }

    /// Unlinks the files that were retired and have no reader, and waits until all submitted jobs have ended. Files that
    /// are retired from now on are left to the next opening.
    ///
    /// # Errors
    /// `Io`, if a job of this store or of `reclaimer` has panicked.
    pub fn end_jobs(&self, reclaimer: &FileReclaimer) -> Result<()> {
        reclaimer.reclaim();
        reclaimer.stop();
        let ended = self.jobs.wait();
        let ended = ended.and(reclaimer.jobs().check());
        ended.map_err(|failure| job_failed(&self.dir, &failure))
    }
}

/// A failed job as an error of the store in the directory `dir`.
fn job_failed(dir: &Path, failure: &JobFailure) -> Error {
    Error::io("run", dir, std::io::Error::other(failure.to_string()))
}

impl<T: fmt::Debug> fmt::Debug for Background<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background")
            .field("dir", &self.dir)
            .field("closed", &self.closed)
            .field("jobs", &self.jobs)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::store_dir::{OpenMode, StoreDir};
    use crate::sync::atomic::AtomicU64;
    use crate::{ManualClock, ManualExecutor, SimFs};

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Work {
        Once,
        Each,
        Nobody,
    }

    impl Task for Work {
        fn name(self) -> &'static str {
            "work"
        }

        fn class(self) -> JobClass {
            JobClass::Bulk
        }

        fn is_queued_once(self) -> bool {
            self == Self::Once
        }
    }

    struct World {
        clock: Arc<ManualClock>,
        executor: Arc<ManualExecutor>,
        log: Arc<GroupSync>,
        background: Arc<Background<Work>>,
    }

    impl World {
        fn new() -> Self {
            let clock = Arc::new(ManualClock::new());
            let executor = Arc::new(ManualExecutor::new(Arc::clone(&clock) as _));
            let log = Arc::new(GroupSync::new());
            let background = Background::new(Arc::clone(&executor) as _, &log, Path::new("/store"));
            Self { clock, executor, log, background }
        }

        /// Runs all jobs, and returns how many there were.
        fn run_all(&self) -> usize {
            std::iter::from_fn(|| self.executor.step().then_some(())).count()
        }

        fn end_jobs(&self) -> Result<()> {
            let fs = Arc::new(SimFs::new());
            let dir = StoreDir::open(fs, Path::new("/store"), OpenMode::Create)?;
            let reclaimer = FileReclaimer::new(dir, Arc::clone(&self.executor) as _);
            self.background.end_jobs(&reclaimer)
        }
    }

    #[test]
    fn a_task_that_is_queued_once_has_one_job_until_that_begins() {
        let world = World::new();
        let counts = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let count = |index: usize| -> Performer {
            let counts = Arc::clone(&counts);
            Box::new(move || {
                counts[index].fetch_add(1, Ordering::Relaxed);
            })
        };
        world.background.request(Work::Once);
        assert_eq!(world.run_all(), 0, "nobody performs it yet");
        world.background.register(vec![(Work::Once, count(0)), (Work::Each, count(1))]);
        for _ in 0..3 {
            for task in [Work::Once, Work::Each, Work::Nobody] {
                world.background.request(task);
            }
        }
        assert_eq!(world.run_all(), 4);
        world.background.request(Work::Once);
        assert_eq!(world.run_all(), 1, "the job before it has begun");
        let [once, each] = [0, 1].map(|index: usize| counts[index].load(Ordering::Relaxed));
        assert_eq!((once, each), (2, 3));
        world.end_jobs().unwrap();
    }

    #[test]
    fn a_job_that_panics_poisons_the_log_and_the_end_reports_it() {
        let world = World::new();
        world.background.register(vec![(Work::Each, Box::new(|| panic!("a planted panic")))]);
        world.background.request(Work::Each);
        // The thread that waits runs the job.
        assert!(matches!(world.end_jobs(), Err(Error::Io { .. })));
        let refused = world.log.check().unwrap_err();
        assert!(refused.to_string().contains("a planted panic"), "{refused}");
    }

    #[test]
    fn a_queued_job_does_not_keep_the_store_alive() {
        let World { executor, background, .. } = World::new();
        let component = Arc::new(AtomicU64::new(0));
        let perform = |count: &AtomicU64| {
            count.fetch_add(1, Ordering::Relaxed);
        };
        background.register(vec![(Work::Each, performer(&component, perform))]);
        background.request(Work::Each);
        executor.run_all();
        assert_eq!(component.load(Ordering::Relaxed), 1);
        background.request(Work::Each);
        let gone = Arc::downgrade(&component);
        drop(component);
        assert!(gone.upgrade().is_none(), "the performer does not keep the component");
        executor.run_all();
        background.request(Work::Each);
        drop(background);
        executor.run_all();
    }

    #[test]
    fn a_task_that_failed_is_tried_again_once_after_a_pause_and_not_after_a_close() {
        let world = World::new();
        let count = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&count);
        let perform: Performer = Box::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        world.background.register(vec![(Work::Each, perform)]);
        let retry_twice = || (0..2).for_each(|_| world.background.retry(Work::Each));
        retry_twice();
        assert_eq!(world.run_all(), 0, "its time has not come");
        world.clock.advance(SHORTEST_RETRY_PAUSE);
        world.run_all();
        assert_eq!(count.load(Ordering::Relaxed), 1);
        // The second pause in a row is longer, unless there was a success.
        retry_twice();
        world.clock.advance(SHORTEST_RETRY_PAUSE);
        world.run_all();
        assert_eq!(count.load(Ordering::Relaxed), 1);
        world.clock.advance(SHORTEST_RETRY_PAUSE);
        world.run_all();
        assert_eq!(count.load(Ordering::Relaxed), 2);
        world.background.succeeded(Work::Each);
        retry_twice();
        world.clock.advance(SHORTEST_RETRY_PAUSE);
        world.run_all();
        assert_eq!(count.load(Ordering::Relaxed), 3);
        retry_twice();
        assert!(world.background.close());
        world.end_jobs().unwrap();
        world.clock.advance(LONGEST_RETRY_PAUSE);
        world.run_all();
        assert_eq!(count.load(Ordering::Relaxed), 3, "no attempt after a close");
    }

    #[test]
    fn a_store_is_closed_once() {
        let World { background, .. } = World::new();
        background.check_open().unwrap();
        assert!(background.close() && !background.close() && background.is_closed());
        assert!(matches!(background.check_open(), Err(Error::Closed)));
    }
}
