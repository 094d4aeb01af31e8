//! An array that grows at its end and whose items never move.
//!
//! The items lie in chunks, which are allocated one by one and freed together. The chunks grow with the array: four of
//! [`FIRST_LEN`] items, four of twice as many, and so on. The table of the chunks is short, and a shift splits an index into
//! chunk and offset.
//!
//! One thread grows the array. Readers may follow an index that was handed to them by a release store.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Words of a cache line of most processors.
pub(super) const CACHE_LINE_WORDS: usize = 8;

/// Items of each of the first four chunks.
const FIRST_LEN: u64 = 1 << FIRST_BITS;
const FIRST_BITS: u32 = 9;

/// Four chunks have the same length.
const GROUP_BITS: u32 = 2;

/// So that every index is one of the least numbers of `FIRST_BITS + GROUP_BITS + 1` bits or a greater one.
const BIAS: u64 = FIRST_LEN << GROUP_BITS;

/// Indices have 32 bits.
const CHUNKS: usize = ((33 - FIRST_BITS - GROUP_BITS) << GROUP_BITS) as usize;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Chunks<T> {
    chunks: [OnceLock<Box<[T]>>; CHUNKS],
    /// The index of the next item. Only the thread that grows the array uses it.
    end: AtomicU64,
}

/// An index as a place: which chunk, how long it is, and where in it.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    chunk: usize,
    len: usize,
    offset: usize,
}

impl Place {
    #[inline]
    fn of(index: u64) -> Self {
        let biased = index + BIAS;
        let octave = biased.ilog2();
        let len_bits = octave - GROUP_BITS;
        let group = (octave - FIRST_BITS - GROUP_BITS) << GROUP_BITS;
        let in_group = (biased >> len_bits) as usize - (1 << GROUP_BITS);
        let offset = (biased & ((1 << len_bits) - 1)) as usize;
        Self { chunk: group as usize + in_group, len: 1 << len_bits, offset }
    }
}

impl<T> Default for Chunks<T> {
    /// An array whose next index is 1: index 0 can stand for none.
    fn default() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS], end: AtomicU64::new(1) }
    }
}

impl<T> Chunks<T> {
    /// Takes the next `len` items that lie in one chunk, and returns the index of the first one. `make` makes the items of a
    /// chunk. One thread at a time.
    ///
    /// # Panics
    /// When the array has no index left.
    pub(super) fn take(&self, len: usize, make: impl FnOnce(usize) -> Box<[T]>) -> u32 {
        debug_assert!(len > 0, "items are taken");
        let mut index = self.end.load(Ordering::Relaxed);
        let mut place = Place::of(index);
        while place.len - place.offset < len {
            // The rest of the chunk stays unused.
            index += (place.len - place.offset) as u64;
            place = Place::of(index);
        }
        let end = index + len as u64;
        assert!(end <= 1 << 32, "an index has 32 bits");
        self.end.store(end, Ordering::Relaxed);
        let chunk = self.chunks[place.chunk].get_or_init(|| make(place.len));
        debug_assert_eq!(chunk.len(), place.len, "the chunk has the length that its place says");
        index as u32
    }

    /// Has no items from now on, and keeps its chunks for those to come. These find the words of the items before them.
    pub(super) fn clear(&mut self) {
        *self.end.get_mut() = 1;
    }

    /// The items from `index` to the end of its chunk. `index` was returned by [`Self::take`].
    #[inline]
    pub(super) fn from(&self, index: u32) -> &[T] {
        let place = Place::of(u64::from(index));
        let chunk = self.chunks[place.chunk].get().expect("the index was taken");
        &chunk[place.offset..]
    }
}

/// Words of zeros, as atomic ones. No word is read here: a page of new memory that is read before it is written costs two
/// faults instead of one, and an interrupt of the other processors.
pub(super) fn words<W: From<u64>>(len: usize) -> Box<[W]> {
    std::iter::repeat_with(|| W::from(0)).take(len).collect()
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn places_follow_each_other_without_a_gap() {
        let mut next = Place { chunk: 0, len: FIRST_LEN as usize, offset: 0 };
        for index in 0..1 << 16 {
            let place = Place::of(index);
            assert_eq!(place, next, "index {index}");
            next.offset += 1;
            if next.offset == next.len {
                let doubles = (next.chunk + 1).is_multiple_of(1 << GROUP_BITS);
                next.len <<= u32::from(doubles);
                next = Place { chunk: next.chunk + 1, offset: 0, ..next };
            }
        }
        assert!(Place::of(u64::from(u32::MAX)).chunk < CHUNKS);
    }

    #[test]
    fn items_that_are_taken_together_lie_in_one_chunk_and_are_nobody_elses() {
        let chunks = Chunks::<AtomicU64>::default();
        let lens: Vec<usize> = (0..200).map(|at| 1 + at * 37 % 5000).collect();
        let taken: Vec<u32> = lens.iter().map(|&len| chunks.take(len, words)).collect();
        for (&index, &len) in taken.iter().zip(&lens) {
            let items = &chunks.from(index)[..len];
            for item in items {
                assert_eq!(item.fetch_add(1, Ordering::Relaxed), 0, "nobody else has it");
            }
        }
        assert!(taken.is_sorted() && taken[0] > 0);
    }
}
