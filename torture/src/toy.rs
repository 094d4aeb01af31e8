//! A deliberately small engine, to try the suites on and to show how to use them.
//!
//! A store is one log and the file `CURRENT`, which names it. All entries are in memory; a write is a frame appended to
//! the log; a compaction writes all entries as the first frame of the next log and swaps `CURRENT`. Opening reads the
//! log that `CURRENT` names and compacts at once, so that nothing is ever appended to a log that a crash may have cut,
//! and what a handle serves is durable before it serves it. The module `format` has the bytes of both files.
//!
//! It keeps the whole contract but expiry and range deletion, and passes all suites. With a [`Bug`] planted it does not.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use durable::{Env, Job, JobClass, JobFailure, Lock};
use kv::memory::MemoryEngine;
use kv::{
    Capabilities, Cursor, Durability, Error, KeyRange, Kv, Op, Result, ScanSupport, SequenceNumber,
    Stats, Unit, WriteBatch,
};

use crate::subject::{Opened, Subject};

mod format;
mod log;
mod recovery;

use log::Log;

/// A log longer than this is compacted, unless its entries alone are as long.
const LOG_LIMIT_BYTES: u64 = 2048;

/// A step of a protocol left out or done wrong, on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Recovery believes a frame whose checksum differs.
    ChecksumsIgnored,
    /// Recovery cuts the log at any bad frame, also where synced ones follow.
    DamageTakenForTornTail,
    /// Each operation of a batch is a frame of its own.
    BatchInPieces,
    /// Recovery applies puts only.
    DeletesForgotten,
    /// A compaction removes the old log before `CURRENT` names the new one.
    OldLogRemovedFirst,
    /// A compaction in the background that fails tells nobody.
    CompactionFailureSwallowed,
    /// A failed sync is reported, and the next write goes on.
    WritesAfterFailedSync,
    /// Numbers begin at 1 with each opening.
    NumbersRestart,
    /// Recovery goes on in the old log, at the end of what it could read, instead of beginning a new one.
    TornTailKept,
    /// Recovery relies on names that only a process that died believed in.
    NamesNotSyncedAtOpening,
    /// The store is not locked.
    Unlocked,
    /// Readers can see half of a batch.
    BatchVisibleInPieces,
    /// Frames stay in the memory of the process until a sync, or until the engine is dropped in good order.
    FramesHeldBack,
    /// The last operation of a batch is not written.
    LastOperationForgotten,
}

/// The toy engine as a subject, sound or with a planted bug.
#[derive(Clone, Copy, Debug, Default)]
pub struct ToySubject {
    /// What is wrong with it.
    pub bug: Option<Bug>,
}

impl Subject for ToySubject {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn open(&self, env: &Env, dir: &Path, option_set: usize) -> Result<Opened> {
        let toy = Arc::new(Toy::open_with(env, dir, option_set == 0, self.bug)?);
        let recovered = toy.inner.state().newest;
        let maintained = Arc::clone(&toy);
        Ok(Opened::new(toy)
            .with_recovered(recovered)
            .with_maintain(move || maintained.inner.compact_now()))
    }

    /// One that compacts in the background, and one that never does.
    fn option_sets(&self) -> usize {
        2
    }

    fn tails(&self, files: &[PathBuf]) -> Vec<PathBuf> {
        files.iter().filter(|path| path.extension().is_some_and(|e| e == "log")).cloned().collect()
    }
}

/// The engine.
#[derive(Debug)]
pub struct Toy {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Where reads go.
    memory: MemoryEngine,
    env: Env,
    dir: PathBuf,
    compacts: bool,
    bug: Option<Bug>,
    /// Held from before a frame is written until it is visible. Readers do not take it.
    state: Mutex<State>,
    /// Held until the engine is dropped.
    #[expect(dead_code, reason = "it is there to be dropped")]
    lock: Option<Box<dyn Lock>>,
}

#[derive(Debug)]
struct State {
    log: Log,
    newest: SequenceNumber,
    /// The failure after which nothing is written any more.
    failure: Option<Error>,
    is_closed: bool,
    is_queued: bool,
}

impl Toy {
    /// Opens the store in `dir`, creating it if there is none.
    ///
    /// # Errors
    /// `Locked`, `Corruption`, `Io`.
    pub fn open(env: &Env, dir: &Path) -> Result<Self> {
        Self::open_with(env, dir, true, None)
    }

