//! Opening a store: what is there, what of it counts, and what a crash left to be put in order.
//!
//! 1. Lock the directory and read the manifest; or create it, for a new store.
//! 2. Look at everything before changing anything. Each file that the manifest names must be there, the sealed ones
//!    with their length. Their keys are loaded from the hint files that count, else from the data, in parallel and in
//!    any order, because the highest sequence number of a key wins (`recovery/load.rs`).
//! 3. The unsealed files are read in the order of their ids. The first that is torn ends the log: what follows it was
//!    never acknowledged as durable, and goes (`recovery/tail.rs`).
//! 4. Open the manifest for writing, which begins a new epoch. Remove the files that no longer count, newest first, so
//!    that a crash in the middle never leaves a later file behind a shorter earlier one. Then cut the torn file, write it
//!    anew, make it durable and seal it, and the other unsealed ones too.
//!
//! So what this handle serves is durable before it serves it, a second crash finds at least as much, and nothing is
//! ever appended to an old file.

pub(crate) mod load;
pub(crate) mod tail;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::log::{SEGMENT_HEADER_LEN, StoreId};
use durable::manifest::{LoadedManifest, Manifest};
use durable::publish::publish_in_place;
use durable::read_whole;
use durable::reclaim::FileReclaimer;
use durable::store_dir::{OpenMode, StoreDir};
use kv::{Error, Result};

use crate::data_file::{DataFile, FileTable};
use crate::file_handle::{FileHandle, FileRegistry};
use crate::files::{DATA, HINT, HINT_TEMPORARY};
use crate::keydir::Keydir;
use crate::options::Options;
use crate::sealed_file::{describe, write_hint};
use crate::state::{Edit, State};
use crate::steps::Step;

/// All that an open store starts from.
pub(crate) struct Recovered {
    pub(crate) dir: StoreDir,
    pub(crate) manifest: Manifest<State>,
    pub(crate) keydir: Arc<Keydir>,
    pub(crate) files: FileTable,
    pub(crate) registry: Arc<FileRegistry>,
    /// The newest sequence number of the store.
    pub(crate) newest: u64,
    pub(crate) next_file_id: u64,
    /// Data files that were read whole, because they had no hint that counts.
    pub(crate) files_scanned: u64,
}

/// Opens the store in `path`.
pub(crate) fn recover(path: &Path, options: &Options) -> Result<Recovered> {
    let mode = if options.create { OpenMode::Create } else { OpenMode::Write };
    let dir = StoreDir::open_after_leftovers(&options.env.fs, path, mode, &*options.env.clock)?;
    if options.create && !Manifest::<State>::exists(&dir)? {
        drop(Manifest::<State>::create(&dir, StoreId::random(&*options.env.entropy))?);
    }
    let found = Manifest::<State>::read(&dir)?;
    let names = Names::list(&dir)?;
    names.check_present(&dir, found.state())?;
    names.check_strangers(&dir, &found)?;

    let keydir = Arc::new(Keydir::new(options.env.entropy.next_u64(), options.keydir));
    let reclaimer = FileReclaimer::new(dir.clone(), Arc::clone(&options.env.executor));
    let registry = FileRegistry::new(reclaimer);
    let lives = register_files(&registry, found.state())?;
    let scanned = load::load(&dir, &found, &lives, &keydir, options)?;
    let tail = tail::read(&dir, &found, &lives, &keydir, 0, options)?;
    let highest = || tail.newest.max(found.state().newest);
    let newest = options.steps.run(Step::ResumeNumbering, highest);
    let next_file_id = names.data.last().map_or(0, |last| last + 1).max(found.state().next_file_id);

    let store = Store { manifest: found.open()?, dir };
    names.remove_strangers(&store);
    store.put_in_order(&tail, &scanned, options)?;
    let files = store.open_files(&lives, options)?;
    keydir.finish_loading(&mut |version| {
        if let Some(file) = files.get(version.location.file) {
            file.handle.live.add(version.location);
        }
    })?;
    let files_scanned = scanned.len() as u64;
    let Store { manifest, dir } = store;
    Ok(Recovered { dir, manifest, keydir, files, registry, newest, next_file_id, files_scanned })
}

/// The data files that the manifest names, by id. A number that was given to one that is then discarded is free again.
pub(crate) type Lives = BTreeMap<u64, Arc<FileHandle>>;

fn register_files(registry: &Arc<FileRegistry>, state: &State) -> Result<Lives> {
    state.files.keys().map(|&id| Ok((id, registry.register(id)?))).collect()
}

/// What is wrong with a data file that is not there.
pub(crate) const MISSING: &str = "the manifest names this file, and it is missing";

/// Which of our files are in the directory.
pub(crate) struct Names {
    pub(crate) data: BTreeSet<u64>,
    others: Vec<PathBuf>,
}

impl Names {
    pub(crate) fn list(dir: &StoreDir) -> Result<Self> {
        let entries = dir.list()?;
        let others = [HINT, HINT_TEMPORARY].into_iter().flat_map(|pattern| {
            pattern.numbers(&entries).map(move |id| pattern.name(id)).collect::<Vec<_>>()
        });
        let others = others.map(|name| dir.file(&name)).collect();
        Ok(Self { data: DATA.numbers(&entries).collect(), others })
    }

