//! Look-ups that wait for memory together.
//!
//! A look-up in a large keydir waits for memory twice: for a cell of the index and for the entry that it leads to. When
//! several keys are looked up one after the other, each waits for itself. [`Keydir::prefetch`] reads the cells of all of them
//! first and then the entries of all of them. In each pass the reads are independent of each other, so the processor waits
//! for them together.

use super::{Keydir, SHARDS};

impl Keydir {
    /// How many keys [`Keydir::prefetch`] takes at a time.
    pub(crate) const PREFETCHED: usize = 16;

    /// Brings the memory that a look-up of `keys`, no more than [`Keydir::PREFETCHED`], will touch into the processor's
    /// cache. It skips a shard that another thread is writing to, and all but the first key of a shard.
    #[expect(single_use_lifetimes, reason = "an anonymous lifetime is not stable here")]
    pub(crate) fn prefetch<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        let mut keys = keys.map(|key| self.hash(key));
        let mut taken = [false; SHARDS];
        let shards: [_; Self::PREFETCHED] = std::array::from_fn(|_| {
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
        // The cells are in the cache now, so finding the entries waits for nothing.
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
}
