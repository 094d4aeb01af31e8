//! The numbers of new files. The manifest takes them in ascending order only, so a number is given out under a lock that
//! is held until the manifest knows it.

use std::sync::Arc;

use durable::sync::{Mutex, MutexGuard};
use kv::{Error, Result};

use crate::files::FILE_ID_LIMIT;
use crate::lock_order::Lock;
use crate::state::Edit;
use crate::steps::Step;
use crate::store::Store;

/// Gives out the numbers of files.
#[derive(Debug)]
pub(crate) struct FileIds {
    store: Arc<Store>,
    /// The number of the next file.
    next: Mutex<u64>,
}

/// The right to begin files, for one thread at a time.
pub(crate) struct IdSource<'i> {
    store: &'i Store,
    next: MutexGuard<'i, u64>,
}

impl FileIds {
    /// Numbers that go on behind those in the manifest of `store`.
    pub(crate) fn new(store: Arc<Store>) -> Self {
        let next = Mutex::ranked(Lock::FileIds.rank(), store.state().next_file_id);
        Self { store, next }
    }

    /// Waits for the right to begin a file whose first edit names it.
    pub(crate) fn begin(&self) -> IdSource<'_> {
        IdSource { store: &self.store, next: self.next.lock() }
    }

    /// A number for a file that a later edit names. The manifest knows the number when this returns, so a file with it that
    /// no edit names is an orphan.
    ///
    /// # Errors
    /// As [`IdSource::next`]; `Io`, with `StorageFull` when there is no space for the edit; `Poisoned`.
    pub(crate) fn reserve(&self) -> Result<u64> {
        let id = self.begin().reserve()?;
        debug_assert!(self.store.state().next_file_id > id, "the manifest knows the number");
        Ok(id)
    }
}

impl IdSource<'_> {
    /// The next number.
    ///
    /// # Errors
    /// `InvalidArgument` when all numbers are used up.
    pub(crate) fn next(&mut self) -> Result<u64> {
        let id = *self.next;
        if id >= FILE_ID_LIMIT {
            let path = self.store.path().display();
            return Err(Error::InvalidArgument(format!(
                "{path}: all numbers of files are used up"
            )));
        }
        *self.next += 1;
        Ok(id)
    }

    fn reserve(mut self) -> Result<u64> {
        let id = self.next()?;
        self.store.steps.run(Step::ReserveTable, || self.store.edit(&Edit::reserve(id)))?;
        Ok(id)
    }
}
