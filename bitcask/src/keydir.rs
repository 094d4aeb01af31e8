//! The keydir: every key in memory, with the place of its newest record on disk (Bitcask paper, section 2).
//!
//! A hash of the key picks one of [`SHARDS`] shards. Each shard has a reader-writer lock, so reads share a shard, and writes
//! to different keys rarely meet. A shard has
//! - an index of 4-byte cells with open addressing (`keydir/index.rs`);
//! - entries that never move, each of 16 bytes with its key right behind (`keydir/arena.rs`, `keydir/entry.rs`);
//! - undo lists: the versions that an open view still sees and a write has replaced (`keydir/undo.rs`).
//!
//! A scan or a snapshot opens a view at the newest sequence number. Writers never wait for a view, whether it is opened, read
//! or closed: see `keydir/release.rs`.
//!
//! A thread takes the locks in this order: the right to release, a shard, the list of open views or the pool of pages
//! (`keydir/pages.rs`). Only [`Keydir::has_room_for`] and [`Keydir::prefetch`] lock several shards at once. Both only read,
//! and the latter skips a shard that is locked.

mod arena;
mod collection;
mod entry;
mod index;
mod loader;
mod open_views;
mod pages;
mod prefetch;
mod release;
mod room;
mod shard;
mod undo;
mod version;

use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use durable::sync::atomic::{AtomicBool, AtomicU64};
use durable::sync::{Mutex, RwLock};
use foldhash::quality::FixedState;
use kv::KeyRange;

use crate::lock_order::Lock;
pub(crate) use collection::{Collected, Collection};
pub(crate) use loader::Loader;
use open_views::OpenViews;
use pages::PagePool;
use room::Room;
pub(crate) use room::{Limits, Reservation};
use shard::Shard;
pub(crate) use version::{Location, Version};

/// A power of two. Enough that growing one takes well under a millisecond at millions of keys; 2 under shuttle, to keep its
/// state space small.
const SHARDS: usize = if cfg!(shuttle) { 2 } else { 256 };

const _: () = assert!(SHARDS.is_power_of_two() && SHARDS <= 256, "a byte of the hash picks one");

/// The index of all keys.
pub(crate) struct Keydir {
    shards: Box<[RwLock<Shard>]>,
    hasher: FixedState,
    pages: Arc<PagePool>,
    room: Room,
    /// Loading found more keys and tombstones than fit.
    overflowed: AtomicBool,
    /// The estimated memory of the undo lists of all shards, in bytes.
    undo_bytes: AtomicU64,
    views: OpenViews,
    /// Held by the thread that releases versions of closed views.
    releasing: Mutex<()>,
}

