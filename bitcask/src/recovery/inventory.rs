//! The files in the directory, checked against the manifest.
//!
//! A data file that the manifest does not name is an orphan if its content says that the store made it
//! ([`durable::orphan_segments`]). A merge took it out of the manifest, or a crash came before the edit that would have named
//! it. Recovery removes orphans.
//!
//! Any other file with such a name is foreign and stays. It does not prevent writes: ids come from the manifest, and a
//! writer that finds a name taken goes on to the next id.
//!
//! Before anything is changed, recovery checks the orphans whose ids the manifest never reserved. They can prove that edits
//! were lost.
//!
//! An orphan with a smaller id is expected: it was an input of a merge, or an output that no edit has named. Its records
//! prove nothing, because an output has them before it is named. Its header is not compared. The headers of the log prove
//! lost edits, and after a clean close `CURRENT` does.

use std::collections::BTreeSet;

use durable::log::StoreId;
use durable::manifest::LoadedManifest;
use durable::reclaim::remove_orphans;
use durable::store_dir::{NamePattern, StoreDir};
use durable::{Entry, orphan_segments};
use kv::{Error, Result};

use crate::files::{DATA, HINT, HINT_TEMPORARY};
use crate::state::State;

/// The text of the error for a data file that is not there.
pub(crate) const MISSING: &str = "the manifest names this file, and it is missing";

/// The entries of the directory, and which of them are data files.
#[derive(Debug)]
pub(crate) struct Inventory {
    /// The ids of the data files.
    pub(crate) data: BTreeSet<u64>,
    /// All entries of the directory.
    entries: Vec<Entry>,
}

impl Inventory {
    /// Lists the directory.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn list(dir: &StoreDir) -> Result<Self> {
        dir.list().map(Self::of)
    }

    /// The inventory of a directory with these entries.
    pub(crate) fn of(entries: Vec<Entry>) -> Self {
        Self { data: DATA.numbers(&entries).collect(), entries }
    }

    /// Checks that each data file that the manifest names is there.
    ///
    /// # Errors
    /// `Corruption`, naming the first that is missing.
    pub(crate) fn check_present(&self, dir: &StoreDir, state: &State) -> Result<()> {
        match state.files.keys().find(|id| !self.data.contains(id)) {
            None => Ok(()),
            Some(&id) => Err(Error::corruption(dir.file(&DATA.name(id)), 0, MISSING)),
        }
    }

    /// Checks that no data file with an unreserved id proves that the manifest lost an edit.
    ///
    /// # Errors
    /// `Corruption` of the orphan that has batches, or of the manifest; `Io`.
    pub(crate) fn check_orphans(
        &self,
        dir: &StoreDir,
        manifest: &LoadedManifest<State>,
    ) -> Result<()> {
        // An orphan with a smaller id proves nothing by its records: see the module.
        for &id in self.data.range(manifest.state().next_file_id..) {
            let path = dir.file(&DATA.name(id));
            orphan_segments::check_unnamed(dir, manifest, &path, id)?;
        }
        Ok(())
    }

    /// Removes orphans, and hint files that `state` does not name. The manifest must be open for writing. Until then its last
    /// edit, which may have made the files orphans, need not be durable. A failure costs disk space until the next opening.
    pub(super) fn remove_orphans(&self, dir: &StoreDir, store: StoreId, state: &State) {
        let has_hint = |id| {
            state.files.get(&id).is_some_and(|sealed| sealed.is_some_and(|s| s.hint.is_some()))
        };
        let is_orphan = |pattern: &NamePattern, id| match *pattern {
            DATA => {
                let path = dir.file(&DATA.name(id));
                let is_own = || orphan_segments::is_own(dir, store, id, &path).unwrap_or(false);
                !state.files.contains_key(&id) && is_own()
            }
            HINT => !has_hint(id),
            // A temporary hint file, which a crash has left.
            _ => true,
        };
        remove_orphans(dir, &self.entries, &[HINT, HINT_TEMPORARY, DATA], &is_orphan);
    }
}
