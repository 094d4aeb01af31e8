//! File lifetimes: a file is unlinked after its last reader lets go of it, and files that no manifest names are removed.
//!
//! All handles of one file share a [`FileLifetime`]. The protocol of a file that leaves the store:
//!
//! 1. A manifest edit that no longer names the file becomes durable.
//! 2. The engine calls [`FileLifetime::retire`] and drops its own handles.
//! 3. The last reader drops the lifetime. The file's names enter the queue of the [`FileReclaimer`], which submits a job.
//! 4. The job unlinks the names in the given order, so that a file which depends on another one goes first.
//!
//! No reader waits for an unlink, and no reader finds its file gone. A file that is still read when the store is closed,
//! and every file that is left when the process ends, is an orphan: [`remove_orphans`] removes it at the next opening,
//! because the manifest does not name it. An unlink that fails leaves an orphan, too.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::executor::{Executor, JobClass, JobGroup};
use crate::fs::Entry;
use crate::store_dir::{NamePattern, StoreDir};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Unlinks retired files after their last reader is gone.
#[derive(Debug)]
pub struct FileReclaimer {
    weak: Weak<Self>,
    /// The jobs that unlink files. A panic of one shows when its owner checks the group.
    jobs: JobGroup,
    /// `None` after the store was closed or dropped: readers that live on must not hold its lock. Locked before `queue`,
    /// and held while files are unlinked.
    dir: Mutex<Option<StoreDir>>,
    /// The names of files whose last reader is gone, oldest first.
    queue: Mutex<Vec<Box<[String]>>>,
    stopped: AtomicBool,
    reclaimed: AtomicU64,
}

impl FileReclaimer {
    /// A reclaimer for files in `dir` whose jobs run on `executor`.
    pub fn new(dir: StoreDir, executor: Arc<dyn Executor>) -> Arc<Self> {
        Arc::new_cyclic(|weak| Self {
            weak: weak.clone(),
            jobs: JobGroup::new(executor, |_| ()),
            dir: Mutex::new(Some(dir)),
            queue: Mutex::default(),
            stopped: AtomicBool::new(false),
            reclaimed: AtomicU64::new(0),
        })
    }

    /// The lifetime of a file that has `names` in the directory. They are unlinked in this order.
    ///
    /// # Panics
    /// Without names.
    pub fn track(self: &Arc<Self>, names: impl Into<Box<[String]>>) -> FileLifetime {
        let names = names.into();
        assert!(!names.is_empty(), "a file has a name");
        FileLifetime { names, retired: AtomicBool::new(false), reclaimer: Arc::clone(self) }
    }

    /// How many files were unlinked. A file with several names counts once.
    pub fn reclaimed(&self) -> u64 {
        self.reclaimed.load(Ordering::Relaxed)
    }

    /// The jobs that unlink files.
    pub fn jobs(&self) -> &JobGroup {
        &self.jobs
    }

    /// Unlinks the files in the queue.
    pub fn reclaim(&self) {
        let dir = self.dir.lock();
        if let Some(dir) = &*dir {
            let queue = std::mem::take(&mut *self.queue.lock());
            for names in queue {
                if self.stopped.load(Ordering::Acquire) || dir.check_in_place().is_err() {
                    break;
                }
                for name in &names {
                    // A name that cannot be removed now is an orphan of the next opening.
                    drop(dir.fs().remove(&dir.file(name)));
                }
                self.reclaimed.fetch_add(1, Ordering::Relaxed);
            }
        }
        drop(dir);
        // `abandon` may have found the lock taken: then it has set the flag before, and left the directory to this call.
        if self.stopped.load(Ordering::Acquire) {
            *self.dir.lock() = None;
        }
    }

    /// Lets go of the directory: every file that is retired from now on is left to the next opening. Waits for the file
    /// that is being unlinked.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        *self.dir.lock() = None;
    }

    /// As [`FileReclaimer::stop`], without waiting: a job that unlinks a file lets go of the directory after it.
    pub fn abandon(&self) {
        self.stopped.store(true, Ordering::Release);
        if let Some(mut dir) = self.dir.try_lock() {
            *dir = None;
        }
    }

    fn enqueue(&self, names: Box<[String]>) {
        if self.stopped.load(Ordering::Acquire) {
            return;
        }
        self.queue.lock().push(names);
        let weak = self.weak.clone();
        self.jobs.submit(JobClass::Bulk, "durable-reclaim", move || {
            if let Some(reclaimer) = weak.upgrade() {
                reclaimer.reclaim();
            }
        });
    }
}

/// The lifetime of one file, shared by all who read it. It ends when it is dropped.
pub struct FileLifetime {
    names: Box<[String]>,
    retired: AtomicBool,
    reclaimer: Arc<FileReclaimer>,
}

impl FileLifetime {
    /// The manifest no longer names the file, durably: its last reader takes it along.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }
}

impl Drop for FileLifetime {
    fn drop(&mut self) {
        if self.retired.load(Ordering::Acquire) {
            self.reclaimer.enqueue(std::mem::take(&mut self.names));
        }
    }
}

impl fmt::Debug for FileLifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let retired = self.retired.load(Ordering::Relaxed);
        f.debug_struct("FileLifetime")
            .field("names", &self.names)
            .field("retired", &retired)
            .finish_non_exhaustive()
    }
}

/// Removes the orphans among `entries`, a list of `dir`: regular files whose name follows one of `patterns`, and of which
/// `is_orphan` says so, given the pattern and the number. Files of the first pattern go first. Returns how many names are
/// gone.
///
/// Call it only after the manifest was opened for writing: its new generation makes durable that it does not name them.
/// A name that cannot be removed costs disk space until the next opening.
pub fn remove_orphans(
    dir: &StoreDir,
    entries: &[Entry],
    patterns: &[NamePattern],
    is_orphan: &dyn Fn(&NamePattern, u64) -> bool,
) -> usize {
    let mut removed = 0;
    for pattern in patterns {
        for number in pattern.numbers(entries).filter(|&number| is_orphan(pattern, number)) {
            removed += usize::from(dir.fs().remove(&dir.file(&pattern.name(number))).is_ok());
        }
    }
    removed
}

#[cfg(all(test, not(shuttle)))]
mod tests;
