//! One shard of the keydir: index, entries, and the undo list of the open views.

use std::collections::HashMap;

use foldhash::quality::FixedState;

use super::arena::{Arena, DELETED, Place};
use super::index::Index;
use super::{Location, Version};

/// Whether somebody may still need what a write replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undo {
    /// No view is open.
    Forget,
    /// The newest open view sees writes up to this one.
    KeepFor(u64),
}

/// What a key was, from one write until another.
#[derive(Clone, Copy, Debug)]
struct Replaced {
    version: Version,
    until: u64,
}

impl Replaced {
    fn is_seen_at(&self, view: u64) -> bool {
        self.version.sequence <= view && view < self.until
    }
}

/// What an undo list is reckoned to take for each entry besides the key.
const UNDO_ENTRY_BYTES: usize = 96;

#[derive(Debug, Default)]
pub(super) struct Shard {
    index: Index,
    arena: Arena,
    undo: HashMap<Box<[u8]>, Vec<Replaced>, FixedState>,
    undo_bytes: usize,
}

impl Shard {
    pub(super) fn get(&self, key: &[u8], hash: u64) -> Option<Version> {
        self.find(key, hash).map(|place| self.arena.version(place))
    }

    /// The version of `key` that the registered view at `view` sees.
    pub(super) fn get_at(&self, key: &[u8], hash: u64, view: u64) -> Option<Version> {
        let now = self.get(key, hash).filter(|version| version.sequence <= view);
        let before = || {
            let replaced = self.undo.get(key)?.iter().find(|replaced| replaced.is_seen_at(view));
            replaced.map(|replaced| replaced.version)
        };
        now.or_else(before)
    }

    /// Gives the newest record of `key` another place if `is_copied` says so of its sequence number.
    pub(super) fn relocate_if(
        &mut self,
        key: &[u8],
        hash: u64,
        version: Version,
        is_copied: impl FnOnce(u64) -> bool,
    ) -> bool {
        let place = self.find(key, hash);
        let place = place.filter(|&place| is_copied(self.arena.version(place).sequence));
        place.is_some_and(|place| {
            self.arena.set_version(place, version);
            true
        })
    }

    /// Reads where in the index a look-up begins. What it returns means nothing.
    pub(super) fn touch_index(&self, hash: u64) -> u32 {
        self.index.touch(hash)
    }

    /// The entry that a look-up compares first.
    pub(super) fn likely(&self, hash: u64) -> Option<Place> {
        self.index.find(hash, |_| true)
    }

    /// Reads a little of an entry. What it returns means nothing.
    pub(super) fn touch_entry(&self, place: Place) -> u32 {
        self.arena.touch(place)
    }

    pub(super) fn put(
        &mut self,
        key: &[u8],
        hash: u64,
        version: Version,
        undo: Undo,
        hash_of: impl Fn(&[u8]) -> u64,
    ) -> Option<Version> {
        let Some(place) = self.find(key, hash) else {
            self.insert(key, hash, version, hash_of);
            return None;
        };
        let old = self.arena.version(place);
        self.arena.set_version(place, version);
        self.keep(key, old, version.sequence, undo);
        Some(old)
    }

    pub(super) fn remove(
        &mut self,
        key: &[u8],
        hash: u64,
        sequence: u64,
        undo: Undo,
        hash_of: impl Fn(&[u8]) -> u64,
    ) -> Option<Version> {
        let version = self.get(key, hash)?;
        self.take_out(key, hash, &hash_of);
        self.keep(key, version, sequence, undo);
        self.compact_if_wasteful(hash_of);
        Some(version)
    }

    pub(super) fn load(
        &mut self,
        key: &[u8],
        hash: u64,
        version: Version,
        hash_of: impl Fn(&[u8]) -> u64,
    ) {
        match self.find(key, hash) {
            None => self.insert(key, hash, version, hash_of),
            Some(place) if self.arena.version(place).sequence < version.sequence => {
                self.arena.set_version(place, version);
            }
            Some(_) => {}
        }
    }

