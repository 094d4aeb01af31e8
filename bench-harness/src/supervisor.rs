//! The parent's side of a cell: a fresh directory, a worker process, its deadline, and Ctrl-C.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::cell::Job;
use crate::failure::{Failure, FailureKind, Outcome};
use crate::memory_limit::{CgroupFactory, MemoryCgroup, refused};
use crate::row::Row;
use crate::run_clock::RunClock;
use crate::scratch::{ScratchFile, ScratchFolder};
use crate::worker::{Message, Order};
use crate::worker_process::{News, WorkerProcess};

/// How long a cell without a limit may take, beyond the time that its phases ask for, before it counts as hanging.
const HANGING: Duration = Duration::from_hours(1);
/// How long beyond its limit a cell may take: making data and the final check are not limited.
const GRACE: Duration = Duration::from_secs(45);
/// How often the parent looks at its deadline while the worker is busy.
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

/// Runs `job` in a fresh process on a fresh directory and returns its rows, once everything was measured and right. A second
/// process checks the content that must outlive the first; `on_check` is called before it begins.
///
/// With `cgroups` the process has a memory cgroup of its own. If the kernel kills it because it does not fit, its content was
/// not compared, so none of its figures count: all of its rows are marked `did_not_fit`. The second process has no limit: the
/// figures are taken, and the question is only whether the data is there.
pub(crate) fn run_cell(
    job: &Job,
    cgroups: Option<&CgroupFactory>,
    interrupt: &Interrupt,
    on_check: &mut dyn FnMut(),
) -> Outcome<Vec<Row>> {
    let cgroup = cgroups.map(CgroupFactory::create).transpose()?;
    let scratch = ScratchFolder::create(job.directory.clone())?;
    let expected = ScratchFile::at(job.expected_path());
    // The workers are gone when this returns: nobody writes to the files any more.
    let outcome = supervise(job, cgroup.as_ref(), interrupt, on_check);
    drop((scratch, expected));
    // Then the pages of the files are gone, and nothing is left in the cgroup.
    drop(cgroup);
    outcome.map_err(|failure| {
        if interrupt.is_set() {
            return Failure::interrupted();
        }
        let Job { engine, workload_name, block, .. } = job;
        failure.within(format_args!("{engine} in {workload_name}, block {block}"))
    })
}

/// Runs the processes of a cell one after the other and returns its rows.
fn supervise(
    job: &Job,
    cgroup: Option<&MemoryCgroup>,
    interrupt: &Interrupt,
    on_check: &mut dyn FnMut(),
) -> Outcome<Vec<Row>> {
    let hanging = HANGING.saturating_add(job.asked_time());
    let time_limit = job.time_limit.map_or(hanging, |limit| limit + GRACE);
    // Waiting for the engine to rest is not limited either.
    let time_limit = time_limit.saturating_add(job.longest_waits());
    let watch = Watch { job, cgroup, interrupt, clock: RunClock::start(), time_limit };
    let mut rows = Vec::new();
    match watch.listen_to(WorkerProcess::start(&Order::Run(job.clone()), cgroup)?, &mut rows)? {
        End::Done => return Ok(rows),
        End::DidNotFit => return Ok(job.rows_without_figures()),
        End::Killed => on_check(),
    }
    let watch = Watch { cgroup: None, ..watch };
    let second = WorkerProcess::start(&Order::Check(job.clone()), None)?;
    let end = watch.listen_to(second, &mut Vec::new());
    // A complaint about wrong data names the moment itself.
    let in_check = |failure: Failure| match failure.kind {
        FailureKind::WrongData => failure,
        _ => failure.within("check of its store"),
    };
    match end.map_err(in_check)? {
        End::Done => Ok(rows),
        End::DidNotFit | End::Killed => Err(Failure::engine("the check of its store was none")),
    }
}

fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw())
}

/// How a worker ended that did not fail.
enum End {
    /// It carried out its order.
    Done,
    /// It killed itself after its last write; its store must have everything.
    Killed,
    /// The system killed it because it needed more memory than its limit.
    DidNotFit,
}

