//! The engine: an open store, and the contract of [`kv`] on top of it.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use durable::log::{GroupSync, Writer};
use durable::manifest::Manifest;
use durable::store_dir::StoreDir;
use durable::sync::atomic::{AtomicBool, AtomicUsize};
use durable::sync::{Mutex, Published};
use kv::{
    Capabilities, Cursor, Durability, Error, KeyRange, Kv, Result, ScanSupport, SequenceNumber,
    Stats, WriteBatch,
};

use crate::applying::Applying;
use crate::commit::Commit;
use crate::data_file::FileTable;
use crate::keydir::{Collection, Keydir};
use crate::options::Options;
use crate::record::Encoded;
use crate::recovery;
use crate::scan::SortingCursor;
use crate::seal::{NextFile, Unsealed};
use crate::state::{Edit, State};
use crate::stats::{BitcaskStats, Counters};
use crate::verify::Verification;
use crate::views::Views;

/// The longest value, in bytes.
const MAX_VALUE_LEN: usize = 1 << 30;

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
    pub(crate) files: Published<FileTable>,
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
    /// Background jobs that were submitted and have not ended.
    pub(crate) jobs: AtomicUsize,
    closed: AtomicBool,
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
        let recovered = recovery::recover(path.as_ref(), &options)?;
        let sync = Arc::new(GroupSync::new());
        let writer = Writer::new(Arc::clone(&sync));
        let commit = Commit::new(writer, recovered.newest);
        let inner = Arc::new_cyclic(|weak| Inner {
            weak: weak.clone(),
            options,
            dir_path: recovered.dir.path().to_path_buf(),
            dir: recovered.dir,
            manifest: recovered.manifest,
            keydir: recovered.keydir,
            files: Published::new(Arc::new(recovered.files)),
            table_change: Mutex::default(),
            views: Arc::default(),
            sync,
            commit: Mutex::new(commit),
            next_file: Mutex::new(NextFile { prepared: None, id: recovered.next_file_id }),
            unsealed: Mutex::default(),
            sealing: Mutex::default(),
            applying: Applying::default(),
            jobs: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            counters: recovered.counters,
        });
        Ok(Self { inner })
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

    /// The keys in `range` as they are now, and the files that hold their records.
    pub(crate) fn collect(&self, range: &KeyRange) -> Result<(Collection, Arc<FileTable>)> {
        let commit = self.commit.lock();
        if commit.closed {
            return Err(Error::Closed);
        }
        let view = self.views.open(commit.published);
        drop(commit);
        let collection = self.keydir.collect(range, view.sequence);
        let files = self.files.load_full();
        drop(view);
        self.views.with_open(|open| self.keydir.trim(open));
        Ok((collection, files))
    }

    /// Makes an edit of the manifest durable. A failure poisons the store.
    pub(crate) fn edit(&self, edit: &Edit) -> Result<()> {
        let appended = self.dir.check_in_place().and_then(|()| self.manifest.append(edit));
        appended.map_err(|error| self.sync.poison(error))
    }

    /// Ends the active file, seals every file, takes back the prepared one, lets go of the directory.
    fn close(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let finished = self.finish();
        // Work that was queued finds nothing left to do.
        self.options.env.executor.wait_until(&|| self.jobs.load(Ordering::Acquire) == 0);
        self.dir.unlock();
        finished
    }

    fn finish(&self) -> Result<()> {
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
        self.dir.check_in_place()?;
        self.manifest.close()
    }
}

impl Kv for Bitcask {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.inner.check_open()?;
        let found_version = self.inner.keydir.get(key);
        self.inner.applying.wait_unless_older(found_version.map(|version| version.sequence));
        let Some(version) = found_version else { return Ok(false) };
        // The keydir never names a file before the table has it, so a table loaded after the look-up does.
        let files = self.inner.files.load();
        let file = files.get(version.location.file).expect("the keydir names files of the table");
        file.read_value(version.location, key, found).map(|()| true)
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
        let (collection, files) = self.inner.collect(&range)?;
        Ok(Box::new(SortingCursor::new(collection, files)))
    }

    fn sync(&self) -> Result<()> {
        self.inner.sync_all()
    }

    fn close(&self) -> Result<()> {
        self.inner.close()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            scan: ScanSupport::Sorting,
            durability: Durability::Sync,
            expiry: false,
            range_delete: false,
            max_value_len: MAX_VALUE_LEN,
        }
    }

    fn stats(&self) -> Stats {
        self.statistics().into()
    }
}
