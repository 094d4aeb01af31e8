//! What a reader has read of the store, verified, before any of it is shown.
//!
//! One try is:
//! 1. List the directory, then read the manifest: a data file in the list that has records is named by a manifest that
//!    is read later, unless the manifest is damaged.
//! 2. Open every file at once, the sealed ones with their hints. From here on a merge can take nothing away.
//! 3. Copy the unsealed files, the newest first. So if a record was seen in one of them, the end mark of the one before
//!    it is seen, too. They are copied because their writer cuts them when it seals them, and recovery writes them anew.
//! 4. Load the keys and read the log by the rules of recovery, from what is held now.
//! 5. Read the manifest again: one opening of the store has lasted all the while.
//!
//! **What a writer does meanwhile** can look like damage: a file that is gone, a file that was cut while it was copied, a
//! record that was half there when its bytes were copied and vouched for by one that was copied later. So a try that
//! fails in such a way is followed by another one. What fails twice in the same way under the same manifest is damage: a
//! file is unlinked only after the manifest has forgotten it, and whatever vouches for bytes was written after them, so
//! that the second copy has them whole.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::Arc;

use durable::log::chain::ChainTail;
use durable::log::{SEGMENT_HEADER_LEN, SegmentFormat, StoreId};
use durable::manifest::{LoadedManifest, Manifest, Stamp};
use durable::reclaim::FileReclaimer;
use durable::store_dir::{OpenMode, StoreDir};
use durable::{Access, MappedPrefix, ReadOnlyFs, copy_whole, read_whole};
use kv::{Error, Result};

use crate::data_file::DataFile;
use crate::file_handle::FileRegistry;
use crate::files::{DATA, HINT};
use crate::keydir::Keydir;
use crate::options::{Options, ReadMode};
use crate::recovery::Lives;
use crate::recovery::inventory::{Inventory, MISSING};
use crate::recovery::load;
use crate::recovery::tail;
use crate::sealed_file::map_sealed;
use crate::state::State;

/// The end of a log file in which no record was seen: the first record will be at the start of its frames.
const NO_FRAMES: u64 = 0;

/// How often a reader tries before it gives up. A writer is in its way for a moment at a time.
const ATTEMPTS: usize = 16;

/// How far a reader has come, so that it need not read that again.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) store: StoreId,
    pub(super) stamp: Stamp,
    /// The newest write that was read.
    pub(super) newest: u64,
    /// Of the keydir.
    pub(super) seed: u64,
    pub(super) registry: Arc<FileRegistry>,
    /// The files that the keydir may name.
    pub(super) lives: Lives,
    /// Those of them that were loaded as sealed files.
    pub(super) sealed: BTreeSet<u64>,
    /// Where the log ended: the last file with records, those after it, and how much of each counted.
    pub(super) log_ends: Vec<(u64, u64)>,
}

/// One moment of the store.
pub(super) struct Reading {
    pub(super) store: StoreId,
    pub(super) stamp: Stamp,
    pub(super) state: State,
    pub(super) seed: u64,
    pub(super) registry: Arc<FileRegistry>,
    /// The files that were read.
    pub(super) lives: Lives,
    /// Those of them that have records that count.
    pub(super) files: Vec<Arc<DataFile>>,
    /// What was loaded from them, deletions included; from the log only what was not read before.
    pub(super) keydir: Arc<Keydir>,
    pub(super) log_ends: Vec<(u64, u64)>,
    /// The newest write of the store.
    pub(super) newest: u64,
    /// Sealed files whose hint did not count.
    pub(super) scanned: u64,
}

impl Progress {
    /// Whether the store of `found` is the one that was read before, in the same opening and further on.
    fn is_before(&self, found: &LoadedManifest<State>) -> bool {
        let stamp = found.stamp();
        self.store == found.store_id()
            && self.stamp.open_epoch == stamp.open_epoch
            && self.stamp.edit_number <= stamp.edit_number
    }

