//! One shard of the keydir: index, entries, and the undo lists of the open views.

use std::sync::Arc;

use super::arena::{Arena, Place};
use super::entry::DELETED;
use super::index::Index;
use super::pages::PagePool;
use super::undo::UndoLists;
use super::version::{Location, Version};

/// The keys whose hash leads here.
pub(super) struct Shard {
    index: Index,
    pub(super) arena: Arena,
    pub(super) undo: UndoLists,
}

impl Shard {
    /// An empty shard whose entries may take `max_pages` from `pool`.
    pub(super) fn new(max_pages: usize, pool: &Arc<PagePool>) -> Self {
        Self {
            index: Index::default(),
            arena: Arena::new(max_pages, pool),
            undo: UndoLists::default(),
        }
    }

    #[inline]
    pub(super) fn get(&self, key: &[u8], hash: u64) -> Option<Version> {
        self.find(key, hash).map(|place| self.arena.version(place))
    }

    /// The version of `key` that the open view at `view` sees.
    pub(super) fn get_at(&self, key: &[u8], hash: u64, view: u64) -> Option<Version> {
        let newest = self.get(key, hash).filter(|version| version.sequence <= view);
        newest.or_else(|| self.undo.seen_by(key, view))
    }

    /// Gives the newest version of `key` another place if `is_copied` says so of its sequence number.
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

    /// Reads where in the index a look-up begins. The result has no meaning.
    #[inline]
    pub(super) fn touch_index(&self, hash: u64) -> u32 {
        self.index.touch(hash)
    }

    /// The entry that a look-up compares first.
    #[inline]
    pub(super) fn likely(&self, hash: u64) -> Option<Place> {
        self.index.find(hash, |_| true)
    }

    /// Reads a little of an entry. The result has no meaning.
    #[inline]
    pub(super) fn touch_entry(&self, place: Place) -> u32 {
        self.arena.touch(place)
    }

    /// Makes `version` the newest of `key` and returns the one that it replaces, which is kept if `newest_view` sees it.
    #[inline]
    pub(super) fn put(
        &mut self,
        key: &[u8],
        hash: u64,
        version: Version,
        newest_view: Option<u64>,
        hash_of: impl Fn(&[u8]) -> u64,
    ) -> Option<Version> {
        let Some(place) = self.find(key, hash) else {
            assert!(self.insert(key, hash, version, hash_of), "room was checked or reserved");
            return None;
        };
        let old = self.arena.version(place);
        debug_assert!(old.sequence <= version.sequence, "writes of a key come in order");
        self.arena.set_version(place, version);
        if let Some(view) = newest_view {
            self.undo.keep(key, old, version.sequence, view);
        }
        Some(old)
    }

    /// Removes `key` and returns the version that it had, which is kept if `newest_view` sees it.
    pub(super) fn remove(
        &mut self,
        key: &[u8],
        hash: u64,
        sequence: u64,
        newest_view: Option<u64>,
        hash_of: impl Fn(&[u8]) -> u64,
    ) -> Option<Version> {
        let old = self.get(key, hash)?;
        debug_assert!(old.sequence <= sequence, "writes of a key come in order");
        self.take_out(key, hash, &hash_of);
        debug_assert!(self.find(key, hash).is_none(), "a key is there once");
        if let Some(view) = newest_view {
            self.undo.keep(key, old, sequence, view);
        }
        self.compact_if_wasteful(hash_of);
        Some(old)
    }

    /// Takes a record found while opening. `false`: there is no room for it.
    pub(super) fn load(
        &mut self,
        key: &[u8],
        hash: u64,
        version: Version,
        hash_of: impl Fn(&[u8]) -> u64,
    ) -> bool {
        match self.find(key, hash) {
            None => self.insert(key, hash, version, hash_of),
            Some(place) if self.arena.version(place).sequence < version.sequence => {
                self.arena.set_version(place, version);
                true
            }
            // An older record of the key.
            Some(_) => true,
        }
    }

