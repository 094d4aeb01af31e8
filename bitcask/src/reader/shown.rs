//! What a reader shows, and how it is moved forward. Why that is right stands in the [module above](super).

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use durable::sync::Published;
use kv::{Result, UnixMillis};

use super::reading::{Progress, Reading};
use crate::data_file::FileTable;
use crate::file_handle::FileHandle;
use crate::keydir::{Keydir, Location, Version};
use crate::options::Options;
use crate::recovery::finish::finish;
use crate::state::State;
use crate::views::Views;

/// The store as of one write.
#[derive(Debug)]
pub(super) struct Shown {
    /// The newest write.
    pub(super) newest: u64,
    pub(super) keydir: Arc<Keydir>,
    pub(super) views: Arc<Views>,
    pub(super) files: Arc<Published<FileTable>>,
    /// Sealed files that were read whole, because they had no hint that counts.
    pub(super) scanned: u64,
}

impl Shown {
    /// All of a store.
    pub(super) fn whole(
        reading: Reading,
        options: &Options,
        dir: &Path,
    ) -> Result<(Self, Progress)> {
        let mut table = FileTable::default();
        reading.files.iter().for_each(|file| table.insert(Arc::clone(file)));
        finish(&reading.keydir, &table, &*options.env.executor, dir)?;
        let shown = Self {
            newest: reading.newest,
            views: Views::new(Arc::clone(&reading.keydir)),
            keydir: reading.keydir,
            files: Arc::new(Published::new(Arc::new(table))),
            scanned: reading.scanned,
        };
        let progress = Progress {
            store: reading.store,
            stamp: reading.stamp,
            newest: reading.newest,
            seed: reading.seed,
            registry: reading.registry,
            sealed: sealed_files(&reading.state),
            lives: reading.lives,
            log_ends: reading.log_ends,
        };
        Ok((shown, progress))
    }

    /// Whether `news` can be taken in: nothing that is shown was lost, and there is room.
    pub(super) fn can_take(&self, news: &Reading) -> bool {
        news.newest >= self.newest && self.keydir.has_room_for(&news.keydir)
    }

    /// Takes in what has come since, and calls `publish` with what is to be shown from then on. Until that has returned,
    /// and in views that were opened before, everybody sees what was shown before.
    pub(super) fn take_in(
        &self,
        news: Reading,
        progress: &mut Progress,
        publish: impl FnOnce(Self),
    ) {
        let before = self.views.open(self.newest, || UnixMillis(0));
        self.change_files(|table| {
            news.files.iter().for_each(|file| table.insert(Arc::clone(file)));
        });
        let change =
            Change { keydir: &self.keydir, files: self.files.load_full(), shown: self.newest };
        news.keydir.visit_loaded(&mut |key, sequence, location| {
            change.take(key, sequence, location);
        });
        let is_gone = |life: &&Arc<FileHandle>| !news.state.files.contains_key(&life.id());
        let gone: Vec<Arc<FileHandle>> = progress.lives.values().filter(is_gone).cloned().collect();
        if news.newest > self.newest {
            change.forget_keys_in(&gone, news.newest);
        }
        publish(Self {
            newest: news.newest,
            keydir: Arc::clone(&self.keydir),
            views: Arc::clone(&self.views),
            files: Arc::clone(&self.files),
            scanned: self.scanned + news.scanned,
        });
        for life in gone.iter().filter(|life| !has_keys(life)) {
            self.let_go(life.number);
            progress.lives.remove(&life.id());
        }
        drop(before);
        progress.stamp = news.stamp;
        progress.newest = news.newest;
        progress.sealed = sealed_files(&news.state);
        progress.lives.extend(news.lives);
        progress.log_ends = news.log_ends;
    }

    /// Takes a file out of the table. Views that are open hold it.
    fn let_go(&self, number: u16) {
        if let Some(file) = self.files.load().get(number).cloned() {
            self.views.hold(&[file]);
        }
        self.change_files(|table| drop(table.remove(number)));
    }

    /// Publishes another file table. One refresh at a time does.
    fn change_files(&self, change: impl FnOnce(&mut FileTable)) {
        let mut table = FileTable::clone(&self.files.load_full());
        change(&mut table);
        self.files.store(Arc::new(table));
    }
}

fn sealed_files(state: &State) -> BTreeSet<u64> {
    let sealed = state.files.iter().filter(|(_, sealed)| sealed.is_some());
    sealed.map(|(&id, _)| id).collect()
}

fn has_keys(life: &FileHandle) -> bool {
    life.live.records() > 0
}

/// The change of a keydir by one refresh.
struct Change<'c> {
    keydir: &'c Keydir,
    /// All files, those that are gone included.
    files: Arc<FileTable>,
    /// The newest write that was taken in before.
    shown: u64,
}

impl Change<'_> {
    /// Takes in the newest record of `key` among those that were read.
    fn take(&self, key: &[u8], sequence: u64, location: Option<Location>) {
        let is_new = sequence > self.shown;
        match location {
            Some(location) if is_new => {
                self.count_in(location);
                let replaced = self.keydir.put(key, Version { location, sequence });
                self.count_out(replaced);
            }
            Some(location) => self.relocate(key, Version { location, sequence }),
            None if is_new => self.count_out(self.keydir.remove(key, sequence)),
            None => {}
        }
    }

    /// Sends `key` to the new place of its record, if that is the one it has.
    fn relocate(&self, key: &[u8], version: Version) {
        let old = self.keydir.get(key).filter(|old| old.sequence == version.sequence);
        if old.is_some_and(|old| old.location != version.location) {
            self.count_in(version.location);
            self.keydir.relocate(key, version);
            self.count_out(old);
        }
    }

    /// Removes the keys whose record lies in one of `files`, as of write `sequence`.
    fn forget_keys_in(&self, files: &[Arc<FileHandle>], sequence: u64) {
        let numbers: Vec<u16> =
            files.iter().filter(|life| has_keys(life)).map(|life| life.number).collect();
        if !numbers.is_empty() {
            for key in self.keydir.keys_in(&numbers) {
                self.count_out(self.keydir.remove(&key, sequence));
            }
        }
    }

    fn count_in(&self, location: Location) {
        if let Some(file) = self.files.get(location.file) {
            file.handle.live.add(location);
        }
    }

    fn count_out(&self, version: Option<Version>) {
        if let Some(Version { location, .. }) = version
            && let Some(file) = self.files.get(location.file)
        {
            file.handle.live.subtract(location);
        }
    }
}
