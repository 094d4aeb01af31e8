//! One shard of the keydir: index, entries, and the undo list of the open views.

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
#[derive(Debug)]
struct Replaced {
    key: Box<[u8]>,
    version: Version,
    until: u64,
}

#[derive(Debug, Default)]
pub(super) struct Shard {
    index: Index,
    arena: Arena,
    undo: Vec<Replaced>,
}

impl Shard {
    pub(super) fn get(&self, key: &[u8], hash: u64) -> Option<Version> {
        self.find(key, hash).map(|place| self.arena.version(place))
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
        for replaced in &self.undo {
            if replaced.version.sequence <= view && view < replaced.until {
                found(&replaced.key, replaced.version.location);
            }
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.arena.is_full()
    }

    pub(super) fn has_undo(&self) -> bool {
        !self.undo.is_empty()
    }

    pub(super) fn trim(&mut self, views: &[u64]) {
        self.undo.retain(|replaced| {
            let needs = |&view: &u64| replaced.version.sequence <= view && view < replaced.until;
            views.iter().any(needs)
        });
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let undo: usize = self.undo.iter().map(|replaced| replaced.key.len()).sum();
        self.index.memory_bytes()
            + self.arena.memory_bytes()
            + self.undo.capacity() * size_of::<Replaced>()
            + undo
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
            self.undo.push(Replaced { key: key.into(), version, until });
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
