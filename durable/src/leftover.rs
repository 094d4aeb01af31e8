//! Stores of this process that were dropped without being closed, and whose last background job has not ended.
//!
//! Dropping a store does not wait. A job that is running ends after its step, and the lock of the directory is released
//! with the last user of the store. Until then the directory is *left over*: an opening in this process need not fail with
//! `Locked`, because the lock is about to be released.
//!
//! The list of leftovers is one for the process, as the locks are: the next opening has another environment.

use std::path::{Path, PathBuf};

use parking_lot::Mutex;

/// The directories that are left over, once for each dropped store. Held for a look or a change of the list only.
static LEFTOVERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A store in this directory was dropped, and is about to release the lock. Its owner drops this after the lock.
#[derive(Debug)]
pub(crate) struct Leftover {
    path: PathBuf,
}

impl Leftover {
    /// Announces that the store in the directory `path`, resolved, was dropped.
    pub(crate) fn announce(path: &Path) -> Self {
        LEFTOVERS.lock().push(path.into());
        Self { path: path.into() }
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        let mut leftovers = LEFTOVERS.lock();
        let at = leftovers.iter().position(|path| *path == self.path);
        debug_assert!(at.is_some(), "a leftover is in the list until it is dropped");
        at.map(|at| leftovers.swap_remove(at));
    }
}

/// Whether a store in the directory `path`, resolved, is left over.
pub(crate) fn is_left_over(path: &Path) -> bool {
    LEFTOVERS.lock().iter().any(|leftover| leftover == path)
}