    /// Makes room in the index for `more` keys at once, of which some may be there already. The store has no more than
    /// about `expected` keys here.
    pub(super) fn make_room_to_load(
        &mut self,
        more: usize,
        expected: usize,
        hash_of: impl Fn(&[u8]) -> u64,
    ) {
        if !self.index.has_room_for(more) {
            self.resize_index(self.index.cells_to_load(more, expected), hash_of);
        }
    }

    fn resize_index(&mut self, cells: usize, hash_of: impl Fn(&[u8]) -> u64) {
        let hashes = self.arena.entries().map(|(place, key, _)| (hash_of(key), place));
        self.index.rebuild(cells, hashes);
    }

    /// Drops the tombstones that loading had to remember, calls `live` for each key that is left, and returns the pages that
    /// they take.
    pub(super) fn finish_loading(
        &mut self,
        hash_of: impl Fn(&[u8]) -> u64,
        live: &mut dyn FnMut(Version),
    ) -> usize {
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
        self.compact_if_wasteful(&hash_of);
        if let Some(cells) = self.index.cells_to_keep() {
            self.resize_index(cells, hash_of);
        }
        let mut entries = self.arena.entries();
        debug_assert!(entries.all(|(_, _, version)| version.location != DELETED), "none is left");
        self.arena.pages()
    }

    /// Calls `found` for each key that the open view at `view` sees.
    pub(super) fn collect(&self, view: u64, found: &mut dyn FnMut(&[u8], Location)) {
        for (_, key, version) in self.arena.entries() {
            if version.sequence <= view {
                found(key, version.location);
            }
        }
        self.undo.visit(view, found);
    }

    /// Calls `visit` with each key and its version, those of remembered tombstones included.
    pub(super) fn visit(&self, visit: &mut dyn FnMut(&[u8], Version)) {
        self.arena.entries().for_each(|(_, key, version)| visit(key, version));
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
        self.index.memory_bytes() + self.arena.memory_bytes() + self.undo.bytes()
    }

    /// Copies the entries that were not removed into fresh chunks.
    pub(super) fn compact(&mut self, hash_of: impl Fn(&[u8]) -> u64) {
        let (keys, pages) = (self.len(), self.arena.pages());
        let afresh = self.arena.afresh();
        let old = std::mem::replace(&mut self.arena, afresh);
        self.index = Index::default();
        for (_, key, version) in old.entries() {
            assert!(self.insert(key, hash_of(key), version, &hash_of), "a copy is not larger");
        }
        assert_eq!(self.len(), keys, "every key is copied");
        assert!(self.arena.pages() <= pages, "a copy is not larger");
    }

    fn compact_if_wasteful(&mut self, hash_of: impl Fn(&[u8]) -> u64) {
        if self.arena.is_mostly_freed() {
            self.compact(hash_of);
        }
    }

    #[inline]
    fn find(&self, key: &[u8], hash: u64) -> Option<Place> {
        self.index.find(hash, |place| self.arena.key(place) == key)
    }

    /// Adds a key that is not there. `false`: there is no room.
    fn insert(
        &mut self,
        key: &[u8],
        hash: u64,
        version: Version,
        hash_of: impl Fn(&[u8]) -> u64,
    ) -> bool {
        debug_assert!(self.find(key, hash).is_none(), "a key is added once");
        if self.index.is_full() {
            self.resize_index(self.index.grown_len(), hash_of);
        }
        let Some(place) = self.arena.push(key, version) else { return false };
        self.index.insert(hash, place);
        true
    }

    fn take_out(&mut self, key: &[u8], hash: u64, hash_of: &impl Fn(&[u8]) -> u64) {
        let arena = &self.arena;
        let matches = |place| arena.key(place) == key;
        let removed = self.index.remove(hash, matches, |place| hash_of(arena.key(place)));
        self.arena.free(removed.expect("the caller has found the key"));
    }

    /// Panics unless index, entries and undo lists agree.
    #[cfg(test)]
    pub(super) fn check_invariants(&self, hash_of: impl Fn(&[u8]) -> u64) {
        self.arena.check_invariants();
        self.undo.check_invariants();
        let entries = self.arena.entries().map(|(place, key, _)| (hash_of(key), place));
        self.index.check_invariants(entries);
    }
}
