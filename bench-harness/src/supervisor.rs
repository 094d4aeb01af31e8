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

impl Drop for Worker {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

/// Runs `job` in a fresh process on a fresh directory and returns its rows.
pub(crate) fn run_cell(job: &Job, interrupt: &Interrupt) -> Outcome<Vec<Row>> {
    let scratch = ScratchFolder::create(job.directory.clone())?;
    let mut worker = start(job)?;
    let stdout = worker.child.stdout.take();
    let messages = stdout.map(listen).ok_or_else(|| Failure::engine("the worker has no output"))?;
    let deadline = Instant::now() + job.limit.map_or(HANGING, |limit| limit + GRACE);
    let mut rows = Vec::new();
    let outcome = loop {
        if interrupt.is_set() {
            break Err(Failure::interrupted());
        }
        match messages.recv_timeout(PAUSE) {
            Ok(Message::Row(row)) => rows.push(*row),
            Ok(Message::Done) => break Ok(rows),
            Ok(Message::Failed(failure)) => break Err(failure),
            Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
            Err(RecvTimeoutError::Timeout) => {
                break Err(Failure::engine("did not end in time and was stopped"));
            }
            Err(RecvTimeoutError::Disconnected) => break Err(crashed(&mut worker.child)),
        }
    };
    // The files go only when nobody writes to them any more.
    drop(worker);
    drop(scratch);
    outcome.map_err(|failure| {
        if interrupt.is_set() {
            return Failure::interrupted();
        }
        failure.within(format_args!("{} in {}", job.engine, job.workload_name))
    })
}

fn start(job: &Job) -> Outcome<Worker> {
    let failed = |error: std::io::Error| Failure::engine(format!("cannot start a worker: {error}"));
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    let command = command.arg("worker").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut worker = Worker { child: command.spawn().map_err(failed)? };
    let text = serde_json::to_string(job).map_err(|error| Failure::usage(error.to_string()))?;
    if let Some(mut stdin) = worker.child.stdin.take() {
        stdin.write_all(text.as_bytes()).map_err(failed)?;
    }
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
