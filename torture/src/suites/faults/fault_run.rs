//! A run with a fault, and the promises that still hold.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use durable::{Inject, OpKind, SimFs, SyncFailure};
use kv::{Durability, Error, Kv, WriteBatch};

use super::FaultPlan;
use crate::observe::{Trouble, describe, observe};
use crate::possible::{PossibleContents, WriteOutcome};
use crate::script::{Script, Step, batch_of};
use crate::subject::{FailedCall, Opened, Subject};
use crate::universe;
use crate::world::World;

/// The most indeterminate batches in a run. Each doubles the number of possible contents.
const MOST_INDETERMINATE: usize = 4;

mod ends;

/// The result of a run.
pub(super) struct RunSummary {
    /// The kinds of all calls.
    pub(super) calls: Vec<OpKind>,
    /// Whether anything went wrong.
    pub(super) was_hit: bool,
}

/// A call that was made.
#[derive(Clone, Debug)]
struct MadeCall {
    kind: OpKind,
    path: PathBuf,
    /// As [`FailedCall::is_first_append`].
    is_first_append: bool,
    /// As [`FailedCall::in_background`].
    in_background: bool,
}

impl MadeCall {
    fn as_failed(&self) -> FailedCall<'_> {
        let Self { kind, ref path, is_first_append, in_background } = *self;
        FailedCall { kind, path, is_first_append, in_background }
    }
}

/// The calls that were made.
#[derive(Debug, Default)]
struct Calls {
    made: Vec<MadeCall>,
    /// The logs that were created and not appended to.
    empty_logs: BTreeSet<PathBuf>,
}

impl Calls {
    fn record(&mut self, kind: OpKind, path: &Path, in_background: bool) {
        if kind == OpKind::CreateLog {
            self.empty_logs.insert(path.into());
        }
        let is_first_append = kind == OpKind::Append && self.empty_logs.remove(path);
        self.made.push(MadeCall { kind, path: path.into(), is_first_append, in_background });
    }

    fn kinds(&self) -> Vec<OpKind> {
        self.made.iter().map(|call| call.kind).collect()
    }
}

/// An engine under a plan.
pub(super) struct FaultRun<'s> {
    subject: &'s dyn Subject,
    option_set: usize,
    plan: FaultPlan,
    sim: SimFs,
    inject: Inject,
    calls: Arc<Mutex<Calls>>,
    world: World,
    opened: Option<Opened>,
    possible: PossibleContents,
    keys: Vec<u8>,
    next_value: u64,
    /// Errors that the caller has seen.
    seen: usize,
    /// Failures that the statistics of former handles reported.
    counted: u64,
    /// The process died between the fault and the first call that could have reported it.
    died_unreported: bool,
    /// The handle has said `Poisoned`.
    is_poisoned: bool,
    /// A caller of this handle was told of a failed sync or append. Retrying either proves nothing.
    log_has_failed: bool,
}

impl<'s> FaultRun<'s> {
    pub(super) fn start(
        subject: &'s dyn Subject,
        option_set: usize,
        script: &Script,
        plan: &FaultPlan,
    ) -> Result<Self, String> {
        let (sim, inject) = plan.disk();
        let calls = Arc::<Mutex<Calls>>::default();
        let world = World::on(Arc::new(inject.clone()), 1);
        let (log, running) = (Arc::clone(&calls), world.stepper().running());
        inject.on_call(Arc::new(move |call| {
            let in_background = running.load(Ordering::SeqCst) > 0;
            let mut calls = log.lock().unwrap_or_else(PoisonError::into_inner);
            calls.record(call.kind, call.path, in_background);
        }));
        let (plan, keys, possible) = (plan.clone(), script.keys(), PossibleContents::default());
        let mut fault_run = Self {
            subject,
            option_set,
            plan,
            sim,
            inject,
            calls,
            world,
            opened: None,
            possible,
            keys,
            next_value: 0,
            seen: 0,
            counted: 0,
            died_unreported: false,
            is_poisoned: false,
            log_has_failed: false,
        };
        fault_run.open(0)?;
        Ok(fault_run)
    }

