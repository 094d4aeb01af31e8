//! The ground that the components of an open store stand on: its directory, its manifest, the durability of its log, and its
//! failure.
//!
//! **Poison.** A failed append, sync or edit leaves the state of the disk unknown. The store records the first such
//! failure, and from then on refuses everything that would write ([`Store::check`]). Reads go on.

use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use durable::log::{GroupSync, SegmentIdentity, StoreId};
use durable::manifest::{Manifest, Stamp};
use durable::store_dir::StoreDir;
use durable::sync::atomic::AtomicBool;
use durable::{Env, Fs};
use kv::{Error, Result};

use crate::files::{LOG, TABLE};
use crate::state::{Edit, State};

/// An open store, without its data. Below all components, and without a lock of its own that outlasts a call.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) env: Env,
    dir: StoreDir,
    manifest: Manifest<State>,
    /// How far the log is durable, and the failure that has poisoned the store.
    log: Arc<GroupSync>,
    /// The handle was dropped without a close: long jobs give up.
    abandoned: AtomicBool,
}

impl Store {
    /// The store in `dir`, which is locked for writing.
    pub(crate) fn new(env: Env, dir: StoreDir, manifest: Manifest<State>) -> Self {
        let log = Arc::new(GroupSync::guarded(dir.guard()));
        Self { env, dir, manifest, log, abandoned: AtomicBool::new(false) }
    }

    pub(crate) fn fs(&self) -> &dyn Fs {
        &*self.env.fs
    }

    /// The path of the directory.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The path of log `id`.
    pub(crate) fn log_path(&self, id: u64) -> PathBuf {
        self.dir.file(&LOG.name(id))
    }

    /// The path of table `id`.
    pub(crate) fn table_path(&self, id: u64) -> PathBuf {
        self.dir.file(&TABLE.name(id))
    }

    /// Makes the appends of the log durable, and knows how far they are.
    #[inline]
    pub(crate) fn log(&self) -> &Arc<GroupSync> {
        &self.log
    }

    /// The state after the newest durable edit.
    pub(crate) fn state(&self) -> Arc<State> {
        self.manifest.state()
    }

    /// The random name of the store.
    pub(crate) fn id(&self) -> StoreId {
        self.manifest.store_id()
    }

    /// How far the store has come, for a file that is made now.
    pub(crate) fn stamp(&self) -> Stamp {
        self.manifest.stamp()
    }

    /// The identity of a log `id` that is created now.
    pub(crate) fn identity(&self, id: u64) -> SegmentIdentity {
        let Stamp { open_epoch: epoch, edit_number } = self.stamp();
        SegmentIdentity { store: self.id(), id, epoch, edit_number }
    }

    /// Refuses to go on after a failure.
    ///
    /// # Errors
    /// `Poisoned`, with the first failure.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        self.log.check()
    }

    /// Poisons the store with `error`, and returns it.
    pub(crate) fn poison(&self, error: Error) -> Error {
        let error = self.log.poison(error);
        debug_assert!(self.check().is_err(), "the store is poisoned");
        error
    }

    /// Refuses to go on if the path of the store no longer leads to the locked directory. Called before files are created,
    /// which happens by path.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn check_in_place(&self) -> Result<()> {
        self.dir.check_in_place()
    }

    /// Makes an edit of the manifest durable.
    ///
    /// # Errors
    /// As [`Store::edit_all`].
    pub(crate) fn edit(&self, edit: &Edit) -> Result<()> {
        self.edit_all(slice::from_ref(edit))
    }

    /// Makes several edits of the manifest durable, all of them at once.
    ///
    /// # Errors
    /// As [`Manifest::append`]. If the manifest takes further edits, a resource ran out and no edit is durable. Any other
    /// error poisons the store.
    pub(crate) fn edit_all(&self, edits: &[Edit]) -> Result<()> {
        self.check_in_place().map_err(|error| self.poison(error))?;
        self.manifest.append_all(edits).map_err(|error| {
            let passes = error.is_out_of_resources() && self.manifest.check().is_ok();
            if passes { error } else { self.poison(error) }
        })
    }

    /// Marks the store as cleanly closed. It takes no further edits.
    ///
    /// # Errors
    /// `Io`; `Poisoned`.
    pub(crate) fn close(&self) -> Result<()> {
        self.check_in_place()?;
        self.manifest.close()
    }

    /// The store was dropped and not closed: an opening in this process waits until the running jobs have ended, and they
    /// end soon.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.dir.abandon();
    }

    /// Whether the store was dropped and not closed.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// Lets another writer in. Nobody may write through this store any more.
    pub(crate) fn unlock(&self) {
        self.dir.unlock();
    }
}
