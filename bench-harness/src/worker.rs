//! The child process that runs one cell, or that checks the store of a cell whose process was killed at its end.
//!
//! # Protocol
//!
//! Each line is one value as JSON: from the parent on stdin, from the worker on the pipe that is stdout at the start.
//!
//! 1. The parent sends one [`Order`].
//! 2. If the memory of the cell is limited, the worker prepares everything, sends [`Message::Prepared`] and waits. The parent
//!    sets the limit and sends a line, whatever it says. No engine is opened before that.
//! 3. The worker sends [`Message::Row`] for each row, after each phase.
//! 4. It ends with one of these: [`Message::Done`]; [`Message::Failed`]; or [`Message::LastWrites`], after which it makes some
//!    writes and kills itself. The parent then starts a second worker with [`Order::Check`].
//!
//! The pipe is put aside under another number before any engine is opened. The output of engines goes to stderr.
//!
//! A fresh process gives every cell a fresh heap, its own counters and its own peak of memory; and an engine that
//! crashes ends only its cell. The parent decides when to stop, so an interrupt is ignored here; should the parent
//! die, the kernel ends the worker too.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd as _;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::cell::{self, Ending, Job};
use crate::engines::Registration;
use crate::failure::{Failure, Outcome};
use crate::probe::{self, DiskProbe};
use crate::row::Row;

/// The line that a worker begins with.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Run a cell.
    Run(Job),
    /// Check the store that the killed process of this cell left.
    Check(Job),
}

/// One line from a worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Message {
    /// Carries the anonymous memory of the harness, in bytes, when everything is prepared. The worker then waits for its
    /// limit. Only sent where the job has one.
    Prepared(u64),
    /// A row of measurements.
    Row(Box<Row>),
    /// The cell failed; nothing follows.
    Failed(Failure),
    /// Everything was measured. The worker makes the last writes now and kills itself; a second one must find all of them.
    LastWrites,
    /// Everything was measured or checked, and right; nothing follows.
    Done,
}

/// Carries out the order on stdin and tells the parent everything, failures included.
pub(crate) fn work(engines: &[Registration]) -> Outcome<()> {
    // Refused on some systems; the worker then ends with its job.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).unwrap_or_default();
    ctrlc::set_handler(|| {}).unwrap_or_default();
    let parent = Parent::take_stdout()?;
    let outcome = read_order().and_then(|order| match order {
        Order::Run(job) => run(registration(engines, &job)?, &job, &parent),
        Order::Check(job) => cell::check_after_kill(registration(engines, &job)?, &job),
    });
    parent.send(&outcome.map_or_else(Message::Failed, |()| Message::Done))
}

fn read_order() -> Outcome<Order> {
    let mut text = String::new();
    let broken = |error: String| Failure::usage(format!("the worker was given no job: {error}"));
    std::io::stdin().read_line(&mut text).map_err(|error| broken(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| broken(error.to_string()))
}

fn registration<'e>(engines: &'e [Registration], job: &Job) -> Outcome<&'e Registration> {
    let unknown = || Failure::usage(format!("the worker knows no engine \"{}\"", job.engine));
    engines.iter().find(|engine| engine.name == job.engine).ok_or_else(unknown)
}

/// Runs the cell of `job`. If its content must outlive this process, this function does not return.
fn run(registration: &Registration, job: &Job, parent: &Parent) -> Outcome<()> {
    let mut probe = DiskProbe::new(probe::path_beside(&job.directory));
    let on_prepared = &mut |harness_bytes| match job.limit_memory_bytes {
        Some(_) => parent.wait_for_limit(harness_bytes),
        None => Ok(()),
    };
    let emit = &mut |row| parent.send(&Message::Row(Box::new(row)));
    let ending = cell::run(registration, job, &mut probe, on_prepared, emit)?;
    // Removes its file.
    drop(probe);
    let Ending::MustSurvive(mut store) = ending else { return Ok(()) };
    // Sent before them: nothing but the kill follows the last acknowledgement.
    parent.send(&Message::LastWrites)?;
    store.make_last_writes()?;
    rustix::process::kill_process(rustix::process::getpid(), Signal::KILL)
        .map_err(|error| Failure::engine(format!("the worker cannot kill itself: {error}")))
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
        debug_assert!(!line.contains('\n'), "one line is one message");
        debug_assert!(serde_json::from_str::<Message>(&line).is_ok(), "a message reads back");
        let sent = (&self.0).write_all(format!("{line}\n").as_bytes());
        sent.map_err(|error| Failure::engine(format!("the parent is gone: {error}")))
    }
}
