//! Reading a store beside its writer.
//!
//! A reader takes no lock and changes nothing on the disk: everything it does goes through a file system that refuses to
//! ([`ReadOnlyFs`]). It shows one moment of the store until [`Reader::refresh`] moves it to a later one. What a
//! moment is, and how a live writer is kept from spoiling it, stands in `reader/reading.rs`.
//!
//! # Refreshing
//!
//! A refresh reads the manifest, the log, and the sealed files that were not there before, into a keydir of its own: of
//! each key it has the newest of these records, deletions included. Nothing is shown yet, and if anything fails, nothing
//! ever is. Then it goes into the keydir that is shown. Let *n* be the newest write that was shown and *m* the newest now.
//!
//! 1. A record above *n* is taken in: a put replaces, a deletion removes.
//! 2. A put up to *n* only *relocates*: if its number is that of the version that is shown, it is a copy that a merge
//!    made, and the key is sent to it. Otherwise it was dead at *n* already, for what is shown is the newest up to *n*; it
//!    may be older than a deletion that the keydir has long forgotten, and must not come back.
//! 3. A deletion up to *n* was taken in when it was new. Or it is a put that has expired and that a merge has made a
//!    deletion of, with the same number: see 4.
//! 4. Then each key whose record lies in a file that the manifest does not name any more is removed, as of *m*.
//!
//! Let *k* be a key, and *w* the newest write of it up to *m*. The result must be that of *w*.
//!
//! - *w* is above *n*, and its record is in the files: then it is in those that were read, because the others held only
//!   records up to *n*; and it is the newest of *k* there. Rule 1.
//! - *w* is above *n*, and a merge has forgotten it. Merges forget no put but an expired one, so *k* is to be absent. A
//!   deletion, and an expired put, is forgotten only when no put of its key is in any older file outside that merge, dead
//!   or alive. So the file with the record that is shown was an input of that merge or had gone before, and ids of files
//!   do not come back. Rule 4; and what older records of *k* are in the files can be deletions only.
//! - *w* is not above *n*: then it is what is shown of *k*. Is it a put whose record a merge has moved, then the output
//!   was read now, because the manifest that brought the output took the input away. Rule 2. Is it one that has expired,
//!   and a merge has dropped it, then it is shown to nobody; it goes with its file, by rule 4.
//!
//! Where *m* is *n*, nothing is above *n*, and rule 4 is left for later: it could only meet expired puts, and views as of
//! *n* may have a time at which they had not. Their files stay open until then.
//!
//! A file of the log keeps its number, also when it has been sealed meanwhile, and the keys in it their places. So of the
//! log only what is above *n* is taken in.
//!
//! **What makes a refresh start over from nothing.** All of this needs that no write was lost that was shown. A power cut
//! may take writes that were not synced, and the next opening gives their numbers to others. Each opening has an epoch
//! of its own, so a refresh that finds another epoch, or fewer edits or writes than before, loads the whole store anew. What it
//! shows then may be an earlier state than before, as it is for everybody else.
//!
//! # Readers of the same handle
//!
//! What is shown is one pointer. While a refresh changes the keydir, a view at *n* is open, so that undo lists keep what a
//! reader at *n* needs, and gets look keys up as of *n* in them, as snapshots do. Then the pointer is exchanged, and the
//! view closed. A get that has seen the old pointer looks whether it still holds *after* its look-up, and a view is opened
//! by looking after its registration; if not, they do it again. Nobody waits for a refresh.

mod reading;
mod shown;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use durable::ReadOnlyFs;
use durable::manifest::Manifest;
use durable::store_dir::{OpenMode, StoreDir};
use durable::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use durable::sync::{Mutex, Published};
use kv::{
    Capabilities, Cursor, Durability, Error, KeyRange, Kv, Result, SequenceNumber, Snapshot,
    Snapshots, Stats, UnixMillis, WriteBatch,
};

use crate::engine::{Bitcask, CAPABILITIES};
use crate::options::Options;
use crate::recovery::inventory::Inventory;
use crate::snapshot::BitcaskSnapshot;
use crate::state::State;
use crate::stats::BitcaskStats;
use reading::{Extent, Progress, Reading};
use shown::Shown;

/// A store that is open for reading only: [`Bitcask::open_read_only`].
///
/// Between two calls of [`Reader::refresh`] all reads see one state of the store. Writes are refused as `ReadOnly`.
pub struct Reader {
    options: Options,
    dir: StoreDir,
    shown: Published<Shown>,
    /// Held while a refresh goes on.
    progress: Mutex<Progress>,
    closed: AtomicBool,
    /// The latest time that was read, by this reader or by a writer before its last edit, in milliseconds.
    latest: AtomicU64,
}

