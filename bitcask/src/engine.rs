//! The engine: composes the components of an open store, and implements the contract of [`kv`] on top of them.

mod statistics;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use durable::background::{Performer, performer};
#[cfg(doc)]
use kv::ScanSupport;
use kv::{
    Capabilities, Cursor, Durability, Error, KeyRange, Kv, Result, SequenceNumber, Snapshot,
    Snapshots, Stats, WriteBatch,
};

use crate::background::{Background, Task};
use crate::capabilities::CAPABILITIES;
use crate::committer::Committer;
use crate::components::{Components, Data};
use crate::file_set::FileSet;
use crate::merge::Merger;
use crate::options::Options;
use crate::reader::Reader;
use crate::record::RecordWriter;
use crate::recovery::{self, Recovered};
use crate::rotation::Rotation;
use crate::snapshot::BitcaskSnapshot;
use crate::store::Store;
use crate::verify::{self, Verification};

/// An open store. See the [crate].
///
/// Dropping it without [`Kv::close`] leaves the store as after a `kill -9`: nothing that was acknowledged as `Buffered`
/// is lost, and the next opening reads the last data file again.
pub struct Bitcask {
    parts: Components,
    committer: Arc<Committer>,
    merger: Arc<Merger>,
    /// Data files that were read whole when the store was opened, because they had no hint that counts.
    files_scanned_at_open: u64,
}

impl Bitcask {
    /// Opens the store in the directory `path`, and creates it if there is none and the options say so.
    ///
    /// Everything that a crash left is recovered and made durable before this returns. A file that is damaged in a way
    /// no crash explains is an error, and then nothing was changed.
    ///
    /// # Errors
    /// `Locked` when the store is open, in this process or another one; `Corruption`, naming file and offset;
    /// `InvalidArgument` for an empty path, and for a store of another engine or a newer format; `Io`, with `NotFound` when
    /// there is no store and none is to be created.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        check_path(path.as_ref())?;
        let data_file_bytes = options.data_file_bytes;
        let options = options.data_file_bytes(data_file_bytes);
        let recovered = recovery::recover(path.as_ref(), &options)?;
        let engine = Self::compose(&options, recovered);
        let background = &engine.parts.background;
        engine.parts.store.refill_reserve();
        background.request(Task::Merge);
        background.request(Task::PopulateFile);
        Ok(engine)
    }

    /// Opens the store in the directory `path` for reading. The store may have a writer, in this process or another one of
    /// the same machine, or none. Nothing is written, created, locked or removed. So the last writer may have been killed,
    /// and the disk may be full or read-only.
    ///
    /// The reader shows a prefix of the writes, in whole batches: every write that was acknowledged before the call, and
    /// perhaps writes that were made during the call. Some of them may not be durable: a power cut may lose a write that the
    /// reader has shown, even a synced write that its writer still waits for.
    ///
    /// The reader copies the log into memory, that is, the data files that the writer has not sealed yet. Those are the
    /// active file, the prepared one, and the full ones that wait to be sealed: none or one as a rule, and at most 12.
    /// Sealed files are mapped or held open.
    ///
    /// Only the options for reading have an effect.
    ///
    /// # Errors
    /// `Io`, with `NotFound` when there is no store; `Corruption`, naming file and offset; `InvalidArgument` for an empty
    /// path, and for a store of another engine or a newer format.
    pub fn open_read_only(path: impl AsRef<Path>, options: Options) -> Result<Reader> {
        check_path(path.as_ref())?;
        Reader::open(path.as_ref(), options)
    }

    fn compose(options: &Options, recovered: Recovered) -> Self {
        let Recovered { dir, manifest, reserves, keydir, files, registry, next_file_id, .. } =
            recovered;
        let (env, steps) = (options.env.clone(), options.steps.clone());
        let store = Arc::new(Store::new(env, steps, dir, manifest, reserves));
        let data = Data { keydir, files, registry, next_file_id };
        let parts = Components::new(options, store, data);
        let committer = Committer::new(parts.clone(), options.undo_bytes, recovered.newest);
        let committer = Arc::new(committer);
        let merger = Arc::new(Merger::new(parts.clone(), Arc::clone(&committer), options));
        parts.background.register(performers(options, &parts, &merger));
        Self { parts, committer, merger, files_scanned_at_open: recovered.files_scanned }
    }

    /// Merges everything that wastes anything, the newest writes included, and returns when it is done: no overwritten,
    /// expired or deleted record is left, and no tombstone. Needs as much free space as the live records of the files that
    /// waste something. With less, it first merges the files that pass the thresholds of
    /// [`MergeOptions`](crate::MergeOptions), as many at a time as fit. Reads and writes go on meanwhile. Without calling
    /// it, merges happen in the background.
    ///
    /// # Errors
    /// `Io`, with `StorageFull` when there is no space: merges of some files may be done. `Corruption` of a data file, naming
    /// file and offset: reads and writes go on. If the file was not sealed yet, each further merge and the close return
    /// this error, and the next opening refuses the store; copy the store before it is closed. `Poisoned`. `Closed`, also
    /// when the store is closed meanwhile.
    pub fn merge(&self) -> Result<()> {
        self.parts.background.check_open()?;
        self.merger.merge_all()
    }

    /// The number of the newest write that was found when the store was opened, or made since.
    pub fn newest_sequence(&self) -> SequenceNumber {
        SequenceNumber(self.committer.published())
    }

    /// Reads every sealed file and checks it against the manifest, and every key against its record, also in files that are
    /// not sealed yet.
    ///
    /// # Errors
    /// The first `Corruption` found; `Io`; `Closed`; `SnapshotTooOld`, which is no fault of the store, when writes during the
    /// call outgrew [`Options::undo_bytes`].
    pub fn verify(&self) -> Result<Verification> {
        self.parts.background.check_open()?;
        verify::verify(&self.parts.store, &self.freeze()?)
    }

    /// A view of everything that is visible now.
    fn freeze(&self) -> Result<BitcaskSnapshot> {
        let view = self.committer.open_view()?;
        Ok(BitcaskSnapshot {
            view,
            keydir: Arc::clone(&self.parts.keydir),
            files: self.parts.files.shared(),
        })
    }

    fn finish(&self) -> Result<()> {
        self.merger.give_up();
        self.committer.close()?;
        let sealed = self.parts.sealer.seal_all();
        // With a damaged log all else is closed, and the damage is returned.
        if sealed.as_ref().is_err_and(|error| !error.is_corruption()) {
            return sealed;
        }
        self.parts.rotation.close()?;
        if cfg!(debug_assertions) {
            self.committer.assert_live_counts();
        }
        self.parts.store.close()?;
        sealed
    }
}

