//! One moment of the store as a reader loads it: steps 2 to 4 of [`durable::beside_writer`].

use std::io::ErrorKind;
use std::sync::Arc;

use durable::beside_writer::{self, LogEnds, copy_segments};
use durable::log::StoreId;
use durable::manifest::{LoadedManifest, Manifest, Stamp};
use durable::reclaim::FileReclaimer;
use durable::store_dir::{OpenMode, StoreDir};
use durable::{Entry, File, ReadOnlyFs};
use kv::{Error, Result};

use crate::files::LOG;
use crate::open_tables::OpenTables;
use crate::options::Options;
use crate::recovery::inventory::{Inventory, MISSING};
use crate::recovery::replay::Replayed;
use crate::state::State;
use crate::statistics::LsmStats;
use crate::steps::{Step, Steps};
use crate::table_file::{TableFile, TableOpener};
use crate::version::{SealedMemtable, SuperVersion, Version, View};

/// What a reader shows.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) view: View,
    /// How many segments the log had.
    logs: u64,
    /// Batches that were read from them, and that no table has.
    replayed: u64,
}

/// How far a reader has read the store.
#[derive(Debug)]
pub(super) struct Progress {
    store: StoreId,
    stamp: Stamp,
    log_ends: LogEnds,
}

impl Moment {
    /// Loads the present moment. Takes the open tables of the moment `before`, if it is one of the same opening.
    ///
    /// # Errors
    /// `Corruption`; `Io`; `InvalidArgument` when another store is in the place of the one before.
    pub(super) fn load(
        dir: &StoreDir,
        options: &Options,
        before: Option<(&Self, &Progress)>,
    ) -> Result<(Self, Progress)> {
        let opener = opener(dir, options);
        let (manifest, (moment, log_ends)) = beside_writer::load(dir, |entries, manifest| {
            let known = known_version(before, manifest, dir, &options.steps)?;
            Self::attempt(dir, options, entries, manifest, &known, &opener)
        })?;
        let (store, stamp) = (manifest.store_id(), manifest.stamp());
        Ok((moment, Progress { store, stamp, log_ends }))
    }

    fn attempt(
        dir: &StoreDir,
        options: &Options,
        entries: Vec<Entry>,
        manifest: &LoadedManifest<State>,
        known: &Version,
        opener: &TableOpener,
    ) -> Result<(Self, LogEnds)> {
        let (state, inventory) = (manifest.state(), Inventory::of(entries));
        let contradiction = |what| Error::corruption(dir.path(), 0, what);
        state.check_runs().map_err(contradiction)?;
        // 2. Open the tables.
        let version = Version::of(state, known, opener);
        let open_all = || version.tables().try_for_each(|table| open(table));
        options.steps.run(Step::OpenTables, open_all)?;
        // 3. Copy the log, and the segments that the manifest has not named yet.
        let pinned = pin_log(dir, manifest, &inventory)?;
        // 4. Load.
        let replayed = Replayed::read(&pinned, manifest, options)?;
        inventory.check_orphans(&pinned, manifest)?;
        let log_ends = LogEnds::new(LOG, &replayed.tail, state.logs.iter().copied());
        let (logs, batches) = (state.logs.len() as u64, replayed.batches);
        let view = view(version, replayed, state, options.steps.clone());
        Ok((Self { view, logs, replayed: batches }, log_ends))
    }

    /// The numbers of the memtables and the tables.
    pub(super) fn statistics(&self) -> LsmStats {
        let super_version = &self.view.super_version;
        let facts = || super_version.version.tables().map(|table| &table.facts);
        LsmStats {
            memtable_bytes: super_version.memtables().map(|memtable| memtable.bytes()).sum(),
            logs: self.logs,
            runs: super_version.version.runs.len() as u64,
            tables: facts().count() as u64,
            table_bytes: facts().map(|facts| facts.len).sum(),
            table_entries: facts().map(|facts| facts.entries).sum(),
            table_tombstones: facts().map(|facts| facts.tombstones).sum(),
            replayed_batches: self.replayed,
            ..LsmStats::default()
        }
    }
}

