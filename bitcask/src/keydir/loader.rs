//! Loading many records. A loader sorts them by shard first, and then inserts the records shard by shard. So a
//! shard is locked once for many records, and stays in the processor's cache meanwhile.
//!
//! A record waits as the fields of an entry, see `keydir/entry.rs`, with the length of its key, `u16`, and the key.
//!
//! All records wait in one allocation, in blocks that each belong to a shard. An allocator takes one as large as this from the
//! system and gives it back when it is freed. Memory of many small ones stays with the process: after the opening of a store
//! with a million records, that was 45 MB.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::{fmt, slice};

use kv::{Error, Result};

use super::entry::{DELETED, FIELDS, fields, version_of};
use super::version::{Location, Version};
use super::{Keydir, SHARDS, Shard};

/// Bytes buffered before they are inserted: thousands of records for each shard. 64 MiB was not faster.
const WAITING_BYTES: usize = if cfg!(any(test, shuttle)) { 16 << 10 } else { 32 << 20 };

/// Bytes of a block. No record lies in two, and a longer one does not wait.
const BLOCK: usize = if cfg!(any(test, shuttle)) { 64 } else { 1 << 10 };

/// Blocks of a loader: each shard has one that is not full.
const BLOCKS: usize = WAITING_BYTES / BLOCK + SHARDS;

/// Bytes of a waiting record before its key.
const FIXED: usize = FIELDS + size_of::<u16>();

/// Takes the records that one thread finds while opening. [`Loader::finish`] enters those that wait in it.
pub(crate) struct Loader<'k> {
    keydir: &'k Keydir,
    /// The shard that is entered first. Loaders that run side by side begin at different shards, or else each would
    /// wait for the one before it at every shard.
    first_shard: usize,
    /// A shard will have about so many keys if none is overwritten.
    expected: usize,
    /// [`BLOCKS`] blocks. Those that no record has reached yet use no memory.
    memory: Vec<u8>,
    /// How many blocks belong to a shard.
    taken: usize,
    /// One for each shard.
    waiting: Vec<ShardBlocks>,
    /// Bytes of all waiting records.
    bytes: usize,
}

/// The records that wait for one shard.
#[derive(Clone, Default)]
struct ShardBlocks {
    count: usize,
    /// The used part of each block, in the order in which they were taken.
    used: Vec<Range<usize>>,
    /// Bytes that are free in the last of them.
    free: usize,
}

impl<'k> Loader<'k> {
    /// Loader `number` of those that load into `keydir` at the same time. All of them together take about `records`.
    pub(crate) fn new(keydir: &'k Keydir, number: usize, records: u64) -> Self {
        let first_shard = number.wrapping_mul(SHARDS / 8 + 1) % SHARDS;
        debug_assert!(first_shard < SHARDS, "there is such a shard");
        let expected = usize::try_from(records).unwrap_or(usize::MAX) / SHARDS;
        let (memory, waiting) = (vec![0; BLOCKS * BLOCK], vec![ShardBlocks::default(); SHARDS]);
        Self { keydir, first_shard, expected, memory, taken: 0, waiting, bytes: 0 }
    }

    /// As [`Keydir::load`], but later.
    pub(crate) fn load(&mut self, key: &[u8], sequence: u64, location: Option<Location>) {
        debug_assert!(u16::try_from(key.len()).is_ok(), "decoders check the length of a key");
        let len = FIXED + key.len();
        if len > BLOCK {
            self.keydir.load(key, sequence, location);
            return;
        }
        let location = location.unwrap_or(DELETED);
        let place = self.take(Keydir::shard_of(self.keydir.hash(key)), len);
        let (fixed, waiting_key) = self.memory[place].split_at_mut(FIXED);
        fixed[..FIELDS].copy_from_slice(&fields(Version { location, sequence }));
        fixed[FIELDS..].copy_from_slice(&(key.len() as u16).to_le_bytes());
        waiting_key.copy_from_slice(key);
        self.bytes += len;
    }

    /// Takes `len` bytes for a record of `shard`, and enters all that wait if there is no room for it.
    #[inline]
    fn take(&mut self, shard: usize, len: usize) -> Range<usize> {
        if self.waiting[shard].free < len {
            if self.taken == BLOCKS || self.bytes >= WAITING_BYTES {
                self.flush();
            }
            let start = self.taken * BLOCK;
            self.waiting[shard].used.push(start..start);
            self.waiting[shard].free = BLOCK;
            self.taken += 1;
        }
        let waiting = &mut self.waiting[shard];
        waiting.count += 1;
        waiting.free -= len;
        let last = waiting.used.len() - 1;
        let used = &mut waiting.used[last];
        used.end += len;
        debug_assert!(used.end <= used.start + BLOCK, "a record lies in one block");
        used.end - len..used.end
    }

    /// Enters the records that wait.
    pub(crate) fn finish(mut self) {
        self.flush();
    }

