//! Flushing: the oldest sealed memtable becomes a sorted run of level 0, in the background.
//!
//! 1. **Build**: reserve numbers for the tables in the manifest, write the tables, sync them and their names.
//! 2. **Edit**: one edit of the manifest adds the tables, states how far batches are flushed, and removes the logs
//!    without later batches.
//! 3. **Install**: the super version loses the memtable and gets the tables, in one step.
//! 4. **Retire**: the removed logs leave the group commit. Writers that waited for a batch of the memtable return, because
//!    the batch is durable in a table. A job unlinks the logs. Another job looks for a compaction.
//!
//! A crash before step 2 leaves orphans. A crash after it leaves the tables in the store, and perhaps logs as orphans.
//!
//! **Batches that wait for the disk.** A memtable may be sealed while a batch in it waits for a sync. The batch belongs to
//! that memtable. If the flush ends first, it makes the batch durable. If the sync fails first, the store is poisoned, and
//! the flush gives up before the edit. If the edit is durable and the sync fails afterwards, the write may return an error
//! and the batch is there after the next opening, whole.
//!
//! **Failures.** For want of space or file handles the memtable stays sealed. The job tries again after a pause
//! ([`Background::retry`](durable::background::Background::retry)); so do the next seal, a call of `flush` and the close. Any
//! other failure poisons the store.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use durable::sync::Mutex;
use durable::sync::atomic::AtomicU64;
use kv::{Error, Result};

use crate::back_pressure::BackPressure;
use crate::background::{Background, Task};
use crate::events::{Events, FlushEvent};
use crate::file_ids::FileIds;
use crate::lock_order::Lock;
use crate::options::Options;
use crate::state::Edit;
use crate::steps::Step;
use crate::store::Store;
use crate::table_writer::{self, TableWriter};
use crate::version::{SealedMemtable, VersionSet};
use crate::wal::Wal;

/// Flushes memtables, the oldest first.
#[derive(Debug)]
pub(crate) struct Flusher {
    parts: FlushParts,
    options: Options,
    /// Held while a memtable is flushed.
    flushing: Mutex<()>,
    counters: FlushCounters,
}

/// The components that a flusher works with.
#[derive(Debug)]
pub(crate) struct FlushParts {
    pub(crate) store: Arc<Store>,
    pub(crate) ids: Arc<FileIds>,
    pub(crate) wal: Arc<Wal>,
    pub(crate) versions: Arc<VersionSet>,
    pub(crate) background: Arc<Background>,
    pub(crate) pressure: Arc<BackPressure>,
    pub(crate) events: Arc<Events>,
}

/// Counts of flushes.
#[derive(Debug, Default)]
pub(crate) struct FlushCounters {
    pub(crate) flushes: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// How often a writer flushed a memtable itself.
    pub(crate) stalls: AtomicU64,
}

impl Flusher {
    pub(crate) fn new(parts: FlushParts, options: &Options) -> Self {
        let flushing = Mutex::ranked(Lock::Flushing.rank(), ());
        Self { parts, options: options.clone(), flushing, counters: FlushCounters::default() }
    }

    /// A job: flushes one memtable, and requests the next flush.
    pub(crate) fn flush_in_background(&self) {
        if self.parts.store.is_abandoned() {
            return;
        }
        match self.flush_oldest() {
            Ok(true) if self.parts.versions.sealed_count() > 0 => {
                self.parts.background.request(Task::Flush);
            }
            Err(error) if error.is_out_of_resources() => self.parts.background.retry(Task::Flush),
            // Nothing is left; or an error has poisoned the store, and the next write reports it.
            _ => {}
        }
    }

    /// Flushes memtables until another one may be sealed. A writer calls it inside the commit section, before it seals one.
    ///
    /// # Errors
    /// As [`Flusher::flush_oldest`].
    pub(crate) fn make_room(&self) -> Result<()> {
        while self.parts.versions.sealed_count() >= self.options.max_sealed_memtables {
            self.counters.stalls.fetch_add(1, Ordering::Relaxed);
            let (flushed, event) = self.flush_one();
            self.parts.events.defer(event);
            flushed?;
        }
        Ok(())
    }

    /// Flushes every sealed memtable.
    ///
    /// # Errors
    /// As [`Flusher::flush_oldest`].
    pub(crate) fn flush_all(&self) -> Result<()> {
        while self.flush_oldest()? {}
        Ok(())
    }