    /// The whole script, then all three ways to end. An `Err` says which call failed.
    pub(super) fn run(mut self, script: &Script) -> Result<RunSummary, String> {
        self.run_through(script).map_err(|what| match self.first_fault() {
            Some(call) => {
                format!("{what}; the call that failed is {} {}", call.kind, call.path.display())
            }
            None => what,
        })?;
        let was_hit = self.inject.injected() > 0 || (self.plan.space.is_some() && self.seen > 0);
        Ok(RunSummary { calls: self.lock_calls().kinds(), was_hit })
    }

    fn run_through(&mut self, script: &Script) -> Result<(), String> {
        for (at, step) in script.0.iter().enumerate() {
            self.step(step).map_err(|what| format!("step {at} ({step}): {what}"))?;
            if self.possible.indeterminate() >= MOST_INDETERMINATE {
                break;
            }
        }
        self.clear_fault();
        self.check_reads("after the fault has gone")?;
        self.end_in_power_cut()?;
        self.end_in_kill()?;
        self.end_in_close()?;
        self.check_surfaced()
    }

    fn lock_calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn engine(&self) -> &dyn Kv {
        self.opened.as_ref().expect("the engine is open between two steps").engine()
    }

    fn clear_fault(&self) {
        self.inject.lift();
        self.sim.set_free_space(None);
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Write(changes, durability) => {
                let batch = batch_of(changes, self.next_value, self.world.now());
                self.next_value += changes.len() as u64;
                self.write(batch, *durability)?;
            }
            Step::Sync => {
                let injected = self.inject.injected();
                let synced = self.engine().sync();
                self.judge_sync(synced, injected)?;
            }
            Step::Job => self.world.step_at(0)?,
            Step::Drain => self.world.drain()?,
            Step::Maintain => {
                let opened = self.opened.as_ref().expect("the engine is open between two steps");
                let maintained = opened.maintain();
                self.judge_other("maintain", maintained)?;
            }
            Step::Reopen => self.reopen(true)?,
            Step::Kill => self.reopen(false)?,
            Step::Tick(ms) => self.world.clock.advance(std::time::Duration::from_millis(*ms)),
            Step::Get(_) | Step::Walk(_) | Step::Hold | Step::Check => {}
        }
        let key = self.keys.get(self.next_value as usize % self.keys.len().max(1)).copied();
        key.map_or(Ok(()), |key| self.check_get(key))
    }

    fn write(&mut self, batch: WriteBatch, durability: Durability) -> Result<(), String> {
        let must_fail = self.is_poisoned || self.log_has_failed;
        let injected = self.inject.injected();
        let mut answer = self.engine().write(&batch, durability);
        if matches!(answer, Err(Error::Stalled { .. })) {
            self.world.drain()?;
            answer = self.engine().write(&batch, durability);
        }
        match answer {
            Ok(_) if must_fail => Err("a write succeeded after the log had failed".into()),
            Ok(_) => {
                self.possible.issue(batch, WriteOutcome::Acknowledged);
                self.promise(durability);
                Ok(())
            }
            Err(Error::Stalled { .. }) => Ok(()),
            Err(error) => {
                // `Poisoned` refuses, so that nothing can be there; but the first time, this may be the write that failed.
                if !self.is_poisoned {
                    self.possible.issue(batch, WriteOutcome::Indeterminate);
                }
                self.note_log_failure(&error, injected);
                self.note("write", &error)
            }
        }
    }

    fn judge_sync(&mut self, synced: kv::Result<()>, injected: usize) -> Result<(), String> {
        match synced {
            Ok(()) if self.is_poisoned => Err("a sync succeeded after Poisoned".into()),
            Ok(()) if self.log_has_failed => {
                Err("a sync succeeded after the log had failed".into())
            }
            Ok(()) => {
                self.promise(Durability::Sync);
                Ok(())
            }
            Err(error) => {
                self.note_log_failure(&error, injected);
                self.note("sync", &error)
            }
        }
    }

    /// A call has failed with `error`, before which `injected` faults had happened.
    fn note_log_failure(&mut self, error: &Error, injected: usize) {
        let fault = self.first_fault();
        // A file that is not published yet is no log. Without space for it, an edit of the manifest is refused.
        let is_temporary = |call: &MadeCall| call.path.extension().is_some_and(|e| e == "tmp");
        let is_refused_edit =
            error.is_out_of_resources() && fault.as_ref().is_some_and(is_temporary);
        let is_log_failure = match fault.map(|call| call.kind) {
            Some(OpKind::SyncFile) => !is_refused_edit,
            // An append that finds no space leaves nothing behind.
            Some(OpKind::Append) => !error.is_out_of_resources(),
            _ => false,
        };
        self.log_has_failed |= self.inject.injected() > injected && is_log_failure;
    }

    fn judge_other<T>(&mut self, call: &str, answer: kv::Result<T>) -> Result<(), String> {
        answer.map(drop).or_else(|error| self.note(call, &error))
    }

    /// Records an error that the caller has seen. Its variant must fit a failing disk.
    fn note(&mut self, call: &str, error: &Error) -> Result<(), String> {
        self.seen += 1;
        match error {
            Error::Poisoned { .. } => self.is_poisoned = true,
            Error::Io { .. } => {}
            _ => return Err(format!("{call} answered a failing disk with: {error}")),
        }
        if self.inject.injected() == 0 && self.plan.space.is_none() {
            return Err(format!("{call} failed without a fault: {error}"));
        }
        Ok(())
    }

    fn promise(&mut self, durability: Durability) {
        let durability = durability.min(self.engine().capabilities().durability);
        if durability >= Durability::Buffered {
            self.possible.handed_over = self.possible.len();
        }
        if durability >= Durability::Sync {
            self.possible.synced = self.possible.len();
        }
        assert!(self.possible.synced <= self.possible.handed_over, "a sync hands over as well");
    }

    /// The call that went wrong first.
    fn first_fault(&self) -> Option<MadeCall> {
        if self.inject.injected() == 0 {
            return None;
        }
        self.lock_calls().made.get(self.plan.fault.at).cloned()
    }

    /// After this kind of failed sync even the page cache has lost all data that was not synced before.
    fn has_reverted(&self) -> bool {
        self.plan.sync_failure == SyncFailure::Reverts
            && self.first_fault().is_some_and(|call| call.kind == OpKind::SyncFile)
    }

    fn survives_kill(&self) -> usize {
        if self.has_reverted() { self.possible.synced } else { self.possible.handed_over }
    }

    fn check_get(&self, key: u8) -> Result<(), String> {
        let (key, injected) = (universe::key(key), self.inject.injected());
        let expected = self.possible.visible().get(key, self.world.now());
        match self.engine().get(key) {
            Ok(found) if found.as_ref() == expected => Ok(()),
            Ok(found) => {
                let show = |v: Option<&kv::Bytes>| v.map_or("nothing".into(), |v| describe(v));
                let (found, expected) = (show(found.as_ref()), show(expected));
                Err(format!("key {} has {found} instead of {expected}", describe(key)))
            }
            Err(_) if self.inject.injected() > injected || self.has_reverted() => Ok(()),
            Err(error) => Err(format!("a get failed without a fault: {error}")),
        }
    }

    /// Reads succeed, and show the acknowledged batches.
    fn check_reads(&self, when: &str) -> Result<(), String> {
        let observed = match observe(self.engine(), &self.keys) {
            Err(Trouble::Failed(_)) if self.has_reverted() => return Ok(()),
            observed => observed.map_err(|trouble| format!("{when}, {}", String::from(trouble)))?,
        };
        let difference = self.possible.visible().difference(&observed, self.world.now());
        difference.map_or(Ok(()), |what| Err(format!("{when}, {what}")))
    }
}