/// Refuses an empty path, for which file systems report a missing file without a name.
fn check_path(path: &Path) -> Result<()> {
    if path.as_os_str().is_empty() {
        return Err(Error::InvalidArgument("the path of the store is empty".into()));
    }
    Ok(())
}

/// Who performs which task. Without options for merging nobody merges in the background.
fn performers(
    options: &Options,
    parts: &Components,
    merger: &Arc<Merger>,
) -> Vec<(Task, Performer)> {
    let mut performers = vec![
        (Task::PrepareFile, performer(&parts.rotation, Rotation::prepare)),
        // An error has poisoned the store; the next write reports it.
        (Task::SealFile, performer(&parts.sealer, |sealer| drop(sealer.seal_oldest()))),
        (Task::PopulateFile, populate_performer(&parts.files, &parts.background)),
    ];
    if options.merge.is_some() {
        performers.push((Task::Merge, performer(merger, Merger::merge_in_background)));
    }
    performers
}

/// Prepares one file after the other, each in a job of its own, so that urgent work waits for one of them at most.
fn populate_performer(files: &Arc<FileSet>, background: &Arc<Background>) -> Performer {
    let (files, background) = (Arc::downgrade(files), Arc::downgrade(background));
    Box::new(move || {
        if let (Some(files), Some(background)) = (files.upgrade(), background.upgrade())
            && !background.is_closed()
            && files.populate_next()
        {
            background.request(Task::PopulateFile);
        }
    })
}

impl Kv for Bitcask {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.parts.background.check_open()?;
        loop {
            let version = self.parts.keydir.get(key);
            self.committer.wait_unless_older(version.map(|version| version.sequence));
            let Some(version) = version else { return Ok(false) };
            // The table has a file before the keydir names it. So the table that is loaded after the look-up has the file,
            // unless a merge has taken it out in between: then the keydir names another place by now.
            let files = self.parts.files.load();
            let read = match files.get(version.location.file) {
                Some(file) => {
                    file.read_value(version.location, key, &|| self.parts.store.now(), found)
                }
                None => Err(Error::corruption(self.parts.store.path(), 0, "a data file is gone")),
            };
            if read.is_ok() || self.parts.keydir.get(key) == Some(version) {
                return read;
            }
        }
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        self.capabilities().check(batch)?;
        if batch.is_empty() {
            self.parts.background.check_open()?;
            return Ok(self.newest_sequence());
        }
        let ops: Vec<RecordWriter<'_>> = batch.ops().map(RecordWriter::from).collect();
        self.committer.commit(&ops, durability)
    }

    fn put(&self, key: &[u8], value: &[u8], durability: Durability) -> Result<SequenceNumber> {
        self.capabilities().check_entry(key, value)?;
        self.committer.commit(&[RecordWriter::put(key, value)], durability)
    }

    fn delete(&self, key: &[u8], durability: Durability) -> Result<SequenceNumber> {
        self.capabilities().check_entry(key, &[])?;
        self.committer.commit(&[RecordWriter::delete(key)], durability)
    }

    /// Visits every key of the store: see [`ScanSupport::Sorting`].
    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        range.check()?;
        Ok(Box::new(self.freeze()?.cursor(&range)?))
    }

    fn sync(&self) -> Result<()> {
        self.committer.sync()
    }

    fn close(&self) -> Result<()> {
        if !self.parts.background.close() {
            return Ok(());
        }
        let finished = self.finish();
        // Jobs that are still queued find the store closed, and do nothing.
        let ended = self.parts.background.end_jobs(self.parts.files.registry().reclaimer());
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

impl Snapshots for Bitcask {
    /// While a snapshot is held, the places of overwritten records are kept in memory, inside [`Options::undo_bytes`]. Data
    /// files that merges replace stay on disk.
    fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(self.freeze()?))
    }
}

impl Drop for Bitcask {
    /// Jobs that are running end after their next step. Cursors and snapshots live on; the lock does not.
    fn drop(&mut self) {
        self.parts.store.abandon();
        self.parts.background.close();
        self.parts.files.registry().reclaimer().abandon();
    }
}

impl fmt::Debug for Bitcask {
    /// A summary, without keys and values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bitcask")
            .field("path", &self.parts.store.path())
            .field("is_closed", &self.parts.background.is_closed())
            .field("keys", &self.parts.keydir.len())
            .finish_non_exhaustive()
    }
}
