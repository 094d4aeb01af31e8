//! Step 1: the files to be read.
//!
//! A file that the manifest names and that is not there is a loss; the manifest still counts. It does not when a file proves that
//! it has lost edits: then it is a loss itself, and says only what it knows about the tables.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use durable::log::{SegmentHeader, StoreId};
use durable::manifest::{LoadedManifest, Manifest};
use durable::store_dir::{NamePattern, OpenMode, StoreDir};
use durable::{Entry, Lock, LockMode, ReadOnlyFs, read_whole};
use kv::{Error, Result};

use super::loss::{Loss, Losses, Lost};
use crate::files::{LOG, TABLE};
use crate::options::Options;
use crate::recovery::inventory::{Inventory, MISSING};
use crate::state::{PlacedTable, State, TableFacts};

/// The files to be read.
pub(super) struct Sources {
    /// Refuses changes.
    pub(super) dir: StoreDir,
    /// The name of the store, for its logs.
    pub(super) store: StoreId,
    /// Runs of tables in the order of their keys.
    pub(super) runs: Vec<Vec<SourceTable>>,
    /// Ascending.
    pub(super) logs: Vec<u64>,
    /// Batches up to this number were in tables. `None`: nobody knows.
    pub(super) flushed: Option<u64>,
    /// The latest time that a reader has seen; 0 if nobody knows.
    pub(super) latest_time: u64,
    pub(super) trusts_manifest: bool,
    /// Keeps writers out, if the store has a lock file.
    _lock: Option<Box<dyn Lock>>,
}

/// A table to be read.
#[derive(Clone)]
pub(super) struct SourceTable {
    pub(super) id: u64,
    /// What the manifest says about it.
    pub(super) facts: Option<TableFacts>,
}

impl Sources {
    /// Looks for the files of the store in `path`.
    ///
    /// # Errors
    /// As [`repair`](super::repair), about the source.
    pub(super) fn find(path: &Path, options: &Options, losses: &Losses) -> Result<Self> {
        let fs = Arc::new(ReadOnlyFs::new(Arc::clone(&options.env.fs)));
        let dir = StoreDir::open(fs, path, OpenMode::Read)?;
        dir.check_finished()?;
        let entries = dir.list()?;
        let lock = lock(&dir, &entries, options)?;
        let manifest = read_manifest(&dir, losses)?;
        let state = manifest.as_ref().map(LoadedManifest::state);
        let mut trusted = None;
        if let Some(manifest) = &manifest {
            trusted = trust(&dir, &entries, manifest, losses)?.then_some(manifest.state());
        }
        let (mut runs, mut logs) = match trusted {
            Some(state) => named(state),
            None => everything(&entries, state),
        };
        if manifest.is_none() && runs.is_empty() && logs.is_empty() {
            Manifest::<State>::check_exists(&dir)?;
        }
        let store = match &manifest {
            Some(manifest) => manifest.store_id(),
            None => store_of_logs(&dir, &logs)?,
        };
        let is_there =
            |files: NamePattern, id| note_missing(&dir, &entries, &files.name(id), losses);
        for run in &mut runs {
            run.retain(|table| is_there(TABLE, table.id));
        }
        logs.retain(|&id| is_there(LOG, id));
        let latest_time = state.map_or(0, |state| state.latest_time);
        let (flushed, trusts_manifest) = (trusted.map(|state| state.flushed), trusted.is_some());
        Ok(Self { dir, store, runs, logs, flushed, latest_time, trusts_manifest, _lock: lock })
    }

    /// All tables.
    pub(super) fn tables(&self) -> impl Iterator<Item = &SourceTable> {
        self.runs.iter().flatten()
    }
}

/// Locks the store, if it has a lock file: a repair makes none. On a disk that nobody can write to there is nothing to lock out.
fn lock(dir: &StoreDir, entries: &[Entry], options: &Options) -> Result<Option<Box<dyn Lock>>> {
    let Some(file) = entries.iter().find(|entry| StoreDir::is_lock(&entry.name)) else {
        return Ok(None);
    };
    match options.env.fs.lock(&dir.file(&file.name), LockMode::Exclusive) {
        Err(Error::Locked { .. }) => Err(Error::Locked { path: dir.path().into() }),
        Err(error) if error.io_kind() == Some(std::io::ErrorKind::ReadOnlyFilesystem) => Ok(None),
        locked => locked.map(Some),
    }
}

