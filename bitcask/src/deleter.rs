//! The end of data files: what a merge took out of the manifest is unlinked once nobody reads it any more.
//!
//! Every form in which a file is read shares one [`Life`]. A merge *retires* the life after its edit is durable; when the
//! last reader lets go of the file, be it a get, a cursor or a snapshot, the id is queued here, and a background job
//! removes the hint and then the data. So no reader ever waits for an unlink, and none finds its file gone. What is
//! still read when the store is closed, and all that is left when the process dies, is removed at the next opening, because
//! the manifest does not name it.
//!
//! The file's number in the keydir is free again by then: nobody holds a version that names it, or finds out when the
//! frame it reads is not the one it expects. Numbers are used again as late as possible all the same.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use durable::store_dir::StoreDir;
use durable::sync::Mutex;
use durable::sync::atomic::{AtomicBool, AtomicU64};
use durable::{Executor, JobClass, JobGroup};

use crate::files::{DATA, HINT};
use crate::first_expiry::FirstExpiry;
use crate::keydir::Location;

/// Removes the files of lives that have ended.
#[derive(Debug)]
pub(crate) struct Deleter {
    weak: Weak<Self>,
    /// `None` once the store is closed or dropped: whoever still reads must not keep its lock.
    dir: Mutex<Option<StoreDir>>,
    /// Its jobs. A panic of one shows when the store is closed.
    pub(crate) jobs: JobGroup,
    ended: Mutex<Vec<u64>>,
    numbers: Mutex<Numbers>,
    unlinked: AtomicU64,
}

/// The numbers of data files in the keydir.
#[derive(Debug, Default)]
struct Numbers {
    /// No file has had this one or a higher one.
    next: u16,
    /// Given back, oldest first.
    free: VecDeque<u16>,
}

/// Numbers that the keydir can hold.
pub(crate) const MAX_FILES: usize = u16::MAX as usize - 1;

impl Deleter {
    pub(crate) fn new(dir: StoreDir, executor: Arc<dyn Executor>) -> Arc<Self> {
        Arc::new_cyclic(|weak| Self {
            weak: weak.clone(),
            dir: Mutex::new(Some(dir)),
            jobs: JobGroup::new(executor, |_| ()),
            ended: Mutex::default(),
            numbers: Mutex::default(),
            unlinked: AtomicU64::new(0),
        })
    }

    /// The life of data file `id`, with a number of its own. `None`: there are no numbers left.
    pub(crate) fn begin_life(self: &Arc<Self>, id: u64) -> Option<Arc<Life>> {
        let mut numbers = self.numbers.lock();
        let number = if usize::from(numbers.next) < MAX_FILES {
            numbers.next += 1;
            numbers.next - 1
        } else {
            numbers.free.pop_front()?
        };
        let deleter = Arc::clone(self);
        let (live, first_expiry) = (Live::default(), FirstExpiry::default());
        let retired = AtomicBool::new(false);
        Some(Arc::new(Life { id, number, live, first_expiry, retired, deleter }))
    }

    /// Leaves whatever ends from now on to the next opening.
    pub(crate) fn stop(&self) {
        *self.dir.lock() = None;
    }

    /// How many data files it has removed.
    pub(crate) fn unlinked(&self) -> u64 {
        self.unlinked.load(Ordering::Relaxed)
    }

    fn end(&self, life: &Life) {
        self.numbers.lock().free.push_back(life.number);
        if life.retired.load(Ordering::Acquire) {
            self.ended.lock().push(life.id);
            let weak = self.weak.clone();
            self.jobs.submit(JobClass::Bulk, "bitcask-unlink", move || {
                if let Some(deleter) = weak.upgrade() {
                    deleter.unlink();
                }
            });
        }
    }

    /// Removes what has ended so far.
    pub(crate) fn unlink(&self) {
        let dir = self.dir.lock();
        let Some(dir) = &*dir else { return };
        let ended = std::mem::take(&mut *self.ended.lock());
        for id in ended {
            if dir.check_in_place().is_err() {
                return;
            }
            for name in [HINT.name(id), DATA.name(id)] {
                // What cannot be removed now is removed at the next opening.
                drop(dir.fs().remove(&dir.file(&name)));
            }
            self.unlinked.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What all forms of one data file share; it ends with the last of them.
#[derive(Debug)]
pub(crate) struct Life {
    id: u64,
    /// The number of the file in the keydir.
    pub(crate) number: u16,
    /// How much of the file the keydir names.
    pub(crate) live: Live,
    /// When the first put of the file expires.
    pub(crate) first_expiry: FirstExpiry,
    retired: AtomicBool,
    deleter: Arc<Deleter>,
}

impl Life {
    /// The id of the data file.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The manifest no longer names the file, durably: it goes with its last reader.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.deleter.end(self);
    }
}

/// How much of a data file the keydir names.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) records: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

impl Live {
    pub(crate) fn add(&self, location: Location) {
        self.records.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(location.len, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, location: Location) {
        self.records.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(location.len, Ordering::Relaxed);
    }
}
