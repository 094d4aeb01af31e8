//! The threads of a round: writers, and a reader, which also runs background jobs.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use durable::{Inject, SimFs};
use kv::{Durability, Kv, WriteBatch};

use super::gate::Gate;
use super::record::Answer;
use crate::actors::Actors;
use crate::observe::{Observed, Trouble, observe};
use crate::stepper::Stepper;
use crate::watchdog::receive;

/// The longest wait for the reader. It is blocked if a held writer owns a lock that it needs; then it answers later.
const BLOCKED_WAIT: Duration = Duration::from_millis(20);

/// How often a read is repeated when a batch became visible during it.
const MOST_LOOKS: usize = 100;

/// A batch for one writer, with its number in the history.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) j: usize,
    pub(super) batch: WriteBatch,
    pub(super) durability: Durability,
}

/// The content that a reader found, and between which moments.
#[derive(Debug)]
pub(super) struct Look {
    /// The newest batch that was acknowledged when the look began.
    pub(super) acknowledged: usize,
    pub(super) observed: Result<Observed, String>,
    /// The operations of the disk when the look had ended.
    pub(super) ops: usize,
}

/// The state that all threads of a round share.
pub(super) struct Shared {
    pub(super) engine: Arc<dyn Kv>,
    pub(super) sim: SimFs,
    /// Fails a sync, if the round wants it.
    pub(super) inject: Inject,
    pub(super) gate: Arc<Gate>,
    pub(super) stepper: Arc<Stepper>,
    pub(super) keys: Vec<u8>,
    /// The answers so far.
    pub(super) answers: Mutex<Vec<Answer>>,
}

impl Shared {
    /// Writes a batch as a writer that the gate may hold.
    pub(super) fn write(&self, writer: usize, task: &Task) {
        self.gate.as_writer(writer, || {
            let sequence = self.engine.write(&task.batch, task.durability);
            let answer = Answer { j: task.j, ops: self.sim.ops(), sequence };
            let mut answers = self.answers();
            assert!(answers.iter().all(|other| other.j != task.j), "a task is answered once");
            answers.push(answer);
        });
    }

    /// Whether a sync has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.inject.injected() > 0
    }

    pub(super) fn answers(&self) -> std::sync::MutexGuard<'_, Vec<Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what the scheduler asks of the reader.
    fn answer(&self, request: Request) -> Reply {
        match request {
            Request::Look => Reply::Looked(self.look()),
            Request::Job => Reply::JobEnded(self.stepper.step().map(drop)),
        }
    }

    fn newest_acknowledged(&self) -> usize {
        let answers = self.answers();
        let acknowledged = answers.iter().filter(|answer| answer.sequence.is_ok());
        acknowledged.map(|answer| answer.j).max().unwrap_or(0)
    }

    /// Reads everything. A batch that becomes visible in the middle makes two ways of reading differ; then both are
    /// read again.
    fn look(&self) -> Look {
        let acknowledged = self.newest_acknowledged();
        let mut observed = observe(&*self.engine, &self.keys);
        for _ in 0..MOST_LOOKS {
            if !matches!(observed, Err(Trouble::Torn(_))) {
                break;
            }
            std::thread::yield_now();
            observed = observe(&*self.engine, &self.keys);
        }
        Look { acknowledged, observed: observed.map_err(String::from), ops: self.sim.ops() }
    }
}

/// A request of the scheduler to the reader thread.
#[derive(Clone, Copy, Debug)]
pub(super) enum Request {
    Look,
    Job,
}

/// The reader's answer to a request.
#[derive(Debug)]
enum Reply {
    Looked(Look),
    /// `Err`: the background job has panicked.
    JobEnded(Result<(), String>),
}

/// A thread that reads and runs jobs for the scheduler. The scheduler itself must never block in the engine.
pub(super) struct ReaderThread {
    asked: Sender<Request>,
    answered: Receiver<Reply>,
    is_busy: bool,
}

impl ReaderThread {
    /// Starts the reader. It ends with this handle.
    pub(super) fn start<'scope>(
        threads: &mut Actors<'scope, '_, ()>,
        shared: &'scope Shared,
    ) -> Self {
        let (asked, requests) = channel();
        let (answers, answered) = channel();
        threads.start(move || {
            for request in requests {
                if answers.send(shared.answer(request)).is_err() {
                    break;
                }
            }
            Ok(())
        });
        Self { asked, answered, is_busy: false }
    }

    /// Has the reader do something and waits for it, for [`BLOCKED_WAIT`] at most. Nothing new is asked of a busy reader.
    pub(super) fn ask(&mut self, request: Request) -> Result<Option<Look>, String> {
        if !self.is_busy {
            self.asked.send(request).map_err(|_| "the reader has panicked")?;
            self.is_busy = true;
        }
        self.wait(BLOCKED_WAIT)
    }

    /// Waits until the reader is idle.
    pub(super) fn finish(&mut self) -> Result<Option<Look>, String> {
        const HANGING: Duration = Duration::from_mins(1);
        let look = if self.is_busy { self.wait(HANGING)? } else { None };
        if self.is_busy { Err("the reader or a background job hangs".into()) } else { Ok(look) }
    }

    fn wait(&mut self, patience: Duration) -> Result<Option<Look>, String> {
        match receive(&self.answered, patience) {
            Ok(reply) => {
                self.is_busy = false;
                match reply {
                    Reply::Looked(look) => Ok(Some(look)),
                    Reply::JobEnded(ended) => ended.map(|()| None),
                }
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err("the reader has panicked".into()),
        }
    }
}
