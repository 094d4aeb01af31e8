//! Beginning data files: the one after the active file, ahead of need, and the outputs of merges.
//!
//! **Beginning** a file: create it, write and sync its header, sync the directory, name it in the manifest. Only then is
//! anything appended to it, so recovery never has to guess which files exist. Because that takes several syncs, the next
//! file is prepared in the background when the active one is half full.
//!
//! **An output** of a merge is named by the edit that ends the merge. Its id is reserved in the manifest before the file is
//! created: a file with a reserved id that the manifest does not name was never part of the store.

use std::sync::Arc;

use durable::log::{PreparedSegment, Segment, SegmentLayout};
use durable::sync::Mutex;
use kv::{Error, Result};

use crate::files::FILE_ID_LIMIT;
use crate::lock_order::Lock;
use crate::state::Edit;
use crate::steps::Step;
use crate::store::Store;

/// Begins data files.
#[derive(Debug)]
pub(crate) struct Rotation {
    store: Arc<Store>,
    /// How large a data file is unless a batch needs a larger one, in bytes.
    usual_bytes: u64,
    /// The file after the active one.
    prepared: PreparedSegment,
    /// The id of the file to be begun next. Held until the manifest knows the id, which takes ids in ascending order only.
    next_id: Mutex<u64>,
}

/// When the manifest learns of a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    /// It is named as soon as it is durable.
    Now,
    /// Its id is reserved first, and a later edit names it.
    Later,
}

impl Rotation {
    /// Begins files from `next_id` on.
    pub(crate) fn new(store: Arc<Store>, usual_bytes: u64, next_id: u64) -> Self {
        let prepared = PreparedSegment::new(Lock::PreparedFile.rank());
        let next_id = Mutex::ranked(Lock::NextFileId.rank(), next_id);
        Self { store, usual_bytes, prepared, next_id }
    }

    /// The prepared data file if it has room for a batch of `batch_len` bytes, else a new one.
    ///
    /// # Errors
    /// `Io`, with `StorageFull` when there is no space; `Poisoned`.
    pub(crate) fn next_file(&self, batch_len: u64) -> Result<Segment> {
        let begin = |needed: u64| {
            let reserve = self.store.reserve();
            // The file for deletes on a full disk must fit into the space of the reserve.
            let short_of_space = || self.usual_bytes.min(reserve.bytes() / 4);
            let usual = if reserve.is_released() { short_of_space() } else { self.usual_bytes };
            self.begin(needed.max(usual), Naming::Now)
        };
        self.prepared.take(batch_len, |too_small| self.discard(too_small), begin)
    }

    /// Begins the next data file if that has not happened yet.
    pub(crate) fn prepare(&self) {
        // A writer that needs the file begins it. Until then its space is for merges.
        let is_short_of_space = self.store.reserve().is_released();
        if !is_short_of_space && self.store.check().is_ok() {
            self.prepared.prepare(|| self.begin(self.usual_bytes, Naming::Now));
        }
    }

    /// Takes back the prepared file, and prepares none any more.
    ///
    /// # Errors
    /// `Io`; `Poisoned`.
    pub(crate) fn close(&self) -> Result<()> {
        self.prepared.close().map_or(Ok(()), |segment| self.discard(&segment))
    }

    /// Begins an output of a merge with room for `capacity` bytes.
    ///
    /// # Errors
    /// `Io`, with `StorageFull` when there is no space; `Poisoned`.
    pub(crate) fn begin_output(&self, capacity: u64) -> Result<Segment> {
        self.begin(capacity, Naming::Later)
    }

    fn begin(&self, capacity: u64, naming: Naming) -> Result<Segment> {
        let mut next_id = self.next_id.lock();
        loop {
            self.store.check_in_place()?;
            let id = *next_id;
            if id >= FILE_ID_LIMIT {
                let what =
                    format!("{}: all ids of data files are used up", self.store.path().display());
                return Err(Error::InvalidArgument(what));
            }
            *next_id += 1;
            if naming == Naming::Later {
                self.store.edit(&Edit::reserve(id))?;
            }
            if let Some(segment) = self.create(id, capacity, naming)? {
                assert_eq!(segment.id(), id, "the file has the id that was taken");
                if naming == Naming::Now {
                    let named = || self.store.edit(&Edit::begin(&segment.published()));
                    let named = self.store.steps.run(Step::NameFile, named);
                    named.inspect_err(|_| self.store.remove_unnamed(segment.path()))?;
                }
                return Ok(segment);
            }
        }
    }

    /// Creates data file `id`. `None`: another program has a file of that name, which stays as it is.
    fn create(&self, id: u64, capacity: u64, naming: Naming) -> Result<Option<Segment>> {
        // An output of a merge is named when it is whole; only the log needs a witness.
        let layout = match naming {
            Naming::Now => SegmentLayout::Witnessed,
            Naming::Later => SegmentLayout::Plain,
        };
        let path = self.store.data_path(id);
        self.store.allocating(|| self.store.begin_segment(id, &path, capacity, layout))
    }

    /// Takes back a file that was begun and never written to.
    fn discard(&self, segment: &Segment) -> Result<()> {
        assert!(segment.is_empty(), "the file has no records");
        self.store.edit(&Edit::remove(segment.id()))?;
        // The manifest no longer names the file. If it cannot be removed now, the next opening removes it.
        drop(self.store.fs().remove(segment.path()));
        Ok(())
    }
}
