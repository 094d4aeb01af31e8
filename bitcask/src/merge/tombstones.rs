//! When a tombstone may be dropped.
//!
//! A tombstone hides older puts of its key. A merge may drop it when no such put is left outside the merge. Such a put
//! would become visible again, even if it is dead now. Only a file with a write older than the tombstone can have one. The
//! guard checks the filter in each file's hint; a file without a valid hint may have any key. The filter never denies a key
//! that the file has.
//!
//! For each output the manifest records how many bytes of tombstones were kept, and for which file, the *blocker*
//! (`state/blocked.rs`). As long as the blocker exists, these bytes do not count as waste, because another merge would copy
//! them again. An entry changes in three ways:
//! - A merge removes the blocker and writes no output for it. The entry goes, and the tombstones count as waste.
//! - A merge takes the blocker alone. Its output may have the same puts, and has much the same filter, so the output is the
//!   blocker from then on (`state::Merge::pass_on`).
//! - A merge takes both files. Then no file outside it is in the way, and the tombstones go. The picker takes both when the
//!   blocker is worth merging and the live bytes of both fit into one merge. To choose, the picker counts the blocked bytes
//!   as waste of the blocker (`picker.rs`). An explicit merge takes both always.
//!
//! Merging treats an expired put as a tombstone with the put's number.

use std::cell::OnceCell;
use std::sync::Arc;

use durable::{Access, Mapped, read_whole};
use kv::Result;

use crate::filter::may_contain;
use crate::hint_file;
use crate::sealed_file::check_hint;
use crate::state::Sealed;
use crate::store::Store;

/// Keeps the tombstones that hide a put outside a merge.
pub(super) struct TombstoneGuard {
    store: Arc<Store>,
    outside: Vec<OutsideFile>,
}

/// A sealed file that the merge leaves as it is.
struct OutsideFile {
    id: u64,
    sealed: Sealed,
    /// Opened at the first query. `Some(None)`: the file has no valid hint.
    hint: OnceCell<Option<Arc<dyn Mapped>>>,
}

impl TombstoneGuard {
    /// A guard over all sealed files except `inputs`. Files that are sealed later hold newer records only.
    pub(super) fn new(store: &Arc<Store>, inputs: &[u64]) -> Self {
        let state = store.state();
        let others = state.files.iter().filter(|(id, _)| !inputs.contains(id));
        let file = |(&id, sealed): (&u64, &Option<Sealed>)| {
            let sealed = sealed.filter(|sealed| sealed.records > 0)?;
            Some(OutsideFile { id, sealed, hint: OnceCell::new() })
        };
        Self { store: Arc::clone(store), outside: others.filter_map(file).collect() }
    }

    /// The file for which a tombstone of `key` by write `sequence` must be kept. `None`: the merge may drop it.
    pub(super) fn blocker(&self, key: &[u8], sequence: u64) -> Option<u64> {
        debug_assert!(sequence > 0, "writes have numbers from 1 on");
        let may_hide = |file: &&OutsideFile| {
            file.sealed.oldest < sequence && file.may_have_put(&self.store, key)
        };
        self.outside.iter().find(may_hide).map(|file| file.id)
    }
}

impl OutsideFile {
    fn may_have_put(&self, store: &Store, key: &[u8]) -> bool {
        // No valid hint: only the data could tell.
        let Some(bytes) = self.hint.get_or_init(|| self.open_hint(store).ok().flatten()) else {
            return true;
        };
        let source = self.sealed.source(store.id(), self.id);
        let path = store.hint_path(self.id);
        let filter = hint_file::filter(bytes.bytes(), &source, &path);
        filter.map_or(true, |filter| may_contain(filter, key))
    }

    fn open_hint(&self, store: &Store) -> Result<Option<Arc<dyn Mapped>>> {
        let Some(named) = self.sealed.hint else { return Ok(None) };
        let path = store.hint_path(self.id);
        let file = store.fs().open(&path)?;
        let bytes = file.map(Access::Random).or_else(|_| read_whole(&*file))?;
        check_hint(bytes.bytes(), named, &path)?;
        Ok(Some(bytes))
    }
}