impl Progress {
    /// Whether nothing was written since: the manifest is the same, and the log has no new frame.
    pub(super) fn is_unchanged(&self, dir: &StoreDir) -> Result<bool> {
        let manifest = Manifest::<State>::read(dir)?;
        let is_same = self.store == manifest.store_id() && self.stamp == manifest.stamp();
        Ok(is_same && !self.log_ends.have_moved(dir)?)
    }

    /// Whether `manifest` is a later state of the store that was read, in the same opening. Then a table with the same number
    /// is the same table.
    fn can_continue_to(&self, manifest: &LoadedManifest<State>) -> bool {
        let stamp = manifest.stamp();
        self.stamp.open_epoch == stamp.open_epoch && self.stamp.edit_number <= stamp.edit_number
    }
}

/// The version whose tables are open already.
///
/// # Errors
/// `InvalidArgument` when `manifest` is that of another store.
fn known_version(
    before: Option<(&Moment, &Progress)>,
    manifest: &LoadedManifest<State>,
    dir: &StoreDir,
    steps: &Steps,
) -> Result<Arc<Version>> {
    let Some((moment, progress)) = before else { return Ok(Arc::default()) };
    if progress.store != manifest.store_id() {
        let path = dir.path().display();
        return Err(Error::InvalidArgument(format!(
            "{path}: the directory now holds another store than the one this reader opened"
        )));
    }
    let is_known = steps.check(Step::KeepTables, progress.can_continue_to(manifest));
    Ok(if is_known { Arc::clone(&moment.view.super_version.version) } else { Arc::default() })
}

/// Gives tables their handles. None of them is ever retired.
fn opener(dir: &StoreDir, options: &Options) -> TableOpener {
    let reclaimer = FileReclaimer::new(dir.clone(), Arc::clone(&options.env.executor));
    // A table that a writer has removed could not be opened again.
    let open_tables = OpenTables::all();
    TableOpener::new(Arc::clone(dir.fs()), dir.path(), options.read.clone(), reclaimer, open_tables)
}

/// Opens a table that the manifest names, and reads its range tombstones.
fn open(table: &TableFile) -> Result<()> {
    let opened = table.table().and_then(|_| table.fragments().map(drop));
    opened.map_err(|error| or_missing(error, table.path()))
}

/// Turns the absence of the file at `path`, which the manifest names, into damage.
fn or_missing(error: Error, path: &std::path::Path) -> Error {
    match error.io_kind() {
        Some(ErrorKind::NotFound) => Error::corruption(path, 0, MISSING),
        _ => error,
    }
}

/// Copies the segments that `manifest` names, and those that it does not know yet. Returns a directory in which these files
/// keep their present content.
fn pin_log(
    dir: &StoreDir,
    manifest: &LoadedManifest<State>,
    inventory: &Inventory,
) -> Result<StoreDir> {
    let mut segments: Vec<Arc<dyn File>> = Vec::new();
    for &id in &manifest.state().logs {
        let path = dir.file(&LOG.name(id));
        segments.push(dir.fs().open(&path).map_err(|error| or_missing(error, &path))?);
    }
    // If one of these has batches, the manifest is damaged.
    for id in inventory.logs_from(manifest.state().next_file_id) {
        segments.push(dir.fs().open(&dir.file(&LOG.name(id)))?);
    }
    let mut fs = ReadOnlyFs::new(Arc::clone(dir.fs()));
    copy_segments(&mut fs, &segments)?;
    StoreDir::open(Arc::new(fs), dir.path(), OpenMode::Read)
}

/// The view of everything in `version`, which is of `state`, and in the memtables of `replayed`, at the time of the state.
fn view(version: Version, replayed: Replayed, state: &State, steps: Steps) -> View {
    let log_end = durable::log::Position::default();
    let seal = |(memtable, newest): (_, u64)| {
        Arc::new(SealedMemtable { memtable: Arc::new(memtable), newest, log_end })
    };
    let sealed: Vec<_> = replayed.memtables.into_iter().rev().map(seal).collect();
    let sequence = sealed.first().map_or(state.flushed, |newest| newest.newest);
    assert!(version.history_floor <= sequence, "the newest state can be read");
    let (active, version) = (Arc::default(), Arc::new(version));
    let super_version = Arc::new(SuperVersion { active, sealed, version, steps });
    View { super_version, sequence, now: state.latest_time }
}
