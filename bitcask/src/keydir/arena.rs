//! The entries of a shard, in chunks of memory that never move.
//!
//! A key and its version lie side by side (`keydir/entry.rs`). So finding a key costs one cache miss besides the one in the
//! index. An entry is addressed by a [`Place`] of 25 bits, in units of 4 bytes: 128 MiB.
//!
//! Addresses are given out by **pages** of 4 KiB, and pages run out before bytes do. So a shard counts pages, never bytes,
//! to find out whether it is full:
//! - Entries of up to half a page share pages. A page is filled from its start until the next entry does not fit.
//! - A longer entry has pages of its own, and a chunk of exactly its length.
//!
//! So every shared page but the open one is more than half full. Entries of `n` bytes in all take at most
//! [`pages_for`]`(n)` pages, for any lengths of the entries and any content of the arena. Copying the entries that are left
//! never takes more pages than before.
//!
//! A removed entry keeps its place until the owner copies the entries that are left.

use std::sync::Arc;

use bytes::BytesMut;

use super::entry::{self, FIELDS, UNIT, stored_len};
use super::pages::{PAGE, PagePool};
use super::version::Version;

/// Entries of more bytes have pages of their own.
const LONGEST_SHARED: usize = PAGE / 2;

/// The pages that places reach.
pub(super) const ADDRESSABLE_PAGES: usize = Place::LIMIT * UNIT / PAGE;

/// How many pages entries of `bytes` in all take at most.
pub(super) fn pages_for(bytes: usize) -> usize {
    (2 * bytes).div_ceil(PAGE) + 1
}

/// Where an entry is, in units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(pub(super) u32);

impl Place {
    /// One more than the largest place: the index stores a place in 25 bits, and all bits set mean an empty cell.
    const LIMIT: usize = (1 << 25) - 1;

    #[inline]
    fn at(page: usize, offset: usize) -> Self {
        let units = (page * PAGE + offset) / UNIT;
        assert!(units < Self::LIMIT && offset.is_multiple_of(UNIT), "a place has 25 bits");
        Self(units as u32)
    }

    #[inline]
    fn page(self) -> usize {
        self.0 as usize * UNIT / PAGE
    }

    #[inline]
    fn offset(self) -> usize {
        self.0 as usize * UNIT % PAGE
    }
}

/// Entries, by their places.
pub(super) struct Arena {
    /// The chunk that starts at each page. It is empty where an entry goes on that started at an earlier page.
    chunks: Vec<BytesMut>,
    pool: Arc<PagePool>,
    /// Pages that may be taken.
    max_pages: usize,
    /// The shared page that is being filled, and how many of its bytes are used.
    open: Option<(usize, usize)>,
    /// Bytes of all chunks.
    chunk_bytes: usize,
    /// Bytes of all entries, removed ones included.
    used_bytes: usize,
    /// Bytes of removed entries.
    freed_bytes: usize,
}

impl Arena {
    /// An empty arena that may take `max_pages` from `pool`.
    pub(super) fn new(max_pages: usize, pool: &Arc<PagePool>) -> Self {
        assert!(max_pages <= ADDRESSABLE_PAGES, "{max_pages} pages cannot be addressed");
        let (chunks, pool) = (Vec::new(), Arc::clone(pool));
        let (chunk_bytes, used_bytes, freed_bytes) = (0, 0, 0);
        Self { chunks, pool, max_pages, open: None, chunk_bytes, used_bytes, freed_bytes }
    }

    /// An empty arena with the same limit.
    pub(super) fn afresh(&self) -> Self {
        Self::new(self.max_pages, &self.pool)
    }

    /// Stores an entry. `None`: there are not enough pages.
    #[inline]
    pub(super) fn push(&mut self, key: &[u8], version: Version) -> Option<Place> {
        let len = stored_len(key.len());
        let (page, at) = if len > LONGEST_SHARED {
            (self.add_chunk(len)?, 0)
        } else {
            match self.open {
                Some((page, used)) if used + len <= PAGE => (page, used),
                // The rest of the open page is lost: less than this entry takes, so less than half of it.
                _ => (self.add_chunk(PAGE)?, 0),
            }
        };
        if len <= LONGEST_SHARED {
            self.open = Some((page, at + len));
        }
        entry::encode(key, version, &mut self.chunks[page][at..at + len]);
        self.used_bytes += len;
        debug_assert!(self.used_bytes <= self.chunk_bytes, "entries lie in chunks");
        Some(Place::at(page, at))
    }

