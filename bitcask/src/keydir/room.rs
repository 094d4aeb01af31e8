//! Whether a batch's keys fit. A write that does not fit is refused before anything of it is appended to the log.
//!
//! A shard has room for [`Limits::for_writes`] pages (`keydir/arena.rs`). A put needs room for its key whether the keydir has
//! the key already or not: a merge may forget an expired key at any time. A batch is checked in the commit section. If it
//! enters the keydir at once, no other batch runs between check and put. If it must wait for the disk first, it
//! **reserves** its pages until it is applied.
//!
//! The check has a fast path: an upper bound of the pages in the fullest shard shows that every shard has room. If the bound
//! is too high for that, each shard of the batch is looked at, and the bound is computed anew. Pages are counted by
//! [`pages_for`], which is up to twice the need.
//!
//! Writes may take three quarters of the addressable pages. The rest is left to loading, which remembers tombstones besides
//! keys.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use durable::sync::atomic::{AtomicU64, AtomicUsize};
use kv::{Error, Result};

use super::arena::{ADDRESSABLE_PAGES, pages_for};
use super::entry::{UNIT, stored_len};
use super::{Keydir, SHARDS};

/// How many pages of 4 KiB each shard may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Pages that writes may take.
    pub(crate) for_writes: usize,
    /// Pages that can be addressed.
    pub(crate) addressable: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { for_writes: ADDRESSABLE_PAGES / 4 * 3, addressable: ADDRESSABLE_PAGES }
    }
}

/// The room of all shards.
pub(super) struct Room {
    pub(super) limits: Limits,
    /// Pages that waiting batches have reserved in each shard.
    reserved: Box<[AtomicUsize]>,
    /// No shard has taken and reserved more pages than this. Recomputed only when a shard is short of room, so it may be too
    /// high.
    fullest_bound: AtomicU64,
}

impl Room {
    pub(super) fn new(limits: Limits) -> Self {
        assert!(limits.for_writes <= limits.addressable, "{limits:?}");
        assert!(limits.addressable <= ADDRESSABLE_PAGES, "{limits:?}");
        let reserved = (0..SHARDS).map(|_| AtomicUsize::new(0)).collect();
        Self { limits, reserved, fullest_bound: AtomicU64::new(0) }
    }

    /// A shard has taken `pages`.
    #[inline]
    pub(super) fn note(&self, shard: usize, pages: usize) {
        let pages = pages + self.reserved[shard].load(Ordering::Relaxed);
        if pages as u64 > self.fullest_bound.load(Ordering::Relaxed) {
            self.fullest_bound.fetch_max(pages as u64, Ordering::Relaxed);
        }
    }

    /// Whether each shard has room for entries of `bytes` in all, even if all of them go to that shard. `false` proves
    /// nothing: `fullest_bound` is an upper bound.
    #[inline]
    fn every_shard_has_room(&self, bytes: usize) -> bool {
        let pages = self.fullest_bound.load(Ordering::Relaxed) + pages_for(bytes) as u64;
        pages <= self.limits.for_writes as u64
    }
}

/// Room for the keys of a batch that waits for the disk; dropping it gives the room back.
pub(crate) struct Reservation {
    keydir: Arc<Keydir>,
    /// Shards, and how many pages in each.
    pages: Vec<(usize, usize)>,
}

impl Keydir {
    /// Makes sure that `keys` can be put at once. Called in the commit section, before the batch is appended.
    ///
    /// # Errors
    /// `InvalidArgument` when there is no room: delete keys, and try again.
    #[inline]
    #[expect(single_use_lifetimes, reason = "an anonymous lifetime is not stable here")]
    pub(crate) fn check_room<'k>(
        &self,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
    ) -> Result<()> {
        let bytes = keys.clone().map(|key| stored_len(key.len())).sum();
        if bytes == 0 || self.room.every_shard_has_room(bytes) {
            return Ok(());
        }
        self.pages_needed(keys).map(drop)
    }

    /// As [`Keydir::check_room`], for a batch that enters the keydir later. The room is kept until the result is dropped.
    ///
    /// # Errors
    /// As there.
    #[expect(single_use_lifetimes, reason = "an anonymous lifetime is not stable here")]
    pub(crate) fn reserve<'k>(
        self: &Arc<Self>,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Result<Reservation> {
        let pages = self.pages_needed(keys)?;
        for &(shard, pages) in &pages {
            self.room.reserved[shard].fetch_add(pages, Ordering::Relaxed);
            self.room.note(shard, self.shards[shard].read().arena.pages());
        }
        Ok(Reservation { keydir: Arc::clone(self), pages })
    }

    /// The pages that `keys` may take in each shard, all of which are there.
    #[expect(single_use_lifetimes, reason = "an anonymous lifetime is not stable here")]
    fn pages_needed<'k>(
        &self,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Result<Vec<(usize, usize)>> {
        let mut bytes = [0; SHARDS];
        for key in keys {
            bytes[Self::shard_of(self.hash(key))] += stored_len(key.len());
        }
        debug_assert!(bytes.iter().all(|bytes| bytes.is_multiple_of(UNIT)), "whole units");
        let needed = bytes.iter().enumerate().filter(|(_, bytes)| **bytes > 0);
        let needed = needed.map(|(shard, &bytes)| (shard, pages_for(bytes)));
        needed.map(|(shard, pages)| self.make_room(shard, pages).map(|()| (shard, pages))).collect()
    }

    /// Makes sure that a shard has `pages` left. Copies its entries if it has not and many were removed.
    fn make_room(&self, shard: usize, pages: usize) -> Result<()> {
        debug_assert!(pages > 0, "a key takes a page");
        let reserved = self.room.reserved[shard].load(Ordering::Relaxed);
        let fits = |taken: usize| taken + reserved + pages <= self.room.limits.for_writes;
        if fits(self.shards[shard].read().arena.pages()) {
            return Ok(());
        }
        let mut shard = self.shards[shard].write();
        if shard.arena.is_worth_copying() {
            shard.compact(|key| self.hash(key));
        }
        let taken = shard.arena.pages();
        drop(shard);
        self.recompute_fullest();
        if fits(taken) {
            return Ok(());
        }
        let what = "the keydir has no room for the keys of this batch; delete keys, then try again";
        Err(Error::InvalidArgument(what.into()))
    }

    /// Computes anew how full the fullest shard is. No key is put meanwhile: the caller is in the commit section.
    fn recompute_fullest(&self) {
        let taken = |(shard, reserved): (&durable::sync::RwLock<super::Shard>, &AtomicUsize)| {
            shard.read().arena.pages() + reserved.load(Ordering::Relaxed)
        };
        let fullest = self.shards.iter().zip(&self.room.reserved).map(taken).max();
        self.room.fullest_bound.store(fullest.unwrap_or(0) as u64, Ordering::Relaxed);
    }

    /// Whether all keys of `other`, which has the same seed, would fit in here, too.
    pub(crate) fn has_room_for(&self, other: &Self) -> bool {
        debug_assert_eq!(self.hash(b"seed"), other.hash(b"seed"), "both have the same seed");
        let pairs = self.shards.iter().zip(&other.shards);
        let mut taken =
            pairs.map(|(own, other)| own.read().arena.pages() + other.read().arena.pages());
        taken.all(|pages| pages <= self.room.limits.addressable)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        for &(shard, pages) in &self.pages {
            let before = self.keydir.room.reserved[shard].fetch_sub(pages, Ordering::Relaxed);
            assert!(before >= pages, "a reservation is given back once");
        }
    }
}

impl std::fmt::Debug for Reservation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reservation").field("pages", &self.pages).finish_non_exhaustive()
    }
}
