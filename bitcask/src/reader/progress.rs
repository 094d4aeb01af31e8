//! How far a reader has read the store, so that a refresh reads only newer files.

use std::collections::BTreeSet;
use std::sync::Arc;

use durable::beside_writer::LogEnds;
use durable::log::StoreId;
use durable::manifest::{LoadedManifest, Manifest, Stamp};
use durable::store_dir::StoreDir;
use kv::Result;

use crate::file_handle::FileRegistry;
use crate::recovery::FileHandles;
use crate::state::State;

/// How far a reader has read the store.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) store: StoreId,
    pub(super) stamp: Stamp,
    /// The newest write that was read.
    pub(super) newest: u64,
    /// The seed of the keydir.
    pub(super) seed: u64,
    pub(super) registry: Arc<FileRegistry>,
    /// The files that the keydir may name.
    pub(super) handles: FileHandles,
    /// The files among them that were loaded as sealed files.
    pub(super) sealed: BTreeSet<u64>,
    pub(super) log_ends: LogEnds,
}

impl Progress {
    /// Whether `manifest` is a later state of the store that was read, in the same opening.
    pub(super) fn can_continue_to(&self, manifest: &LoadedManifest<State>) -> bool {
        let stamp = manifest.stamp();
        self.store == manifest.store_id()
            && self.stamp.open_epoch == stamp.open_epoch
            && self.stamp.edit_number <= stamp.edit_number
    }

    /// Whether nothing was written since: the manifest is the same, and the log has no new frame.
    pub(super) fn is_unchanged(&self, dir: &StoreDir) -> Result<bool> {
        let manifest = Manifest::<State>::read(dir)?;
        let is_same = self.store == manifest.store_id() && self.stamp == manifest.stamp();
        Ok(is_same && !self.log_ends.have_moved(dir)?)
    }
}
