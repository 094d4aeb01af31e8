//! The engine: composes the components of an open store, and implements the contract of [`kv`] on top of them.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use durable::background::performer;
use durable::reclaim::FileReclaimer;
use durable::sync::atomic::AtomicU64;
use kv::{
    Capabilities, Cursor, Durability, Error, KeyRange, Kv, Result, SequenceNumber, Snapshot,
    Snapshots, Stats, WriteBatch,
};

use crate::background::{Background, Task};
use crate::capabilities::CAPABILITIES;
use crate::commit::{CommitParts, Committer, Validate};
use crate::files::{LOG, TABLE};
use crate::flush::Flusher;
use crate::options::Options;
use crate::read::{self, LsmSnapshot, ViewCursor};
use crate::record::Record;
use crate::recovery::{self, Recovered};
use crate::statistics::LsmStats;
use crate::store::Store;
use crate::verify::{self, Verification};
use crate::version::VersionSet;
use crate::wal::Wal;

/// An open store. See the [crate].
///
/// Dropping it without [`Kv::close`] leaves the store as after a `kill -9`: nothing that was acknowledged as `Buffered`
/// is lost, and the next opening reads the write-ahead log.
pub struct Lsm {
    store: Arc<Store>,
    versions: Arc<VersionSet>,
    committer: Committer,
    flusher: Arc<Flusher>,
    wal: Arc<Wal>,
    background: Arc<Background>,
    reclaimer: Arc<FileReclaimer>,
    replayed_batches: u64,
}

impl Lsm {
    /// Opens the store in the directory `path`, and creates it if there is none and the options say so.
    ///
    /// Everything that a crash left is recovered and made durable before this returns. A log or a manifest that is damaged
    /// in a way no crash explains is an error, and then nothing was changed. Damage inside a table shows when it is read.
    ///
    /// # Errors
    /// `Locked` when the store is open, in this process or another one; `Corruption`, naming file and offset;
    /// `InvalidArgument` for an empty path, and for a store of another engine or a newer format; `Io`, with `NotFound` when
    /// there is no store and none is to be created.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        if path.as_ref().as_os_str().is_empty() {
            return Err(Error::InvalidArgument("the path of the store is empty".into()));
        }
        let options = options.clamped();
        let recovered = recovery::recover(path.as_ref(), &options)?;
        Ok(Self::compose(&options, recovered))
    }

    fn compose(options: &Options, recovered: Recovered) -> Self {
        let Recovered { store, ids, reclaimer, opener, version, newest, replayed } = recovered;
        // What cannot be opened now is opened, or reported, when it is read.
        version.tables().for_each(|table| drop(table.table()));
        let executor = Arc::clone(&store.env.executor);
        let background = Background::new(executor, store.log(), store.path());
        let versions = Arc::new(VersionSet::new(version, newest, opener));
        let segment_bytes = options.log_segment_bytes;
        let (log_ids, log_files) = (Arc::clone(&ids), Arc::clone(&reclaimer));
        let wal = Arc::new(Wal::new(Arc::clone(&store), log_ids, log_files, segment_bytes));
        let flusher = Arc::new(Flusher::new(&store, &ids, &wal, &versions, &background, options));
        background.register(vec![
            (Task::PrepareSegment, performer(&wal, Wal::prepare)),
            (Task::Flush, performer(&flusher, Flusher::flush_in_background)),
        ]);
        let parts = CommitParts {
            store: Arc::clone(&store),
            wal: Arc::clone(&wal),
            versions: Arc::clone(&versions),
            flusher: Arc::clone(&flusher),
            background: Arc::clone(&background),
        };
        let committer = Committer::new(parts, options.memtable_bytes);
        let replayed_batches = replayed;
        Self { store, versions, committer, flusher, wal, background, reclaimer, replayed_batches }
    }

    /// As [`Kv::write`], with a check by the caller. `validate` runs inside the commit section, when the space of the batch
    /// is reserved, with the number that the batch will get. No other batch is committed meanwhile.
    /// [`Lsm::newest_sequence_of`] answers inside it, and shows also batches that are not visible yet. If the check fails,
    /// nothing was written and the number goes to another batch. If it succeeds, the batch is written with that number, or
    /// the store is poisoned.
    ///
    /// An empty batch is checked as well, and writes nothing.
    ///
    /// `validate` must not write to the store.
    ///
    /// # Errors
    /// Those of `validate`, and those of [`Kv::write`].
    pub fn commit_with(
        &self,
        batch: &WriteBatch,
        durability: Durability,
        validate: &mut dyn FnMut(SequenceNumber) -> Result<()>,
    ) -> Result<SequenceNumber> {
        CAPABILITIES.check(batch)?;
        self.commit(batch, durability, Some(validate))
    }

    /// The number of the newest write of `key`, a tombstone or not, also if it is not visible yet. `None`: the store has no
    /// version of the key.
    ///
    /// # Errors
    /// As [`Kv::get_with`].
    pub fn newest_sequence_of(&self, key: &[u8]) -> Result<Option<SequenceNumber>> {
        self.background.check_open()?;
        let newest = read::newest_sequence(&self.versions.load(), key)?;
        Ok(newest.map(SequenceNumber))
    }

    /// The number of the newest visible write.
    pub fn newest_sequence(&self) -> SequenceNumber {
        SequenceNumber(self.versions.visible())
    }

    /// Writes every batch that was written before the call to tables, and returns when they are durable.
    ///
    /// # Errors
    /// `Io`, with `StorageFull` when there is no space: nothing is lost. `Poisoned`, `Closed`.
    pub fn flush(&self) -> Result<()> {
        self.background.check_open()?;
        self.committer.seal()?;
        self.flusher.flush_all()
    }

    /// Reads every table whole and checks it against the manifest, and walks over every version of every key. Writers and flushes
    /// go on meanwhile.
    ///
    /// # Errors
    /// The first `Corruption` found; `Io`; `Closed`.
    pub fn verify(&self) -> Result<Verification> {
        self.background.check_open()?;
        verify::verify(&self.versions.view())
    }

    /// The names of the logs and tables that make up the store now, without the manifest.
    pub fn live_files(&self) -> Vec<String> {
        let state = self.store.state();
        let logs = state.logs.iter().map(|&id| LOG.name(id));
        logs.chain(state.tables.keys().map(|&id| TABLE.name(id))).collect()
    }

    /// The engine's numbers.
    pub fn statistics(&self) -> LsmStats {
        let (counts, flushes) = (self.committer.counts(), self.flusher.counters());
        let (state, view) = (self.store.state(), self.versions.load_full());
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let facts = || state.tables.values().map(|table| &table.facts);
        LsmStats {
            batches: counts.batches,
            puts: counts.puts,
            deletes: counts.deletes,
            user_bytes: counts.user_bytes,
            log_bytes: counts.log_bytes,
            sync_rounds: self.store.log().syncs(),
            memtable_bytes: view.memtables().map(|memtable| memtable.bytes()).sum(),
            sealed_memtables: view.sealed.len() as u64,
            flushes: count(&flushes.flushes),
            flushed_bytes: count(&flushes.bytes),
            flushes_failed: count(&flushes.failed),
            flush_stalls: count(&flushes.stalls),
            logs: state.logs.len() as u64,
            runs: view.version.runs.len() as u64,
            tables: state.tables.len() as u64,
            table_bytes: facts().map(|facts| facts.len).sum(),
            table_entries: facts().map(|facts| facts.entries).sum(),
            table_tombstones: facts().map(|facts| facts.tombstones).sum(),
            replayed_batches: self.replayed_batches,
            files_unlinked: self.reclaimer.reclaimed(),
        }
    }

    fn commit(
        &self,
        batch: &WriteBatch,
        durability: Durability,
        validate: Option<Validate<'_>>,
    ) -> Result<SequenceNumber> {
        let records: Option<Vec<Record<'_>>> = batch.ops().map(Record::of).collect();
        let records = records.ok_or(Error::Unsupported("expiry"))?;
        self.committer.commit(&records, durability, validate)
    }

    /// Flushes everything, and removes the log. If there is no space for that, the log is made durable.
    fn finish(&self) -> Result<()> {
        let log_end = self.committer.close()?;
        if let Err(error) = self.flusher.flush_all() {
            // The batches stay in the log, and the next opening replays them. The first failure is reported.
            drop(self.store.log().sync_to(log_end));
            return Err(error);
        }
        self.wal.close(log_end)?;
        self.store.close()
    }
}