    /// Whether nothing has been written since: the manifest is the same, and nothing stands where the log would go on.
    pub(super) fn is_current(&self, dir: &StoreDir) -> Result<bool> {
        let found = Manifest::<State>::read(dir)?;
        if self.store != found.store_id() || self.stamp != found.stamp() {
            return Ok(false);
        }
        for &(id, end) in &self.log_ends {
            let file = dir.fs().open(&dir.file(&DATA.name(id)))?;
            let end = if end == NO_FRAMES { first_frame(&*file)? } else { end };
            let mut next = [0; durable::log::FRAME_HEADER_LEN];
            if file.len()? >= end + next.len() as u64 {
                file.read_at(end, &mut next)?;
            }
            if next.iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Reading {
    /// Reads what has come since `progress`, where that can be told, or else everything.
    pub(super) fn take(
        dir: &StoreDir,
        options: &Options,
        progress: Option<&Progress>,
    ) -> Result<(Self, Extent)> {
        let mut last: Option<(Stamp, String)> = None;
        for attempt in 1.. {
            let inventory = Inventory::list(dir)?;
            let found = Manifest::<State>::read(dir)?;
            let stamp = found.stamp();
            let progress = progress.filter(|progress| progress.is_before(&found));
            let extent = if progress.is_some() { Extent::News } else { Extent::Whole };
            let error = match Self::attempt(dir, options, progress, &inventory, found) {
                Ok(reading) => return Ok((reading, extent)),
                Err(error) => error,
            };
            let failure = (stamp, error.to_string());
            if attempt == ATTEMPTS || !may_pass(&error) || last.as_ref() == Some(&failure) {
                return Err(error);
            }
            last = Some(failure);
        }
        unreachable!("the last attempt returns")
    }

    fn attempt(
        dir: &StoreDir,
        options: &Options,
        progress: Option<&Progress>,
        inventory: &Inventory,
        found: LoadedManifest<State>,
    ) -> Result<Self> {
        let registry = progress.map_or_else(
            || {
                let executor = Arc::clone(&options.env.executor);
                FileRegistry::new(FileReclaimer::new(dir.clone(), executor))
            },
            |progress| Arc::clone(&progress.registry),
        );
        let seed = progress.map_or_else(|| options.env.entropy.next_u64(), |before| before.seed);
        let lives = lives_to_read(&registry, progress, found.state())?;
        let held = hold(dir, &found, &lives, inventory, options.read)?;
        let keydir = Arc::new(Keydir::new(seed, options.keydir));
        let scanned = load::load(&held, &found, &lives, &keydir, options)?;
        let above = progress.map_or(0, |before| before.newest);
        let tail = tail::read(&held, &found, &lives, &keydir, above, options)?;
        inventory.check_orphans(&held, &found)?;
        check_epoch(dir, &found)?;
        Ok(Self {
            store: found.store_id(),
            stamp: found.stamp(),
            seed,
            registry,
            files: open_files(&held, &found, &lives, &tail, options.read)?,
            lives,
            keydir,
            log_ends: log_ends(&tail, found.state()),
            newest: tail.newest.max(found.state().newest),
            scanned: scanned.len() as u64,
            state: found.into_state(),
        })
    }
}

/// How much of the store was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it.
    Whole,
    /// What has come since the last time.
    News,
}

/// Whether a writer's work may look like this.
fn may_pass(error: &Error) -> bool {
    let kinds = [ErrorKind::NotFound, ErrorKind::UnexpectedEof, ErrorKind::ResourceBusy];
    error.is_corruption() || error.io_kind().is_some_and(|kind| kinds.contains(&kind))
}

/// The files of `state` that have not been read yet, or may have grown. A file keeps its number when it is sealed.
fn lives_to_read(
    registry: &Arc<FileRegistry>,
    progress: Option<&Progress>,
    state: &State,
) -> Result<Lives> {
    let mut lives = Lives::new();
    for (&id, sealed) in &state.files {
        if sealed.is_some() && progress.is_some_and(|before| before.sealed.contains(&id)) {
            continue;
        }
        let life = match progress.and_then(|before| before.lives.get(&id)) {
            Some(life) => Arc::clone(life),
            None => registry.register(id)?,
        };
        lives.insert(id, life);
    }
    Ok(lives)
}

/// The directory, with all files that are to be read as they are now.
fn hold(
    dir: &StoreDir,
    found: &LoadedManifest<State>,
    lives: &Lives,
    inventory: &Inventory,
    read: ReadMode,
) -> Result<StoreDir> {
    let mut held = ReadOnlyFs::new(Arc::clone(dir.fs()));
    let mut log = Vec::new();
    for &id in lives.keys() {
        match found.state().files[&id] {
            None => log.push(open(dir, id)?),
            // The length is checked again where the keys are loaded.
            Some(_) if read == ReadMode::Positional => held.hold(open(dir, id)?),
            Some(sealed) => {
                match missing(map_sealed(dir, id, &sealed, Access::Random), dir, id) {
                    // A process has a limited number of mappings; without one the file is read by position.
                    Err(error) if error.is_out_of_resources() => held.hold(open(dir, id)?),
                    mapped => held.hold_bytes(dir.file(&DATA.name(id)), mapped?),
                }
            }
        }
    }
    for &id in lives.keys() {
        let path = dir.file(&HINT.name(id));
        if found.state().files[&id].is_some_and(|sealed| sealed.hint.is_some())
            && let Ok(bytes) = dir.fs().open(&path).and_then(|file| read_whole(&*file))
        {
            held.hold_bytes(path, bytes);
        }
    }
    for &id in inventory.data.range(found.state().next_file_id..) {
        log.push(dir.fs().open(&dir.file(&DATA.name(id)))?);
    }
    for file in log.iter().rev() {
        held.hold_bytes(file.path().into(), Arc::new(copy_whole(&**file)?));
    }
    StoreDir::open(Arc::new(held), dir.path(), OpenMode::Read)
}

fn open(dir: &StoreDir, id: u64) -> Result<Arc<dyn durable::File>> {
    missing(dir.fs().open(&dir.file(&DATA.name(id))), dir, id)
}

/// What the manifest names must be there.
fn missing<T>(opened: Result<T>, dir: &StoreDir, id: u64) -> Result<T> {
    opened.map_err(|error| match error.io_kind() {
        Some(ErrorKind::NotFound) => Error::corruption(dir.file(&DATA.name(id)), 0, MISSING),
        _ => error,
    })
}

/// Another writer's recovery must not have begun while files were read.
fn check_epoch(dir: &StoreDir, found: &LoadedManifest<State>) -> Result<()> {
    let now = Manifest::<State>::read(dir)?;
    let is_same =
        now.store_id() == found.store_id() && now.stamp().open_epoch == found.stamp().open_epoch;
    let busy = std::io::Error::new(ErrorKind::ResourceBusy, "a writer opens the store just now");
    if is_same { Ok(()) } else { Err(Error::io("read", dir.path(), busy)) }
}

/// The files that were read, as readers see them.
fn open_files(
    held: &StoreDir,
    found: &LoadedManifest<State>,
    lives: &Lives,
    tail: &ChainTail,
    read: ReadMode,
) -> Result<Vec<Arc<DataFile>>> {
    let fs = &**held.fs();
    let mut files = Vec::new();
    for (&id, life) in lives {
        if let Some(sealed) = &found.state().files[&id] {
            let (path, life) = (held.file(&DATA.name(id)), Arc::clone(life));
            let header = sealed.header(found.store_id(), id);
            life.first_expiry.learn(sealed.expiring.first());
            files.push(Arc::new(DataFile::sealed(fs, &path, header, read, life)?));
        }
    }
    for kept in &tail.kept {
        let path = held.file(&DATA.name(kept.id()));
        let bytes = read_whole(&*fs.open(&path)?)?;
        let shrunk = || Error::corruption(&path, kept.len, "the file ends before the log does");
        let counts = MappedPrefix::new(bytes, kept.len as usize).ok_or_else(shrunk)?;
        let counts = Arc::new(counts);
        let life = Arc::clone(&lives[&kept.id()]);
        files.push(Arc::new(DataFile::copied(counts, path, kept.header, life)));
    }
    Ok(files)
}

/// Where the frames of a log file start, as far as its header is there.
fn first_frame(file: &dyn durable::File) -> Result<u64> {
    let mut header = [0; SEGMENT_HEADER_LEN as usize];
    if file.len()? >= SEGMENT_HEADER_LEN {
        file.read_at(0, &mut header)?;
    }
    Ok(SegmentFormat::of(&header).map_or(SEGMENT_HEADER_LEN, SegmentFormat::first_frame))
}

fn log_ends(tail: &ChainTail, state: &State) -> Vec<(u64, u64)> {
    let last = tail.kept.last().map(|kept| (kept.id(), kept.len));
    let unsealed = state.files.iter().filter(|(_, sealed)| sealed.is_none());
    let after = unsealed.map(|(&id, _)| id).filter(|&id| last.is_none_or(|(last, _)| id > last));
    last.into_iter().chain(after.map(|id| (id, NO_FRAMES))).collect()
}