    pub(super) fn finish_loading(
        &mut self,
        hash_of: impl Fn(&[u8]) -> u64,
        live: &mut dyn FnMut(Version),
    ) {
        let mut deleted = Vec::new();
        for (_, key, version) in self.arena.entries() {
            if version.location == DELETED {
                deleted.push(key.to_vec());
            } else {
                live(version);
            }
        }
        for key in deleted {
            self.take_out(&key, hash_of(&key), &hash_of);
        }
        self.compact_if_wasteful(hash_of);
    }

    /// Calls `found` for each key as of write `view`.
    pub(super) fn collect(&self, view: u64, found: &mut dyn FnMut(&[u8], Location)) {
        for (_, key, version) in self.arena.entries() {
            if version.sequence <= view {
                found(key, version.location);
            }
        }
        for (key, replaced) in &self.undo {
            for replaced in replaced.iter().filter(|replaced| replaced.is_seen_at(view)) {
                found(key, replaced.version.location);
            }
        }
    }

    /// Calls `visit` with each key and its version, those of remembered deletions included.
    pub(super) fn visit(&self, visit: &mut dyn FnMut(&[u8], Version)) {
        self.arena.entries().for_each(|(_, key, version)| visit(key, version));
    }

    pub(super) fn is_full(&self) -> bool {
        self.arena.is_full()
    }

    /// What the undo lists are reckoned to take.
    pub(super) fn undo_bytes(&self) -> usize {
        self.undo_bytes
    }

    pub(super) fn trim(&mut self, views: &[u64]) {
        self.undo.retain(|_, replaced| {
            replaced.retain(|replaced| views.iter().any(|&view| replaced.is_seen_at(view)));
            !replaced.is_empty()
        });
        self.undo_bytes =
            self.undo.iter().map(|(key, replaced)| undo_bytes(key) * replaced.len()).sum();
        if self.undo.is_empty() {
            self.undo = HashMap::default();
        }
    }

    /// Takes out every entry for which `is_gone` holds.
    pub(super) fn forget(
        &mut self,
        is_gone: impl Fn(&[u8], Version) -> bool,
        hash_of: impl Fn(&[u8]) -> u64,
    ) {
        let gone = self.arena.entries().filter(|(_, key, version)| is_gone(key, *version));
        let gone: Vec<Vec<u8>> = gone.map(|(_, key, _)| key.to_vec()).collect();
        for key in gone {
            self.take_out(&key, hash_of(&key), &hash_of);
        }
        self.compact_if_wasteful(hash_of);
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.index.memory_bytes() + self.arena.memory_bytes() + self.undo_bytes
    }

    fn find(&self, key: &[u8], hash: u64) -> Option<Place> {
        self.index.find(hash, |place| self.arena.key(place) == key)
    }

    fn insert(&mut self, key: &[u8], hash: u64, version: Version, hash_of: impl Fn(&[u8]) -> u64) {
        if self.index.is_full() {
            let hashes = self.arena.entries().map(|(place, key, _)| (hash_of(key), place));
            self.index.rebuild(hashes);
        }
        let place = self.arena.push(key, version).expect("a full shard gets no more keys");
        self.index.insert(hash, place);
    }

    fn take_out(&mut self, key: &[u8], hash: u64, hash_of: &impl Fn(&[u8]) -> u64) {
        let arena = &self.arena;
        let is_it = |place| arena.key(place) == key;
        let removed = self.index.remove(hash, is_it, |place| hash_of(arena.key(place)));
        if let Some(place) = removed {
            self.arena.free(place);
        }
    }

    fn keep(&mut self, key: &[u8], version: Version, until: u64, undo: Undo) {
        if let Undo::KeepFor(newest_view) = undo
            && version.sequence <= newest_view
        {
            self.undo.entry(key.into()).or_default().push(Replaced { version, until });
            self.undo_bytes += undo_bytes(key);
        }
    }

    /// Copies the entries that are left when the freed ones take the greater half.
    fn compact_if_wasteful(&mut self, hash_of: impl Fn(&[u8]) -> u64) {
        if !self.arena.is_mostly_freed() {
            return;
        }
        let old = std::mem::take(&mut self.arena);
        self.index = Index::default();
        for (_, key, version) in old.entries() {
            self.insert(key, hash_of(key), version, &hash_of);
        }
    }
}

fn undo_bytes(key: &[u8]) -> usize {
    UNDO_ENTRY_BYTES + key.len()
}