impl Kv for Lsm {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.background.check_open()?;
        // The super version first: see `version`.
        let view = self.versions.load();
        let sequence = self.versions.visible();
        read::get(&view, key, sequence, found)
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        CAPABILITIES.check(batch)?;
        if batch.is_empty() {
            self.background.check_open()?;
            return Ok(self.newest_sequence());
        }
        self.commit(batch, durability, None)
    }

    fn put(&self, key: &[u8], value: &[u8], durability: Durability) -> Result<SequenceNumber> {
        CAPABILITIES.check_entry(key, value)?;
        self.committer.commit(&[Record::put(key, value)], durability, None)
    }

    fn delete(&self, key: &[u8], durability: Durability) -> Result<SequenceNumber> {
        CAPABILITIES.check_entry(key, &[])?;
        self.committer.commit(&[Record::delete(key)], durability, None)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        self.background.check_open()?;
        Ok(Box::new(ViewCursor::new(self.versions.view(), &range)?))
    }

    fn sync(&self) -> Result<()> {
        self.committer.sync()
    }

    fn close(&self) -> Result<()> {
        if !self.background.close() {
            return Ok(());
        }
        let finished = self.finish();
        // Jobs that are still queued find nothing to do.
        let ended = self.background.end_jobs(&self.reclaimer);
        self.store.unlock();
        finished.and(ended)
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn stats(&self) -> Stats {
        self.statistics().into()
    }
}

impl Snapshots for Lsm {
    /// While a snapshot is held, the memtables and tables that it sees stay in memory and on disk.
    fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        self.background.check_open()?;
        Ok(Box::new(LsmSnapshot(self.versions.view())))
    }
}

impl Drop for Lsm {
    /// Jobs that are running end after their next step. Cursors and snapshots live on; the lock does not.
    fn drop(&mut self) {
        self.store.abandon();
        self.background.close();
        self.reclaimer.abandon();
    }
}

impl fmt::Debug for Lsm {
    /// A summary, without keys and values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lsm")
            .field("path", &self.store.path())
            .field("is_closed", &self.background.is_closed())
            .finish_non_exhaustive()
    }
}
