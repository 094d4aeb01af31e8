//! Flushing: the oldest sealed memtable becomes a sorted run of level 0, in the background.
//!
//! 1. **Build**: reserve numbers for the tables in the manifest, write the tables, sync them and their names.
//! 2. **Edit**: one edit of the manifest adds the tables, states how far batches are flushed, and removes the logs
//!    without later batches.
//! 3. **Install**: the super version loses the memtable and gets the tables, in one step.
//! 4. **Retire**: the removed logs leave the group commit. Writers that waited for a batch of the memtable return, because
//!    the batch is durable in a table. A job unlinks the logs.
//!
//! A crash before step 2 leaves orphans. A crash after it leaves the tables in the store, and perhaps logs as orphans.
//!
//! **Batches that wait for the disk.** A memtable may be sealed while a batch in it waits for a sync. The batch belongs to
//! that memtable. If the flush ends first, it makes the batch durable. If the sync fails first, the store is poisoned, and
//! the flush gives up before the edit. If the edit is durable and the sync fails afterwards, the write may return an error
//! and the batch is there after the next opening, whole.
//!
//! **Failures.** For want of space or file handles the memtable stays sealed, and a later flush tries again: at the next
//! seal, at a call of `flush`, or at the close. Any other failure poisons the store.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use durable::sync::Mutex;
use durable::sync::atomic::AtomicU64;
use kv::{Error, Result};

use crate::background::{Background, Task};
use crate::file_ids::FileIds;
use crate::lock_order::Lock;
use crate::options::Options;
use crate::state::Edit;
use crate::steps::Step;
use crate::store::Store;
use crate::table_writer::TableWriter;
use crate::version::{SealedMemtable, VersionSet};
use crate::wal::Wal;

/// Flushes memtables, the oldest first.
#[derive(Debug)]
pub(crate) struct Flusher {
    store: Arc<Store>,
    ids: Arc<FileIds>,
    wal: Arc<Wal>,
    versions: Arc<VersionSet>,
    background: Arc<Background>,
    options: Options,
    /// Held while a memtable is flushed.
    flushing: Mutex<()>,
    counters: FlushCounters,
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
    pub(crate) fn new(
        store: &Arc<Store>,
        ids: &Arc<FileIds>,
        wal: &Arc<Wal>,
        versions: &Arc<VersionSet>,
        background: &Arc<Background>,
        options: &Options,
    ) -> Self {
        Self {
            store: Arc::clone(store),
            ids: Arc::clone(ids),
            wal: Arc::clone(wal),
            versions: Arc::clone(versions),
            background: Arc::clone(background),
            options: options.clone(),
            flushing: Mutex::ranked(Lock::Flushing.rank(), ()),
            counters: FlushCounters::default(),
        }
    }

    /// A job: flushes one memtable, and requests the next flush.
    pub(crate) fn flush_in_background(&self) {
        if self.store.is_abandoned() {
            return;
        }
        // An error has poisoned the store, and the next write reports it; or a resource ran out, which is counted.
        if self.flush_oldest().is_ok_and(|flushed| flushed) && self.versions.sealed_count() > 0 {
            self.background.request(Task::Flush);
        }
    }

    /// Flushes memtables until another one may be sealed. A writer calls it before it seals one.
    ///
    /// # Errors
    /// As [`Flusher::flush_oldest`].
    pub(crate) fn make_room(&self) -> Result<()> {
        while self.versions.sealed_count() >= self.options.max_sealed_memtables {
            self.counters.stalls.fetch_add(1, Ordering::Relaxed);
            self.flush_oldest()?;
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
        let _one_at_a_time = self.flushing.lock();
        let Some(sealed) = self.versions.oldest_sealed() else { return Ok(false) };
        self.store.check()?;
        self.flush(&sealed).map_err(|error| self.failed(error))?;
        Ok(true)
    }

    fn flush(&self, sealed: &Arc<SealedMemtable>) -> Result<()> {
        // 1. Build.
        let steps = &self.store.steps;
        let mut tables = self.writer().write(&sealed.memtable)?;
        let bytes: u64 = tables.iter().map(|(_, facts)| facts.len).sum();
        let paths: Vec<PathBuf> = tables.iter().map(|(file, _)| file.path().into()).collect();
        // 2. Edit. The log may have failed meanwhile.
        let logs = self.wal.ended_up_to(sealed.newest);
        tables.truncate(steps.each(Step::NameTables, &tables).len());
        let unlink = || self.wal.unlink(&logs);
        let unlinked_early = steps.too_early(Step::UnlinkSegments, unlink);
        let edit = || self.store.edit(&Edit::flush(sealed.newest, tables, logs.clone()));
        let named = self.store.check().and_then(|()| edit());
        named.inspect_err(|_| paths.iter().for_each(|path| self.store.remove_unnamed(path)))?;
        // 3. Install. The state has this edit, and edits since then that change no table: one memtable is flushed at a time.
        let state = self.store.state();
        debug_assert_eq!(state.flushed, sealed.newest, "one memtable is flushed at a time");
        steps.run(Step::Install, || self.versions.install(sealed, &state));
        // 4. Retire.
        self.wal.retire(sealed.log_end, &logs);
        if unlinked_early.is_none() {
            steps.run(Step::UnlinkSegments, unlink);
        }
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        self.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn writer(&self) -> TableWriter<'_> {
        TableWriter {
            store: &self.store,
            ids: &self.ids,
            build: self.options.table,
            table_bytes: self.options.table_bytes,
        }
    }

    /// Counts a failure, and poisons the store unless a resource ran out or the store was dropped.
    fn failed(&self, error: Error) -> Error {
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        let passes = error.is_out_of_resources() || matches!(error, Error::Closed);
        let passes = !self.store.steps.check(Step::SpareOnFullDisk, !passes);
        // A store that is poisoned already keeps its first cause.
        if passes || self.store.check().is_err() { error } else { self.store.poison(error) }
    }

    pub(crate) fn counters(&self) -> &FlushCounters {
        &self.counters
    }
}
