//! The files in the directory, checked against the manifest.
//!
//! A log that the manifest does not name is an orphan if its content says that the store made it
//! ([`durable::orphan_segments`]). A table that the manifest does not name is an orphan if the manifest has given out its
//! number: that happens before the file is created.
//!
//! Any other file with such a name is foreign and stays. It does not prevent writes: numbers come from the manifest, and a
//! writer that finds a name taken goes on to the next number.
//!
//! Before anything is changed, recovery checks the files whose numbers the manifest never gave out. They can prove that
//! edits were lost:
//! - A log does by the rules of [`durable::orphan_segments`].
//! - A table says that this store made it (`table_writer`). Its number was in the manifest before.

use std::collections::BTreeSet;

use durable::log::StoreId;
use durable::manifest::LoadedManifest;
use durable::reclaim::remove_orphans;
use durable::store_dir::{NamePattern, StoreDir};
use durable::{Entry, orphan_segments};
use kv::{Error, Result};

use crate::files::{LOG, TABLE};
use crate::state::State;
use crate::table_writer::Origin;

/// The text of the error for a file that is not there.
pub(crate) const MISSING: &str = "the manifest names this file, and it is missing";

/// The entries of the directory, and which of them are the store's.
#[derive(Debug)]
pub(crate) struct Inventory {
    logs: BTreeSet<u64>,
    tables: BTreeSet<u64>,
    /// All entries of the directory.
    entries: Vec<Entry>,
}

impl Inventory {
    /// Lists the directory.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn list(dir: &StoreDir) -> Result<Self> {
        dir.list().map(Self::of)
    }

    /// The inventory of a directory with these entries.
    pub(crate) fn of(entries: Vec<Entry>) -> Self {
        let (logs, tables) = (LOG.numbers(&entries).collect(), TABLE.numbers(&entries).collect());
        Self { logs, tables, entries }
    }

    /// The numbers of the logs in the directory from `first` on.
    pub(crate) fn logs_from(&self, first: u64) -> impl Iterator<Item = u64> {
        self.logs.range(first..).copied()
    }

    /// Checks that each file that the manifest names is there, and that each table has its length.
    ///
    /// # Errors
    /// `Corruption`, naming the first that is missing or has another length; `Io`.
    pub(crate) fn check_present(&self, dir: &StoreDir, state: &State) -> Result<()> {
        if let Some(&id) = state.logs.difference(&self.logs).next() {
            return Err(Error::corruption(dir.file(&LOG.name(id)), 0, MISSING));
        }
        for (&id, table) in &state.tables {
            let path = dir.file(&TABLE.name(id));
            if !self.tables.contains(&id) {
                return Err(Error::corruption(path, 0, MISSING));
            }
            let (len, stated) = (dir.fs().open(&path)?.len()?, table.facts.len);
            if len != stated {
                let what = format!("{len} bytes, and the manifest says {stated}");
                return Err(Error::corruption(path, len.min(stated), what));
            }
        }
        Ok(())
    }

    /// Checks that no file with a number that was never given out proves that the manifest lost an edit.
    ///
    /// # Errors
    /// `Corruption` of that file, or of the manifest; `Io`.
    pub(crate) fn check_orphans(
        &self,
        dir: &StoreDir,
        manifest: &LoadedManifest<State>,
    ) -> Result<()> {
        let next = manifest.state().next_file_id;
        for &id in self.logs.range(next..) {
            orphan_segments::check_unnamed(dir, manifest, &dir.file(&LOG.name(id)), id)?;
        }
        for &id in self.tables.range(next..) {
            let path = dir.file(&TABLE.name(id));
            let origin = Origin::read(&**dir.fs(), &path)?;
            // A table of another store, or something else, proves nothing.
            let Some(origin) = origin.filter(|origin| origin.store == manifest.store_id()) else {
                continue;
            };
            manifest.check_seen(origin.stamp)?;
            if origin.id == id {
                let what = "this store made the table, and the manifest never gave out its number";
                return Err(Error::corruption(path, 0, what));
            }
        }
        Ok(())
    }

    /// Removes orphans. The manifest must be open for writing. Until then its last edit, which may have made the files
    /// orphans, need not be durable. A failure costs disk space until the next opening.
    pub(super) fn remove_orphans(&self, dir: &StoreDir, store: StoreId, state: &State) {
        let is_orphan = |pattern: &NamePattern, id| match *pattern {
            LOG => {
                let path = dir.file(&LOG.name(id));
                let is_own = || orphan_segments::is_own(dir, store, id, &path).unwrap_or(false);
                !state.logs.contains(&id) && is_own()
            }
            _ => id < state.next_file_id && !state.tables.contains_key(&id),
        };
        remove_orphans(dir, &self.entries, &[LOG, TABLE], &is_orphan);
    }
}
