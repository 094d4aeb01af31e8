//! The child process that runs one cell: a job as one line of JSON on stdin, rows as JSON lines on the pipe that is stdout
//! at the start.
//!
//! That pipe is put aside under another number before any engine is opened. What engines print goes to stderr.
//!
//! A fresh process gives every cell a fresh heap, its own counters and its own peak of memory; and an engine that
//! crashes ends only its cell. The parent decides when to stop, so an interrupt is ignored here; should the parent
//! die, the kernel ends the worker too.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd as _;

use serde::{Deserialize, Serialize};

use crate::cell::{self, Job};
use crate::engines::Registration;
use crate::failure::{Failure, Outcome};
use crate::probe::DiskProbe;
use crate::row::Row;

/// One line from a worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Message {
    /// The harness has made everything that it needs, which takes this many bytes; the worker waits for its limit. Only
    /// where the job has one.
    Prepared(u64),
    /// A measurement.
    Row(Box<Row>),
    /// The cell failed; nothing follows.
    Failed(Failure),
    /// Everything was measured and right; nothing follows.
    Done,
}

/// Runs the job on stdin and tells the parent everything, failures included.
pub(crate) fn work(engines: &[Registration]) -> Outcome<()> {
    let signal = rustix::process::Signal::KILL;
    // Refused on some systems; the worker then ends with its job.
    rustix::process::set_parent_process_death_signal(Some(signal)).unwrap_or_default();
    ctrlc::set_handler(|| {}).unwrap_or_default();
    let parent = Parent::take_stdout()?;
    let outcome = read_job().and_then(|job| {
        let registration = engines.iter().find(|engine| engine.name == job.engine);
        let registration = registration.ok_or_else(|| {
            Failure::usage(format!("the worker knows no engine \"{}\"", job.engine))
        })?;
        // Beside the engine's directory, so that the file is on the same disk and none of the engine's.
        let mut probe = DiskProbe::new(job.directory.with_extension("probe"));
        let prepared = &mut |harness_bytes| match job.limit_memory_bytes {
            Some(_) => parent.wait_for_limit(harness_bytes),
            None => Ok(()),
        };
        let emit = &mut |row| parent.send(&Message::Row(Box::new(row)));
        cell::run(registration, &job, &mut probe, prepared, emit)
    });
    parent.send(&outcome.map_or_else(Message::Failed, |()| Message::Done))
}

fn read_job() -> Outcome<Job> {
    let mut text = String::new();
    let broken = |error: String| Failure::usage(format!("the worker was given no job: {error}"));
    std::io::stdin().read_line(&mut text).map_err(|error| broken(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| broken(error.to_string()))
}

/// The pipe to the parent.
struct Parent(File);

impl Parent {
    /// Takes stdout away from everybody else, and shows stderr in its place. Programs that the engine starts do not inherit
    /// the pipe.
    fn take_stdout() -> Outcome<Self> {
        let failed = |error: std::io::Error| {
            Failure::engine(format!("the worker cannot set its output apart: {error}"))
        };
        let pipe = std::io::stdout().as_fd().try_clone_to_owned().map_err(failed)?;
        rustix::stdio::dup2_stdout(std::io::stderr()).map_err(|error| failed(error.into()))?;
        Ok(Self(pipe.into()))
    }

    /// Tells the parent how much the harness holds, and goes on when the parent has set the limit.
    fn wait_for_limit(&self, harness_bytes: u64) -> Outcome<()> {
        self.send(&Message::Prepared(harness_bytes))?;
        let mut line = String::new();
        match std::io::stdin().read_line(&mut line) {
            Ok(read) if read > 0 => Ok(()),
            Ok(_) => Err(Failure::engine("the parent set no limit")),
            Err(error) => Err(Failure::engine(format!("the parent is gone: {error}"))),
        }
    }

    fn send(&self, message: &Message) -> Outcome<()> {
        let line =
            serde_json::to_string(message).map_err(|error| Failure::engine(error.to_string()))?;
        let sent = (&self.0).write_all(format!("{line}\n").as_bytes());
        sent.map_err(|error| Failure::engine(format!("the parent is gone: {error}")))
    }
}