/// Reads the manifest. A damaged or missing one is a loss.
///
/// # Errors
/// Any other failure to read it.
fn read_manifest(dir: &StoreDir, losses: &Losses) -> Result<Option<LoadedManifest<State>>> {
    match Manifest::<State>::read(dir) {
        Err(error) if is_damage(&error) => {
            losses.add(Loss::of(Lost::Manifest, &error, dir.path(), 0));
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// Whether `error` says that the store is damaged, and not that the disk fails.
fn is_damage(error: &Error) -> bool {
    error.is_corruption() || error.io_kind() == Some(std::io::ErrorKind::NotFound)
}

/// Whether the files to be read are those that `manifest` names. If not, that is a loss.
///
/// # Errors
/// `Io`.
fn trust(
    dir: &StoreDir,
    entries: &[Entry],
    manifest: &LoadedManifest<State>,
    losses: &Losses,
) -> Result<bool> {
    match check_against_files(dir, entries, manifest) {
        Err(error) if is_damage(&error) => {
            losses.add(Loss::of(Lost::Manifest, &error, dir.path(), 0));
            Ok(false)
        }
        checked => checked.map(|()| true),
    }
}

/// Checks as recovery does that no file proves the loss of an edit.
///
/// # Errors
/// `Corruption`: the proof. `Io`.
fn check_against_files(
    dir: &StoreDir,
    entries: &[Entry],
    manifest: &LoadedManifest<State>,
) -> Result<()> {
    Inventory::of(entries.to_vec()).check_orphans(dir, manifest)?;
    let refuse = |what| Error::corruption(dir.path(), 0, what);
    manifest.state().check_runs().map_err(refuse)?;
    let present = LOG.numbers(entries).filter(|id| manifest.state().logs.contains(id));
    for id in present {
        let path = dir.file(&LOG.name(id));
        let bytes = read_whole(&*dir.fs().open(&path)?)?;
        // A damaged header says nothing about the manifest.
        let header = SegmentHeader::decode(bytes.bytes(), manifest.store_id(), id, &path);
        header.map_or(Ok(()), |header| manifest.check_seen(header.identity.stamp()))?;
    }
    Ok(())
}

/// The runs and the logs that `state` names.
fn named(state: &State) -> (Vec<Vec<SourceTable>>, Vec<u64>) {
    let mut runs: BTreeMap<(u64, u64), Vec<(u64, &PlacedTable)>> = BTreeMap::new();
    for (&id, placed) in &state.tables {
        runs.entry((placed.level, placed.rank)).or_default().push((id, placed));
    }
    let in_order = |mut run: Vec<(u64, &PlacedTable)>| {
        run.sort_by(|one, other| one.1.facts.first().cmp(&other.1.facts.first()));
        let table = |(id, placed): (u64, &PlacedTable)| SourceTable {
            id,
            facts: Some(placed.facts.clone()),
        };
        run.into_iter().map(table).collect()
    };
    (runs.into_values().map(in_order).collect(), state.logs.iter().copied().collect())
}

/// All files in the directory, the newest table first, with what `state` says about them. Each table is a run.
fn everything(entries: &[Entry], state: Option<&State>) -> (Vec<Vec<SourceTable>>, Vec<u64>) {
    let facts = |id: u64| Some(state?.tables.get(&id)?.facts.clone());
    let mut tables: Vec<u64> = TABLE.numbers(entries).collect();
    tables.sort_unstable_by_key(|id| Reverse(*id));
    let mut logs: Vec<u64> = LOG.numbers(entries).collect();
    logs.sort_unstable();
    (tables.into_iter().map(|id| vec![SourceTable { id, facts: facts(id) }]).collect(), logs)
}

/// Whether the file `name` is there. If not, that is a loss.
fn note_missing(dir: &StoreDir, entries: &[Entry], name: &str, losses: &Losses) -> bool {
    let is_there = entries.iter().any(|entry| entry.name == name);
    if !is_there {
        losses.add(Loss::new(Lost::Entries, &dir.file(name), 0..0, MISSING));
    }
    is_there
}

/// The store that most of the logs say they belong to.
fn store_of_logs(dir: &StoreDir, logs: &[u64]) -> Result<StoreId> {
    let mut votes: BTreeMap<[u8; 16], usize> = BTreeMap::new();
    for &id in logs {
        let path = dir.file(&LOG.name(id));
        let bytes = read_whole(&*dir.fs().open(&path)?)?;
        if let Some(header) = SegmentHeader::stated(bytes.bytes()) {
            *votes.entry(header.identity.store.0).or_default() += 1;
        }
    }
    let most = votes.into_iter().max_by_key(|(_, votes)| *votes);
    Ok(StoreId(most.map_or([0; 16], |(store, _)| store)))
}
