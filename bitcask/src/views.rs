//! The views that are open, and the files that each holds.
//!
//! A view is opened inside the commit section, so its sequence number is exactly that of the newest published write: a
//! view contains each batch whole or not at all. It fixes the time, too, so that a value that is visible in it stays visible. While it is open
//! - the keydir keeps each version that the view sees and a write replaces, in undo lists (`keydir/undo.rs`);
//! - the view holds the data files that merges take out of the file table: versions in undo lists may lie in them;
//! - merges do not count a value as expired that has not expired for the view.
//!
//! Undo lists have a budget. When they outgrow it, the oldest view is closed by force: it leaves the list at once, its files
//! are given back, and its reads return `SnapshotTooOld`. Its owner finds it missing when it drops the view.
//!
//! The lock of the list of views is held only briefly. Undo lists are released after it. The thread that closes a view
//! releases them all; over the budget, the writers release them in small steps. A file is closed, and unmapped, when its last
//! handle is dropped. So the functions that close a view by force return its files, and the caller drops them outside of
//! its locks.

use std::sync::Arc;

use durable::sync::Mutex;
use durable::sync::atomic::{AtomicBool, Ordering};
use kv::{Error, Result, UnixMillis};

use crate::data_file::{DataFile, FileTable};
use crate::keydir::{Keydir, Location};
use crate::lock_order::Lock;

/// The open views.
#[derive(Debug)]
pub(crate) struct Views {
    keydir: Arc<Keydir>,
    open: Mutex<Vec<Arc<Held>>>,
}

/// The moment that one view sees, and the files that it holds.
#[derive(Debug)]
struct Held {
    sequence: u64,
    now: UnixMillis,
    /// Files that were taken out of the table while the view was open.
    files: Mutex<HeldFiles>,
    given_up: AtomicBool,
}

/// Files that a view holds, or has held.
pub(crate) type HeldFiles = Vec<Arc<DataFile>>;

impl Views {
    pub(crate) fn new(keydir: Arc<Keydir>) -> Arc<Self> {
        Arc::new(Self { keydir, open: Mutex::ranked(Lock::OpenViews.rank(), Vec::new()) })
    }

    /// Opens a view at `sequence`, the newest published write, and the time `now`. Called inside the commit
    /// section.
    ///
    /// The time is read under the lock that [`Views::horizon`] takes. A horizon is never later than the time of a view that
    /// is opened afterwards.
    pub(crate) fn open(self: &Arc<Self>, sequence: u64, now: impl FnOnce() -> UnixMillis) -> View {
        let mut open = self.open.lock();
        let files = Mutex::ranked(Lock::ViewFiles.rank(), Vec::new());
        let given_up = AtomicBool::new(false);
        let held = Arc::new(Held { sequence, now: now(), files, given_up });
        open.push(Arc::clone(&held));
        self.keydir.open_view(sequence);
        debug_assert!(!held.given_up.load(Ordering::Relaxed), "no other thread knows it");
        View { views: Arc::clone(self), held }
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
        debug_assert!(!files.is_empty(), "the caller takes files out");
        for held in self.open.lock().iter() {
            held.files.lock().extend_from_slice(files);
        }
    }

    /// Keeps the undo lists within `budget` bytes, after a batch of `records` has entered. Over the budget, the oldest view is
    /// given up. This batch and the following ones release its versions, in steps in proportion to their own size.
    ///
    /// Returns the files that the view has held. The caller drops them outside of the commit section.
    #[inline]
    #[must_use = "files are closed outside of the commit section"]
    pub(crate) fn keep_within(&self, budget: u64, records: usize) -> HeldFiles {
        if self.keydir.undo_bytes() <= budget {
            return HeldFiles::new();
        }
        // The versions of a view that is closed may be enough.
        let has_closed = self.keydir.has_closed_views();
        let files = if has_closed { HeldFiles::new() } else { self.give_up_the_oldest() };
        self.keydir.release(records.div_ceil(Self::RECORDS_PER_STEP));
        files
    }

    /// A step releases more than a batch of so many records adds.
    const RECORDS_PER_STEP: usize = 8;

    /// As [`Views::keep_within`], but at once. Call it only outside of the commit section.
    pub(crate) fn shrink_to(&self, budget: u64) {
        self.keydir.release_all();
        while self.keydir.undo_bytes() > budget && self.count() > 0 {
            drop(self.give_up_the_oldest());
            self.keydir.release_all();
        }
    }

    /// Closes the oldest view by force. Returns the files that it held.
    fn give_up_the_oldest(&self) -> HeldFiles {
        let mut open = self.open.lock();
        let oldest = open.iter().enumerate().min_by_key(|(_, held)| held.sequence);
        let Some((at, _)) = oldest else { return HeldFiles::new() };
        let held = open.swap_remove(at);
        assert!(open.iter().all(|other| other.sequence >= held.sequence), "the oldest goes first");
        // Before its files go: a read that no longer finds its file finds the flag.
        held.given_up.store(true, Ordering::Release);
        self.keydir.close_view(held.sequence);
        drop(open);
        // The view has left the list, so no merge adds a file any more.
        std::mem::take(&mut *held.files.lock())
    }

    fn close(&self, held: &Arc<Held>) {
        let mut open = self.open.lock();
        let at = open.iter().position(|other| Arc::ptr_eq(other, held));
        debug_assert_eq!(at.is_none(), held.given_up.load(Ordering::Acquire), "closed once");
        if let Some(at) = at {
            open.swap_remove(at);
            self.keydir.close_view(held.sequence);
        }
        drop(open);
        self.keydir.release_all();
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

    /// Whether everything that was read for the view so far can be relied on: versions from undo lists, and the files that
    /// they lie in.
    ///
    /// # Errors
    /// `SnapshotTooOld`: the view was given up.
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

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::keydir::Limits;

    /// The time was read before the lock was taken, and a merge computed a later horizon in between.
    #[test]
    fn the_time_of_a_view_and_the_horizon_are_read_under_one_lock() {
        let views = Views::new(Arc::new(Keydir::new(1, Limits::default())));
        let time = |millis: u64| {
            assert!(views.open.try_lock().is_none(), "the caller holds the lock");
            UnixMillis(millis)
        };
        let view = views.open(1, || time(10));
        assert_eq!(view.now(), UnixMillis(10));
        assert_eq!(views.horizon(|| time(20)), UnixMillis(10), "the view limits it");
        drop(view);
        assert_eq!(views.horizon(|| time(20)), UnixMillis(20));
    }
}
