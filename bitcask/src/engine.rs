//! The engine: an open store, and the contract of [`kv`] on top of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use durable::log::{GroupSync, Writer};
use durable::manifest::Manifest;
use durable::store_dir::StoreDir;
use durable::sync::atomic::{AtomicBool, AtomicU64};
use durable::sync::{Mutex, Published};
use durable::{JobFailure, JobGroup};
use kv::{
    Capabilities, Cursor, Durability, Error, KeyRange, Kv, Result, ScanSupport, SequenceNumber,
    Snapshot, Snapshots, Stats, UnixMillis, WriteBatch,
};

use crate::applying::Applying;
use crate::commit::Commit;
use crate::data_file::FileTable;
use crate::deleter::Deleter;
use crate::keydir::Keydir;
use crate::merge::Merging;
use crate::options::Options;
use crate::pressure::Pressure;
use crate::record::Encoded;
use crate::recovery;
use crate::seal::{NextFile, Unsealed};
use crate::snapshot::Frozen;
use crate::state::{Edit, State};
use crate::stats::{BitcaskStats, Counters};
use crate::verify::Verification;
use crate::views::Views;

/// The longest value, in bytes.
const MAX_VALUE_LEN: usize = 1 << 30;

/// What the engine can do.
pub(crate) const CAPABILITIES: Capabilities = Capabilities {
    scan: ScanSupport::Sorting,
    durability: Durability::Sync,
    expiry: true,
    range_delete: false,
    max_value_len: MAX_VALUE_LEN,
};

/// An open store. See the [crate](crate).
///
/// Dropping it without [`Kv::close`] leaves the store as after a `kill -9`: nothing that was acknowledged as `Buffered`
/// is lost, and the next opening reads the last data file again.
#[derive(Debug)]
pub struct Bitcask {
    inner: Arc<Inner>,
}

/// What the engine and its background work share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) weak: Weak<Self>,
    pub(crate) options: Options,
    pub(crate) dir_path: PathBuf,
    pub(crate) dir: StoreDir,
    pub(crate) manifest: Manifest<State>,
    pub(crate) keydir: Arc<Keydir>,
    pub(crate) files: Arc<Published<FileTable>>,
    pub(crate) deleter: Arc<Deleter>,
    /// Held while a new file table is made from the old one.
    pub(crate) table_change: Mutex<()>,
    pub(crate) views: Arc<Views>,
    pub(crate) sync: Arc<GroupSync>,
    pub(crate) commit: Mutex<Commit>,
    pub(crate) next_file: Mutex<NextFile>,
    pub(crate) unsealed: Mutex<Unsealed>,
    /// Held while a file is being sealed.
    pub(crate) sealing: Mutex<()>,
    /// The batch that is entering the keydir.
    pub(crate) applying: Applying,
    /// What is merged. Locked before all others.
    pub(crate) merging: Mutex<Merging>,
    /// Data files that a merge has found damaged.
    pub(crate) damaged: Mutex<BTreeSet<u64>>,
    /// A look at what there is to merge is queued.
    pub(crate) merge_is_queued: AtomicBool,
    /// Somebody wanted to merge while another thread was at it.
    pub(crate) merge_was_missed: AtomicBool,
    pub(crate) pressure: Pressure,
    /// Background work. A job that panics poisons the store.
    pub(crate) jobs: JobGroup,
    closed: AtomicBool,
    /// The latest time that was looked at, in milliseconds.
    latest: AtomicU64,
    pub(crate) counters: Counters,
}

