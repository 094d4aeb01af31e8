//! The threads of a round: writers, and a helper that reads or runs a background job.

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

/// The longest wait for the helper. It is blocked if a held writer owns a lock that it needs; then it answers later.
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

/// The content that a reader found, and the time.
#[derive(Debug)]
pub(super) struct Look {
    /// The newest batch that was acknowledged when the look began.
    pub(super) acknowledged: usize,
    pub(super) observed: Result<Observed, String>,
    /// The operations of the disk when the look had ended.
    pub(super) ops: usize,
}

/// The state that all threads of a round share.
pub(super) struct Stage {
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

impl Stage {
    /// Writes a batch as a writer that the gate may hold.
    pub(super) fn write(&self, writer: usize, task: &Task) {
        self.gate.as_writer(writer, || {
            let sequence = self.engine.write(&task.batch, task.durability);
            let answer = Answer { j: task.j, ops: self.sim.ops(), sequence };
            self.answers().push(answer);
        });
    }

    /// Whether a sync has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.inject.injected() > 0
    }

    pub(super) fn answers(&self) -> std::sync::MutexGuard<'_, Vec<Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The work of the helper. A background job leaves a look only if it fails.
    fn help(&self, help: Help) -> Option<Look> {
        match help {
            Help::Look => Some(self.look()),
            Help::Job => {
                let failed = self.stepper.step().err();
                failed.map(|what| Look { acknowledged: 0, observed: Err(what), ops: 0 })
            }
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

/// The work of the helper.
#[derive(Clone, Copy, Debug)]
pub(super) enum Help {
    Look,
    Job,
}

/// A thread that reads and runs jobs for the controller. The controller itself must never block in the engine.
pub(super) struct Helper {
    asked: Sender<Help>,
    answered: Receiver<Option<Look>>,
    is_busy: bool,
}

impl Helper {
    /// Starts the helper. It ends with this handle.
    pub(super) fn start<'scope>(
        threads: &mut Actors<'scope, '_, ()>,
        stage: &'scope Stage,
    ) -> Self {
        let (asked, asks) = channel();
        let (answers, answered) = channel();
        threads.start(move || {
            for help in asks {
                if answers.send(stage.help(help)).is_err() {
                    break;
                }
            }
            Ok(())
        });
        Self { asked, answered, is_busy: false }
    }

    /// Has the helper do something and waits for it, for [`BLOCKED_WAIT`] at most. Nothing new is asked of a busy helper.
    pub(super) fn ask(&mut self, help: Help) -> Result<Option<Look>, String> {
        if !self.is_busy {
            self.asked.send(help).map_err(|_| "the reader has panicked")?;
            self.is_busy = true;
        }
        self.wait(BLOCKED_WAIT)
    }

    /// Waits until the helper is idle.
    pub(super) fn finish(&mut self) -> Result<Option<Look>, String> {
        const HANGING: Duration = Duration::from_mins(1);
        let look = if self.is_busy { self.wait(HANGING)? } else { None };
        if self.is_busy { Err("the reader or a background job hangs".into()) } else { Ok(look) }
    }

    fn wait(&mut self, patience: Duration) -> Result<Option<Look>, String> {
        match self.answered.recv_timeout(patience) {
            Ok(look) => {
                self.is_busy = false;
                Ok(look)
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err("the reader has panicked".into()),
        }
    }
}
