//! Loading the keys of the sealed files, each from its hint if that counts, else from its data.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use durable::log::StoreId;
use durable::manifest::LoadedManifest;
use durable::store_dir::StoreDir;
use durable::sync::Mutex;
use durable::sync::atomic::AtomicUsize;
use durable::{Access, Job, read_whole};
use kv::Result;

use super::Lives;
use crate::files::{DATA, HINT};
use crate::hint_file;
use crate::keydir::{Keydir, Loader, Location};
use crate::options::Options;
use crate::planted::Mistake;
use crate::record::Record;
use crate::sealed_file::{check_hint, describe, map_sealed};
use crate::state::{Hint, Sealed, State};

/// Background jobs that help with loading. More than the pool has threads do no harm.
const HELPERS: usize = 7;

/// What came of loading.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// The files whose data was read, because their hint does not count.
    pub(crate) scanned: Vec<u64>,
}

/// Loads into `keydir` every sealed file of `found` that is among `lives`.
pub(crate) fn load(
    dir: &StoreDir,
    found: &LoadedManifest<State>,
    lives: &Lives,
    keydir: &Arc<Keydir>,
    options: &Options,
) -> Result<Loaded> {
    let mut files = Vec::new();
    for (&id, sealed) in &found.state().files {
        if let (Some(sealed), Some(life)) = (*sealed, lives.get(&id)) {
            files.push(SealedFile { id, sealed, number: life.number });
        }
    }
    let helpers = HELPERS.min(files.len().saturating_sub(1));
    let loading = Arc::new(Loading {
        dir: dir.clone(),
        store: found.store_id(),
        keydir: Arc::clone(keydir),
        options: options.clone(),
        files,
        next: AtomicUsize::new(0),
        helpers: AtomicUsize::new(helpers),
        outcome: Mutex::new(Ok(Loaded::default())),
    });
    for _ in 0..helpers {
        let loading = Arc::clone(&loading);
        options.env.executor.submit(Job::new("bitcask-load", move || {
            let _leaving = Leaving(&loading.helpers);
            loading.run();
        }));
    }
    loading.run();
    options.env.executor.wait_until(&|| loading.helpers.load(Ordering::Acquire) == 0);
    let mut loaded = std::mem::replace(&mut *loading.outcome.lock(), Ok(Loaded::default()))?;
    loaded.scanned.sort_unstable();
    Ok(loaded)
}

/// Counts a helper out, also when it panics.
struct Leaving<'l>(&'l AtomicUsize);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

struct SealedFile {
    id: u64,
    sealed: Sealed,
    number: u16,
}

/// What the loaders share.
struct Loading {
    dir: StoreDir,
    store: StoreId,
    keydir: Arc<Keydir>,
    options: Options,
    files: Vec<SealedFile>,
    /// The next file to load.
    next: AtomicUsize,
    /// Helpers that have not ended.
    helpers: AtomicUsize,
    outcome: Mutex<Result<Loaded>>,
}

impl Loading {
    /// Loads files until there are none left, or until somebody has failed.
    fn run(&self) {
        let mut loader = Loader::new(&self.keydir);
        while let Some(file) = self.files.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let done = self.load_file(file, &mut loader);
            let mut outcome = self.outcome.lock();
            match (done, &mut *outcome) {
                (_, Err(_)) => return,
                (Err(error), outcome) => *outcome = Err(error),
                (Ok(true), Ok(_)) => {}
                (Ok(false), Ok(loaded)) => loaded.scanned.push(file.id),
            }
        }
        loader.finish();
    }

    /// Loads one file. `false`: its hint did not count.
    fn load_file(&self, file: &SealedFile, loader: &mut Loader<'_>) -> Result<bool> {
        let bytes = map_sealed(&self.dir, file.id, &file.sealed, Access::Sequential)?;
        if let Some(hint) = file.sealed.hint
            && self.load_hint(file, hint, loader).is_ok()
        {
            return Ok(true);
        }
        let path = self.dir.file(&DATA.name(file.id));
        let identity = file.sealed.identity(self.store, file.id);
        describe(bytes.bytes(), identity, &path, &mut |frame, record| {
            let location = Location { file: file.number, offset: frame.offset, len: frame.len() };
            let put = matches!(record, Record::Put { .. });
            loader.load(record.key(), frame.sequence, put.then_some(location));
        })?;
        Ok(false)
    }

    /// Loads the hint of a file. Any error means that the hint does not count; what was loaded of it by then came from
    /// bytes with the right checksum, and loading a record twice changes nothing.
    fn load_hint(&self, file: &SealedFile, hint: Hint, loader: &mut Loader<'_>) -> Result<()> {
        let path = self.dir.file(&HINT.name(file.id));
        let bytes = read_whole(&*self.dir.fs().open(&path)?)?;
        let bytes = bytes.bytes();
        if !self.options.has(Mistake::BelieveAnyHint) {
            check_hint(bytes, hint, &path)?;
        }
        let source = file.sealed.source(self.store, file.id);
        hint_file::read(bytes, &source, &path, &mut |entry| {
            let location = Location { file: file.number, offset: entry.offset, len: entry.len };
            let put = !entry.deletion || self.options.has(Mistake::TakeHintedDeletionForPut);
            loader.load(entry.key, entry.sequence, put.then_some(location));
        })
    }
}
