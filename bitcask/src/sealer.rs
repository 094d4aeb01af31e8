//! Sealing full data files, in the background.
//!
//! **Sealing** a file has five steps:
//! 1. Give back its spare space, and sync it.
//! 2. Read it back, which checks every record once more, and build its hint file.
//! 3. Publish the hint: write, sync, rename, sync the directory.
//! 4. Name both in the manifest, with their lengths and checksums.
//! 5. From then on read the file through a mapping.
//!
//! A crash before step 4 leaves an unsealed file, which recovery seals. A crash after it leaves a sealed one.
//!
//! If there is no space or no file handle for the hint file, the file is sealed without one, and opening takes longer. Any
//! other failure of the disk poisons the store.
//!
//! If step 2 finds damage, the file leaves the queue and stays unsealed (`damaged_files.rs`). Sealing goes on with the next
//! file.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use durable::log::Segment;
use durable::publish::PublishedFile;
use durable::read_whole;
use durable::sync::Mutex;
use durable::sync::atomic::AtomicU64;
use kv::{Error, Result};

use crate::background::{Background, Task};
use crate::damaged_files::DamagedFiles;
use crate::file_set::FileSet;
use crate::lock_order::Lock;
use crate::sealed_file::{SealedFile, describe, write_hint};
use crate::state::{Edit, Sealed};
use crate::steps::Step;
use crate::store::Store;

/// With this many full files in the queue, a writer that fills another one seals the oldest itself. The documentation of
/// [`Bitcask::open_read_only`](crate::Bitcask::open_read_only) states the number.
const MAX_UNSEALED: usize = 12;

/// Seals the files in a queue, oldest first.
#[derive(Debug)]
pub(crate) struct Sealer {
    store: Arc<Store>,
    files: Arc<FileSet>,
    background: Arc<Background>,
    damaged: Arc<DamagedFiles>,
    /// The full files that are not sealed, oldest first.
    queue: Mutex<VecDeque<Arc<Segment>>>,
    /// Held while a file is being sealed: one at a time, in the order of the queue.
    sealing: Mutex<()>,
    sealed: AtomicU64,
    stalls: AtomicU64,
    hints_failed: AtomicU64,
}

impl Sealer {
    pub(crate) fn new(
        store: &Arc<Store>,
        files: &Arc<FileSet>,
        background: &Arc<Background>,
        damaged: &Arc<DamagedFiles>,
    ) -> Self {
        Self {
            store: Arc::clone(store),
            files: Arc::clone(files),
            background: Arc::clone(background),
            damaged: Arc::clone(damaged),
            queue: Mutex::ranked(Lock::SealQueue.rank(), VecDeque::new()),
            sealing: Mutex::ranked(Lock::Sealing.rank(), ()),
            sealed: AtomicU64::new(0),
            stalls: AtomicU64::new(0),
            hints_failed: AtomicU64::new(0),
        }
    }

    /// Queues a full file, which gets no more appends, and requests that it is sealed.
    pub(crate) fn push(&self, full: Arc<Segment>) {
        let mut queue = self.queue.lock();
        let is_next = queue.back().is_none_or(|last| last.id() < full.id());
        assert!(is_next, "files are filled in the order of their ids");
        queue.push_back(full);
        drop(queue);
        self.background.request(Task::SealFile);
    }

    /// Seals files until the queue has room for another one.
    ///
    /// # Errors
    /// As [`Sealer::seal_oldest`].
    pub(crate) fn make_room(&self) -> Result<()> {
        while self.queue.lock().len() >= MAX_UNSEALED {
            self.stalls.fetch_add(1, Ordering::Relaxed);
            self.seal_oldest()?;
        }
        Ok(())
    }

    /// Seals every file in the queue.
    ///
    /// # Errors
    /// As [`Sealer::seal_oldest`]; `Corruption`, when a file of the log is damaged: all others are sealed.
    pub(crate) fn seal_all(&self) -> Result<()> {
        while self.seal_oldest()? {}
        self.damaged.check_log()
    }