impl Bitcask {
    /// Opens the store in the directory `path`, and creates it if there is none and the options say so.
    ///
    /// Everything that a crash left is recovered and made durable before this returns. A file that is damaged in a way
    /// no crash explains is an error, and then nothing was changed.
    ///
    /// # Errors
    /// `Locked` when the store is open, in this process or another one; `Corruption`, naming file and offset;
    /// `InvalidArgument` for a store of another engine or a newer format; `Io`, with `NotFound` when there is no store
    /// and none is to be created.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        let data_file_bytes = options.data_file_bytes;
        let options = options.data_file_bytes(data_file_bytes);
        let recovered = recovery::recover(path.as_ref(), &options)?;
        let sync = Arc::new(GroupSync::new());
        let writer = Writer::new(Arc::clone(&sync));
        let commit = Commit::new(writer, recovered.newest);
        let counters = Counters::default();
        counters.files_scanned_at_open.store(recovered.files_scanned, Ordering::Relaxed);
        let jobs = background_jobs(&options, &sync, recovered.dir.path());
        let inner = Arc::new_cyclic(|weak| Inner {
            weak: weak.clone(),
            options,
            dir_path: recovered.dir.path().to_path_buf(),
            dir: recovered.dir,
            manifest: recovered.manifest,
            views: Views::new(Arc::clone(&recovered.keydir)),
            keydir: recovered.keydir,
            files: Arc::new(Published::new(Arc::new(recovered.files))),
            deleter: recovered.deleter,
            table_change: Mutex::default(),
            sync,
            commit: Mutex::new(commit),
            next_file: Mutex::new(NextFile { prepared: None, id: recovered.next_file_id }),
            unsealed: Mutex::default(),
            sealing: Mutex::default(),
            merging: Mutex::default(),
            damaged: Mutex::default(),
            merge_is_queued: AtomicBool::new(false),
            merge_was_missed: AtomicBool::new(false),
            pressure: Pressure::default(),
            applying: Applying::default(),
            jobs,
            closed: AtomicBool::new(false),
            latest: AtomicU64::new(recovered.latest_time.0),
            counters,
        });
        inner.consider_merging();
        Ok(Self { inner })
    }

    /// Merges everything that wastes anything, the newest writes included, and returns when it is done: no overwritten,
    /// expired or deleted record is left, and no deletion. Needs as much free space as the live records of the files that
    /// waste something. Reads and writes go on meanwhile. Without calling it, merges happen in the background.
    ///
    /// # Errors
    /// `Io`, with `StorageFull` when there is no space: nothing has changed. `Corruption` of a data file; `Poisoned`;
    /// `Closed`.
    pub fn merge(&self) -> Result<()> {
        self.inner.check_open()?;
        self.inner.merge_all()
    }

    /// The engine's numbers.
    pub fn statistics(&self) -> BitcaskStats {
        self.inner.stats()
    }

    /// The number of the newest write that was found when the store was opened, or made since.
    pub fn newest_sequence(&self) -> SequenceNumber {
        SequenceNumber(self.inner.commit.lock().published)
    }

    /// Reads every sealed file and holds it against the manifest, and every key against its record.
    ///
    /// # Errors
    /// The first `Corruption` found; `Io`; `Closed`.
    pub fn verify(&self) -> Result<Verification> {
        self.inner.check_open()?;
        crate::verify::verify(&self.inner)
    }
}

