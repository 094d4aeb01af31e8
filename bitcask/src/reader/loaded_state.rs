//! The state that one opening or refresh loads, before reads can see it. The manifest, the log and the hints are verified.
//! A record of a sealed file with a valid hint is verified when it is read.
//!
//! One attempt has five steps:
//! 1. List the directory, then read the manifest. A data file gets records only after a manifest names it. So if a listed
//!    file has records and this manifest does not name it, the manifest is damaged.
//! 2. Open every file at once, the sealed files with their hints. From then on an unlink has no effect on them.
//! 3. Copy the unsealed files into memory, the newest first. Reason: if a copy has a record, the file before it had already
//!    ended. So the copy of that file, made later, contains its end mark. The copies are needed because the writer cuts a
//!    file when it seals it, and recovery rewrites it.
//! 4. Load the keys and read the log by the rules of recovery, from the open files and the copies.
//! 5. Read the manifest again: the store must be in the same opening as in step 1.
//!
//! # Damage, or a writer at work
//!
//! Three things that a writer does look like damage to a reader beside it:
//! - it unlinks a file that the manifest of step 1 names;
//! - it cuts a file while the reader copies it;
//! - it appends a record after the one that the reader is copying: the copy then holds a part of the first record, and a
//!   later record that proves the first one durable.
//!
//! So after such a failure the reader tries again, 16 times in all. If the next attempt fails with the same error under the
//! same manifest, the store is damaged. A writer unlinks a file only after an edit of the manifest, so the second attempt
//! reads another manifest. A writer writes a record before its proof, so the second copy contains the whole record.

use std::io::ErrorKind;
use std::sync::Arc;

use durable::log::StoreId;
use durable::manifest::{LoadedManifest, Manifest, Stamp};
use durable::reclaim::FileReclaimer;
use durable::store_dir::StoreDir;
use kv::{Error, Result};

use super::pinned_files;
use super::progress::{LogEnds, Progress};
use crate::data_file::DataFile;
use crate::file_handle::FileRegistry;
use crate::keydir::Keydir;
use crate::options::Options;
use crate::recovery::FileHandles;
use crate::recovery::inventory::Inventory;
use crate::recovery::{load, tail};
use crate::state::State;

/// How often a reader tries.
const ATTEMPTS: usize = 16;

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
        let mut last: Option<(Stamp, String)> = None;
        let mut attempts_left = ATTEMPTS;
        loop {
            attempts_left -= 1;
            let inventory = Inventory::list(dir)?;
            let manifest = Manifest::<State>::read(dir)?;
            let stamp = manifest.stamp();
            let progress = progress.filter(|progress| progress.can_continue_to(&manifest));
            let extent = if progress.is_some() { Extent::Newer } else { Extent::Whole };
            let error = match Self::attempt(dir, options, progress, &inventory, manifest) {
                Ok(loaded) => return Ok((loaded, extent)),
                Err(error) => error,
            };
            let failure = (stamp, error.to_string());
            let is_repeated = last.as_ref() == Some(&failure);
            if attempts_left == 0 || is_repeated || !may_come_from_a_writer(&error) {
                return Err(error);
            }
            last = Some(failure);
        }
    }

    /// Steps 2 to 5 of the [module](self).
    fn attempt(
        dir: &StoreDir,
        options: &Options,
        progress: Option<&Progress>,
        inventory: &Inventory,
        manifest: LoadedManifest<State>,
    ) -> Result<Self> {
        let (registry, seed) = registry_and_seed(dir, options, progress);
        let handles = handles_to_read(&registry, progress, manifest.state())?;

        // 2. and 3. Open the sealed files, copy the others.
        let pinned = pinned_files::pin(dir, &manifest, &handles, inventory, options.read)?;

        // 4. Load the keys and read the log.
        let keydir = Arc::new(Keydir::new(seed, options.keydir));
        let scanned = load::load(&pinned, &manifest, &handles, &keydir, options)?;
        let above = progress.map_or(0, |before| before.newest);
        let tail = tail::read(&pinned, &manifest, &handles, &keydir, above, options)?;
        inventory.check_orphans(&pinned, &manifest)?;

        // 5. The opening must be the same.
        check_epoch(dir, &manifest)?;
        Ok(Self {
            store: manifest.store_id(),
            stamp: manifest.stamp(),
            seed,
            registry,
            files: pinned_files::open(&pinned, &manifest, &handles, &tail, options.read)?,
            handles,
            keydir,
            log_ends: LogEnds::new(&tail, manifest.state()),
            newest: tail.newest_sequence.max(manifest.state().newest),
            scanned: scanned.len() as u64,
            state: manifest.into_state(),
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

/// Whether the work of a writer can cause this error.
fn may_come_from_a_writer(error: &Error) -> bool {
    let kinds = [ErrorKind::NotFound, ErrorKind::UnexpectedEof, ErrorKind::ResourceBusy];
    error.is_corruption() || error.io_kind().is_some_and(|kind| kinds.contains(&kind))
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

/// Checks that no other writer has begun its recovery since `manifest` was read.
fn check_epoch(dir: &StoreDir, manifest: &LoadedManifest<State>) -> Result<()> {
    let now = Manifest::<State>::read(dir)?;
    let is_same_store = now.store_id() == manifest.store_id();
    if is_same_store && now.stamp().open_epoch == manifest.stamp().open_epoch {
        return Ok(());
    }
    let busy = std::io::Error::new(ErrorKind::ResourceBusy, "a writer is opening the store");
    Err(Error::io("read", dir.path(), busy))
}