    /// Adds a chunk of `len` bytes and returns its first page.
    fn add_chunk(&mut self, len: usize) -> Option<usize> {
        let (first, count) = (self.chunks.len(), len.div_ceil(PAGE));
        if first + count > self.max_pages {
            return None;
        }
        let chunk = if len == PAGE { self.pool.take() } else { BytesMut::zeroed(len) };
        self.chunks.push(chunk);
        self.chunks.extend((1..count).map(|_| BytesMut::new()));
        self.chunk_bytes += len;
        Some(first)
    }

    #[inline]
    fn bytes(&self, place: Place) -> &[u8] {
        &self.chunks[place.page()][place.offset()..]
    }

    #[inline]
    fn bytes_mut(&mut self, place: Place) -> &mut [u8] {
        &mut self.chunks[place.page()][place.offset()..]
    }

    /// The version of an entry.
    #[inline]
    pub(super) fn version(&self, place: Place) -> Version {
        debug_assert!(!entry::is_freed(self.bytes(place)), "the index names no removed entry");
        entry::version_of(self.bytes(place))
    }

    /// Replaces the version of an entry.
    #[inline]
    pub(super) fn set_version(&mut self, place: Place, version: Version) {
        debug_assert!(!entry::is_freed(self.bytes(place)), "the index names no removed entry");
        self.bytes_mut(place)[..FIELDS].copy_from_slice(&entry::fields(version));
    }

    /// The key of an entry.
    #[inline]
    pub(super) fn key(&self, place: Place) -> &[u8] {
        entry::key_of(self.bytes(place))
    }

    /// Reads the two cache lines that an entry with a short key can lie in.
    #[inline]
    pub(super) fn touch(&self, place: Place) -> u32 {
        let entry = self.bytes(place);
        let second = entry.get(2 * FIELDS).copied().unwrap_or_default();
        u32::from(entry[0]) ^ u32::from(second)
    }

    /// Removes an entry.
    pub(super) fn free(&mut self, place: Place) {
        self.freed_bytes += stored_len(self.key(place).len());
        entry::free(self.bytes_mut(place));
        debug_assert!(self.freed_bytes <= self.used_bytes, "only stored entries are removed");
    }

    /// Whether copying the entries that are left would give back the greater half.
    pub(super) fn is_mostly_freed(&self) -> bool {
        self.freed_bytes > PAGE && self.freed_bytes > self.used_bytes / 2
    }

    /// Whether copying the entries that are left would give back at least an eighth.
    pub(super) fn is_worth_copying(&self) -> bool {
        self.freed_bytes > 0 && self.freed_bytes >= self.used_bytes / 8
    }

    /// The entries that were not removed, in the order of their places.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Place, &[u8], Version)> {
        let chunks = self.chunks.iter().enumerate();
        chunks.flat_map(|(page, chunk)| Entries { chunk, page, at: 0 })
    }

    /// Pages that are taken.
    pub(super) fn pages(&self) -> usize {
        self.chunks.len()
    }

    /// Bytes of memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.chunk_bytes + self.chunks.capacity() * size_of::<BytesMut>()
    }

    /// Panics unless the counts are those of the entries.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        let live: usize = self.entries().map(|(_, key, _)| stored_len(key.len())).sum();
        assert_eq!(live, self.used_bytes - self.freed_bytes);
        assert_eq!(self.chunks.iter().map(BytesMut::len).sum::<usize>(), self.chunk_bytes);
        assert!(self.pages() <= pages_for(self.used_bytes) && self.pages() <= self.max_pages);
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        self.pool.give_back(self.chunks.drain(..));
    }
}

/// The entries of one chunk.
struct Entries<'c> {
    chunk: &'c [u8],
    page: usize,
    at: usize,
}

impl<'c> Iterator for Entries<'c> {
    type Item = (Place, &'c [u8], Version);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.chunk.get(self.at..).filter(|rest| !entry::is_end(rest))?;
            let (place, key) = (Place::at(self.page, self.at), entry::key_of(rest));
            self.at += stored_len(key.len());
            if !entry::is_freed(rest) {
                return Some((place, key, entry::version_of(rest)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