impl Inner {
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closed() { Err(Error::Closed) } else { Ok(()) }
    }

    /// A view of everything that is published now.
    pub(crate) fn freeze(&self) -> Result<Frozen> {
        let commit = self.commit.lock();
        if commit.closed {
            return Err(Error::Closed);
        }
        let view = self.views.open(commit.published, self.now());
        drop(commit);
        Ok(Frozen { view, keydir: Arc::clone(&self.keydir), files: Arc::clone(&self.files) })
    }

    /// The time of day, which in one handle never goes back: what has expired stays so.
    pub(crate) fn now(&self) -> UnixMillis {
        let now = self.options.env.clock.now().0;
        UnixMillis(self.latest.fetch_max(now, Ordering::AcqRel).max(now))
    }

    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        loop {
            let version = self.keydir.get(key);
            self.applying.wait_unless_older(version.map(|version| version.sequence));
            let Some(version) = version else { return Ok(false) };
            // The keydir never names a file before the table has it, so a table loaded after the look-up does, unless a
            // merge came between: then the keydir names another place by now.
            let files = self.files.load();
            let read = match files.get(version.location.file) {
                Some(file) => file.read_value(version.location, key, &|| self.now(), found),
                None => Err(Error::corruption(&self.dir_path, 0, "a data file is gone")),
            };
            if read.is_ok() || self.keydir.get(key) == Some(version) {
                return read;
            }
        }
    }

    /// Makes an edit of the manifest durable. A failure poisons the store.
    pub(crate) fn edit(&self, edit: &Edit) -> Result<()> {
        let latest_time = UnixMillis(self.latest.load(Ordering::Acquire));
        let edit = edit.clone().at(latest_time);
        let appended = self.dir.check_in_place().and_then(|()| self.manifest.append(&edit));
        appended.map_err(|error| self.sync.poison(error))
    }

    /// Ends the active file, seals every file, takes back the prepared one, lets go of the directory.
    fn close(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let finished = self.finish();
        self.deleter.unlink();
        self.deleter.stop();
        // Jobs that are still queued find nothing left to do. One that panics now has poisoned the store, which is closed.
        let ended = self.jobs.wait().and(self.deleter.jobs.check());
        self.dir.unlock();
        finished.and(ended.map_err(|failure| job_failed(&self.dir_path, &failure)))
    }

    /// Makes the latest time durable that was read, where values expire, so that no later opening goes back behind it.
    fn note_time(&self) -> Result<()> {
        let state = self.manifest.state();
        let is_known = state.latest_time().0 >= self.latest.load(Ordering::Acquire);
        if is_known || !state.has_expiring() { Ok(()) } else { self.edit(&Edit::note_time()) }
    }

    fn finish(&self) -> Result<()> {
        self.give_up_merging();
        let mut commit = self.commit.lock();
        commit.closed = true;
        let position = commit.writer.position();
        let ended = commit.writer.end()?;
        drop(commit);
        self.sync.sync_to(position)?;
        if let Some(ended) = ended {
            self.unsealed.lock().push_back(ended);
        }
        while self.seal_oldest()? {}
        let prepared = self.next_file.lock().prepared.take();
        if let Some(prepared) = prepared {
            self.discard(&prepared)?;
        }
        self.note_time()?;
        self.dir.check_in_place()?;
        self.manifest.close()
    }
}

/// The background jobs of a store in the directory `dir`.
fn background_jobs(options: &Options, sync: &Arc<GroupSync>, dir: &Path) -> JobGroup {
    let (sync, dir) = (Arc::clone(sync), dir.to_path_buf());
    JobGroup::new(Arc::clone(&options.env.executor), move |failure| {
        drop(sync.poison(job_failed(&dir, failure)));
    })
}

/// A failed job as an error of the store in the directory `dir`.
pub(crate) fn job_failed(dir: &Path, failure: &JobFailure) -> Error {
    Error::io("run", dir, std::io::Error::other(failure.to_string()))
}

impl Drop for Inner {
    /// Cursors and snapshots may live on; the lock does not.
    fn drop(&mut self) {
        self.deleter.stop();
    }
}

impl Kv for Bitcask {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.inner.check_open()?;
        self.inner.get_with(key, found)
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        self.capabilities().check(batch)?;
        if batch.is_empty() {
            self.inner.check_open()?;
            return Ok(self.newest_sequence());
        }
        let ops: Vec<Encoded<'_>> = batch.ops().map(Encoded::from).collect();
        self.inner.commit(&ops, durability)
    }

    fn put(&self, key: &[u8], value: &[u8], durability: Durability) -> Result<SequenceNumber> {
        self.capabilities().check_entry(key, value)?;
        self.inner.commit(&[Encoded::put(key, value)], durability)
    }

    fn delete(&self, key: &[u8], durability: Durability) -> Result<SequenceNumber> {
        self.capabilities().check_entry(key, &[])?;
        self.inner.commit(&[Encoded::delete(key)], durability)
    }

    /// Visits every key of the store: see [`ScanSupport::Sorting`].
    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        range.check()?;
        Ok(Box::new(self.inner.freeze()?.cursor(&range)?))
    }

    fn sync(&self) -> Result<()> {
        self.inner.sync_all()
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn stats(&self) -> Stats {
        self.statistics().into()
    }
}

impl Snapshots for Bitcask {
    /// While it is held, the places of what is overwritten are kept in memory, inside [`Options::undo_bytes`], and data
    /// files that are merged away stay on disk.
    fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(self.inner.freeze()?))
    }
}
