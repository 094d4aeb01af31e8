//! The store that all components use: [`OpenStore`], with the disk reserve, the time, the names of files and the protocol
//! steps.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use durable::manifest::Manifest;
use durable::store_dir::StoreDir;
use durable::{DiskReserve, Env, MonotonicClock, OpenStore};
use kv::{Result, UnixMillis};

use crate::files::{DATA, HINT};
use crate::state::{Edit, State};
use crate::steps::{Step, Steps};

/// An open store, without its data. Below all components, and without a lock of its own that outlasts a call.
#[derive(Debug)]
pub(crate) struct Store {
    open: OpenStore<State>,
    pub(crate) steps: Steps,
    reserve: DiskReserve,
    /// The part of the reserved space that only openings, edits and the close may use.
    last_reserve: DiskReserve,
    clock: MonotonicClock,
}

/// All that a store has without a reserve and a clock. [`Store::edit`], [`Store::close`] and [`Store::unlock`] are those of
/// a store that has them.
impl Deref for Store {
    type Target = OpenStore<State>;

    #[inline]
    fn deref(&self) -> &OpenStore<State> {
        &self.open
    }
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
        let clock = MonotonicClock::new(Arc::clone(&env.clock), manifest.state().latest_time());
        let open = OpenStore::new(env, dir, manifest);
        Self { open, steps, reserve, last_reserve, clock }
    }

    /// The path of data file `id`.
    pub(crate) fn data_path(&self, id: u64) -> PathBuf {
        self.file(&DATA.name(id))
    }

    /// The path of the hint file of data file `id`.
    pub(crate) fn hint_path(&self, id: u64) -> PathBuf {
        self.file(&HINT.name(id))
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

    /// Makes an edit of the manifest durable, and with it the latest time that was read.
    ///
    /// # Errors
    /// As [`OpenStore::edit`].
    pub(crate) fn edit(&self, edit: &Edit) -> Result<()> {
        let edit = edit.clone().at(self.clock.latest());
        self.with_reserve(|| self.open.edit(&edit)).map_err(|error| {
            let poisons = self.steps.check(Step::SpareOnFullDisk, false);
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
            Err(error) if error.is_out_of_resources() && self.check().is_ok() => {}
            noted => noted?,
        }
        self.with_reserve(|| self.open.close())?;
        self.last_reserve.restore();
        Ok(())
    }

    /// Runs a write of the manifest, in all of the reserved space if it has to be.
    fn with_reserve(&self, write: impl Fn() -> Result<()>) -> Result<()> {
        self.last_reserve.lend(|| self.reserve.retry(&write))
    }

    /// Lets another writer in. Nobody may write through this store any more.
    pub(crate) fn unlock(&self) {
        self.reserve.retire();
        self.last_reserve.retire();
        self.open.unlock();
    }
}
