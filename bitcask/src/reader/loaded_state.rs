//! The state that one opening or refresh loads, before reads can see it. The manifest, the log and the hints are verified.
//! A record of a sealed file with a valid hint is verified when it is read.
//!
//! The steps of one attempt, and what tells damage from a writer at work, are those of [`durable::beside_writer`]. The files
//! of step 2 are the sealed data files and their hints. Those of step 3 are the unsealed ones: the writer cuts a file when it
//! seals it, and recovery rewrites it.

use std::sync::Arc;

use durable::beside_writer::{self, LogEnds};
use durable::log::StoreId;
use durable::manifest::{LoadedManifest, Stamp};
use durable::reclaim::FileReclaimer;
use durable::store_dir::StoreDir;
use kv::Result;

use super::pinned_files;
use super::progress::Progress;
use crate::data_file::DataFile;
use crate::file_handle::FileRegistry;
use crate::files::DATA;
use crate::keydir::Keydir;
use crate::options::Options;
use crate::recovery::FileHandles;
use crate::recovery::inventory::Inventory;
use crate::recovery::{load, tail};
use crate::state::State;

/// A moment of the store, or the difference from an earlier moment to a later one: see [`Extent`].
pub(super) struct LoadedState {
    pub(super) store: StoreId,
    pub(super) stamp: Stamp,
    pub(super) state: State,
    /// The seed of the keydir.
    pub(super) seed: u64,
    pub(super) registry: Arc<FileRegistry>,
    /// The files that were read.
    pub(super) handles: FileHandles,
    /// The kept files among them, open for reading.
    pub(super) files: Vec<Arc<DataFile>>,
    /// The newest of the loaded records of each key, tombstones included. Of the log only the records that are newer than
    /// the earlier moment are loaded.
    pub(super) keydir: Arc<Keydir>,
    pub(super) log_ends: LogEnds,
    /// The newest write of the store.
    pub(super) newest: u64,
    /// How many sealed files were read whole, because their hints are not valid.
    pub(super) scanned: u64,
}

/// How much of the store was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All files.
    Whole,
    /// The files that are new since an earlier moment, or may have grown.
    Newer,
}

impl LoadedState {
    /// Loads the files that are new since `progress`. Loads all files without `progress`, or if the store went through
    /// another opening since.
    ///
    /// # Errors
    /// `Corruption`; `Io`.
    pub(super) fn load(
        dir: &StoreDir,
        options: &Options,
        progress: Option<&Progress>,
    ) -> Result<(Self, Extent)> {
        let (_, loaded) = beside_writer::load(dir, |entries, manifest| {
            let inventory = Inventory::of(entries);
            let progress = progress.filter(|progress| progress.can_continue_to(manifest));
            let extent = if progress.is_some() { Extent::Newer } else { Extent::Whole };
            Ok((Self::attempt(dir, options, progress, &inventory, manifest)?, extent))
        })?;
        Ok(loaded)
    }

    /// Steps 2 to 4 of [`beside_writer`].
    fn attempt(
        dir: &StoreDir,
        options: &Options,
        progress: Option<&Progress>,
        inventory: &Inventory,
        manifest: &LoadedManifest<State>,
    ) -> Result<Self> {
        let (registry, seed) = registry_and_seed(dir, options, progress);
        let handles = handles_to_read(&registry, progress, manifest.state())?;

        // 2. and 3. Open the sealed files, copy the others.
        let pinned = pinned_files::pin(dir, manifest, &handles, inventory, options.read)?;

        // 4. Load the keys and read the log.
        let keydir = Arc::new(Keydir::new(seed, options.keydir));
        let scanned = load::load(&pinned, manifest, &handles, &keydir, options)?;
        let above = progress.map_or(0, |before| before.newest);
        let tail = tail::read(&pinned, manifest, &handles, &keydir, above, options)?;
        inventory.check_orphans(&pinned, manifest)?;
        Ok(Self {
            store: manifest.store_id(),
            stamp: manifest.stamp(),
            seed,
            registry,
            files: pinned_files::open(&pinned, manifest, &handles, &tail, options.read)?,
            handles,
            keydir,
            log_ends: LogEnds::new(DATA, &tail, unsealed(manifest.state())),
            newest: tail.newest_sequence.max(manifest.state().newest),
            scanned: scanned.len() as u64,
            state: manifest.state().clone(),
        })
    }
}

/// The registry of the files, and the seed of the keydir to load: those of `progress`, or new ones.
fn registry_and_seed(
    dir: &StoreDir,
    options: &Options,
    progress: Option<&Progress>,
) -> (Arc<FileRegistry>, u64) {
    if let Some(before) = progress {
        // Two keydirs with one seed have the same keys in the same shard, so that room can be compared by shard.
        return (Arc::clone(&before.registry), before.seed);
    }
    let executor = Arc::clone(&options.env.executor);
    let registry = FileRegistry::new(FileReclaimer::new(dir.clone(), executor));
    (registry, options.env.entropy.next_u64())
}

/// The files of `state` that a writer may append to.
fn unsealed(state: &State) -> impl Iterator<Item = u64> {
    state.files.iter().filter(|(_, sealed)| sealed.is_none()).map(|(&id, _)| id)
}

/// The files of `state` that were not read yet, or may have grown. A file keeps its number when it is sealed.
fn handles_to_read(
    registry: &Arc<FileRegistry>,
    progress: Option<&Progress>,
    state: &State,
) -> Result<FileHandles> {
    let mut handles = FileHandles::new();
    for (&id, sealed) in &state.files {
        // A sealed file that was read as a sealed file has not changed.
        if sealed.is_some() && progress.is_some_and(|before| before.sealed.contains(&id)) {
            continue;
        }
        let handle = match progress.and_then(|before| before.handles.get(&id)) {
            Some(handle) => Arc::clone(handle),
            None => registry.register(id)?,
        };
        debug_assert_eq!(handle.id(), id, "a handle belongs to one file");
        handles.insert(id, handle);
    }
    Ok(handles)
}
