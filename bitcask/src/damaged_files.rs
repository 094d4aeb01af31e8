//! The data files that were found damaged while the store is open.
//!
//! **A damaged sealed file** is left alone by merges until the store is opened again.
//!
//! **A damaged file of the log** is found when it is read back to be sealed. It cannot be sealed, so it stays as it is, and
//! the next opening refuses the store, naming file and offset. Until then reads and writes go on, and later files are
//! sealed. But nothing is merged any more, and a merge in progress is given up at its next step. Reason: the damaged file may
//! hold older puts of keys that were deleted since, or newer puts that hide a tombstone. A merge that drops such a tombstone
//! would bring the older puts back for a user who repairs or removes the file. An explicit merge and the close return the
//! damage.

use std::collections::BTreeSet;

use durable::sync::Mutex;
use kv::{Error, Result};

use crate::lock_order::Lock;

/// The files that were found damaged.
#[derive(Debug)]
pub(crate) struct DamagedFiles {
    found: Mutex<Found>,
}

/// Guarded by `DamagedFiles::found`.
#[derive(Debug, Default)]
struct Found {
    /// The ids of sealed files.
    sealed: BTreeSet<u64>,
    /// The first damage in the log.
    log: Option<Error>,
}

impl DamagedFiles {
    pub(crate) fn new() -> Self {
        Self { found: Mutex::ranked(Lock::DamagedFiles.rank(), Found::default()) }
    }

    /// Records that the sealed data file `id` is damaged.
    pub(crate) fn add_sealed(&self, id: u64) {
        self.found.lock().sealed.insert(id);
    }

    /// Records that a file of the log has `damage`. The first one is kept.
    pub(crate) fn add_log(&self, damage: Error) {
        debug_assert!(damage.is_corruption(), "an error of the disk is no damage");
        self.found.lock().log.get_or_insert(damage);
    }

    /// The ids of the damaged sealed files.
    pub(crate) fn sealed(&self) -> BTreeSet<u64> {
        self.found.lock().sealed.clone()
    }

    /// Refuses to go on with a damaged log.
    ///
    /// # Errors
    /// `Corruption`, naming file and offset.
    pub(crate) fn check_log(&self) -> Result<()> {
        self.found.lock().log.clone().map_or(Ok(()), Err)
    }
}
