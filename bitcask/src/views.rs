//! The frozen views that are open, so that what they still need is kept.
//!
//! A view is registered inside the commit section, so its sequence number is exactly the newest published write: no
//! write is half inside it. It fixes the time, too, so that what is visible in it stays so. While it is open
//! - the keydir keeps what it sees and a write replaces, in undo lists;
//! - it holds the data files that merges take out of the file table: their records may be in those undo lists;
//! - merges do not count as expired what has not expired for it.
//!
//! Undo lists have a budget. When they outgrow it, the oldest views are given up: their lists are dropped, and from then
//! on they answer `SnapshotTooOld`.

use std::sync::Arc;

use durable::sync::Mutex;
use durable::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use kv::{Error, Result, UnixMillis};

use crate::data_file::{DataFile, FileTable};
use crate::keydir::{Keydir, Location, Undo};

/// The open views.
#[derive(Debug)]
pub(crate) struct Views {
    keydir: Arc<Keydir>,
    open: Mutex<Vec<Arc<Held>>>,
    /// The newest open view plus one, or 0 when none is open.
    newest: AtomicU64,
}

/// What one view sees, and what it holds.
#[derive(Debug)]
struct Held {
    sequence: u64,
    now: UnixMillis,
    /// Files that were taken out of the table while it was open.
    files: Mutex<Vec<Arc<DataFile>>>,
    given_up: AtomicBool,
}

impl Views {
    pub(crate) fn new(keydir: Arc<Keydir>) -> Arc<Self> {
        Arc::new(Self { keydir, open: Mutex::default(), newest: AtomicU64::new(0) })
    }

    /// Opens a view at `sequence` and the time that `now` returns. Called inside the commit section.
    ///
    /// The time is read under the lock that [`Views::horizon`] takes: no horizon lies after the time of a view that is
    /// registered later.
    pub(crate) fn open(self: &Arc<Self>, sequence: u64, now: impl FnOnce() -> UnixMillis) -> View {
        let (files, given_up) = (Mutex::default(), AtomicBool::new(false));
        let mut open = self.open.lock();
        let held = Arc::new(Held { sequence, now: now(), files, given_up });
        open.push(Arc::clone(&held));
        self.publish(&open);
        View { views: Arc::clone(self), held }
    }

    /// What a write has to keep. Called inside the commit section.
    pub(crate) fn undo(&self) -> Undo {
        match self.newest.load(Ordering::Acquire) {
            0 => Undo::Forget,
            newest => Undo::KeepFor(newest - 1),
        }
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.open.lock().len()
    }

    /// A record that has expired at this time has expired for every view, open now or opened later: the time of `now`, which
    /// must never go back, or that of the oldest open view.
    pub(crate) fn horizon(&self, now: impl FnOnce() -> UnixMillis) -> UnixMillis {
        let open = self.open.lock();
        open.iter().map(|held| held.now).fold(now(), UnixMillis::min)
    }

    /// Has every open view hold `files`. Called before they leave the file table.
    pub(crate) fn hold(&self, files: &[Arc<DataFile>]) {
        for held in self.open.lock().iter() {
            held.files.lock().extend_from_slice(files);
        }
    }

    /// Gives up the oldest views until the undo lists take at most `budget` bytes.
    pub(crate) fn keep_within(&self, budget: u64) {
        while self.keydir.undo_bytes() > budget {
            let mut open = self.open.lock();
            let oldest = open.iter().enumerate().min_by_key(|(_, held)| held.sequence);
            let Some((at, _)) = oldest else { return };
            open.swap_remove(at).given_up.store(true, Ordering::Release);
            self.publish(&open);
            self.trim(&open);
        }
    }

    fn close(&self, held: &Arc<Held>) {
        let mut open = self.open.lock();
        if let Some(at) = open.iter().position(|other| Arc::ptr_eq(other, held)) {
            open.swap_remove(at);
            self.publish(&open);
            self.trim(&open);
        }
    }

    fn publish(&self, open: &[Arc<Held>]) {
        let newest = open.iter().map(|held| held.sequence + 1).max().unwrap_or(0);
        self.newest.store(newest, Ordering::Release);
    }

    fn trim(&self, open: &[Arc<Held>]) {
        if self.keydir.undo_bytes() > 0 {
            let sequences: Vec<u64> = open.iter().map(|held| held.sequence).collect();
            self.keydir.trim(&sequences);
        }
    }
}

/// An open view; dropping it closes it.
#[derive(Debug)]
pub(crate) struct View {
    views: Arc<Views>,
    held: Arc<Held>,
}

impl View {
    /// The newest write that it contains.
    pub(crate) fn sequence(&self) -> u64 {
        self.held.sequence
    }

    /// The time that it was opened at.
    pub(crate) fn now(&self) -> UnixMillis {
        self.held.now
    }

    /// Whether what was just read from the undo lists can be relied on.
    ///
    /// # Errors
    /// `SnapshotTooOld`.
    pub(crate) fn check(&self) -> Result<()> {
        if self.held.given_up.load(Ordering::Acquire) { Err(Error::SnapshotTooOld) } else { Ok(()) }
    }

    /// The file of a version that the view sees: in `table` as it is after the look-up in the keydir, or among those
    /// that left it since the view was opened. Its number cannot be another file's as long as the view holds it.
    pub(crate) fn file(&self, table: &FileTable, location: Location) -> Option<Arc<DataFile>> {
        let number = location.file;
        let held = || {
            let files = self.held.files.lock();
            files.iter().find(|file| file.handle.number == number).cloned()
        };
        table.get(number).cloned().or_else(held)
    }

    /// A table of all files that the view may need: those of `table` and those that it holds itself.
    pub(crate) fn all_files(&self, table: &Arc<FileTable>) -> Arc<FileTable> {
        let held = self.held.files.lock();
        if held.is_empty() {
            return Arc::clone(table);
        }
        let mut all = FileTable::clone(table);
        held.iter().for_each(|file| all.insert(Arc::clone(file)));
        Arc::new(all)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.views.close(&self.held);
    }
}
