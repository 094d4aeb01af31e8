//! The ground that the components of an open store stand on: its directory, its manifest, its log's durability and its
//! failure, and the time.
//!
//! **Poison.** A failed append, sync or edit leaves the state of the disk unknown. The store records the first such
//! failure, and from then on refuses everything that would write ([`Store::check`]). Reads go on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::log::{GroupSync, SegmentIdentity};
use durable::manifest::{Manifest, Stamp};
use durable::store_dir::StoreDir;
use durable::{DiskReserve, Env, Fs, MonotonicClock};
use kv::{Error, Result, UnixMillis};

use crate::files::{DATA, HINT};
use crate::state::{Edit, State};
use crate::steps::{Step, Steps};

/// An open store, without its data. Below all components, and without a lock of its own that outlasts a call.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) env: Env,
    pub(crate) steps: Steps,
    dir: StoreDir,
    manifest: Manifest<State>,
    reserve: DiskReserve,
    /// The part of the reserved space that only openings, edits and the close may use.
    last_reserve: DiskReserve,
    /// How far the log is durable, and the failure that has poisoned the store.
    log: Arc<GroupSync>,
    clock: MonotonicClock,
}

impl Store {
    /// The store in `dir`, which is locked for writing.
    pub(crate) fn new(
        env: Env,
        steps: Steps,
        dir: StoreDir,
        manifest: Manifest<State>,
        (reserve, last_reserve): (DiskReserve, DiskReserve),
    ) -> Self {
        let log = Arc::new(GroupSync::guarded(dir.guard()));
        let clock = MonotonicClock::new(Arc::clone(&env.clock), manifest.state().latest_time());
        Self { env, steps, dir, manifest, reserve, last_reserve, log, clock }
    }

    pub(crate) fn fs(&self) -> &dyn Fs {
        &*self.env.fs
    }

    /// The directory of the store.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The path of data file `id`.
    pub(crate) fn data_path(&self, id: u64) -> PathBuf {
        self.dir.file(&DATA.name(id))
    }

    /// The path of the hint file of data file `id`.
    pub(crate) fn hint_path(&self, id: u64) -> PathBuf {
        self.dir.file(&HINT.name(id))
    }

    /// Makes the appends of the log durable, and knows how far they are.
    #[inline]
    pub(crate) fn log(&self) -> &Arc<GroupSync> {
        &self.log
    }

    /// The disk space that is kept for opening, deleting and merging.
    #[inline]
    pub(crate) fn reserve(&self) -> &DiskReserve {
        &self.reserve
    }

    /// Makes sure that all of the reserved space is held. Costs two atomic loads while it is.
    ///
    /// # Errors
    /// `Io`, with `StorageFull` while there is no room; `Poisoned`; `Closed` when another writer may have the store.
    #[inline]
    pub(crate) fn ensure_reserve(&self) -> Result<()> {
        if !self.reserve.is_released() && !self.last_reserve.is_released() {
            return Ok(());
        }
        self.check()?;
        self.last_reserve.ensure()?;
        self.reserve.ensure()
    }

    /// Runs `allocate`, which may use up disk space. While the disk reserve is released, it does not run as long as an edit of
    /// the manifest needs the last of the space. Must not edit the manifest.
    #[inline]
    pub(crate) fn allocating<T>(&self, allocate: impl FnOnce() -> T) -> T {
        if self.reserve.is_released() {
            self.last_reserve.outside_loans(allocate)
        } else {
            allocate()
        }
    }

    /// Makes the disk reserve if it is missing and there is room again. If not, the next put reports it.
    pub(crate) fn refill_reserve(&self) {
        if self.check().is_ok() {
            self.last_reserve.restore();
            drop(self.ensure_reserve());
        }
    }

    /// The state after the newest durable edit.
    pub(crate) fn state(&self) -> Arc<State> {
        self.manifest.state()
    }

    /// The random name of the store.
    pub(crate) fn id(&self) -> durable::log::StoreId {
        self.manifest.store_id()
    }

    /// The identity of a data file `id` that is created now.
    pub(crate) fn identity(&self, id: u64) -> SegmentIdentity {
        let Stamp { open_epoch: epoch, edit_number } = self.manifest.stamp();
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
    /// renamed or removed, which happens by path.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn check_in_place(&self) -> Result<()> {
        self.dir.check_in_place()
    }

    /// Makes an edit of the manifest durable, and with it the latest time that was read.
    ///
    /// # Errors
    /// As [`Manifest::append`]. If the manifest takes further edits, the disk was full and the edit is certainly not
    /// durable. Any other error poisons the store.
    pub(crate) fn edit(&self, edit: &Edit) -> Result<()> {
        self.check_in_place().map_err(|error| self.poison(error))?;
        let edit = edit.clone().at(self.clock.latest());
        self.with_reserve(|| self.manifest.append(&edit)).map_err(|error| {
            let passes = error.is_out_of_resources() && self.manifest.check().is_ok();
            let poisons = self.steps.check(Step::SpareOnFullDisk, !passes);
            if poisons { self.poison(error) } else { error }
        })
    }

    /// The time of day. It never goes back, in this opening and later ones: a value that has expired stays so. A crash
    /// loses the times since the last edit.
    #[inline]
    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Makes the latest time that was read durable, unless the manifest has it or no value expires.
    fn note_time(&self) -> Result<()> {
        let state = self.state();
        let is_known = state.latest_time() >= self.clock.latest();
        if is_known || !state.has_expiring() { Ok(()) } else { self.edit(&Edit::note_time()) }
    }

    /// Marks the store as cleanly closed. It takes no further edits.
    ///
    /// # Errors
    /// `Io`; `Poisoned`.
    pub(crate) fn close(&self) -> Result<()> {
        match self.note_time() {
            // The time since the last edit is lost, as after a crash.
            Err(error) if error.is_out_of_resources() && self.manifest.check().is_ok() => {}
            noted => noted?,
        }
        self.check_in_place()?;
        self.with_reserve(|| self.manifest.close())?;
        self.last_reserve.restore();
        Ok(())
    }

    /// Runs a write of the manifest, in all of the reserved space if it has to be.
    fn with_reserve(&self, write: impl Fn() -> Result<()>) -> Result<()> {
        self.last_reserve.lend(|| self.reserve.retry(&write))
    }

    /// The store was dropped and not closed: an opening in this process waits until the running jobs have ended.
    pub(crate) fn abandon(&self) {
        self.dir.abandon();
    }

    /// Lets another writer in. Nobody may write through this store any more.
    pub(crate) fn unlock(&self) {
        self.reserve.retire();
        self.last_reserve.retire();
        self.dir.unlock();
    }
}
