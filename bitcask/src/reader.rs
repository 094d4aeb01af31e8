//! Reading a store beside its writer.
//!
//! A reader takes no lock and changes nothing on the disk: all its calls go through a file system that refuses changes
//! ([`ReadOnlyFs`]). A reader shows one moment of the store until [`Reader::refresh`] moves it to a later moment.
//! [`durable::beside_writer`] says how a moment is loaded while a writer changes the files.
//!
//! # A refresh
//!
//! Let *n* be the newest write that the reader shows, and *m* the newest write in the store. The refresh reads the
//! manifest, the log, and the sealed files that are new. It loads them into a second keydir, which holds the newest loaded
//! record of each key, tombstones included. If an error occurs up to here, the reader goes on as before. Then the refresh
//! applies the second keydir to the first one, by four rules:
//!
//! 1. A record above *n* is applied: a put replaces the key's record, a tombstone removes the key.
//! 2. A put up to *n* may only *relocate* its key. If its number is that of the key's record, a merge has copied the
//!    record, and the key is pointed at the copy. Otherwise the put was already dead at *n*, and is ignored. A newer record
//!    replaced it, or a tombstone that the keydir has dropped.
//! 3. A tombstone up to *n* changes nothing: it was applied when it was new. Or it stands for an expired put of the same
//!    number, and rule 4 removes the key.
//! 4. Last, each key whose record lies in a file that the manifest no longer names is removed, as of *m*.
//!
//! **Why the rules are right.** Let *k* be a key, and *w* the newest write of *k* up to *m*. The result must be that of
//! *w*.
//!
//! - *w* is above *n*, and its record exists. The files that the refresh skipped hold only records up to *n*. So *w* is the
//!   newest loaded record of *k*. Rule 1 applies it.
//! - *w* is above *n*, and a merge has dropped its record. A merge drops a tombstone or an expired put, so *k* must be
//!   absent. It does so only when no older file outside the merge has a put of *k*, dead or alive. So the file of the shown
//!   record was an input of that merge, or was removed before it. Rule 4 removes *k*. The files that are left can have no
//!   put of *k*, so no other rule brings it back.
//! - *w* is at or below *n*. Then the reader shows *w* already. A merge may have copied its record. Then the refresh has read
//!   the copy, because one edit of the manifest adds the output and removes the input. Rule 2 relocates *k*. If the
//!   record was an expired put and a merge has dropped it, no read returns it any more, and rule 4 removes *k*.
//!
//! If *m* = *n*, rule 4 is skipped until a later refresh. This delays only expired puts. Views at *n* may still read them.
//! The reader keeps their files open until then.
//!
//! A data file keeps its number in the keydir when its writer seals it, so the keys in it keep their locations. Therefore
//! the refresh loads from unsealed files only the records above *n*.
//!
//! **When a refresh loads the whole store.** The rules require that every write that the reader shows is still in the
//! store. A power cut may lose writes that were not synced, and the next opening gives their numbers to other writes. Each
//! opening of the store has its own epoch. So if a refresh finds another epoch, a lower edit number, or *m* < *n*, it loads
//! the whole store. A keydir without room for the new keys also causes a whole load. If the directory holds another store,
//! by its id, the refresh fails and the reader keeps its state. Otherwise, after a whole load, the reader may show an
//! earlier state, as the writer does after the power cut.
//!
//! # Readers of the same handle
//!
//! The state that a handle shows is one pointer ([`ReaderState`]). While a refresh changes the keydir, a view at *n* is
//! open. So the undo lists keep the versions that a get at *n* needs. A get looks its key up as of *n*, as a snapshot
//! does. Then the refresh exchanges the pointer and closes the view.
//!
//! A get loads the pointer, looks the key up, and loads the pointer again. If the pointer has changed, the version may be
//! gone from the undo lists, so the get starts over. It also starts over if reading the record fails and the pointer has
//! changed, because the file may have left the table. A scan does the same around the registration of its view. No call
//! waits for a refresh.
//!
//! A refresh ends by bringing the undo lists back into their budget. So a refresh can close snapshots of a reader, which
//! then return `SnapshotTooOld`.