    fn open_with(env: &Env, dir: &Path, compacts: bool, bug: Option<Bug>) -> Result<Self> {
        let opened = recovery::open(env, dir, bug)?;
        let state = State {
            log: opened.log,
            newest: opened.newest,
            failure: None,
            is_closed: false,
            is_queued: false,
        };
        let (env, dir, state) = (env.clone(), dir.to_path_buf(), Mutex::new(state));
        let (memory, lock) = (opened.memory, opened.lock);
        let inner = Inner { memory, env, dir, compacts, bug, state, lock };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn append(
        &self,
        state: &mut State,
        batch: &WriteBatch,
        sequence: SequenceNumber,
    ) -> Result<()> {
        let ops: Vec<Op<'_>> = batch.ops().collect();
        let forgotten = usize::from(self.has(Bug::LastOperationForgotten) && ops.len() > 1);
        let ops = &ops[..ops.len() - forgotten];
        let pieces = if self.has(Bug::BatchInPieces) { 1 } else { ops.len() };
        ops.chunks(pieces).try_for_each(|ops| {
            let frame = format::frame(&state.log, sequence, ops);
            if self.has(Bug::FramesHeldBack) {
                state.log.hold_back(&frame);
                return Ok(());
            }
            state.log.append(&frame)
        })
    }

    fn show(&self, batch: &WriteBatch) -> Result<()> {
        if !self.has(Bug::BatchVisibleInPieces) {
            return self.memory.write(batch, Durability::None).map(drop);
        }
        for op in batch.ops() {
            let mut piece = WriteBatch::new();
            match op {
                Op::Put { key, value } | Op::PutExpiring { key, value, .. } => {
                    piece.put(key, value)
                }
                Op::Delete { key } => piece.delete(key),
            };
            self.memory.write(&piece, Durability::None)?;
            std::thread::yield_now();
        }
        Ok(())
    }

    fn compact_now(&self) -> Result<()> {
        let mut state = self.state();
        self.compact(&mut state)
    }

    fn compact(&self, state: &mut State) -> Result<()> {
        state.is_queued = false;
        if state.is_closed {
            return Ok(());
        }
        state.refuse_if_failed()?;
        let next = recovery::next_log(&self.env, &self.dir, &self.memory, state, self.bug);
        state.log = state.failing(next)?;
        Ok(())
    }

    fn compact_in_background(self: &Arc<Self>, state: &mut State) {
        state.is_queued = true;
        let (inner, owner) = (Arc::clone(self), Arc::clone(self));
        let compact = move || {
            let mut state = inner.state();
            let failure = state.failure.clone();
            // A failure is remembered in the state, and the next write returns it.
            let failed = inner.compact(&mut state).is_err();
            if failed && inner.has(Bug::CompactionFailureSwallowed) {
                state.failure = failure;
            }
        };
        let on_panic = move |failure: JobFailure| {
            let cause = io::Error::other(failure.to_string());
            owner.state().failure = Some(Error::io("compact", &owner.dir, cause));
        };
        self.env.executor.submit(Job::new(JobClass::Bulk, "compact", compact, on_panic));
    }
}

impl State {
    fn refuse_if_failed(&self) -> Result<()> {
        let refused = |cause: &Error| Error::Poisoned { cause: Box::new(cause.clone()) };
        self.failure.as_ref().map_or(Ok(()), |cause| Err(refused(cause)))
    }

    /// Passes `result` on and remembers its failure: what the disk holds is unknown from here on.
    fn failing<T>(&mut self, result: Result<T>) -> Result<T> {
        result.inspect_err(|error| self.failure = Some(error.clone()))
    }

    fn sync(&mut self, bug: Option<Bug>) -> Result<()> {
        let synced = self.log.sync();
        if bug == Some(Bug::WritesAfterFailedSync) { synced } else { self.failing(synced) }
    }
}

impl Kv for Toy {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.inner.memory.get_with(key, found)
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        self.capabilities().check(batch)?;
        let mut guard = self.inner.state();
        let state = &mut *guard;
        if state.is_closed {
            return Err(Error::Closed);
        }
        if batch.is_empty() {
            return Ok(state.newest);
        }
        state.refuse_if_failed()?;
        let sequence = state.newest.next();
        let appended = self.inner.append(state, batch, sequence);
        state.failing(appended)?;
        if durability == Durability::Sync {
            state.sync(self.inner.bug)?;
        }
        state.newest = sequence;
        if self.inner.compacts && !state.is_queued && state.log.is_worth_compacting() {
            self.inner.compact_in_background(state);
        }
        self.inner.show(batch)?;
        Ok(sequence)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        self.inner.memory.scan(range)
    }

    fn sync(&self) -> Result<()> {
        let mut state = self.inner.state();
        if state.is_closed {
            return Err(Error::Closed);
        }
        state.refuse_if_failed()?;
        state.sync(self.inner.bug)
    }

    fn close(&self) -> Result<()> {
        let mut state = self.inner.state();
        if state.is_closed {
            return Ok(());
        }
        state.is_closed = true;
        self.inner.memory.close()?;
        state.refuse_if_failed()?;
        state.sync(self.inner.bug)?;
        let closed = state.log.write_current(&*self.inner.env.fs, true);
        state.failing(closed)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            scan: ScanSupport::Ordered,
            durability: Durability::Sync,
            expiry: false,
            range_delete: false,
            max_value_len: 1 << 30,
        }
    }

    fn stats(&self) -> Stats {
        let state = self.inner.state();
        self.inner.memory.stats().with("log_written", Unit::Bytes, state.log.end())
    }
}
