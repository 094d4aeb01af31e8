//! Reading a store beside its writer.
//!
//! A reader takes no lock and changes nothing on the disk: all its calls go through a file system that refuses changes
//! ([`ReadOnlyFs`]). It shows one moment of the store until [`Reader::refresh`] moves it to a later moment.
//!
//! A moment is a view like that of a scan: tables, memtables, and the number of the newest batch. The tables are those that
//! the manifest names. The memtables hold the batches of the log that no table has; the reader reads the log into memtables
//! of its own, as recovery does. [`durable::beside_writer`] says how a moment is loaded while a writer changes the files. The
//! reader cannot pin tables, so it opens all of them at once; then an unlink by the writer does no harm.
//!
//! **A refresh** loads the next moment and puts it in the place of the present one. It keeps the tables that both have, and
//! reads the whole log again. If the manifest is the same and the log has not grown, it does nothing else. If it fails, the
//! reader goes on as before.
//!
//! **What is shown.** A moment has every batch that was acknowledged before the refresh began, and no batch without all
//! earlier ones. It may have batches that are not durable yet, or not acknowledged: a reader sees what is in the log, and does
//! not know how far the writer has synced it. A power cut may lose these, and the next opening gives their numbers to other
//! batches. So after another opening a refresh keeps no table, and may show an earlier state.
//!
//! **Time.** A value that expires is gone when the reader's clock says so, also between two refreshes. The clock is at least as
//! late as the writer's at its last edit: it is raised before a moment is shown, so no value comes back that a compaction of
//! this moment has taken for expired.
//!
//! All reads of a moment use one immutable value, so none of them waits, and cursors and snapshots outlive refreshes.

mod moment;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use durable::manifest::Manifest;
use durable::store_dir::{OpenMode, StoreDir};
use durable::sync::atomic::{AtomicBool, Ordering};
use durable::sync::{Mutex, Published};
use durable::{MonotonicClock, ReadOnlyFs};
use kv::{
    Capabilities, Cursor, Durability, Error, KeyRange, Kv, Result, SequenceNumber, Snapshot,
    Snapshots, Stats, UnixMillis, WriteBatch,
};

use crate::capabilities::CAPABILITIES;
use crate::expiring::ReadTime;
use crate::options::Options;
use crate::read::{self, ViewCursor};
use crate::state::State;
use crate::statistics::LsmStats;
use crate::verify::{self, Verification};
use crate::version::View;
use moment::{Moment, Progress};

/// A store that is open for reading only: [`Lsm::open_read_only`](crate::Lsm::open_read_only).
///
/// Between two calls of [`Reader::refresh`] all reads see one state of the store. Writes are refused as `ReadOnly`.
pub struct Reader {
    options: Options,
    dir: StoreDir,
    moment: Published<Moment>,
    /// At least the time of every moment that was shown.
    clock: MonotonicClock,
    /// How far the reader has read. Held during a refresh, so one refresh at a time changes `moment`.
    progress: Mutex<Progress>,
    closed: AtomicBool,
}

impl Reader {
    /// Opens the store in the directory `path`: see [`Lsm::open_read_only`](crate::Lsm::open_read_only).
    ///
    /// # Errors
    /// As there.
    pub(crate) fn open(path: &Path, options: Options) -> Result<Self> {
        let options = options.clamped();
        let fs = Arc::new(ReadOnlyFs::new(Arc::clone(&options.env.fs)));
        let dir = StoreDir::open(fs, path, OpenMode::Read)?;
        Manifest::<State>::check_exists(&dir)?;
        let (moment, progress) = Moment::load(&dir, &options, None)?;
        let clock =
            MonotonicClock::new(Arc::clone(&options.env.clock), UnixMillis(moment.view.now));
        let (moment, progress) = (Published::new(Arc::new(moment)), Mutex::new(progress));
        Ok(Self { options, dir, moment, clock, progress, closed: AtomicBool::new(false) })
    }

    /// Moves to the present state of the store, and returns its newest batch. Until the refresh is done, reads see the state
    /// before. A refresh that fails changes nothing.
    ///
    /// It reads the manifest, the log, and the tails of the tables that are new. If nothing was written, it reads only the
    /// manifest and the place of the next frame in each segment that a writer may append to.
    ///
    /// # Errors
    /// As [`Lsm::open_read_only`](crate::Lsm::open_read_only); `InvalidArgument` when another store is in the place of the one
    /// that was opened; `Closed`.
    pub fn refresh(&self) -> Result<SequenceNumber> {
        self.check_open()?;
        let mut progress = self.progress.lock();
        // An error means that a writer is changing the files. `beside_writer::load` distinguishes this from damage.
        if !progress.is_unchanged(&self.dir).unwrap_or(false) {
            let before = self.moment.load_full();
            let before = Some((&*before, &*progress));
            let (moment, read) = Moment::load(&self.dir, &self.options, before)?;
            *progress = read;
            self.clock.raise(UnixMillis(moment.view.now));
            self.moment.store(Arc::new(moment));
        }
        Ok(self.newest_sequence())
    }

    /// The newest batch that reads see.
    pub fn newest_sequence(&self) -> SequenceNumber {
        SequenceNumber(self.moment.load().view.sequence)
    }

    /// Reads every table of the state that is shown whole, and checks it against the manifest. Walks over every version of
    /// every key.
    ///
    /// # Errors
    /// The first `Corruption` found; `Io`, with `NotFound` when a writer has removed a table since the last refresh; `Closed`.
    pub fn verify(&self) -> Result<Verification> {
        verify::verify(&self.view()?)
    }

    /// The numbers of the state that is shown. The counters of writes and background work are 0.
    pub fn statistics(&self) -> LsmStats {
        self.moment.load().statistics()
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// The present moment at the present time, to keep.
    fn view(&self) -> Result<View> {
        self.check_open()?;
        let view = self.moment.load().view.clone();
        let now = self.clock.now().0;
        debug_assert!(now >= view.now, "the clock was raised before the moment was shown");
        Ok(View { now, ..view })
    }
}

impl Kv for Reader {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.check_open()?;
        let moment = self.moment.load();
        let View { super_version, sequence, .. } = &moment.view;
        read::get(super_version, key, *sequence, ReadTime::Now(&self.clock), found)
    }

    /// # Errors
    /// `ReadOnly`; `Closed`.
    fn write(&self, _: &WriteBatch, _: Durability) -> Result<SequenceNumber> {
        self.check_open()?;
        Err(Error::ReadOnly)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        Ok(Box::new(ViewCursor::new(self.view()?, &range, None)?))
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

/// A moment that goes on answering when the reader is refreshed, closed or dropped. It keeps its memtables and tables.
#[derive(Debug)]
struct ReaderSnapshot(View);

impl Snapshot for ReaderSnapshot {
    fn sequence(&self) -> SequenceNumber {
        SequenceNumber(self.0.sequence)
    }

    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let time = ReadTime::At(self.0.now);
        read::get(&self.0.super_version, key, self.0.sequence, time, found)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        Ok(Box::new(ViewCursor::new(self.0.clone(), &range, None)?))
    }
}

impl Snapshots for Reader {
    /// A snapshot shows the same state when the reader is refreshed. It keeps the tables of that state open.
    fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(ReaderSnapshot(self.view()?)))
    }
}

impl fmt::Debug for Reader {
    /// A summary, without keys and values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("path", &self.dir.path())
            .field("newest", &self.newest_sequence())
            .finish_non_exhaustive()
    }
}
