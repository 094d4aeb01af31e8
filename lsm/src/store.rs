//! The store that all components use: [`OpenStore`], with the names of files and the protocol steps.

use std::ops::Deref;
use std::path::PathBuf;

use durable::manifest::Manifest;
use durable::store_dir::StoreDir;
use durable::{Env, OpenStore};

use crate::files::{LOG, TABLE};
use crate::state::State;
use crate::steps::Steps;

/// An open store, without its data. Below all components, and without a lock of its own that outlasts a call.
#[derive(Debug)]
pub(crate) struct Store {
    open: OpenStore<State>,
    pub(crate) steps: Steps,
}

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
        Self { open: OpenStore::new(env, dir, manifest), steps }
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
