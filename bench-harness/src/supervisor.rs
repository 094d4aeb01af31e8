//! The parent's side of a cell: a fresh directory, a worker process, an eye on the clock and on Ctrl-C.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::cell::Job;
use crate::failure::{Failure, Outcome};
use crate::memory_limit::{Group, Limiter, refused};
use crate::row::Row;
use crate::worker::Message;
use crate::worker_process::{News, WorkerProcess};

/// How long a cell without a limit may take, beyond the time that its phases ask for, before it counts as hanging.
const HANGING: Duration = Duration::from_hours(1);
/// How long beyond its limit a cell may take: making data and the final check are not limited.
const GRACE: Duration = Duration::from_secs(45);
/// How often the parent looks up while the worker is busy.
const PAUSE: Duration = Duration::from_millis(50);

/// Set once the user asks to stop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Begins to listen for Ctrl-C, SIGTERM and SIGHUP.
    pub(crate) fn listen() -> Self {
        let interrupt = Self::default();
        let flag = Arc::clone(&interrupt.0);
        // Without a handler an interrupt ends the process at once: nothing is lost but the report.
        ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).unwrap_or_default();
        interrupt
    }

    /// Whether the user asked to stop.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A directory that goes away with its owner, whatever happens.
#[derive(Debug)]
pub(crate) struct ScratchFolder {
    path: PathBuf,
}

impl ScratchFolder {
    /// Creates the directory at `path`.
    pub(crate) fn create(path: PathBuf) -> Outcome<Self> {
        std::fs::create_dir_all(&path).map_err(|error| Failure::io("create", &path, &error))?;
        Ok(Self { path })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        // A folder that cannot be removed is left; the next run uses another name.
        std::fs::remove_dir_all(&self.path).unwrap_or_default();
    }
}

/// Runs `job` in a fresh process on a fresh directory and returns its rows, once the worker has said that everything was
/// measured and right. With a limiter the process has a memory group of its own; a cell whose process is killed because it
/// does not fit was not compared to its end, so none of its figures count: its rows say that it did not fit.
pub(crate) fn run_cell(
    job: &Job,
    limiter: Option<&Limiter>,
    interrupt: &Interrupt,
) -> Outcome<Vec<Row>> {
    let group = limiter.map(Limiter::group).transpose()?;
    let scratch = ScratchFolder::create(job.directory.clone())?;
    // The worker is gone when this returns: nobody writes to the files any more.
    let outcome = supervise(job, group.as_ref(), interrupt);
    drop(scratch);
    // Then the pages of the files are gone, and nothing is left in the group.
    drop(group);
    outcome.map_err(|failure| {
        if interrupt.is_set() {
            return Failure::interrupted();
        }
        failure.within(format_args!("{} in {}", job.engine, job.workload_name))
    })
}

/// Starts a worker, listens to it until it ends or has to be ended, and returns the rows of its cell.
fn supervise(job: &Job, group: Option<&Group>, interrupt: &Interrupt) -> Outcome<Vec<Row>> {
    let mut worker = WorkerProcess::start(job, group)?;
    let limit = job.limit.map_or(HANGING.saturating_add(job.asked_time()), |limit| limit + GRACE);
    // A time that the clock cannot show is none.
    let deadline = Instant::now().checked_add(limit);
    let mut rows = Vec::new();
    loop {
        if interrupt.is_set() {
            return Err(Failure::interrupted());
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Failure::engine("did not end in time and was stopped"));
        }
        match worker.next(PAUSE) {
            News::Nothing => {}
            // The group is limited when the harness holds what it needs, and before the engine is opened.
            News::Message(Message::Prepared(harness_bytes)) => {
                let asked = job.limit_memory_bytes.unwrap_or_default();
                let limit_bytes = asked.saturating_add(harness_bytes);
                group.map_or(Ok(()), |group| group.limit(limit_bytes)).map_err(refused)?;
                worker.go_on()?;
            }
            News::Message(Message::Row(row)) => rows.push(*row),
            // Only now the content of the engine has been compared.
            News::Message(Message::Done) => return Ok(rows),
            News::Message(Message::Failed(failure)) => return Err(failure),
            News::NoMessage(line) => {
                let text = format!("the worker wrote something that is no message: {line:?}");
                return Err(Failure::engine(text));
            }
            News::Gone => {
                let crash = worker.crash();
                // The kernel counts its kills; any other end is a crash.
                let is_misfit = group.is_some_and(Group::has_killed);
                return if is_misfit { Ok(job.rows_without_figures()) } else { Err(crash) };
            }
        }
    }
}
