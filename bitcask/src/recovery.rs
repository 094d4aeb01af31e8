//! Opening a store, also after a crash.
//!
//! 1. Lock the directory. A new store gets its directory, `LOCK` and manifest here.
//! 2. Read the manifest, and list the directory. Each data file that the manifest names must be there. Check the data files
//!    with ids that the manifest never reserved. If one proves that an edit is lost, the store is damaged
//!    (`recovery/inventory.rs`).
//! 3. Load the keys of the sealed files, from the valid hint files, else from the data. Several threads take the files in
//!    any order, because the highest sequence number of a key wins (`recovery/load.rs`). Of a sealed file with a valid hint
//!    only the length is checked: damage in it shows when a record is read, or in `verify`.
//! 4. Read the tail of the log, the unsealed files, and decide which of them are kept (`recovery/tail.rs`). The edit number
//!    in each header must not exceed that of the manifest. Sequence numbers go on after the highest one in the files that
//!    are kept and in the manifest. So later batches reuse the numbers of batches that were cut. Steps 2 to 4 change
//!    nothing, so a damaged store stays as it was.
//! 5. Open the manifest for writing. This makes durable: a new generation, a new epoch, and the last edit, which a killed
//!    process may have left in the page cache.
//! 6. Remove orphans. Before step 5, a power cut can still undo the edit that made a file an orphan.
//! 7. Discard the unsealed files that are not kept, newest first. Then cut, rewrite, sync and seal the others, oldest
//!    first (`recovery/repair.rs`).
//! 8. Rewrite each hint file that is not valid. If the disk has no space for it, the data file goes on without one.
//! 9. Open the data files, and finish the keydir: drop the tombstones, count the live records of each file.
//!
//! After step 7 every record is durable, so a second crash finds at least as much. Nothing is ever appended to an old file.
//!
//! If a step finds the disk full, the opening starts over once. The second attempt releases both reserve files before step
//! 5 (`durable::DiskReserve`).

pub(crate) mod finish;
pub(crate) mod inventory;
pub(crate) mod load;
mod repair;
pub(crate) mod tail;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use durable::log::chain::ChainTail;
use durable::manifest::{LoadedManifest, Manifest};
use durable::reclaim::FileReclaimer;
use durable::store_dir::StoreDir;
use durable::{DiskReserve, OpenStore, is_disk_full};
use kv::{Error, Result};

use crate::data_file::FileTable;
use crate::file_handle::{FileHandle, FileRegistry};
use crate::keydir::Keydir;
use crate::options::Options;
use crate::state::State;
use crate::steps::Step;
use finish::finish;
use inventory::Inventory;
use load::ScannedFiles;
use repair::Repair;

/// All that an open store starts from.
pub(crate) struct Recovered {
    pub(crate) dir: StoreDir,
    pub(crate) manifest: Manifest<State>,
    pub(crate) reserves: (DiskReserve, DiskReserve),
    pub(crate) keydir: Arc<Keydir>,
    pub(crate) files: FileTable,
    pub(crate) registry: Arc<FileRegistry>,
    /// The newest sequence number of the store.
    pub(crate) newest: u64,
    /// The id of the next data file.
    pub(crate) next_file_id: u64,
    /// How many sealed files were read whole, because their hints are not valid.
    pub(crate) files_scanned: u64,
}

/// Opens the store in `path`. The steps are those of the [module](self).
///
/// # Errors
/// As [`Bitcask::open`](crate::Bitcask::open).
pub(crate) fn recover(path: &Path, options: &Options) -> Result<Recovered> {
    match attempt(path, options, None) {
        // The first attempt has left the store as a crash in the middle of it would.
        Err(full) if is_disk_full(&full) => attempt(path, options, Some(full)),
        recovered => recovered,
    }
}

/// Opens the store. `found_full`: the error of an earlier attempt that found the disk full. This attempt releases both
/// reserve files, or returns that error if there is none.
fn attempt(path: &Path, options: &Options, found_full: Option<Error>) -> Result<Recovered> {
    // 1. Lock the directory. A new store gets its manifest.
    let awaiting = (&options.steps, Step::AwaitLeftover);
    let dir = OpenStore::<State>::lock_dir(&options.env, path, options.create, awaiting)?;

    // 2. Read the manifest, and check the directory against it.
    let loaded = Manifest::<State>::read(&dir)?;
    let inventory = Inventory::list(&dir)?;
    inventory.check_present(&dir, loaded.state())?;
    inventory.check_orphans(&dir, &loaded)?;

    // 3. and 4. Load the keys of the sealed files, and read the tail of the log.
    let keys = LoadedKeys::load(&dir, &loaded, options)?;
    let highest = || keys.tail.newest_sequence.max(loaded.state().newest);
    let newest = options.steps.run(Step::ResumeNumbering, highest);

    // 5. Open the manifest for writing.
    let is_full = found_full.is_some();
    let (manifest, reserves) = open_manifest(&dir, loaded, options, found_full)?;

    // 6. to 9. Repair the store.
    let repair = Repair { dir: &dir, manifest: &manifest, last_reserve: &reserves.1 };
    let files = run_repair(repair, &inventory, &keys, is_full, options)?;
    let next_file_id = manifest.state().next_file_id;
    let LoadedKeys { keydir, registry, scanned, .. } = keys;
    let files_scanned = scanned.len() as u64;
    Ok(Recovered {
        dir,
        manifest,
        reserves,
        keydir,
        files,
        registry,
        newest,
        next_file_id,
        files_scanned,
    })
}

