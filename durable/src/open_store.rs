//! An open store without its data, which all components of an engine use: the environment, the locked directory, the
//! manifest, the durability of the log, and the first failure.
//!
//! **Poison.** A failed append, sync or edit leaves the state of the disk unknown. The store records the first such
//! failure, and from then on refuses everything that would write ([`OpenStore::check`]). Reads go on.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;

use kv::{Error, Result};

use crate::env::Env;
use crate::fs::Fs;
use crate::identity::{Stamp, StoreId};
use crate::log::{GroupSync, Segment, SegmentIdentity, SegmentLayout};
use crate::manifest::{Manifest, State};
use crate::steps::Steps;
use crate::store_dir::{OpenMode, StoreDir};
use crate::sync::atomic::{AtomicBool, Ordering};

/// A store that is open for writing, without its data. Below all components of an engine, and without a lock of its own
/// that outlasts a call.
#[derive(Debug)]
pub struct OpenStore<S: State> {
    /// Disk, clock, threads and randomness.
    pub env: Env,
    dir: StoreDir,
    manifest: Manifest<S>,
    log: Arc<GroupSync>,
    abandoned: AtomicBool,
}

impl<S: State> OpenStore<S> {
    /// Locks the directory `path` for writing. If there is no store and `create` says so, makes the directory and the
    /// manifest of a new one. A store of this process that was dropped may still hold the lock: the step `await_leftover`
    /// waits for it.
    ///
    /// # Errors
    /// `Locked`; `Io`, with `NotFound` when there is no store and none is to be created; `InvalidArgument` for an unfinished one
    /// ([`crate::new_store`]); `Corruption` of a file of the engine in a directory without a manifest.
    pub fn lock_dir<T: Copy>(
        env: &Env,
        path: &Path,
        create: bool,
        (steps, await_leftover): (&Steps<T>, T),
    ) -> Result<StoreDir> {
        if !create {
            // Before the lock, which would leave a file in a directory without a store.
            let dir = StoreDir::open(Arc::clone(&env.fs), path, OpenMode::Read)?;
            Manifest::<S>::check_exists(&dir)?;
        }
        let mode = if create { OpenMode::Create } else { OpenMode::Write };
        let dir = if steps.check(await_leftover, false) {
            StoreDir::open(Arc::clone(&env.fs), path, mode)?
        } else {
            StoreDir::open_after_leftovers(&env.fs, path, mode, &*env.clock)?
        };
        dir.check_finished()?;
        if create && !Manifest::<S>::exists(&dir)? {
            drop(Manifest::<S>::create(&dir, StoreId::random(&*env.entropy))?);
        }
        Ok(dir)
    }

    /// The store in `dir`, which is locked for writing. Nothing is appended to its log yet.
    pub fn new(env: Env, dir: StoreDir, manifest: Manifest<S>) -> Self {
        let log = Arc::new(GroupSync::guarded(dir.guard()));
        Self { env, dir, manifest, log, abandoned: AtomicBool::new(false) }
    }

    /// The disk.
    pub fn fs(&self) -> &dyn Fs {
        &*self.env.fs
    }

    /// The directory of the store.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The path of the file `name` in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.file(name)
    }

    /// Makes the appends of the log durable, and knows how far they are, and the failure that has poisoned the store.
    #[inline]
    pub fn log(&self) -> &Arc<GroupSync> {
        &self.log
    }

    /// The state after the newest durable edit.
    pub fn state(&self) -> Arc<S> {
        self.manifest.state()
    }

    /// The random name of the store.
    pub fn id(&self) -> StoreId {
        self.manifest.store_id()
    }

    /// How far the store has come, for a file that is made now.
    pub fn stamp(&self) -> Stamp {
        self.manifest.stamp()
    }

    /// Refuses to go on after a failure.
    ///
    /// # Errors
    /// `Poisoned`, with the first failure.
    #[inline]
    pub fn check(&self) -> Result<()> {
        self.log.check()
    }

    /// Poisons the store with `error`, and returns it.
    pub fn poison(&self, error: Error) -> Error {
        let error = self.log.poison(error);
        debug_assert!(self.check().is_err(), "the store is poisoned");
        error
    }

    /// Refuses to go on if the path of the store no longer leads to the locked directory. Called before files are created,
    /// renamed or removed, which happens by path.
    ///
    /// # Errors
    /// `Io`.
    pub fn check_in_place(&self) -> Result<()> {
        self.dir.check_in_place()
    }

    /// Makes an edit of the manifest durable.
    ///
    /// # Errors
    /// As [`OpenStore::edit_all`].
    pub fn edit(&self, edit: &S::Edit) -> Result<()> {
        self.edit_all(slice::from_ref(edit))
    }

    /// Makes several edits of the manifest durable, all of them at once.
    ///
    /// # Errors
    /// As [`Manifest::append`]. If the store is not poisoned afterwards, a resource ran out and no edit is durable. Any
    /// other error poisons the store.
    pub fn edit_all(&self, edits: &[S::Edit]) -> Result<()> {
        self.check_in_place().map_err(|error| self.poison(error))?;
        self.manifest.append_all(edits).map_err(|error| {
            let passes = error.is_out_of_resources() && self.manifest.check().is_ok();
            if passes { error } else { self.poison(error) }
        })
    }

    /// Creates segment `id` of the log, with room for `capacity` bytes, in the file at `path`, and makes it durable. The
    /// manifest does not name it yet. `None`: another program has a file of that name, which stays as it is.
    ///
    /// # Errors
    /// `Io`. If the store is not poisoned afterwards, a resource ran out and no file is left.
    pub fn begin_segment(
        &self,
        id: u64,
        path: &Path,
        capacity: u64,
        layout: SegmentLayout,
    ) -> Result<Option<Segment>> {
        let Stamp { open_epoch: epoch, edit_number } = self.stamp();
        let identity = SegmentIdentity { store: self.id(), id, epoch, edit_number };
        let file = match Segment::create_file(self.fs(), path, capacity, layout, identity) {
            Err(error) if error.io_kind() == Some(ErrorKind::AlreadyExists) => return Ok(None),
            // Without space or file handles: the file may exist, and the manifest does not name it.
            Err(error) => {
                drop(self.fs().remove(path));
                return Err(error);
            }
            Ok(file) => file,
        };
        match Segment::begin(self.fs(), file) {
            // The directory could not be opened, and the file was removed again.
            Err(error) if error.is_out_of_file_handles() => Err(error),
            begun => begun.map(Some).map_err(|error| self.poison(error)),
        }
    }

    /// Removes a new file after the edit that names it has failed. In a poisoned store the edit may be durable, so the file
    /// stays. If it cannot be removed now, the next opening removes it.
    pub fn remove_unnamed(&self, path: &Path) {
        if self.check().is_ok() {
            drop(self.fs().remove(path));
        }
    }

    /// Marks the store as cleanly closed. It takes no further edits.
    ///
    /// # Errors
    /// `Io`; `Poisoned`.
    pub fn close(&self) -> Result<()> {
        self.check_in_place()?;
        self.manifest.close()
    }

    /// The store was dropped and not closed: an opening in this process waits until the running jobs have ended, and they
    /// end soon.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.dir.abandon();
    }

    /// Whether the store was dropped and not closed.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// Lets another writer in. Nobody may write through this store any more.
    pub fn unlock(&self) {
        self.dir.unlock();
    }
}
