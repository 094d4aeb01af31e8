//! The keydir: every key in memory, with the place of its newest record on disk (Bitcask paper, section 2).
//!
//! Keys are spread over [`SHARDS`] shards by hash, each behind a reader-writer lock, so that reads share and writes
//! to different keys hardly meet. A shard is an index of 4-byte cells (open addressing) over entries that never move,
//! each of 16 bytes with its key right behind; see `keydir/arena.rs`.
//!
//! **Frozen views.** A scan or a snapshot registers the newest sequence number it may see. While such a view is open,
//! whatever is overwritten or removed is kept in an undo list of its shard; reading for the view takes entries that are
//! old enough, and the rest from the undo list. Writers never wait for a view.

mod arena;
mod index;
mod loader;
mod shard;

use durable::sync::RwLock;
use durable::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use foldhash::quality::FixedState;
use kv::KeyRange;
use std::fmt;
use std::hash::BuildHasher as _;

use arena::DELETED;
pub(crate) use loader::Loader;
use shard::Shard;
pub(crate) use shard::Undo;

/// A power of two. Enough that growing one takes well under a millisecond at millions of keys; few where a scheduler
/// visits every lock.
const SHARDS: usize = if cfg!(shuttle) { 2 } else { 256 };

/// The place of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// Which data file, as its number in the file table.
    pub(crate) file: u16,
    /// Where the record's frame starts; a multiple of 8 below 32 GiB.
    pub(crate) offset: u64,
    /// How many bytes the frame takes; a multiple of 8.
    pub(crate) len: u64,
}

/// A record's place, and the write that put it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// The place.
    pub(crate) location: Location,
    /// The sequence number of the write, below 2^48.
    pub(crate) sequence: u64,
}

/// A key and where its record lies, collected for a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Collected {
    /// Where the key starts in `Collection::keys`.
    pub(crate) key_start: usize,
    /// How long the key is.
    pub(crate) key_len: u16,
    /// Where the record lies.
    pub(crate) location: Location,
}

/// The matching keys of a view, unsorted.
#[derive(Debug, Default)]
pub(crate) struct Collection {
    /// The bytes of all keys.
    pub(crate) keys: Vec<u8>,
    /// One for each key.
    pub(crate) entries: Vec<Collected>,
}

impl Collection {
    fn push(&mut self, key: &[u8], location: Location) {
        let key_start = self.keys.len();
        self.keys.extend_from_slice(key);
        self.entries.push(Collected { key_start, key_len: key.len() as u16, location });
    }
}

/// What is called with each record that loading has found.
type VisitLoaded<'v> = dyn FnMut(&[u8], u64, Option<Location>) + 'v;

/// The index of all keys.
pub(crate) struct Keydir {
    shards: Box<[RwLock<Shard>]>,
    hasher: FixedState,
    /// Some shard is full.
    full: AtomicBool,
    /// What the undo lists of all shards are reckoned to take.
    undo_bytes: AtomicU64,
}