/// Step 5: opens the manifest for writing. First releases both reserve files if the disk was found full.
fn open_manifest(
    dir: &StoreDir,
    loaded: LoadedManifest<State>,
    options: &Options,
    found_full: Option<Error>,
) -> Result<(Manifest<State>, (DiskReserve, DiskReserve))> {
    let (store, bytes) = (loaded.store_id(), options.reserve());
    let reserve = DiskReserve::open(dir, store, bytes)?;
    let last_reserve = DiskReserve::open_last(dir, store, Options::last_reserve(bytes))?;
    if let Some(full) = found_full {
        let (released, released_last) = (reserve.release()?, last_reserve.release()?);
        if !released && !released_last {
            return Err(full);
        }
    }
    Ok((loaded.open()?, (reserve, last_reserve)))
}

/// Steps 6 to 9, from the removal of orphans to a finished keydir. Returns the open data files. `is_full`: an earlier attempt
/// found the disk full.
fn run_repair(
    repair: Repair<'_>,
    inventory: &Inventory,
    keys: &LoadedKeys,
    is_full: bool,
    options: &Options,
) -> Result<FileTable> {
    // 6. Remove orphans.
    let Repair { dir, manifest, last_reserve } = repair;
    let state = manifest.state();
    let remove = || inventory.remove_orphans(dir, manifest.store_id(), &state);
    options.steps.run(Step::RemoveOrphans, remove);
    // The generation before is gone. Hints, which come next, must not take the space of the next opening.
    if is_full {
        last_reserve.restore();
    }

    // 7. and 8. Repair the tail of the log, and rewrite hint files that are not valid.
    repair.repair_tail(&keys.tail, options)?;
    keys.scanned.iter().try_for_each(|&id| repair.renew_hint(id))?;

    // 9. Open the data files, and finish the keydir.
    let files = repair.open_files(&keys.handles, options)?;
    assert_eq!(files.iter().count(), manifest.state().files.len(), "each named file is open");
    keys.finish(dir, &files, options)?;
    Ok(files)
}

/// The keys of the store, tombstones included, and the tail of its log.
struct LoadedKeys {
    keydir: Arc<Keydir>,
    registry: Arc<FileRegistry>,
    handles: FileHandles,
    scanned: ScannedFiles,
    tail: ChainTail,
}

impl LoadedKeys {
    /// Steps 3 and 4.
    fn load(dir: &StoreDir, manifest: &LoadedManifest<State>, options: &Options) -> Result<Self> {
        let keydir = Arc::new(Keydir::new(options.env.entropy.next_u64(), options.keydir));
        let reclaimer = FileReclaimer::new(dir.clone(), Arc::clone(&options.env.executor));
        let registry = FileRegistry::new(reclaimer);
        let handles = register_files(&registry, manifest.state())?;
        let scanned = load::load(dir, manifest, &handles, &keydir, options)?;
        let tail = tail::read(dir, manifest, &handles, &keydir, 0, options)?;
        Ok(Self { keydir, registry, handles, scanned, tail })
    }

    /// Step 9, when `files` are open: each file that the manifest names.
    fn finish(&self, dir: &StoreDir, files: &FileTable, options: &Options) -> Result<()> {
        finish(&self.keydir, files, &*options.env.executor, dir.path())?;
        let live: u64 = files.iter().map(|file| file.handle.live.records()).sum();
        debug_assert_eq!(live, self.keydir.len(), "each key has one live record");
        Ok(())
    }
}

/// The handles of the data files that the manifest names, by id. The number of a file that is then discarded is free
/// again.
pub(crate) type FileHandles = BTreeMap<u64, Arc<FileHandle>>;

fn register_files(registry: &Arc<FileRegistry>, state: &State) -> Result<FileHandles> {
    let handles = state.files.keys().map(|&id| Ok((id, registry.register(id)?)));
    let handles = handles.collect::<Result<FileHandles>>()?;
    debug_assert!(handles.iter().all(|(&id, handle)| handle.id() == id), "by id");
    Ok(handles)
}
