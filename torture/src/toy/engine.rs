//! The toy behind the contract.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use durable::store_dir::StoreDir;
use durable::{Env, Job, JobClass, JobFailure, is_disk_full};
use kv::memory::MemoryEngine;
use kv::{
    Capabilities, Cursor, Durability, Error, KeyRange, Kv, Result, ScanSupport, SequenceNumber,
    Stats, Unit, WriteBatch,
};

use super::bug::Bug;
use super::commit::State;
use super::recovery;

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
    /// Held by the thread that syncs; taken before `state`.
    syncing: Mutex<()>,
    /// Held while a frame is written and while batches become visible. Readers and syncs do not take it.
    state: Mutex<State>,
    /// Locked until the engine is dropped and its last job has ended.
    held: StoreDir,
}

impl Toy {
    /// Opens the store in `dir`, creating it if there is none.
    ///
    /// # Errors
    /// `Locked`, `Corruption`, `Io`.
    pub fn open(env: &Env, dir: &Path) -> Result<Self> {
        Self::open_with(env, dir, true, None)
    }

    pub(super) fn open_with(
        env: &Env,
        dir: &Path,
        compacts: bool,
        bug: Option<Bug>,
    ) -> Result<Self> {
        let opened = recovery::open(env, dir, bug)?;
        let state = Mutex::new(State::new(opened.log, opened.newest, bug));
        let (env, dir, syncing) = (env.clone(), dir.to_path_buf(), Mutex::new(()));
        let (memory, held) = (opened.memory, opened.held);
        let inner = Inner { memory, env, dir, compacts, syncing, state, held };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(super) fn newest(&self) -> SequenceNumber {
        self.inner.state().newest
    }

    /// The files that the store has left behind.
    pub(super) fn orphans(&self) -> Result<Vec<PathBuf>> {
        let live = self.inner.state().log.id().number;
        recovery::orphans(&*self.inner.env.fs, &self.inner.dir, live)
    }

    /// One compaction.
    pub(super) fn compact(&self) -> Result<()> {
        self.inner.compact(&mut self.inner.state())
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until log `number` is durable up to `end`, and all batches up to there are visible. One thread syncs at a
    /// time; the others often find that its sync has covered them.
    fn sync_to(&self, number: u64, end: u64) -> Result<()> {
        let syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.state();
        // A compaction has made everything durable in a later log.
        if state.log.id().number != number || state.log.durable() >= end {
            return Ok(());
        }
        state.refuse_if_failed()?;
        state.log.write_held_back()?;
        let (file, covered) = (state.log.file(), state.log.end());
        drop(state);
        let synced = file.sync();
        let mut state = self.state();
        if synced.is_err() && state.has(Bug::PublishedDespiteFailedSync) {
            state.publish(covered, &self.memory)?;
        }
        if !state.has(Bug::WritesAfterFailedSync) {
            state.failing(synced.clone())?;
        }
        synced?;
        if state.log.id().number == number {
            state.publish(covered, &self.memory)?;
        }
        drop(syncing);
        Ok(())
    }

    fn compact(&self, state: &mut State) -> Result<()> {
        state.is_queued = false;
        if state.is_closed {
            return Ok(());
        }
        state.refuse_if_failed()?;
        // The new log holds the visible entries, so no batch may still be waiting.
        if state.has_waiting() {
            state.sync_all(&self.memory)?;
        }
        assert!(!state.has_waiting() || state.bug.is_some(), "all batches are visible");
        let next = match recovery::next_log(&self.env, &self.dir, &self.memory, state) {
            // The old log still counts.
            Err(full) if is_disk_full(&full) => return Err(full),
            next => state.failing(next)?,
        };
        let changed = recovery::change_to(&self.env, &self.dir, &next, state);
        state.failing(changed)?;
        state.log = next;
        Ok(())
    }

    fn compact_in_background(self: &Arc<Self>, state: &mut State) {
        state.is_queued = true;
        let (inner, owner) = (Arc::clone(self), Arc::clone(self));
        let compact = move || {
            let mut state = inner.state();
            let failure = state.failure.clone();
            // A failure is remembered in the state, and the next write returns it. Without space the log goes on growing,
            // and the next write asks for another compaction.
            let compacted = inner.compact(&mut state);
            // Only failures that do no harm are swallowed: the next log could not be made, and the old one still counts.
            let is_harmless = |error: Error| match error {
                Error::Io { op, path, .. } => op != "remove" && path.extension().is_some(),
                _ => false,
            };
            let swallows = state.has(Bug::CompactionFailureSwallowed);
            if swallows && compacted.is_err_and(is_harmless) {
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

impl Drop for Toy {
    /// A job that is running ends first. An opening in this process waits for that.
    fn drop(&mut self) {
        self.inner.held.abandon();
    }
}

impl Kv for Toy {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.inner.memory.get_with(key, found)
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        self.capabilities().check(batch)?;
        let inner = &self.inner;
        let mut state = inner.state();
        state.check()?;
        if batch.is_empty() {
            return Ok(state.newest);
        }
        let appended = state.append(batch);
        if appended.is_err() && state.has(Bug::RefusedBatchShown) {
            state.show(batch, &inner.memory)?;
        }
        let sequence = appended?;
        let durable_to = state.enqueue(batch, durability, &inner.memory)?;
        if inner.compacts && !state.is_queued && state.log.is_worth_compacting() {
            inner.compact_in_background(&mut state);
        }
        let number = state.log.id().number;
        drop(state);
        durable_to.map_or(Ok(()), |end| inner.sync_to(number, end))?;
        Ok(sequence)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        self.inner.memory.scan(range)
    }

    fn sync(&self) -> Result<()> {
        let state = self.inner.state();
        state.check()?;
        let (number, end) = (state.log.id().number, state.log.end());
        drop(state);
        self.inner.sync_to(number, end)
    }

    fn close(&self) -> Result<()> {
        let mut guard = self.inner.state();
        let state = &mut *guard;
        if state.is_closed {
            return Ok(());
        }
        state.is_closed = true;
        let synced = state.refuse_if_failed().and_then(|()| state.sync_all(&self.inner.memory));
        self.inner.memory.close()?;
        synced?;
        let closed = state.log.write_current(&*self.inner.env.fs, true);
        state.failing(closed)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(ScanSupport::Ordered, Durability::Sync)
    }

    fn stats(&self) -> Stats {
        let state = self.inner.state();
        self.inner.memory.stats().with("log_written", Unit::Bytes, state.log.end())
    }
}
