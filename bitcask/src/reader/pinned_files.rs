//! The files of one moment of the store, pinned: sealed files stay open or mapped, unsealed files are copied into memory. A
//! writer that unlinks, cuts or rewrites a file changes nothing in them.

use std::io::ErrorKind;
use std::sync::Arc;

use durable::beside_writer::copy_segments;
use durable::log::chain::ChainTail;
use durable::manifest::LoadedManifest;
use durable::store_dir::{OpenMode, StoreDir};
use durable::{Access, File, MappedPrefix, ReadOnlyFs, read_whole};
use kv::{Error, Result};

use crate::data_file::DataFile;
use crate::files::{DATA, HINT};
use crate::options::ReadMode;
use crate::recovery::FileHandles;
use crate::recovery::inventory::{Inventory, MISSING};
use crate::sealed_file::map_sealed;
use crate::state::State;

/// Opens or copies each file in `handles`, and each file that `manifest` does not know yet. Returns a directory in which
/// these files keep their present content.
///
/// # Errors
/// `Corruption` when a file that the manifest names is missing, or when a file that is mapped has another length; `Io`.
pub(super) fn pin(
    dir: &StoreDir,
    manifest: &LoadedManifest<State>,
    handles: &FileHandles,
    inventory: &Inventory,
    read: ReadMode,
) -> Result<StoreDir> {
    let mut fs = ReadOnlyFs::new(Arc::clone(dir.fs()));
    let mut log = Vec::new();
    for &id in handles.keys() {
        match manifest.state().files[&id] {
            // An unsealed file: copied below.
            None => log.push(open_named(dir, id)?),
            // The length is checked where the keys are loaded.
            Some(_) if read == ReadMode::Positional => fs.hold(open_named(dir, id)?),
            Some(sealed) => {
                match or_missing(map_sealed(dir, id, &sealed, Access::Random), dir, id) {
                    // A process has a limited number of mappings; without one the file is read by position.
                    Err(error) if error.is_out_of_resources() => fs.hold(open_named(dir, id)?),
                    mapped => fs.hold_bytes(dir.file(&DATA.name(id)), mapped?),
                }
            }
        }
    }
    pin_hints(dir, manifest, handles, &mut fs);
    // Files that the manifest has not named yet. If one has records, the manifest is damaged.
    for &id in inventory.data.range(manifest.state().next_file_id..) {
        log.push(dir.fs().open(&dir.file(&DATA.name(id)))?);
    }
    copy_segments(&mut fs, &log)?;
    StoreDir::open(Arc::new(fs), dir.path(), OpenMode::Read)
}

/// Reads the hint files of `handles` into `fs`. Leaves out a hint that cannot be read: the data file is read instead.
fn pin_hints(
    dir: &StoreDir,
    manifest: &LoadedManifest<State>,
    handles: &FileHandles,
    fs: &mut ReadOnlyFs,
) {
    for &id in handles.keys() {
        let path = dir.file(&HINT.name(id));
        if manifest.state().files[&id].is_some_and(|sealed| sealed.hint.is_some())
            && let Ok(bytes) = dir.fs().open(&path).and_then(|file| read_whole(&*file))
        {
            fs.hold_bytes(path, bytes);
        }
    }
}

/// Opens a data file that the manifest names.
fn open_named(dir: &StoreDir, id: u64) -> Result<Arc<dyn File>> {
    or_missing(dir.fs().open(&dir.file(&DATA.name(id))), dir, id)
}

/// Turns the absence of a file that the manifest names into damage.
fn or_missing<T>(opened: Result<T>, dir: &StoreDir, id: u64) -> Result<T> {
    opened.map_err(|error| match error.io_kind() {
        Some(ErrorKind::NotFound) => Error::corruption(dir.file(&DATA.name(id)), 0, MISSING),
        _ => error,
    })
}

/// The files in `handles` in the form that gets and scans read.
///
/// # Errors
/// `Corruption` when a copy is shorter than the kept part of its file; `Io`.
pub(super) fn open(
    pinned: &StoreDir,
    manifest: &LoadedManifest<State>,
    handles: &FileHandles,
    tail: &ChainTail,
    read: ReadMode,
) -> Result<Vec<Arc<DataFile>>> {
    let fs = &**pinned.fs();
    let mut files = Vec::new();
    for (&id, handle) in handles {
        let Some(sealed) = &manifest.state().files[&id] else { continue };
        let (path, handle) = (pinned.file(&DATA.name(id)), Arc::clone(handle));
        let header = sealed.header(manifest.store_id(), id);
        handle.first_expiry.learn(sealed.expiring.first());
        files.push(Arc::new(DataFile::sealed(fs, &path, header, read, handle)?));
    }
    // Of an unsealed file only the bytes up to the end of the log count.
    for kept in &tail.kept {
        let path = pinned.file(&DATA.name(kept.id()));
        let bytes = read_whole(&*fs.open(&path)?)?;
        let too_short = || Error::corruption(&path, kept.len, "the file ends before the log does");
        let bytes = MappedPrefix::new(bytes, kept.len as usize).ok_or_else(too_short)?;
        let handle = Arc::clone(&handles[&kept.id()]);
        files.push(Arc::new(DataFile::copied(Arc::new(bytes), path, kept.header, handle)));
    }
    debug_assert!(files.len() <= handles.len(), "each file is opened at most once");
    Ok(files)
}
