//! Opening a store, also after a crash.
//!
//! 1. Lock the directory. A new store gets its directory, `LOCK` and manifest here.
//! 2. Read the manifest, and list the directory. Each file that the manifest names must be there, and each table must have
//!    the length that the manifest states. Check the files with numbers that the manifest never gave out. If one proves that
//!    an edit is lost, the store is damaged (`recovery/inventory.rs`).
//! 3. Read the logs by the rule of [`durable::log::chain`], and insert their batches into memtables (`recovery/replay.rs`).
//!    Batches that a table has are skipped. Steps 2 and 3 change nothing, so a damaged store stays as it was.
//! 4. Open the manifest for writing. This makes durable: a new generation, a new epoch, and the last edit, which a killed
//!    process may have left in the page cache.
//! 5. Remove orphans. Before step 4, a power cut can still undo the edit that made a file an orphan.
//! 6. Write the memtables of step 3 to tables. One edit adds the tables and removes all logs.
//! 7. Unlink the logs.
//!
//! The store then has no log. The first write begins one. Sequence numbers go on after the newest batch in a table, so later
//! batches reuse the numbers of batches that were cut.
//!
//! After step 6 every batch is in a durable table, so a second crash finds at least as much. A crash before it leaves the
//! logs as they were. The replay is bounded by the memtables that were not flushed. After a clean close there is no log, and
//! nothing is replayed.

pub(crate) mod inventory;
pub(crate) mod replay;

use std::path::Path;
use std::sync::Arc;

use durable::OpenStore;
use durable::manifest::Manifest;
use durable::reclaim::FileReclaimer;
use kv::{Error, Result};

use crate::compactor::tree_of;
use crate::file_ids::FileIds;
use crate::open_tables::OpenTables;
use crate::options::Options;
use crate::state::{Edit, State};
use crate::steps::Step;
use crate::store::Store;
use crate::table_file::TableOpener;
use crate::table_writer::TableWriter;
use crate::version::Version;
use inventory::Inventory;
use replay::Replayed;

/// All that an open store starts from.
pub(crate) struct Recovered {
    pub(crate) store: Arc<Store>,
    pub(crate) ids: Arc<FileIds>,
    pub(crate) reclaimer: Arc<FileReclaimer>,
    pub(crate) opener: TableOpener,
    pub(crate) version: Version,
    /// The newest batch of the store.
    pub(crate) newest: u64,
    /// How many batches were read from logs.
    pub(crate) replayed: u64,
}

/// Opens the store in `path`. The steps are those of the [module](self).
///
/// # Errors
/// As [`Lsm::open`](crate::Lsm::open).
pub(crate) fn recover(path: &Path, options: &Options) -> Result<Recovered> {
    let steps = &options.steps;

    // 1. Lock the directory. A new store gets its manifest.
    let awaiting = (steps, Step::AwaitLeftover);
    let dir = OpenStore::<State>::lock_dir(&options.env, path, options.create, awaiting)?;

    // 2. Read the manifest, and check the directory against it.
    let loaded = Manifest::<State>::read(&dir)?;
    let inventory = Inventory::list(&dir)?;
    steps.run(Step::CheckPresent, || inventory.check_present(&dir, loaded.state()))?;
    steps.run(Step::CheckOrphans, || inventory.check_orphans(&dir, &loaded))?;
    let contradiction = |what| Error::corruption(dir.path(), 0, what);
    loaded.state().check_runs().map_err(contradiction)?;

    // 3. Read the logs.
    let replayed = Replayed::read(&dir, &loaded, options)?;

    // 4. Open the manifest for writing.
    let remove = || inventory.remove_orphans(&dir, loaded.store_id(), loaded.state());
    let removed_early = steps.too_early(Step::RemoveOrphans, remove);
    let manifest = loaded.open()?;
    let store = Store::new(options.env.clone(), steps.clone(), dir.clone(), manifest);
    let store = Arc::new(store);
    let ids = Arc::new(FileIds::new(Arc::clone(&store)));
    let reclaimer = FileReclaimer::new(dir.clone(), Arc::clone(&options.env.executor));

    // 5. Remove orphans.
    if removed_early.is_none() {
        let remove = || inventory.remove_orphans(&dir, store.id(), &store.state());
        steps.run(Step::RemoveOrphans, remove);
    }

    // 6. Write the batches of the logs to tables. 7. Unlink the logs.
    empty_logs(&store, &ids, options, &replayed)?;

    let opener = TableOpener::new(
        Arc::clone(&options.env.fs),
        dir.path(),
        options.read.clone(),
        Arc::clone(&reclaimer),
        OpenTables::at_most(options.open_tables),
    );
    let state = store.state();
    let version = Version::of(&state, &Version::default(), &opener);
    debug_assert!(tree_of(&version).is_ok(), "step 2 has checked the runs");
    let newest = steps.run(Step::ResumeNumbering, || state.flushed);
    let replayed = replayed.batches;
    Ok(Recovered { store, ids, reclaimer, opener, version, newest, replayed })
}

/// Steps 6 and 7: after them no log is left.
fn empty_logs(store: &Store, ids: &FileIds, options: &Options, replayed: &Replayed) -> Result<()> {
    let logs: Vec<u64> = store.state().logs.iter().copied().collect();
    options.steps.in_order(
        (Step::FlushReplayed, || flush(store, ids, options, replayed, &logs)),
        (Step::UnlinkReplayed, || {
            unlink(store, &logs);
            Ok(())
        }),
    )
}

/// Step 7. A log that cannot be removed now is an orphan of the next opening.
fn unlink(store: &Store, logs: &[u64]) {
    for &id in logs {
        drop(store.fs().remove(&store.log_path(id)));
    }
}

/// Step 6: writes each memtable of `replayed` as a run of its own. All runs come, and all `logs` go, at once.
fn flush(
    store: &Store,
    ids: &FileIds,
    options: &Options,
    replayed: &Replayed,
    logs: &[u64],
) -> Result<()> {
    let writer = TableWriter { store, ids, build: options.table };
    let mut edits = Vec::new();
    for (memtable, newest) in &replayed.memtables {
        edits.push(Edit::flush(*newest, writer.write(memtable, options.table_bytes)?, Vec::new()));
    }
    if !logs.is_empty() {
        edits.push(Edit::remove_logs(logs.to_vec()));
    }
    store.edit_all(&edits)?;
    let newest = replayed.memtables.last().map_or(0, |(_, newest)| *newest);
    assert!(store.state().flushed >= newest, "every batch is in a table");
    debug_assert!(store.state().logs.is_empty(), "no log is left");
    Ok(())
}
