//! The state of the store that a reader answers from, and its change by a refresh. The [module above](super) proves the
//! change right.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use durable::sync::Published;
use kv::{Result, UnixMillis};

use super::keydir_update::KeydirUpdate;
use super::loaded_state::LoadedState;
use super::progress::Progress;
use crate::data_file::FileTable;
use crate::file_handle::FileHandle;
use crate::keydir::Keydir;
use crate::options::Options;
use crate::recovery::finish::finish;
use crate::state::State;
use crate::views::Views;

/// The store as of one write.
#[derive(Debug)]
pub(super) struct ReaderState {
    /// The newest write.
    pub(super) newest: u64,
    pub(super) keydir: Arc<Keydir>,
    pub(super) views: Arc<Views>,
    pub(super) files: Arc<Published<FileTable>>,
    /// How many sealed files were read whole, because their hints are not valid.
    pub(super) scanned: u64,
}

impl ReaderState {
    /// The state of a whole store that was loaded.
    ///
    /// # Errors
    /// `InvalidArgument` when the keydir cannot hold the keys; `Io` when a loading thread panics.
    pub(super) fn new(
        loaded: LoadedState,
        options: &Options,
        dir: &Path,
    ) -> Result<(Self, Progress)> {
        let mut table = FileTable::default();
        loaded.files.iter().for_each(|file| table.insert(Arc::clone(file)));
        finish(&loaded.keydir, &table, &*options.env.executor, dir)?;
        let live: u64 = table.iter().map(|file| file.handle.live.records()).sum();
        debug_assert_eq!(live, loaded.keydir.len(), "each key has one live record");
        let state = Self {
            newest: loaded.newest,
            views: Views::new(Arc::clone(&loaded.keydir)),
            keydir: loaded.keydir,
            files: Arc::new(Published::new(Arc::new(table))),
            scanned: loaded.scanned,
        };
        let progress = Progress {
            store: loaded.store,
            stamp: loaded.stamp,
            newest: loaded.newest,
            seed: loaded.seed,
            registry: loaded.registry,
            sealed: sealed_files(&loaded.state),
            handles: loaded.handles,
            log_ends: loaded.log_ends,
        };
        Ok((state, progress))
    }

    /// Whether `newer` can be applied: it has every write that this state has, and the keydir has room for its keys.
    pub(super) fn can_apply(&self, newer: &LoadedState) -> bool {
        newer.newest >= self.newest && self.keydir.has_room_for(&newer.keydir)
    }

    /// Applies `newer`, and calls `publish` with the new state. Until `publish` returns, readers see this state, and
    /// views that were opened before go on seeing theirs.
    pub(super) fn apply(
        &self,
        newer: LoadedState,
        progress: &mut Progress,
        publish: impl FnOnce(Self),
    ) {
        debug_assert!(self.can_apply(&newer), "the caller has asked");
        debug_assert_eq!(progress.newest, self.newest, "both are of the last refresh");
        // From here on, the undo lists keep every version visible at *n*.
        let view_at_n = self.views.open(self.newest, || UnixMillis(0));
        // The keydir may name only files that are in the table.
        self.change_files(|table| {
            newer.files.iter().for_each(|file| table.insert(Arc::clone(file)));
        });
        let files = self.files.load_full();
        let update = KeydirUpdate { keydir: &self.keydir, files, before: self.newest };
        newer.keydir.visit_loaded(&mut |key, sequence, location| {
            update.apply(key, sequence, location);
        });
        let is_gone = |handle: &&Arc<FileHandle>| !newer.state.files.contains_key(&handle.id());
        let gone: Vec<_> = progress.handles.values().filter(is_gone).cloned().collect();
        if newer.newest > self.newest {
            update.remove_keys_in(&gone, newer.newest);
        }
        publish(Self {
            newest: newer.newest,
            keydir: Arc::clone(&self.keydir),
            views: Arc::clone(&self.views),
            files: Arc::clone(&self.files),
            scanned: self.scanned + newer.scanned,
        });
        self.retire_files(&gone, progress);
        drop(view_at_n);
        progress.stamp = newer.stamp;
        progress.newest = newer.newest;
        progress.sealed = sealed_files(&newer.state);
        progress.handles.extend(newer.handles);
        progress.log_ends = newer.log_ends;
        debug_assert!(progress.newest >= self.newest, "a refresh goes forward");
    }

    /// Takes the files that are `gone` out of the table. A file that the keydir still names stays until a later refresh
    /// applies rule 4.
    fn retire_files(&self, gone: &[Arc<FileHandle>], progress: &mut Progress) {
        for handle in gone.iter().filter(|handle| handle.live.records() == 0) {
            // Views that are open may still read versions in it.
            if let Some(file) = self.files.load().get(handle.number).cloned() {
                self.views.hold(&[file]);
            }
            self.change_files(|table| drop(table.remove(handle.number)));
            progress.handles.remove(&handle.id());
        }
    }

    /// Publishes another file table. The caller holds the lock of the refresh, so no two changes meet.
    fn change_files(&self, change: impl FnOnce(&mut FileTable)) {
        let mut table = FileTable::clone(&self.files.load_full());
        change(&mut table);
        self.files.store(Arc::new(table));
    }
}

/// The ids of the sealed files of `state`.
fn sealed_files(state: &State) -> BTreeSet<u64> {
    let sealed = state.files.iter().filter(|(_, sealed)| sealed.is_some());
    sealed.map(|(&id, _)| id).collect()
}
