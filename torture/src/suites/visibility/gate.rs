//! The gate: holds a writer before or after one of its syncs until the scheduler releases it.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use durable::{Call, OpKind};

use crate::random::Random;
use crate::watchdog::Watchdog;

/// The longest wait for a writer that is neither held nor done: it waits for a lock that a held writer owns.
const BLOCKED_WAIT: Duration = Duration::from_millis(20);

/// A round without progress for so long hangs. The time of a stopped machine does not count.
const HANGING: Duration = Duration::from_mins(1);

thread_local! {
    /// The writer that this thread is.
    static WRITER: Cell<Option<usize>> = const { Cell::new(None) };
}

/// How far a writer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not started.
    Idle,
    /// Somewhere in the engine, and it has written to no file yet.
    Writing,
    /// It has written to some file, or was released from the gate.
    Appended,
    /// At the gate, before or after a sync.
    Held,
    /// Its call has returned.
    Done,
}

/// Where the writers are. Hooks of the file system move them; the scheduler waits and releases.
#[derive(Debug)]
pub(super) struct Gate {
    writers: Mutex<Vec<Phase>>,
    /// Signalled with each change.
    changed: Condvar,
    /// Decides which syncs hold their writer.
    random: Random,
    /// Nobody is held any more.
    is_open: AtomicBool,
}

/// Ends a writer, also one that panics.
struct Ended<'g> {
    gate: &'g Gate,
    writer: usize,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        WRITER.set(None);
        self.gate.set(self.writer, Phase::Done);
    }
}

impl Gate {
    pub(super) fn new(writers: usize, seed: u64) -> Self {
        let phases = Mutex::new(vec![Phase::Idle; writers]);
        Self {
            writers: phases,
            changed: Condvar::new(),
            random: Random::new(seed),
            is_open: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Phase>> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hook before each call to the file system.
    pub(super) fn before(&self, call: &Call<'_>) {
        if call.kind == OpKind::SyncFile {
            self.hold();
        }
    }

    /// The hook after each call to the file system.
    pub(super) fn after(&self, call: &Call<'_>) {
        match call.kind {
            OpKind::SyncFile => self.hold(),
            OpKind::Append | OpKind::Write => {
                if let Some(writer) = WRITER.get() {
                    self.set(writer, Phase::Appended);
                }
            }
            _ => {}
        }
    }

    /// Holds the writer, with probability 3/4. Threads that are no writers pass.
    fn hold(&self) {
        let Some(writer) = WRITER.get() else { return };
        let mut phases = self.lock();
        if self.random.one_in(4) || self.is_open.load(Ordering::SeqCst) {
            return;
        }
        assert!(phases[writer] != Phase::Done, "a writer syncs before its call returns");
        phases[writer] = Phase::Held;
        self.changed.notify_all();
        while phases[writer] == Phase::Held {
            phases = self.changed.wait(phases).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Runs `write` as writer number `writer`.
    pub(super) fn as_writer<T>(&self, writer: usize, write: impl FnOnce() -> T) -> T {
        assert_eq!(WRITER.get(), None, "a thread is one writer at a time");
        WRITER.set(Some(writer));
        let _ended = Ended { gate: self, writer };
        write()
    }

    pub(super) fn set(&self, writer: usize, phase: Phase) {
        self.lock()[writer] = phase;
        self.changed.notify_all();
    }

    pub(super) fn phases(&self) -> Vec<Phase> {
        self.lock().clone()
    }

    /// Lets a held writer go on.
    pub(super) fn release(&self, writer: usize) {
        let mut phases = self.lock();
        assert_eq!(phases[writer], Phase::Held, "writer {writer} is not held");
        phases[writer] = Phase::Appended;
        self.changed.notify_all();
    }

    /// Releases everybody for good, at the end of a round.
    pub(super) fn open(&self) {
        let mut phases = self.lock();
        self.is_open.store(true, Ordering::SeqCst);
        for phase in phases.iter_mut().filter(|phase| **phase == Phase::Held) {
            *phase = Phase::Appended;
        }
        self.changed.notify_all();
    }

    /// Waits until no writer is in `Writing`, and none is in `Appended` unless another one is held. A writer in `Appended`
    /// may run on beside a held one: it may wait for the held one, and the gate cannot tell.
    ///
    /// Returns early after [`BLOCKED_WAIT`] if a writer is held: then the held one blocks another one through a lock.
    /// `Err`: nothing changes, and nobody is held.
    pub(super) fn wait_until_quiet(&self) -> Result<(), String> {
        let (started, mut watchdog) = (Instant::now(), Watchdog::new(HANGING));
        let mut phases = self.lock();
        loop {
            let anybody = |wanted: Phase| phases.contains(&wanted);
            let is_held = anybody(Phase::Held);
            let is_quiet = !anybody(Phase::Writing) && (is_held || !anybody(Phase::Appended));
            if is_quiet || (is_held && started.elapsed() >= BLOCKED_WAIT) {
                return Ok(());
            }
            if watchdog.is_over() {
                return Err(format!("the writers hang: {phases:?}"));
            }
            let waited = self.changed.wait_timeout(phases, BLOCKED_WAIT);
            phases = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
