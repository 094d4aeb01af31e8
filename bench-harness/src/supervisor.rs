//! The parent's side of a cell: a fresh directory, a worker process, an eye on the clock and on Ctrl-C.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::cell::Job;
use crate::failure::{Failure, Outcome};
use crate::memory_limit::{Group, Limiter, refused};
use crate::row::Row;
use crate::worker::Message;

/// How long a cell without a limit may take before it counts as hanging.
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

/// A worker that is ended with its owner.
struct Worker {
    child: Child,
}

impl Worker {
    /// Sends a line. JSON without indents has no line breaks.
    fn say(&mut self, line: &str) -> std::io::Result<()> {
        debug_assert!(!line.contains('\n'), "one line is one message");
        let stdin = self.child.stdin.as_mut();
        stdin.map_or(Ok(()), |stdin| stdin.write_all(format!("{line}\n").as_bytes()))
    }

    /// Tells the worker that its limit is set.
    fn go_on(&mut self) -> Outcome<()> {
        self.say("limited").map_err(|error| Failure::engine(format!("the worker is gone: {error}")))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

/// Runs `job` in a fresh process on a fresh directory and returns its rows. With a limiter the process has a memory group
/// of its own; where it is killed because it does not fit, its rows end with some that say so.
pub(crate) fn run_cell(
    job: &Job,
    limiter: Option<&Limiter>,
    interrupt: &Interrupt,
) -> Outcome<Vec<Row>> {
    let group = limiter.map(Limiter::group).transpose()?;
    let scratch = ScratchFolder::create(job.directory.clone())?;
    let mut worker = start(job, group.as_ref())?;
    let stdout = worker.child.stdout.take();
    let messages = stdout.map(listen).ok_or_else(|| Failure::engine("the worker has no output"))?;
    let deadline = Instant::now() + job.limit.map_or(HANGING, |limit| limit + GRACE);
    let mut rows = Vec::new();
    let outcome = loop {
        if interrupt.is_set() {
            break Err(Failure::interrupted());
        }
        match messages.recv_timeout(PAUSE) {
            // The group is limited when the harness holds what it needs, and before the engine is opened.
            Ok(Message::Prepared(harness_bytes)) => {
                let limit_bytes = job.limit_memory_bytes.unwrap_or_default() + harness_bytes;
                let limited = group.as_ref().map_or(Ok(()), |group| group.limit(limit_bytes));
                if let Err(failure) = limited.map_err(refused).and_then(|()| worker.go_on()) {
                    break Err(failure);
                }
            }
            Ok(Message::Row(row)) => rows.push(*row),
            Ok(Message::Done) => break Ok(rows),
            Ok(Message::Failed(failure)) => break Err(failure),
            Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
            Err(RecvTimeoutError::Timeout) => {
                break Err(Failure::engine("did not end in time and was stopped"));
            }
            Err(RecvTimeoutError::Disconnected) => {
                let crash = crashed(&mut worker.child);
                if !group.as_ref().is_some_and(Group::has_killed) {
                    break Err(crash);
                }
                rows.extend(job.rows_without_figures(&rows));
                break Ok(rows);
            }
        }
    };
    // The files go only when nobody writes to them any more.
    drop(worker);
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

/// Starts a worker. It waits for its job, so it is in its group before it needs any memory to speak of.
fn start(job: &Job, group: Option<&Group>) -> Outcome<Worker> {
    let failed = |error: std::io::Error| Failure::engine(format!("cannot start a worker: {error}"));
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    let command = command.arg("worker").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut worker = Worker { child: command.spawn().map_err(failed)? };
    if let Some(group) = group {
        group.add(worker.child.id()).map_err(refused)?;
    }
    let text = serde_json::to_string(job).map_err(|error| Failure::usage(error.to_string()))?;
    worker.say(&text).map_err(failed)?;
    Ok(worker)
}

/// The messages of a worker. The channel closes when the worker does, or says something that is no message.
fn listen(stdout: ChildStdout) -> Receiver<Message> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let message = line.ok().and_then(|line| serde_json::from_str(&line).ok());
            let Some(message) = message else { return };
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    receiver
}

fn crashed(child: &mut Child) -> Failure {
    match child.wait() {
        Ok(status) => Failure::engine(format!("the process crashed ({status})")),
        Err(error) => Failure::engine(format!("the process is gone: {error}")),
    }
}