    /// Seals the oldest full file, or takes it out of the queue if it is damaged. `false`: there is none.
    ///
    /// # Errors
    /// `Io`, which poisons the store, unless the disk was full; `Poisoned`.
    pub(crate) fn seal_oldest(&self) -> Result<bool> {
        let _one_at_a_time = self.sealing.lock();
        self.store.check_in_place()?;
        let Some(segment) = self.queue.lock().front().cloned() else { return Ok(false) };
        let published = self.store.log().finish(&segment)?;
        assert_eq!(published.path(), segment.path(), "the proof is of this file");
        debug_assert_eq!(published.len_bytes(), segment.end(), "the file ends with its records");
        let mut sealed = match self.describe_and_hint(&segment, published) {
            // The file is damaged: it stays as it is.
            Err(damage) if damage.is_corruption() => {
                self.damaged.add_log(damage);
                self.remove_oldest(&segment);
                return Ok(true);
            }
            described => described.map_err(|error| self.store.poison(error))?,
        };
        assert_eq!(sealed.facts.len, segment.end(), "all of the file was read back");
        let (published, hint) = sealed.take_proofs();
        self.store.steps.run(Step::NameSealedFile, || {
            self.store.edit(&Edit::seal(&published, hint, sealed.facts))
        })?;
        // If the file cannot be opened again, for want of file handles for example, it is read through its segment.
        drop(self.files.reopen_sealed(segment.header(), segment.path()));
        self.remove_oldest(&segment);
        // Before the request: a merge that is in progress meanwhile compares the counts.
        self.sealed.fetch_add(1, Ordering::SeqCst);
        self.background.request(Task::PopulateFile);
        self.background.request(Task::Merge);
        Ok(true)
    }

    /// Takes `segment`, which has been dealt with, out of the queue.
    fn remove_oldest(&self, segment: &Segment) {
        let oldest = self.queue.lock().pop_front();
        assert!(oldest.is_some_and(|oldest| oldest.id() == segment.id()), "the queue is in order");
    }

    /// Reads a finished segment back, and writes its hint file.
    ///
    /// # Errors
    /// `Corruption`; `Io`, which has poisoned the store if the disk failed.
    pub(crate) fn describe_and_hint(
        &self,
        segment: &Segment,
        published: PublishedFile,
    ) -> Result<SealedFile> {
        let store = &self.store;
        let (facts, hint_bytes) = self.describe_segment(segment)?;
        assert_eq!(facts.len, segment.end(), "all of the file was read back");
        // Reading took a while: the directory may have been replaced.
        store.check_in_place()?;
        let write = || write_hint(store.fs(), store.path(), segment.id(), &hint_bytes);
        let hint = store.allocating(write).map_err(|error| store.poison(error))?;
        self.hints_failed.fetch_add(u64::from(hint.is_none()), Ordering::Relaxed);
        Ok(SealedFile::new(facts, hint_bytes, published, hint))
    }

    /// Reads a finished segment back in one pass, which reads ahead and leaves the page cache as it was. The segment itself is
    /// mapped for reads anywhere: each page that has left memory would be a read of its own.
    fn describe_segment(&self, segment: &Segment) -> Result<(Sealed, Vec<u8>)> {
        let (header, path, len) = (segment.header(), segment.path(), segment.end());
        let describe = |bytes: &[u8]| {
            if bytes.len() as u64 != len {
                let what = format!("the file has {} bytes where {len} were written", bytes.len());
                return Err(Error::corruption(path, len.min(bytes.len() as u64), what));
            }
            describe(bytes, header, path, &mut |_, _| ())
        };
        let file = match self.store.fs().open(path) {
            Ok(file) => file,
            // Without a file handle it is read through the segment.
            Err(error) if error.is_out_of_resources() => {
                let mut described = None;
                segment.read(0, len as usize, &mut |bytes| described = Some(describe(bytes)))?;
                let nothing = || Error::corruption(path, 0, "nothing was read back");
                return described.ok_or_else(nothing)?;
            }
            Err(error) => return Err(error),
        };
        describe(read_whole(&*file)?.bytes())
    }

    /// How many files were sealed.
    pub(crate) fn sealed(&self) -> u64 {
        self.sealed.load(Ordering::SeqCst)
    }

    /// How often a writer had to seal a file itself.
    pub(crate) fn stalls(&self) -> u64 {
        self.stalls.load(Ordering::Relaxed)
    }

    /// How many hint files could not be written.
    pub(crate) fn hints_failed(&self) -> u64 {
        self.hints_failed.load(Ordering::Relaxed)
    }
}