mod keydir_update;
mod loaded_state;
mod pinned_files;
mod progress;
mod reader_state;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use durable::ReadOnlyFs;
use durable::log::StoreId;
use durable::manifest::Manifest;
use durable::store_dir::{OpenMode, StoreDir};
use durable::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use durable::sync::{Mutex, Published};
use kv::{
    Capabilities, Cursor, Durability, Error, KeyRange, Kv, Result, SequenceNumber, Snapshot,
    Snapshots, Stats, UnixMillis, WriteBatch,
};

use crate::capabilities::CAPABILITIES;
use crate::options::Options;
use crate::snapshot::BitcaskSnapshot;
use crate::state::State;
use crate::stats::BitcaskStats;
use loaded_state::{Extent, LoadedState};
use progress::Progress;
use reader_state::ReaderState;

/// A store that is open for reading only: [`Bitcask::open_read_only`](crate::Bitcask::open_read_only).
///
/// Between two calls of [`Reader::refresh`] all reads see one state of the store. Writes are refused as `ReadOnly`.
pub struct Reader {
    options: Options,
    dir: StoreDir,
    state: Published<ReaderState>,
    /// How far the reader has read. Held during a refresh, so one refresh at a time changes `state`.
    progress: Mutex<Progress>,
    closed: AtomicBool,
    /// The latest time that was read, by this reader or by a writer before its last edit, in milliseconds.
    latest: AtomicU64,
}

impl Reader {
    /// Opens the store in the directory `path`: see [`Bitcask::open_read_only`](crate::Bitcask::open_read_only).
    ///
    /// # Errors
    /// As there.
    pub(crate) fn open(path: &Path, options: Options) -> Result<Self> {
        let fs = Arc::new(ReadOnlyFs::new(Arc::clone(&options.env.fs)));
        let dir = StoreDir::open(fs, path, OpenMode::Read)?;
        Manifest::<State>::check_exists(&dir)?;
        let (loaded, _) = LoadedState::load(&dir, &options, None)?;
        let latest = AtomicU64::new(loaded.state.latest_time);
        let (state, progress) = ReaderState::new(loaded, &options, dir.path())?;
        Ok(Self {
            options,
            dir,
            state: Published::new(Arc::new(state)),
            progress: Mutex::new(progress),
            closed: AtomicBool::new(false),
            latest,
        })
    }

    /// Moves to the present state of the store, and returns its newest write. Until the refresh is done, reads see the
    /// state before. A refresh that fails changes nothing.
    ///
    /// It reads the manifest, the log, and the keys of the sealed files that are new. If nothing was written, it reads only
    /// the manifest and the place of the next frame in each file that a writer may append to. If another writer has
    /// opened the store, it loads the whole store, as opening does.
    ///
    /// # Errors
    /// As [`Bitcask::open_read_only`](crate::Bitcask::open_read_only); `InvalidArgument` when another store is in the place of
    /// the one that was opened; `Closed`.
    pub fn refresh(&self) -> Result<SequenceNumber> {
        self.check_open()?;
        let mut progress = self.progress.lock();
        let state = self.state.load_full();
        // An error means that a writer is changing the files. `beside_writer::load` distinguishes this from damage.
        if progress.is_unchanged(&self.dir).unwrap_or(false) {
            return Ok(SequenceNumber(state.newest));
        }
        let (loaded, extent) = LoadedState::load(&self.dir, &self.options, Some(&progress))?;
        debug_assert_eq!(progress.newest, state.newest, "one refresh at a time");
        let whole = match extent {
            // The newer files are enough: apply them.
            Extent::Newer if state.can_apply(&loaded) => {
                let latest_time = loaded.state.latest_time;
                state.apply(loaded, &mut progress, |state| self.show(state, latest_time));
                state.views.shrink_to(self.options.undo_bytes);
                return Ok(self.newest_sequence());
            }
            // Writes were lost, or the keydir is full: load the whole store.
            Extent::Newer => LoadedState::load(&self.dir, &self.options, None)?.0,
            // Another writer has opened the store, and the whole store is loaded already.
            Extent::Whole => loaded,
        };
        self.check_store(whole.store, progress.store)?;
        let latest_time = whole.state.latest_time;
        let (state, whole_progress) = ReaderState::new(whole, &self.options, self.dir.path())?;
        *progress = whole_progress;
        self.show(state, latest_time);
        Ok(self.newest_sequence())
    }

