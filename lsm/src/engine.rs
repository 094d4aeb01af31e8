//! The engine: composes the components of an open store, and implements the contract of [`kv`] on top of them.

mod copies;
mod statistics;

use std::fmt;
use std::ops::Bound;
use std::path::Path;

use kv::{
    Capabilities, Cursor, Durability, Error, KeyRange, Kv, Op, Result, SequenceNumber, Snapshot,
    Snapshots, Stats, WriteBatch,
};

use crate::boundary::Boundary;
use crate::capabilities::CAPABILITIES;
use crate::commit::Validate;
use crate::compaction::InvalidOptions;
use crate::components::Components;
use crate::expiring::{self, ReadTime};
use crate::files::{LOG, TABLE};
use crate::options::Options;
use crate::range_tombstones::DeletedRange;
use crate::read::{self, NewestVersion, Pinned, ViewCursor};
use crate::record::Record;
use crate::recovery;
use crate::verify::{self, Verification};

/// An open store. See the [crate].
///
/// Dropping it without [`Kv::close`] leaves the store as after a `kill -9`: nothing that was acknowledged as `Buffered`
/// is lost, and the next opening reads the write-ahead log.
pub struct Lsm {
    parts: Components,
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
        let invalid = |error: InvalidOptions| Error::InvalidArgument(error.to_string());
        let strategy = options.strategy.strategy().map_err(invalid)?;
        let recovered = recovery::recover(path.as_ref(), &options)?;
        Ok(Self { parts: Components::new(&options, strategy, recovered) })
    }

    /// As [`Kv::write`], with a check by the caller. `validate` runs inside the commit section, when the space of the batch
    /// is reserved, with the number that the batch will get. No other batch is committed meanwhile.
    /// [`Lsm::newest_version`] answers inside it, and shows also batches that are not visible yet. If the check fails,
    /// nothing was written and the number goes to another batch. If it succeeds, the batch is written with that number, or
    /// the store is poisoned.
    ///
    /// An empty batch is checked as well, with the number that the next batch would get. It writes nothing, and the number
    /// that is returned is the newest visible one.
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

    /// The newest version of `key`, also if it is not visible yet. `None`: the store has none with a number greater than `above`.
    /// Parts of the store without such numbers are not searched.
    ///
    /// The answer is exact for each `above` that is pinned or retained: a tombstone above it stays, also if it hides nothing.
    ///
    /// # Errors
    /// As [`Kv::get_with`].
    pub fn newest_version(
        &self,
        key: &[u8],
        above: SequenceNumber,
    ) -> Result<Option<NewestVersion>> {
        self.parts.background.check_open()?;
        let newest = read::newest_version(&self.parts.versions.load(), key, above.0)?;
        Ok(newest.map(NewestVersion::of))
    }

    /// The number of the newest visible write.
    pub fn newest_sequence(&self) -> SequenceNumber {
        SequenceNumber(self.parts.versions.visible())
    }

    /// Writes every batch that was written before the call to tables, and returns when they are durable.
    ///
    /// # Errors
    /// `Io`, with `StorageFull` when there is no space: nothing is lost. `Poisoned`, `Closed`.
    pub fn flush(&self) -> Result<()> {
        self.parts.background.check_open()?;
        self.parts.committer.seal()?;
        self.parts.flusher.flush_all()
    }

    /// Flushes, and waits until compactions find nothing more to do, also for an idle device.
    ///
    /// While others write it may return late. Without compaction threads it only flushes.
    ///
    /// # Errors
    /// As [`Lsm::flush`]; why a compaction has failed meanwhile; `Stalled` when nobody runs the background work.
    pub fn settle(&self) -> Result<()> {
        self.flush()?;
        self.parts.compactor.settle()
    }

    /// Flushes, and brings all entries with keys in `range` into one sorted run, without tombstones and older versions
    /// as far as no snapshot needs them. This thread does the work, beside the compactions in the background. What others
    /// write meanwhile is not waited for.
    ///
    /// # Errors
    /// `InvalidArgument` for an inverted range; as [`Lsm::flush`]; why a compaction of the range has failed; `Corruption`
    /// when a damaged table is in the way.
    pub fn compact_range(&self, range: &KeyRange) -> Result<()> {
        range.check()?;
        self.flush()?;
        match self.table_keys_in(range) {
            Some((smallest, largest)) if smallest <= largest => {
                self.parts.compactor.compact_range(&smallest, &largest)
            }
            // No table has a key of the range.
            _ => Ok(()),
        }
    }

    /// The part of `range` between the first and the last key of all tables. Keeps no table: their files go as soon as they
    /// are compacted.
    fn table_keys_in(&self, range: &KeyRange) -> Option<(Boundary, Boundary)> {
        let super_version = self.parts.versions.load_full();
        let tables = || super_version.version.tables();
        let first = tables().map(|table| table.facts.first()).min()?;
        let last = tables().map(|table| table.facts.last()).max()?;
        let smallest = bound(range.start()).map_or(first, |start| Boundary::at(start).max(first));
        let largest = bound(range.end()).map_or(last, |end| Boundary::at(end).min(last));
        Some((smallest.to_owned(), largest.to_owned()))
    }

    /// Keeps every state from batch `sequence` on readable, for [`Lsm::pin_at`], and gives up those before it. A number less than
    /// an earlier one changes nothing. Before the first call, and again when the store is opened anew, no state is kept besides
    /// the pinned ones and the newest one.
    ///
    /// States below the history floor stay unreadable. So to keep every state from now on, name the newest number.
    pub fn retain_from(&self, sequence: SequenceNumber) {
        self.parts.pins.retain_from(sequence.0);
    }

    /// A snapshot of the newest visible state. It keeps at most one version of each key that would be gone otherwise.
    ///
    /// # Errors
    /// `Closed`.
    pub fn pin_newest(&self) -> Result<Pinned> {
        self.parts.background.check_open()?;
        Ok(Pinned::new(self.parts.pins.pin_newest()))
    }

    /// A snapshot of the state after batch `sequence`.
    ///
    /// # Errors
    /// `SnapshotTooOld` if compactions may have dropped versions of that state, also before the last opening;
    /// `InvalidArgument` if the batch is not visible; `Closed`.
    pub fn pin_at(&self, sequence: SequenceNumber) -> Result<Pinned> {
        self.parts.background.check_open()?;
        Ok(Pinned::new(self.parts.pins.pin_at(sequence.0)?))
    }

    /// Reads every table whole and checks it against the manifest, and walks over every version of every key. Writers and flushes
    /// go on meanwhile.
    ///
    /// # Errors
    /// The first `Corruption` found; `Io`; `Closed`.
    pub fn verify(&self) -> Result<Verification> {
        self.parts.background.check_open()?;
        verify::verify(&self.parts.versions.view())
    }

    /// The names of the logs and tables that make up the store now, without the manifest.
    pub fn live_files(&self) -> Vec<String> {
        let state = self.parts.store.state();
        let logs = state.logs.iter().map(|&id| LOG.name(id));
        logs.chain(state.tables.keys().map(|&id| TABLE.name(id))).collect()
    }

    fn commit(
        &self,
        batch: &WriteBatch,
        durability: Durability,
        validate: Option<Validate<'_>>,
    ) -> Result<SequenceNumber> {
        let ranges: Vec<_> = batch.delete_ranges().iter().map(DeletedRange::of).collect();
        let joined: Vec<Vec<u8>> = batch.ops().filter_map(joined).collect();
        let mut joined = joined.iter();
        let ranges = ranges.iter().map(Record::delete_range);
        let entries = batch.ops().map(|op| Record::of(op, &mut joined));
        let records: Vec<Record<'_>> = ranges.chain(entries).collect();
        self.parts.committer.commit(&records, durability, validate)
    }

    /// Flushes everything, and removes the log. If there is no space for that, the log is made durable.
    fn finish(&self) -> Result<()> {
        let log_end = self.parts.committer.close()?;
        if let Err(error) = self.parts.flusher.flush_all() {
            // The batches stay in the log, and the next opening replays them. The first failure is reported.
            drop(self.parts.store.log().sync_to(log_end));
            return Err(error);
        }
        self.parts.wal.close(log_end)?;
        self.parts.store.close()
    }
}