impl Keydir {
    /// An empty keydir. `seed` keeps outsiders from choosing keys that collide.
    pub(crate) fn new(seed: u64, limits: Limits) -> Self {
        let pages = Arc::new(PagePool::default());
        let shard = |_| RwLock::new(Shard::new(limits.addressable, &pages));
        let shards = (0..SHARDS).map(shard).collect();
        Self {
            shards,
            hasher: FixedState::with_seed(seed),
            pages,
            room: Room::new(limits),
            overflowed: AtomicBool::new(false),
            undo_bytes: AtomicU64::new(0),
            views: OpenViews::default(),
            releasing: Mutex::ranked(Lock::Releasing.rank(), ()),
        }
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    #[inline]
    fn shard_of(hash: u64) -> usize {
        (hash >> 56) as usize % SHARDS
    }

    #[inline]
    fn place(&self, key: &[u8]) -> (&RwLock<Shard>, u64) {
        let hash = self.hash(key);
        (&self.shards[Self::shard_of(hash)], hash)
    }

    /// The newest record of `key`.
    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Option<Version> {
        let (shard, hash) = self.place(key);
        shard.read().get(key, hash)
    }

    /// The record of `key` as of write `view`, which must be open so that undo lists are kept for it.
    pub(crate) fn get_at(&self, key: &[u8], view: u64) -> Option<Version> {
        let (shard, hash) = self.place(key);
        let found = shard.read().get_at(key, hash, view);
        debug_assert!(found.is_none_or(|version| version.sequence <= view), "the view sees it");
        found
    }

    /// The keys in `range` as of write `view`, which must be open so that undo lists are kept for it.
    pub(crate) fn collect(&self, range: &KeyRange, view: u64) -> Collection {
        let mut collection = Collection::default();
        for shard in &self.shards {
            shard.read().collect(view, &mut |key, location| {
                if range.contains(key) {
                    collection.push(key, location);
                }
            });
        }
        collection
    }

    /// The keys whose record lies in one of `files`.
    pub(crate) fn keys_in(&self, files: &[u16]) -> Vec<Box<[u8]>> {
        let mut keys = Vec::new();
        for shard in &self.shards {
            shard.read().visit(&mut |key, version| {
                if files.contains(&version.location.file) {
                    keys.push(key.into());
                }
            });
        }
        keys
    }

    /// Makes `version` the newest of `key` and returns the one it replaces. Calls for one key come in the order of
    /// their sequence numbers, and room for the key was checked or reserved.
    #[inline]
    pub(crate) fn put(&self, key: &[u8], version: Version) -> Option<Version> {
        let hash = self.hash(key);
        let number = Self::shard_of(hash);
        let mut shard = self.shards[number].write();
        let (undo_before, pages_before) = (shard.undo.bytes(), shard.arena.pages());
        let view = self.views.newest();
        let replaced = shard.put(key, hash, version, view, |key| self.hash(key));
        debug_assert!(replaced.is_none_or(|old| old.sequence <= version.sequence), "in order");
        debug_assert!(view.is_some() || undo_before >= shard.undo.bytes(), "no view, no undo");
        self.count_undo(undo_before, shard.undo.bytes());
        if shard.arena.pages() > pages_before {
            self.room.note(number, shard.arena.pages());
        }
        replaced
    }

    /// Removes `key`, as of write `sequence`, and returns the version it had.
    pub(crate) fn remove(&self, key: &[u8], sequence: u64) -> Option<Version> {
        let (shard, hash) = self.place(key);
        let mut shard = shard.write();
        let undo_before = shard.undo.bytes();
        let view = self.views.newest();
        let removed = shard.remove(key, hash, sequence, view, |key| self.hash(key));
        debug_assert!(removed.is_none_or(|old| old.sequence <= sequence), "in order");
        self.count_undo(undo_before, shard.undo.bytes());
        removed
    }

    /// A merge has copied the record of write `version.sequence`: gives it its new place. `false`: a newer write has replaced
    /// it, and the copy is dead.
    pub(crate) fn relocate(&self, key: &[u8], version: Version) -> bool {
        self.relocate_if(key, version, |newest| newest == version.sequence)
    }

    /// As [`Keydir::relocate`], where `is_copied` says whether the newest record of `key`, given its sequence number, is the
    /// one that was copied.
    pub(crate) fn relocate_if(
        &self,
        key: &[u8],
        version: Version,
        is_copied: impl FnOnce(u64) -> bool,
    ) -> bool {
        let (shard, hash) = self.place(key);
        shard.write().relocate_if(key, hash, version, is_copied)
    }

    /// Removes each key that still names a record in `files`. Those records have expired for every view: a merge did not
    /// copy them.
    pub(crate) fn forget_files(&self, files: &[u16]) {
        for shard in &self.shards {
            let is_gone = |_: &[u8], version: Version| files.contains(&version.location.file);
            shard.write().forget(is_gone, |key| self.hash(key));
        }
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> u64 {
        self.shards.iter().map(|shard| shard.read().len() as u64).sum()
    }

    /// How much memory the keydir holds, keys and spare space included.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let shards: usize = self.shards.iter().map(|shard| shard.read().memory_bytes()).sum();
        let fixed = self.shards.len() * size_of::<RwLock<Shard>>();
        (shards + fixed + self.pages.spare_bytes()) as u64
    }

    /// Panics unless all parts agree. To be called while nobody writes.
    #[cfg(test)]
    pub(crate) fn check_invariants(&self) {
        let mut undo_bytes = 0;
        for shard in &self.shards {
            let shard = shard.read();
            shard.check_invariants(|key| self.hash(key));
            undo_bytes += shard.undo.bytes() as u64;
        }
        assert_eq!(undo_bytes, self.undo_bytes());
        if self.views.newest().is_none() && !self.has_closed_views() {
            assert_eq!(undo_bytes, 0, "nobody needs a version that was replaced");
        }
    }
}

impl fmt::Debug for Keydir {
    /// A summary: a keydir may have millions of keys, and they are the user's. Takes no lock.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keydir")
            .field("shards", &self.shards.len())
            .field("undo_bytes", &self.undo_bytes())
            .field("newest_view", &self.views.newest())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests;