    /// Flushes the oldest sealed memtable. `false`: there is none.
    ///
    /// # Errors
    /// `Io`, which has poisoned the store unless a resource ran out; `Poisoned`; `Closed` when the store was dropped.
    pub(crate) fn flush_oldest(&self) -> Result<bool> {
        let events = &self.parts.events;
        events.tell_deferred();
        if !self.has_sealed() {
            return Ok(false);
        }
        events.tell(|listener| listener.flush_begun());
        let (flushed, event) = self.flush_one();
        events.tell(|listener| listener.flush_ended(&event));
        flushed
    }

    /// Whether a memtable is sealed. If not, every flush has ended: the last one may still retire logs.
    fn has_sealed(&self) -> bool {
        let _one_at_a_time = self.flushing.lock();
        self.parts.versions.sealed_count() > 0
    }

    /// Flushes the oldest sealed memtable, and returns the event of the end as well.
    fn flush_one(&self) -> (Result<bool>, FlushEvent) {
        let _one_at_a_time = self.flushing.lock();
        let started = self.parts.store.env.clock.elapsed();
        let mut event = FlushEvent::default();
        let flushed = self.flush_if_sealed(&mut event);
        event.took = self.parts.store.env.clock.elapsed().saturating_sub(started);
        event.failure = flushed.as_ref().err().cloned();
        (flushed, event)
    }

    fn flush_if_sealed(&self, event: &mut FlushEvent) -> Result<bool> {
        let Some(sealed) = self.parts.versions.oldest_sealed() else { return Ok(false) };
        self.parts.store.check()?;
        event.memtable_bytes = sealed.memtable.bytes();
        self.flush(&sealed, event).map_err(|error| self.failed(error))?;
        Ok(true)
    }

    fn flush(&self, sealed: &Arc<SealedMemtable>, event: &mut FlushEvent) -> Result<()> {
        let started = self.parts.store.env.clock.elapsed();
        // 1. Build.
        let steps = &self.parts.store.steps;
        let mut tables = self.writer().write(&sealed.memtable, self.options.table_bytes)?;
        let bytes: u64 = tables.iter().map(|(_, facts)| facts.len).sum();
        let count = tables.len() as u64;
        let paths = table_writer::paths_of(&tables);
        // 2. Edit. The log may have failed meanwhile.
        let logs = self.parts.wal.ended_up_to(sealed.newest);
        tables.truncate(steps.each(Step::NameTables, &tables).len());
        let unlink = || self.parts.wal.unlink(&logs);
        let unlinked_early = steps.too_early(Step::UnlinkSegments, unlink);
        let edit = || {
            self.parts.store.check()?;
            self.parts.store.edit(&Edit::flush(sealed.newest, tables, logs.clone()))?;
            let state = self.parts.store.state();
            debug_assert_eq!(state.flushed, sealed.newest, "one memtable is flushed at a time");
            Ok(state)
        };
        // 3. Install, in one critical section with the edit.
        let installed = self.parts.versions.install(Some(sealed), edit);
        installed.inspect_err(|_| self.writer().remove_unnamed(&paths))?;
        // 4. Retire.
        self.parts.wal.retire(sealed.log_end, &logs);
        if unlinked_early.is_none() {
            steps.run(Step::UnlinkSegments, unlink);
        }
        self.parts.background.succeeded(Task::Flush);
        (event.tables, event.table_bytes) = (count, bytes);
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        self.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        let elapsed = self.parts.store.env.clock.elapsed().saturating_sub(started);
        self.parts.pressure.flushed(sealed.memtable.bytes(), elapsed);
        self.parts.pressure.measure(&self.parts.versions);
        self.parts.background.request(Task::PickCompaction);
        Ok(())
    }

    fn writer(&self) -> TableWriter<'_> {
        TableWriter { store: &self.parts.store, ids: &self.parts.ids, build: self.options.table }
    }

    /// Counts a failure, and poisons the store unless a resource ran out or the store was dropped.
    fn failed(&self, error: Error) -> Error {
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        let passes = error.is_out_of_resources() || matches!(error, Error::Closed);
        let passes = !self.parts.store.steps.check(Step::SpareOnFullDisk, !passes);
        // A store that is poisoned already keeps its first cause.
        if passes || self.parts.store.check().is_err() {
            error
        } else {
            self.parts.store.poison(error)
        }
    }

    pub(crate) fn counters(&self) -> &FlushCounters {
        &self.counters
    }
}
