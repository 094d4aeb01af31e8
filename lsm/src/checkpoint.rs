//! Checkpoints: a copy of the store as it is at one batch, in a directory of its own, and a store by itself.
//!
//! 1. **Flush.** The caller has every batch that was written before the call flushed. So the tables are all that a
//!    checkpoint needs, and it has no log.
//! 2. **Pin.** Take the version, and the state of the manifest that it is of, in one step. The version keeps its tables on the
//!    disk while compactions replace them.
//! 3. **Mark** the new directory as unfinished ([`durable::new_store`]).
//! 4. **Link** each table into it under the same name. Both stores then have the file, and each removes its own name. Where
//!    no link is possible, as between two file systems, copy the table. The length and the checksum of the copy must be those
//!    in the manifest.
//! 5. **Manifest.** Write one with the state of step 2, without logs, under a new store id.
//! 6. **Unmark.** From here on the directory is a store, and it is durable.
//!
//! A crash before step 6 leaves the mark: the directory is refused as a store, and another checkpoint to the same place
//! begins anew. No step changes anything in the store itself besides the flush.

use std::path::Path;
use std::sync::Arc;

use durable::log::StoreId;
use durable::new_store::NewStore;
use kv::{Error, Result};

use crate::files::TABLE;
use crate::state::State;
use crate::steps::Step;
use crate::store::Store;
use crate::table_file::TableFile;
use crate::version::VersionSet;

/// Takes a checkpoint of what is flushed, in the directory `path`: steps 2 to 6 of the [module](self). Returns the newest
/// batch in it.
///
/// # Errors
/// `Io`, with `AlreadyExists` when the directory is not empty; `Locked`; `Corruption` of a table that had to be copied.
pub(crate) fn checkpoint(store: &Store, versions: &VersionSet, path: &Path) -> Result<u64> {
    // 2. Pin.
    let (version, state) = versions.with_state(|| store.state());
    let tables: Vec<&Arc<TableFile>> = version.tables().collect();
    assert_eq!(tables.len(), state.tables.len(), "the version is of the state");
    let copied = state.flushed;
    // 3. Mark.
    NewStore::make::<State, _>(&store.env.fs, path, |new| {
        // 4. Link.
        for table in store.steps.each(Step::LinkTables, &tables) {
            debug_assert!(state.tables.contains_key(&table.id), "the version is of the state");
            link(new, table)?;
        }
        // 5. Manifest. 6. Unmark.
        let id = StoreId::random(&*store.env.entropy);
        new.create_manifest(id, state.without_logs(store.clock().latest()))
    })?;
    Ok(copied)
}

/// Puts `table` into the new store, under the name that it has.
fn link(new: &NewStore, table: &TableFile) -> Result<()> {
    let copy = new.link_or_copy(table.path(), &TABLE.name(table.id))?;
    let is_whole = copy
        .is_none_or(|copy| (copy.crc, copy.file.len_bytes()) == (table.facts.crc, table.facts.len));
    let damaged = || {
        let what = "the file is not the one that the manifest names";
        Error::corruption(table.path(), 0, what)
    };
    is_whole.then_some(()).ok_or_else(damaged)
}