    fn check_present(&self, dir: &StoreDir, state: &State) -> Result<()> {
        match state.files.keys().find(|id| !self.data.contains(id)) {
            None => Ok(()),
            Some(&id) => Err(Error::corruption(dir.file(&DATA.name(id)), 0, MISSING)),
        }
    }

    /// A data file that the manifest does not name was just being created, and is empty; or was just taken out. One
    /// that is younger than all the manifest knows and has records says that the manifest has lost its last edit.
    pub(crate) fn check_strangers(
        &self,
        dir: &StoreDir,
        found: &LoadedManifest<State>,
    ) -> Result<()> {
        for &id in self.data.range(found.state().next_file_id..) {
            let path = dir.file(&DATA.name(id));
            let bytes = read_whole(&*dir.fs().open(&path)?)?;
            if tail::has_records(bytes.bytes(), found.store_id(), id, &path) {
                let what = "this file has records, and the manifest does not know of it";
                return Err(Error::corruption(&path, SEGMENT_HEADER_LEN, what));
            }
        }
        Ok(())
    }

    /// Removes what the manifest does not name. Failing costs disk space only, until the next opening.
    fn remove_strangers(&self, store: &Store) {
        let state = store.manifest.state();
        let hints: BTreeSet<PathBuf> = state
            .files
            .iter()
            .filter(|(_, sealed)| sealed.is_some_and(|sealed| sealed.hint.is_some()))
            .map(|(&id, _)| store.dir.file(&HINT.name(id)))
            .collect();
        let data = self.data.iter().filter(|id| !state.files.contains_key(id));
        let data = data.map(|&id| store.dir.file(&DATA.name(id)));
        let others = self.others.iter().filter(|path| !hints.contains(*path)).cloned();
        for path in others.chain(data) {
            drop(store.dir.fs().remove(&path));
        }
    }
}

/// The store while it is put in order.
struct Store {
    dir: StoreDir,
    manifest: Manifest<State>,
}

impl Store {
    fn put_in_order(&self, tail: &tail::LogTail, scanned: &[u64], options: &Options) -> Result<()> {
        let discard = || tail.discarded.iter().rev().try_for_each(|&id| self.discard(id));
        let seal = || tail.kept.iter().try_for_each(|kept| self.seal(kept));
        options.steps.in_order((Step::DiscardTail, discard), (Step::SealTail, seal))?;
        for &id in scanned {
            self.renew_hint(id)?;
        }
        Ok(())
    }

    /// Takes an unsealed file out of the store.
    fn discard(&self, id: u64) -> Result<()> {
        self.manifest.append(&Edit::remove(id))?;
        // The manifest has forgotten the file, so whatever is left of it is removed at the next opening.
        drop(self.dir.fs().remove(&self.dir.file(&DATA.name(id))));
        Ok(())
    }

    /// Cuts an unsealed file behind its last whole batch and seals it.
    ///
    /// Its bytes are written over themselves first. A sync that failed before may have left them in the page cache, marked
    /// as clean: then they read right, and a sync succeeds without writing them (Rebello et al., ATC 2020).
    fn seal(&self, kept: &tail::Kept) -> Result<()> {
        let path = self.dir.file(&DATA.name(kept.identity.id));
        let file = self.dir.fs().open_writable(&path)?;
        let mut bytes = vec![0; kept.len as usize];
        file.read_at(0, &mut bytes)?;
        file.write_at(0, &bytes)?;
        file.set_len(kept.len)?;
        let published = publish_in_place(&**self.dir.fs(), &*file)?;
        let (sealed, hint) = describe(&bytes, kept.identity, &path, &mut |_, _| ())?;
        let hint = write_hint(&**self.dir.fs(), self.dir.path(), kept.identity.id, &hint)?;
        self.manifest.append(&Edit::seal(&published, hint, sealed))
    }

    /// Writes the hint file anew for a sealed file whose hint did not count.
    fn renew_hint(&self, id: u64) -> Result<()> {
        let Some(Some(sealed)) = self.manifest.state().files.get(&id).copied() else {
            return Ok(());
        };
        let path = self.dir.file(&DATA.name(id));
        let file = self.dir.fs().open(&path)?;
        let identity = sealed.identity(self.manifest.store_id(), id);
        let (described, hint) =
            describe(read_whole(&*file)?.bytes(), identity, &path, &mut |_, _| ())?;
        let Some(hint) = write_hint(&**self.dir.fs(), self.dir.path(), id, &hint)? else {
            return Ok(());
        };
        let published = publish_in_place(&**self.dir.fs(), &*file)?;
        self.manifest.append(&Edit::seal(&published, Some(hint), described))
    }

    /// The table of the files that are left.
    fn open_files(&self, lives: &Lives, options: &Options) -> Result<FileTable> {
        let mut table = FileTable::default();
        for (&id, sealed) in &self.manifest.state().files {
            let path = self.dir.file(&DATA.name(id));
            let sealed = sealed.expect("every file is sealed by now");
            let identity = sealed.identity(self.manifest.store_id(), id);
            let (fs, life) = (&**self.dir.fs(), Arc::clone(&lives[&id]));
            life.first_expiry.learn(sealed.expiring.first());
            table.insert(Arc::new(DataFile::sealed(fs, &path, identity, options.read, life)?));
        }
        Ok(table)
    }
}
