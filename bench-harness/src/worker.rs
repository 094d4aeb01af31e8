//! The child process that runs one cell: a job as one line of JSON on stdin, rows as JSON lines on stdout.
//!
//! A fresh process gives every cell a fresh heap, its own counters and its own peak of memory; and an engine that
//! crashes ends only its cell. The parent decides when to stop, so an interrupt is ignored here; should the parent
//! die, the kernel ends the worker too.

use std::io::Write;

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
    let outcome = read_job().and_then(|job| {
        let registration = engines.iter().find(|engine| engine.name == job.engine);
        let registration = registration.ok_or_else(|| {
            Failure::usage(format!("the worker knows no engine \"{}\"", job.engine))
        })?;
        // Beside the engine's directory, so that the file is on the same disk and none of the engine's.
        let mut probe = DiskProbe::new(job.directory.with_extension("probe"));
        let prepared = &mut |harness_bytes| match job.limit_memory_bytes {
            Some(_) => wait_for_limit(harness_bytes),
            None => Ok(()),
        };
        let emit = &mut |row| send(&Message::Row(Box::new(row)));
        cell::run(registration, &job, &mut probe, prepared, emit)
    });
    send(&outcome.map_or_else(Message::Failed, |()| Message::Done))
}

fn read_job() -> Outcome<Job> {
    let mut text = String::new();
    let broken = |error: String| Failure::usage(format!("the worker was given no job: {error}"));
    std::io::stdin().read_line(&mut text).map_err(|error| broken(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| broken(error.to_string()))
}

/// Tells the parent how much the harness holds, and goes on when the parent has set the limit.
fn wait_for_limit(harness_bytes: u64) -> Outcome<()> {
    send(&Message::Prepared(harness_bytes))?;
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line) {
        Ok(read) if read > 0 => Ok(()),
        Ok(_) => Err(Failure::engine("the parent set no limit")),
        Err(error) => Err(Failure::engine(format!("the parent is gone: {error}"))),
    }
}

fn send(message: &Message) -> Outcome<()> {
    let line =
        serde_json::to_string(message).map_err(|error| Failure::engine(error.to_string()))?;
    let mut stdout = std::io::stdout().lock();
    let sent = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    sent.map_err(|error| Failure::engine(format!("the parent is gone: {error}")))
}
