//! The store that all components use: [`OpenStore`], with the time, the names of files and the protocol steps.

use std::ops::Deref;
use std::path::PathBuf;
use std::slice;
use std::sync::Arc;

use durable::manifest::Manifest;
use durable::store_dir::StoreDir;
use durable::{Env, MonotonicClock, OpenStore};
use kv::{Result, UnixMillis};

use crate::files::{LOG, TABLE};
use crate::state::{Edit, State};
use crate::steps::Steps;

/// An open store, without its data. Below all components, and without a lock of its own that outlasts a call.
#[derive(Debug)]
pub(crate) struct Store {
    open: OpenStore<State>,
    pub(crate) steps: Steps,
    clock: Arc<MonotonicClock>,
}

/// All that a store has without a clock. [`Store::edit`], [`Store::edit_all`] and [`Store::close`] are those of a store that
/// has one.
impl Deref for Store {
    type Target = OpenStore<State>;

    #[inline]
    fn deref(&self) -> &OpenStore<State> {
        &self.open
    }
}

impl Store {
    /// The store in `dir`, which is locked for writing.
    pub(crate) fn new(env: Env, steps: Steps, dir: StoreDir, manifest: Manifest<State>) -> Self {
        let floor = UnixMillis(manifest.state().latest_time);
        let clock = Arc::new(MonotonicClock::new(Arc::clone(&env.clock), floor));
        Self { open: OpenStore::new(env, dir, manifest), steps, clock }
    }

    /// The time of day. It never goes back, in this opening and later ones: a value that has expired stays so. A crash
    /// loses the times since the last edit.
    #[inline]
    pub(crate) fn clock(&self) -> &Arc<MonotonicClock> {
        &self.clock
    }

    /// Makes an edit of the manifest durable, and with it the latest time that was read.
    ///
    /// # Errors
    /// As [`OpenStore::edit_all`].
    pub(crate) fn edit(&self, edit: &Edit) -> Result<()> {
        self.edit_all(slice::from_ref(edit))
    }

    /// Makes several edits durable, all of them at once, and with them the latest time that was read.
    ///
    /// # Errors
    /// As [`OpenStore::edit_all`].
    pub(crate) fn edit_all(&self, edits: &[Edit]) -> Result<()> {
        let at = |edit: &Edit| edit.clone().at(self.clock.latest());
        self.open.edit_all(&edits.iter().map(at).collect::<Vec<_>>())
    }

    /// Marks the store as cleanly closed, with the latest time that was read if a value expires. It takes no further edits.
    ///
    /// # Errors
    /// `Io`; `Poisoned`.
    pub(crate) fn close(&self) -> Result<()> {
        let state = self.state();
        let is_known = state.latest_time >= self.clock.latest().0;
        if !is_known && state.has_expiring() {
            match self.edit(&Edit::note_time()) {
                // The time since the last edit is lost, as after a crash.
                Err(error) if error.is_out_of_resources() && self.check().is_ok() => {}
                noted => noted?,
            }
        }
        self.open.close()
    }

    /// The path of log `id`.
    pub(crate) fn log_path(&self, id: u64) -> PathBuf {
        self.file(&LOG.name(id))
    }

    /// The path of table `id`.
    pub(crate) fn table_path(&self, id: u64) -> PathBuf {
        self.file(&TABLE.name(id))
    }
}
