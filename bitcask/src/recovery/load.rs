//! Loading the keys of the sealed files: each file from its hint if the hint is valid, else from its data.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use durable::log::StoreId;
use durable::manifest::LoadedManifest;
use durable::store_dir::StoreDir;
use durable::sync::atomic::{AtomicBool, AtomicUsize};
use durable::{Access, fan_out, read_whole};
use kv::Result;

use super::FileHandles;
use crate::files::{DATA, HINT};
use crate::hint_file;
use crate::keydir::{Keydir, Loader, Location};
use crate::options::Options;
use crate::record::Record;
use crate::sealed_file::{check_hint, check_len, describe, map_sealed};
use crate::state::{Hint, Sealed, State};
use crate::steps::Step;

/// Files whose keys were not loaded from their hints, because the hints are not valid. Ascending.
pub(crate) type ScannedFiles = Vec<u64>;

/// Loads the keys of every sealed file of `manifest` that is in `handles` into `keydir`, in this thread and in those of the
/// executor. Returns the files whose data was read.
///
/// # Errors
/// The first `Corruption` or `Io` of any file; `Io` when a loading thread panics.
pub(crate) fn load(
    dir: &StoreDir,
    manifest: &LoadedManifest<State>,
    handles: &FileHandles,
    keydir: &Arc<Keydir>,
    options: &Options,
) -> Result<ScannedFiles> {
    let mut files = Vec::new();
    for (&id, sealed) in &manifest.state().files {
        if let (Some(sealed), Some(handle)) = (*sealed, handles.get(&id)) {
            files.push(LoadTask { id, sealed, number: handle.number });
        }
    }
    let file_count = files.len();
    debug_assert!(files.is_sorted_by_key(|file| file.id), "by id");
    let loading = Loading {
        dir: dir.clone(),
        store: manifest.store_id(),
        keydir: Arc::clone(keydir),
        options: options.clone(),
        files,
        next: AtomicUsize::new(0),
        loaders: AtomicUsize::new(0),
        has_failed: AtomicBool::new(false),
    };
    let (executor, helpers) = (&*options.env.executor, file_count.saturating_sub(1));
    let work = move || loading.run();
    let reports = fan_out(executor, "bitcask-load", ("load", dir.path()), helpers, work)?;
    let loaded: usize = reports.iter().map(|report| report.loaded).sum();
    let mut scanned: ScannedFiles = reports.into_iter().flat_map(|report| report.scanned).collect();
    assert_eq!(loaded + scanned.len(), file_count, "each sealed file is loaded once");
    scanned.sort_unstable();
    Ok(scanned)
}

/// One sealed file to be loaded.
struct LoadTask {
    id: u64,
    sealed: Sealed,
    /// Its number in the keydir.
    number: u16,
}

/// The work of one loading thread, whose keys are all in the keydir.
#[derive(Debug, Default)]
struct LoadReport {
    /// How many files were loaded from their hints.
    loaded: usize,
    scanned: ScannedFiles,
}

/// The state that the loading threads share.
struct Loading {
    dir: StoreDir,
    store: StoreId,
    keydir: Arc<Keydir>,
    options: Options,
    files: Vec<LoadTask>,
    /// The index of the next file to load.
    next: AtomicUsize,
    /// How many threads have begun.
    loaders: AtomicUsize,
    /// A thread has met an error, so the others stop.
    has_failed: AtomicBool,
}

impl Loading {
    /// Loads files until no file is left or a thread has failed.
    fn run(&self) -> Result<LoadReport> {
        let number = self.loaders.fetch_add(1, Ordering::Relaxed);
        let mut loader = Loader::new(&self.keydir, number, self.records());
        let mut report = LoadReport::default();
        while let Some(file) = self.next_file() {
            match self.load_file(file, &mut loader) {
                Ok(true) => report.loaded += 1,
                Ok(false) => report.scanned.push(file.id),
                Err(error) => {
                    self.has_failed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        // The loader collects keys; without this call the last of them never reach the keydir.
        loader.finish();
        Ok(report)
    }

    /// How many records the files have in all, as the manifest says.
    fn records(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.sealed.records))
    }

    fn next_file(&self) -> Option<&LoadTask> {
        if self.has_failed.load(Ordering::Relaxed) {
            return None;
        }
        self.files.get(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Loads one file. `false`: its hint was not valid.
    fn load_file(&self, file: &LoadTask, loader: &mut Loader<'_>) -> Result<bool> {
        check_len(&*self.dir.fs().open(&self.dir.file(&DATA.name(file.id)))?, &file.sealed)?;
        if let Some(hint) = file.sealed.hint
            && self.load_hint(file, hint, loader).is_ok()
        {
            return Ok(true);
        }
        let bytes = map_sealed(&self.dir, file.id, &file.sealed, Access::Sequential)?;
        let path = self.dir.file(&DATA.name(file.id));
        let header = file.sealed.header(self.store, file.id);
        describe(bytes.bytes(), header, &path, &mut |frame, record| {
            let location = Location { file: file.number, offset: frame.offset, len: frame.len() };
            let put = matches!(record, Record::Put { .. });
            loader.load(record.key(), frame.sequence, put.then_some(location));
        })?;
        Ok(false)
    }

    /// Loads the hint of a file. Any error means that the hint is not valid. Keys loaded before the error are right: the
    /// checksum of the hint was checked first. Loading them again changes nothing.
    fn load_hint(&self, file: &LoadTask, hint: Hint, loader: &mut Loader<'_>) -> Result<()> {
        let path = self.dir.file(&HINT.name(file.id));
        let bytes = read_whole(&*self.dir.fs().open(&path)?)?;
        let bytes = bytes.bytes();
        self.options.steps.run(Step::CheckHint, || check_hint(bytes, hint, &path))?;
        let source = file.sealed.source(self.store, file.id);
        hint_file::read(bytes, &source, &path, &mut |entry| {
            let location = Location { file: file.number, offset: entry.offset, len: entry.len };
            if entry.is_tombstone {
                let load = || loader.load(entry.key, entry.sequence, None);
                self.options.steps.run(Step::LoadHintedTombstone, load);
            } else {
                loader.load(entry.key, entry.sequence, Some(location));
            }
        })
    }
}
