//! The change of a reader's keydir by one refresh: the four rules of the [reader](super).

use std::sync::Arc;

use crate::data_file::FileTable;
use crate::file_handle::FileHandle;
use crate::keydir::{Keydir, Location, Version};

/// One change of a keydir, and of the live counts of its files.
pub(super) struct KeydirUpdate<'k> {
    pub(super) keydir: &'k Keydir,
    /// All files, with those that the manifest no longer names.
    pub(super) files: Arc<FileTable>,
    /// *n*: the newest write before the refresh.
    pub(super) before: u64,
}

impl KeydirUpdate<'_> {
    /// Applies the newest loaded record of `key`. `None` as its location: a tombstone.
    pub(super) fn apply(&self, key: &[u8], sequence: u64, location: Option<Location>) {
        let is_new = sequence > self.before;
        match location {
            // Rule 1: a new put replaces.
            Some(location) if is_new => {
                self.count_live(location);
                let replaced = self.keydir.put(key, Version { location, sequence });
                self.count_dead(replaced);
            }
            // Rule 2: an old put was copied by a merge, or was dead before.
            Some(location) => self.relocate(key, Version { location, sequence }),
            // Rule 1: a new tombstone removes.
            None if is_new => self.count_dead(self.keydir.remove(key, sequence)),
            // Rule 3: an old tombstone was applied before.
            None => {}
        }
    }

    /// Points `key` at the copy of its record. Does nothing if its newest record is another one.
    fn relocate(&self, key: &[u8], version: Version) {
        let old = self.keydir.get(key).filter(|old| old.sequence == version.sequence);
        if old.is_some_and(|old| old.location != version.location) {
            self.count_live(version.location);
            let relocated = self.keydir.relocate(key, version);
            assert!(relocated, "one refresh at a time changes the keydir");
            self.count_dead(old);
        }
    }

    /// Rule 4: removes the keys whose record lies in a file of `gone`. Views before `sequence` keep them.
    pub(super) fn remove_keys_in(&self, gone: &[Arc<FileHandle>], sequence: u64) {
        assert!(sequence > self.before, "views at the write before keep the keys");
        let with_keys = gone.iter().filter(|handle| handle.live.records() > 0);
        let numbers: Vec<u16> = with_keys.map(|handle| handle.number).collect();
        if numbers.is_empty() {
            return;
        }
        for key in self.keydir.keys_in(&numbers) {
            self.count_dead(self.keydir.remove(&key, sequence));
        }
        debug_assert!(gone.iter().all(|handle| handle.live.records() == 0), "no key is left");
    }

    fn count_live(&self, location: Location) {
        if let Some(file) = self.files.get(location.file) {
            file.handle.live.add(location);
        }
    }

    fn count_dead(&self, version: Option<Version>) {
        if let Some(Version { location, .. }) = version
            && let Some(file) = self.files.get(location.file)
        {
            file.handle.live.subtract(location);
        }
    }
}