    /// Makes `state` visible to reads. The time goes first: a value that has expired in `state` is never read from it.
    fn show(&self, state: ReaderState, latest_time: u64) {
        self.latest.fetch_max(latest_time, Ordering::AcqRel);
        self.state.store(Arc::new(state));
    }

    /// Refuses a store other than `own`, the one that was opened: the directory was replaced.
    fn check_store(&self, found: StoreId, own: StoreId) -> Result<()> {
        if found == own {
            return Ok(());
        }
        let path = self.dir.path().display();
        let what = format!(
            "{path}: the directory now holds another store than the one this reader opened"
        );
        Err(Error::InvalidArgument(what))
    }

    /// The newest write that reads see.
    pub fn newest_sequence(&self) -> SequenceNumber {
        SequenceNumber(self.state.load().newest)
    }

    /// The statistics of the reader. The counters of writes and merges are 0.
    pub fn statistics(&self) -> BitcaskStats {
        let state = self.state.load_full();
        BitcaskStats::of_data(&state.keydir, &state.files.load(), &state.views, state.scanned)
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// The time of day. It never goes back in one handle, so a value that has expired stays expired.
    fn now(&self) -> UnixMillis {
        let now = self.options.env.clock.now().0;
        UnixMillis(self.latest.fetch_max(now, Ordering::AcqRel).max(now))
    }

    /// Whether reads still see `state`.
    fn still_shows(&self, state: &Arc<ReaderState>) -> bool {
        Arc::ptr_eq(&self.state.load(), state)
    }

    /// A view of the present state.
    fn freeze(&self) -> Result<BitcaskSnapshot> {
        self.check_open()?;
        loop {
            let state = self.state.load_full();
            let view = state.views.open(state.newest, || self.now());
            // If a refresh has exchanged the state, versions may have been released before the view was opened.
            if self.still_shows(&state) {
                let (keydir, files) = (Arc::clone(&state.keydir), Arc::clone(&state.files));
                return Ok(BitcaskSnapshot { view, keydir, files });
            }
        }
    }
}

impl fmt::Debug for Reader {
    /// A summary, without keys and values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.load();
        f.debug_struct("Reader")
            .field("path", &self.dir.path())
            .field("newest", &state.newest)
            .field("keys", &state.keydir.len())
            .finish_non_exhaustive()
    }
}

impl Kv for Reader {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.check_open()?;
        loop {
            let state = self.state.load();
            let version = state.keydir.get_at(key, state.newest);
            // If a refresh has exchanged the state, the version may be that of a later write.
            if !self.still_shows(&state) {
                continue;
            }
            let Some(version) = version else { return Ok(false) };
            let files = state.files.load();
            let read = match files.get(version.location.file) {
                Some(file) => file.read_value(version.location, key, &|| self.now(), found),
                None => Err(Error::corruption(
                    self.dir.path(),
                    0,
                    "the file table lacks a data file that the keydir names",
                )),
            };
            // If a refresh has exchanged the state, it may have taken the file out of the table.
            if read.is_ok() || self.still_shows(&state) {
                return read;
            }
        }
    }

    /// # Errors
    /// `ReadOnly`; `Closed`.
    fn write(&self, _: &WriteBatch, _: Durability) -> Result<SequenceNumber> {
        self.check_open()?;
        Err(Error::ReadOnly)
    }

    /// Visits every key of the store: see [`kv::ScanSupport::Sorting`].
    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        range.check()?;
        Ok(Box::new(self.freeze()?.cursor(&range)?))
    }

    /// # Errors
    /// `ReadOnly`: the state may not be durable, and a reader cannot make it durable. `Closed`.
    fn sync(&self) -> Result<()> {
        self.check_open()?;
        Err(Error::ReadOnly)
    }

    fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn stats(&self) -> Stats {
        self.statistics().into()
    }
}

impl Snapshots for Reader {
    /// A snapshot shows the same state when the reader is refreshed. It costs the same as a snapshot of a writer.
    fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(self.freeze()?))
    }
}