/// The things that the parent watches while a worker runs.
#[derive(Clone, Copy)]
struct Watch<'w> {
    job: &'w Job,
    /// The cgroup of the worker, if its memory is limited.
    cgroup: Option<&'w MemoryCgroup>,
    interrupt: &'w Interrupt,
    /// Counts the time of the cell, and the time after which it counts as hanging.
    clock: RunClock,
    time_limit: Duration,
}

impl Watch<'_> {
    /// Listens to `worker` until it ends or has to be ended. Its rows go to `rows`.
    fn listen_to(&self, mut worker: WorkerProcess, rows: &mut Vec<Row>) -> Outcome<End> {
        let mut makes_last_writes = false;
        loop {
            if self.interrupt.is_set() {
                return Err(Failure::interrupted());
            }
            if self.clock.elapsed() >= self.time_limit {
                return Err(Failure::engine("did not end in time and was stopped"));
            }
            match worker.next(PAUSE) {
                News::Nothing => {}
                News::Message(Message::Prepared(harness_bytes)) => {
                    self.limit_memory(harness_bytes)?;
                    worker.release()?;
                }
                News::Message(Message::Row(row)) => rows.push(*row),
                // The content of a store that must survive a kill is compared after it.
                News::Message(Message::Done) if makes_last_writes => {
                    return Err(Failure::engine("the process did not die of its own kill"));
                }
                // Only now the content of the engine has been compared.
                News::Message(Message::Done) => return Ok(End::Done),
                News::Message(Message::LastWrites) => makes_last_writes = true,
                News::Message(Message::Failed(failure)) => return Err(failure),
                News::NoMessage(line) => {
                    let text = format!("the worker wrote something that is no message: {line:?}");
                    return Err(Failure::engine(text));
                }
                News::Gone => return self.end_of(worker, makes_last_writes),
            }
        }
    }

    /// Limits the memory of the worker, which holds `harness_bytes` and has not opened the engine.
    fn limit_memory(&self, harness_bytes: u64) -> Outcome<()> {
        let asked = self.job.limit_memory_bytes.unwrap_or_default();
        let limit_bytes = asked.saturating_add(harness_bytes);
        assert!(limit_bytes >= harness_bytes, "the harness fits");
        self.cgroup.map_or(Ok(()), |cgroup| cgroup.limit(limit_bytes)).map_err(refused)
    }

    /// The end of a worker that went without a last message; with `makes_last_writes` it was to kill itself.
    fn end_of(&self, worker: WorkerProcess, makes_last_writes: bool) -> Outcome<End> {
        let end = worker.end_of_gone();
        // The kernel counts its kills; any other end that the worker did not announce is a crash.
        if self.cgroup.is_some_and(MemoryCgroup::has_killed) {
            return Ok(End::DidNotFit);
        }
        match end {
            Ok(status) if makes_last_writes && was_killed(status) => Ok(End::Killed),
            Ok(status) => Err(Failure::engine(format!("the process crashed ({status})"))),
            Err(error) => Err(Failure::engine(format!("the process is gone: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// The end of a worker that writes these lines and ends by itself.
    fn end_after(lines: &str) -> Outcome<End> {
        let job = Job::of_tests("memory", "none", r#"{"about": "", "records": 1, "phase": []}"#);
        let watch = Watch {
            job: &job,
            cgroup: None,
            interrupt: &Interrupt::default(),
            clock: RunClock::start(),
            time_limit: Duration::from_mins(1),
        };
        let worker = WorkerProcess::spawn(Command::new("printf").arg(lines)).unwrap();
        watch.listen_to(worker, &mut Vec::new())
    }

    #[test]
    fn a_worker_that_outlives_its_own_kill_is_not_taken_for_one_whose_content_was_compared() {
        assert!(matches!(end_after(r#""done"\n"#), Ok(End::Done)));
        let failure = end_after(r#""last_writes"\n"done"\n"#).err().unwrap();
        assert_eq!(failure.text, "the process did not die of its own kill");
    }
}
