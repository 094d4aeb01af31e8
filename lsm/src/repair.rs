//! Repair: the readable part of a damaged store becomes a store in a new directory.
//!
//! 1. **Sources** (`repair/sources.rs`). If the manifest can be read, and no file proves that it has lost edits, the sources are the
//!    tables and logs that it names. Otherwise they are all tables and logs in the directory.
//! 2. **Logs** (`repair/logs.rs`). Read them by the rule of [`durable::log::chain`]. Where that fails, take every frame that can
//!    be read.
//! 3. **Range tombstones** (`repair/tables.rs`). Gather those of the logs and of all tables.
//! 4. **Merge** (`repair/output.rs`). Walk over the entries of the logs and all tables at once, in the order of keys and sequence
//!    numbers. A damaged block of a table is skipped ([`SalvageCursor`](sstable::SalvageCursor)). Of each key only the newest
//!    version counts, wherever it was found, and none does below a newer range tombstone; so neither the levels nor the ages of
//!    the runs are needed. Tombstones of both kinds have done their work by then, and go. Values that expire keep their ends.
//! 5. **Write** the entries to tables of one run, in a directory that is marked as unfinished until the end
//!    ([`durable::new_store`]). New batches get numbers behind the newest one that was found, and older states cannot be read.
//!
//! Nothing is changed in the source. In memory are the batches of the logs, as in an opening; the range tombstones; and of one
//! table of each run, the places of its blocks and one block. Without a manifest each table is a run.
//!
//! **What a repair cannot know.** If the newest version of a key is lost, an older one that was found counts. So a value can
//! be an older one, and a key that was deleted can be there again; where range tombstones are lost, many keys can. Of a batch
//! some operations may be lost. Without a manifest a file that the store had replaced counts as well: it has entries that were
//! written to the store at some time. Each [`Loss`] says which of this it can mean.

mod logs;
mod loss;
mod output;
mod sources;
mod tables;

use std::path::Path;

use durable::new_store::NewStore;
use kv::{Cursor, Result, SequenceNumber};
use sstable::MergingCursor;

use crate::internal_key::LAYOUT;
use crate::options::Options;
use crate::state::State;
use loss::Losses;
pub use loss::{Loss, Lost};
use sources::Sources;
use tables::RunCursor;

/// What a repair has found and lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repair {
    /// Whether the manifest said which files make up the store. If not, all files in the directory were read.
    pub trusts_manifest: bool,
    /// Tables that were read, as far as possible.
    pub tables: u64,
    /// Logs that were read, as far as possible.
    pub logs: u64,
    /// Versions that were found, tombstones included. One that several files have counts once.
    pub versions: u64,
    /// Fragments of range tombstones that were found.
    pub range_fragments: u64,
    /// Keys that have an entry in the new store. One that expires counts, also after its end.
    pub keys: u64,
    /// The newest batch of which anything is known. The numbers of the new store go on behind it.
    pub newest: SequenceNumber,
    /// What could not be carried over, in the order in which it was found. Empty: nothing was lost.
    pub losses: Vec<Loss>,
}

/// Makes a store in the directory `target`, which must be empty or not be there, of the readable part of the damaged store
/// in `source`. Changes nothing in `source`. Returns the findings and the losses.
///
/// `options` gives the environment of both, and the form of the new tables. The answer may list a loss that is none: bytes that
/// belonged to no entry, or entries that another file has as well. The new store is durable when this returns. A repair that was
/// interrupted leaves a directory that each opening refuses and that another repair to the same place takes.
///
/// # Errors
/// `Locked` when the store is open; `Io`, with `NotFound` when there is no store, and with `AlreadyExists` when `target` has
/// something; `InvalidArgument` for a store of another engine or a newer format, or an unfinished one. Then `target` is no store.
/// A disk that fails to read a file is such an `Io`: copy the readable files to another disk first.
pub fn repair(
    source: impl AsRef<Path>,
    target: impl AsRef<Path>,
    options: &Options,
) -> Result<Repair> {
    let options = options.clone().clamped();
    let losses = Losses::default();
    // 1. Sources.
    let sources = Sources::find(source.as_ref(), &options, &losses)?;
    let mut repair = Repair {
        trusts_manifest: sources.trusts_manifest,
        tables: sources.tables().count() as u64,
        logs: sources.logs.len() as u64,
        newest: SequenceNumber(sources.flushed.unwrap_or_default()),
        ..Repair::default()
    };
    NewStore::make::<State, _>(&options.env.fs, target.as_ref(), |new| {
        // 2. Logs.
        let (logs, mut ranges) = logs::read(&sources, &losses)?;
        // 3. Range tombstones.
        for table in sources.tables() {
            ranges = ranges.union(&tables::ranges(&sources.dir, table, &losses)?);
        }
        repair.range_fragments = ranges.len() as u64;
        // 4. Merge. 5. Write.
        let mut cursors: Vec<Box<dyn Cursor>> = vec![Box::new(logs)];
        for run in &sources.runs {
            cursors.push(Box::new(RunCursor::new(&sources.dir, run, &losses)));
        }
        let merged = MergingCursor::new(LAYOUT, cursors);
        output::write(new, merged, &ranges, &options, sources.latest_time, &mut repair)
    })?;
    repair.losses = losses.take();
    Ok(repair)
}