/// The end and the value of an operation that expires.
fn joined(op: Op<'_>) -> Option<Vec<u8>> {
    let Op::PutExpiring { value, expires_at, .. } = op else { return None };
    Some(expiring::join(expires_at.0, value))
}

/// The key at an end of a range, if it has one.
fn bound(bound: Bound<&[u8]>) -> Option<&[u8]> {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => Some(key),
        Bound::Unbounded => None,
    }
}

impl Kv for Lsm {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.parts.background.check_open()?;
        // The super version first: see `version`.
        let view = self.parts.versions.load();
        let sequence = self.parts.versions.visible();
        let now = ReadTime::Now(self.parts.store.clock());
        read::get(&view, key, sequence, now, found)
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        CAPABILITIES.check(batch)?;
        if batch.is_empty() {
            self.parts.background.check_open()?;
            return Ok(self.newest_sequence());
        }
        self.commit(batch, durability, None)
    }

    fn put(&self, key: &[u8], value: &[u8], durability: Durability) -> Result<SequenceNumber> {
        CAPABILITIES.check_entry(key, value)?;
        self.parts.committer.commit(&[Record::put(key, value)], durability, None)
    }

    fn delete(&self, key: &[u8], durability: Durability) -> Result<SequenceNumber> {
        CAPABILITIES.check_entry(key, &[])?;
        self.parts.committer.commit(&[Record::delete(key)], durability, None)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        self.parts.background.check_open()?;
        Ok(Box::new(ViewCursor::new(self.parts.versions.view(), &range, None)?))
    }

    fn sync(&self) -> Result<()> {
        self.parts.committer.sync()
    }

    fn close(&self) -> Result<()> {
        if !self.parts.background.close() {
            return Ok(());
        }
        self.parts.wal.stop_preparing();
        // Compactions give up. A failure shows again below.
        self.parts.compactor.wait_for_callers();
        drop(self.parts.background.wait_for_jobs());
        let finished = self.finish();
        // Jobs that are still queued find nothing to do.
        let ended = self.parts.background.end_jobs(&self.parts.reclaimer);
        self.parts.store.unlock();
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
    /// As [`Lsm::pin_newest`].
    fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(self.pin_newest()?))
    }
}

impl Drop for Lsm {
    /// Jobs that are running end after their next step. Cursors and snapshots live on; the lock does not.
    fn drop(&mut self) {
        self.parts.store.abandon();
        self.parts.background.close();
        self.parts.reclaimer.abandon();
    }
}

impl fmt::Debug for Lsm {
    /// A summary, without keys and values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lsm")
            .field("path", &self.parts.store.path())
            .field("is_closed", &self.parts.background.is_closed())
            .finish_non_exhaustive()
    }
}