impl Bitcask {
    /// Opens the store in the directory `path` for reading, beside a writer in this process or another one of the same
    /// machine, or without one. Nothing is written, created, locked or removed, so the store may have been killed, or lie
    /// on a disk that is full or read-only.
    ///
    /// What is shown is a prefix of the writes, in whole batches: all that were acknowledged before the call, and perhaps
    /// some that were made meanwhile. Not all of them need be durable: a power cut may take what a reader has shown, also a
    /// synced write that its writer is still waiting for.
    ///
    /// The log, which is what the writer has not sealed yet, is copied into memory: one or two data files as a rule, and
    /// never more than seven. Sealed files are mapped, or held open.
    ///
    /// Of the options, those count that say how to read.
    ///
    /// # Errors
    /// `Io`, with `NotFound` when there is no store; `Corruption`, naming file and offset; `InvalidArgument` for a store
    /// of another engine or a newer format.
    pub fn open_read_only(path: impl AsRef<Path>, options: Options) -> Result<Reader> {
        let fs = Arc::new(ReadOnlyFs::new(Arc::clone(&options.env.fs)));
        let dir = StoreDir::open(fs, path.as_ref(), OpenMode::Read)?;
        check_is_store(&dir)?;
        let (reading, _) = Reading::take(&dir, &options, None)?;
        let latest = AtomicU64::new(reading.state.latest_time);
        let (shown, progress) = Shown::whole(reading, &options, dir.path())?;
        Ok(Reader {
            options,
            dir,
            shown: Published::new(Arc::new(shown)),
            progress: Mutex::new(progress),
            closed: AtomicBool::new(false),
            latest,
        })
    }
}

/// Says of a directory without a store that it is one.
fn check_is_store(dir: &StoreDir) -> Result<()> {
    if Manifest::<State>::exists(dir)? {
        return Ok(());
    }
    if let Some(id) = Inventory::list(dir)?.data.first() {
        let what = "a data file in a directory without a manifest";
        return Err(Error::corruption(dir.file(&crate::files::DATA.name(*id)), 0, what));
    }
    let nothing = std::io::Error::new(std::io::ErrorKind::NotFound, "there is no store in here");
    Err(Error::io("open", dir.path(), nothing))
}

impl Reader {
    /// Moves to the state that the store has now, or had a moment ago, and returns its newest write. Reads go on meanwhile,
    /// and see the state before until it is done. A refresh that fails changes nothing.
    ///
    /// It reads the manifest, the log, and the keys of the sealed files that have come since. Where nothing was written it
    /// reads the manifest only. When the store was opened by another writer since, it reads everything, as opening does.
    ///
    /// # Errors
    /// As [`Bitcask::open_read_only`]; `Closed`.
    pub fn refresh(&self) -> Result<SequenceNumber> {
        self.check_open()?;
        let mut progress = self.progress.lock();
        let shown = self.shown.load_full();
        // What cannot be found out here is looked at more closely.
        if progress.is_current(&self.dir).unwrap_or(false) {
            return Ok(SequenceNumber(shown.newest));
        }
        let (reading, extent) = Reading::take(&self.dir, &self.options, Some(&progress))?;
        self.latest.fetch_max(reading.state.latest_time, Ordering::AcqRel);
        if extent == Extent::News && shown.can_take(&reading) {
            let publish = |shown| self.shown.store(Arc::new(shown));
            shown.take_in(reading, &mut progress, publish);
            shown.views.shrink_to(self.options.undo_bytes);
        } else {
            let (reading, _) = match extent {
                Extent::Whole => (reading, extent),
                Extent::News => Reading::take(&self.dir, &self.options, None)?,
            };
            let (shown, anew) = Shown::whole(reading, &self.options, self.dir.path())?;
            *progress = anew;
            self.shown.store(Arc::new(shown));
        }
        Ok(self.newest_sequence())
    }

    /// The newest write that is shown.
    pub fn newest_sequence(&self) -> SequenceNumber {
        SequenceNumber(self.shown.load().newest)
    }

    /// The reader's numbers. Those of writing and merging are 0.
    pub fn statistics(&self) -> BitcaskStats {
        let shown = self.shown.load_full();
        BitcaskStats::of_data(&shown.keydir, &shown.files.load(), &shown.views, shown.scanned)
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// The time of day, which in one handle never goes back: what has expired stays so.
    fn now(&self) -> UnixMillis {
        let now = self.options.env.clock.now().0;
        UnixMillis(self.latest.fetch_max(now, Ordering::AcqRel).max(now))
    }

    fn is_shown(&self, shown: &Arc<Shown>) -> bool {
        Arc::ptr_eq(&self.shown.load(), shown)
    }

    /// A view of what is shown now.
    fn freeze(&self) -> Result<BitcaskSnapshot> {
        self.check_open()?;
        loop {
            let shown = self.shown.load_full();
            let view = shown.views.open(shown.newest, || self.now());
            if self.is_shown(&shown) {
                let (keydir, files) = (Arc::clone(&shown.keydir), Arc::clone(&shown.files));
                return Ok(BitcaskSnapshot { view, keydir, files });
            }
        }
    }
}

impl fmt::Debug for Reader {
    /// A summary, without keys and values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.shown.load();
        f.debug_struct("Reader")
            .field("path", &self.dir.path())
            .field("newest", &shown.newest)
            .field("keys", &shown.keydir.len())
            .finish_non_exhaustive()
    }
}

impl Kv for Reader {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.check_open()?;
        loop {
            let shown = self.shown.load();
            let version = shown.keydir.get_at(key, shown.newest);
            if !self.is_shown(&shown) {
                continue;
            }
            let Some(version) = version else { return Ok(false) };
            let files = shown.files.load();
            let read = match files.get(version.location.file) {
                Some(file) => file.read_value(version.location, key, &|| self.now(), found),
                None => Err(Error::corruption(self.dir.path(), 0, "a data file is gone")),
            };
            // A refresh that came between may have let go of the file.
            if read.is_ok() || self.is_shown(&shown) {
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
    /// `ReadOnly`: what is shown may not be durable, and a reader cannot make it so. `Closed`.
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
    /// It goes on showing the same state when the reader is refreshed. What that costs is as for a writer's snapshots.
    fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(self.freeze()?))
    }
}