impl Keydir {
    /// An empty keydir. `seed` keeps outsiders from choosing keys that collide.
    pub(crate) fn new(seed: u64) -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::new(Shard::default())).collect();
        let hasher = FixedState::with_seed(seed);
        Self { shards, hasher, full: AtomicBool::new(false), undo_bytes: AtomicU64::new(0) }
    }

    fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    fn shard_of(hash: u64) -> usize {
        (hash >> 56) as usize % SHARDS
    }

    fn place(&self, key: &[u8]) -> (&RwLock<Shard>, u64) {
        let hash = self.hash(key);
        (&self.shards[Self::shard_of(hash)], hash)
    }

    /// The newest record of `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Version> {
        let (shard, hash) = self.place(key);
        shard.read().get(key, hash)
    }

    /// The record of `key` as of write `view`, which must be registered so that undo lists are kept for it.
    pub(crate) fn get_at(&self, key: &[u8], view: u64) -> Option<Version> {
        let (shard, hash) = self.place(key);
        shard.read().get_at(key, hash, view)
    }

    /// A merge has copied the record of write `version.sequence`: gives it its new place. `false`: it is not the newest
    /// of `key` any more, and the copy is dead.
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

    /// Forgets every key whose record lies in one of `files`, all of which have expired for everybody.
    pub(crate) fn forget_files(&self, files: &[u16]) {
        for shard in &self.shards {
            let is_gone = |_: &[u8], version: Version| files.contains(&version.location.file);
            shard.write().forget(is_gone, |key| self.hasher.hash_one(key));
        }
    }

    /// What the undo lists are reckoned to take.
    pub(crate) fn undo_bytes(&self) -> u64 {
        self.undo_bytes.load(Ordering::Relaxed)
    }

    /// How many keys [`Keydir::warm`] takes at a time.
    pub(crate) const WARMED: usize = 16;

    /// Brings what a write of `keys`, no more than [`Keydir::WARMED`], will touch into the processor's cache.
    ///
    /// Without it each look-up of a large batch waits for memory twice. Here the look-ups wait together: nothing in a pass
    /// over the keys depends on what the same pass has read for another key. A shard that somebody is writing to is left
    /// out, and so is the second key of a shard.
    #[expect(single_use_lifetimes, reason = "an anonymous lifetime is not stable here")]
    pub(crate) fn warm<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        let mut keys = keys.map(|key| self.hash(key));
        let mut taken = [false; SHARDS];
        let shards: [_; Self::WARMED] = std::array::from_fn(|_| {
            let hash = keys.next()?;
            let shard = Self::shard_of(hash);
            let is_taken = std::mem::replace(&mut taken[shard], true);
            let shard = if is_taken { None } else { self.shards[shard].try_read() };
            Some((shard?, hash))
        });
        let mut touched = 0;
        for (shard, hash) in shards.iter().flatten() {
            touched ^= shard.touch_index(*hash);
        }
        // The cells are there; which entries they lead to needs no waiting.
        let places = shards
            .each_ref()
            .map(|shard| shard.as_ref().and_then(|(shard, hash)| shard.likely(*hash)));
        for (shard, place) in shards.iter().zip(places) {
            if let (Some((shard, _)), Some(place)) = (shard, place) {
                touched ^= shard.touch_entry(place);
            }
        }
        std::hint::black_box(touched);
    }

    /// Makes `version` the newest of `key` and returns the one it replaces. Calls for one key come in the order of
    /// their sequence numbers.
    pub(crate) fn put(&self, key: &[u8], version: Version, undo: Undo) -> Option<Version> {
        let (shard, hash) = self.place(key);
        let mut shard = shard.write();
        let undo_before = shard.undo_bytes();
        let replaced = shard.put(key, hash, version, undo, |key| self.hasher.hash_one(key));
        self.count_undo(undo_before, &shard);
        if shard.is_full() {
            self.full.store(true, Ordering::Release);
        }
        replaced
    }

    /// Whether new keys must be refused: entries are addressed by 25 bits.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// Removes `key`, as of write `sequence`, and returns the version it had.
    pub(crate) fn remove(&self, key: &[u8], sequence: u64, undo: Undo) -> Option<Version> {
        let (shard, hash) = self.place(key);
        let mut shard = shard.write();
        let undo_before = shard.undo_bytes();
        let removed = shard.remove(key, hash, sequence, undo, |key| self.hasher.hash_one(key));
        self.count_undo(undo_before, &shard);
        if removed.is_some() && self.is_full() && !shard.is_full() {
            drop(shard);
            let any = self.shards.iter().any(|shard| shard.read().is_full());
            self.full.store(any, Ordering::Release);
        }
        removed
    }

    /// Takes a record found while opening: the highest sequence number of a key wins, in any order of calls. A deletion
    /// has no location. Ends with [`Keydir::finish_loading`].
    pub(crate) fn load(&self, key: &[u8], sequence: u64, location: Option<Location>) {
        let (shard, hash) = self.place(key);
        let version = Version { location: location.unwrap_or(DELETED), sequence };
        shard.write().load(key, hash, version, |key| self.hash(key));
    }

    /// Forgets the deletions that loading had to remember, and calls `live` for each key that is left.
    pub(crate) fn finish_loading(&self, live: &mut dyn FnMut(Version)) {
        for shard in &self.shards {
            shard.write().finish_loading(|key| self.hasher.hash_one(key), live);
        }
    }

    /// Calls `visit` with what loading has found: key, sequence number, and place unless it is a deletion.
    pub(crate) fn visit_loaded(&self, visit: &mut VisitLoaded<'_>) {
        for shard in &self.shards {
            shard.read().visit(&mut |key, Version { location, sequence }| {
                visit(key, sequence, (location != DELETED).then_some(location));
            });
        }
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

    /// Whether all keys of `other`, which has the same seed, would fit in here, too.
    pub(crate) fn has_room_for(&self, other: &Self) -> bool {
        let pairs = self.shards.iter().zip(&other.shards);
        let fits = |(own, other): (&RwLock<Shard>, &RwLock<Shard>)| {
            own.read().memory_bytes() + other.read().memory_bytes() < arena::FULL_BYTES
        };
        pairs.into_iter().all(fits)
    }

    /// The keys in `range` as of write `view`, which must be registered so that undo lists are kept for it.
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

    /// Drops what the undo lists keep for views that are gone. `views` are the ones still open.
    pub(crate) fn trim(&self, views: &[u64]) {
        for shard in &self.shards {
            if shard.read().undo_bytes() > 0 {
                let mut shard = shard.write();
                let undo_before = shard.undo_bytes();
                shard.trim(views);
                self.count_undo(undo_before, &shard);
            }
        }
    }

    fn count_undo(&self, before: usize, shard: &Shard) {
        let change = (shard.undo_bytes() as u64).wrapping_sub(before as u64);
        if change != 0 {
            self.undo_bytes.fetch_add(change, Ordering::Relaxed);
        }
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> u64 {
        self.shards.iter().map(|shard| shard.read().len() as u64).sum()
    }

    /// How much memory the keydir holds, keys and spare space included.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let shards: usize = self.shards.iter().map(|shard| shard.read().memory_bytes()).sum();
        (shards + self.shards.len() * size_of::<RwLock<Shard>>()) as u64
    }
}

impl fmt::Debug for Keydir {
    /// A summary, without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keydir").field("undo_bytes", &self.undo_bytes()).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests;