    fn flush(&mut self) {
        let (keydir, mut entered) = (self.keydir, 0);
        for number in (self.first_shard..SHARDS).chain(0..self.first_shard) {
            let waiting = &mut self.waiting[number];
            let mut shard = keydir.shards[number].write();
            shard.make_room_to_load(waiting.count, self.expected, |key| keydir.hash(key));
            let blocks = waiting.used.iter();
            let mut records = RecordIter { memory: &self.memory, blocks, rest: &[] };
            while keydir.insert_group(&mut shard, &mut records) {}
            drop(shard);
            entered += waiting.used.iter().map(Range::len).sum::<usize>();
            waiting.used.clear();
            (waiting.count, waiting.free) = (0, 0);
        }
        assert_eq!(entered, self.bytes, "every waiting record is entered once");
        (self.bytes, self.taken) = (0, 0);
    }
}

impl fmt::Debug for Loader<'_> {
    /// Without the records: they contain keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Keydir {
    /// Takes a record found while opening: the highest sequence number of a key wins, in any order of calls. A tombstone
    /// has no location. It stays as an entry until the end of loading, because an older put may be loaded after it. Ends with [`Keydir::finish_loading_shard`].
    pub(crate) fn load(&self, key: &[u8], sequence: u64, location: Option<Location>) {
        let (shard, hash) = self.place(key);
        let version = Version { location: location.unwrap_or(DELETED), sequence };
        let has_room = shard.write().load(key, hash, version, |key| self.hash(key));
        self.note_loaded(has_room);
    }

    /// Enters the next [`Keydir::PREFETCHED`] of `records` into the shard that they belong to. `false`: there are no more.
    fn insert_group(&self, shard: &mut Shard, records: &mut RecordIter<'_>) -> bool {
        let some: [_; Self::PREFETCHED] = std::array::from_fn(|_| {
            records.next().map(|(key, version)| (key, version, self.hash(key)))
        });
        // The cells of all of them are fetched together, as in `keydir/prefetch.rs`.
        let hashes = some.iter().flatten().map(|&(_, _, hash)| hash);
        std::hint::black_box(hashes.fold(0, |touched, hash| touched ^ shard.touch_index(hash)));
        for &(key, version, hash) in some.iter().flatten() {
            let has_room = shard.load(key, hash, version, |key| self.hash(key));
            self.note_loaded(has_room);
        }
        some.last().is_some_and(Option::is_some)
    }

    fn note_loaded(&self, has_room: bool) {
        if !has_room {
            self.overflowed.store(true, Ordering::Release);
        }
    }

    /// [`Keydir::finish_loading_shard`] for all shards.
    #[cfg(test)]
    pub(crate) fn finish_loading(&self, live: &mut dyn FnMut(Version)) -> Result<()> {
        (0..self.shard_count()).try_for_each(|shard| self.finish_loading_shard(shard, live))
    }

    /// Drops the tombstones that loading had to remember in one of [`Keydir::shard_count`] shards, and calls `live` for
    /// each key that is left. Several threads may share the shards out.
    ///
    /// # Errors
    /// `InvalidArgument`: the store has more keys and tombstones than a keydir can hold.
    pub(crate) fn finish_loading_shard(
        &self,
        shard: usize,
        live: &mut dyn FnMut(Version),
    ) -> Result<()> {
        assert!(shard < self.shard_count(), "there is no shard {shard}");
        if self.overflowed.load(Ordering::Acquire) {
            let what = "the keys and tombstones of the store do not fit into a keydir";
            return Err(Error::InvalidArgument(what.into()));
        }
        let pages = self.shards[shard].write().finish_loading(|key| self.hash(key), live);
        self.room.note(shard, pages);
        Ok(())
    }

    /// How many shards there are.
    pub(crate) fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// Calls `visit` with each loaded record: key, sequence number, and place unless it is a tombstone.
    pub(crate) fn visit_loaded(&self, visit: &mut VisitLoaded<'_>) {
        for shard in &self.shards {
            shard.read().visit(&mut |key, Version { location, sequence }| {
                visit(key, sequence, (location != DELETED).then_some(location));
            });
        }
    }
}

/// Is called with each loaded record.
type VisitLoaded<'v> = dyn FnMut(&[u8], u64, Option<Location>) + 'v;

/// The records in the blocks of a shard.
struct RecordIter<'w> {
    memory: &'w [u8],
    /// The blocks that were not reached yet.
    blocks: slice::Iter<'w, Range<usize>>,
    /// The rest of the block before them.
    rest: &'w [u8],
}

impl<'w> Iterator for RecordIter<'w> {
    type Item = (&'w [u8], Version);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            self.rest = &self.memory[self.blocks.next()?.clone()];
        }
        let (fixed, rest) = self.rest.split_first_chunk::<FIXED>()?;
        let key_len = u16::from_le_bytes([fixed[FIELDS], fixed[FIELDS + 1]]);
        let (key, rest) = rest.split_at(usize::from(key_len));
        debug_assert!(rest.len() < self.rest.len(), "reading goes forward");
        self.rest = rest;
        Some((key, version_of(fixed)))
    }
}
