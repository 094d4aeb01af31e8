//! Values that prove themselves: which key they belong to, which version they are, and that every byte is right.
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 4 | id of the key, little-endian |
//! | 4 | 4 | version: which operation of its writer wrote it |
//! | 8 | 4 | seal: a hash of the eight bytes before and of the payload |
//! | 12 | | payload: a slice of a pool that compresses to about a half, or the text of a real record |
//!
//! A value is sealed where it lies in the pool: the loop writes twelve bytes and copies none. A reader folds every byte
//! of an answer into a digest, eight bytes at a step: the weights are odd, so each step keeps every bit of its input.

use std::sync::Arc;

use crate::random::{Random, mix};

/// Bytes before the payload: the smallest value of a run.
pub(crate) const HEADER_BYTES: usize = 12;

/// The pools of all threads together, unless one value for each of them takes more.
const POOLS_BYTES: usize = 16 << 20;
/// The pool of one thread: it fits a processor's second cache.
const POOL_BYTES: usize = 1 << 20;
/// Slots begin at multiples of this many bytes.
const SLOT_ALIGNMENT: usize = 8;
/// Half of every unit of this many bytes is random and the other half repeats it.
const POOL_UNIT_BYTES: usize = 64;
/// The size of the slots where values have many sizes.
const NO_SLOTS: usize = usize::MAX;
/// The weight of the first word of a digest, and the difference between the weights of neighbours.
const FIRST_WEIGHT: u64 = 0x9e37_79b9_7f4a_7c15;
const WEIGHT_STEP: u64 = 0xd1b5_4a32_d192_ed02;

/// Where the payloads of a workload come from.
#[derive(Clone, Debug)]
pub(crate) enum Values {
    /// Made up: slices of a pool, half of which compresses away.
    Pooled,
    /// The texts of real records: the one of the key's id.
    Records(Arc<[Box<[u8]>]>),
}

/// The values that one thread writes.
#[derive(Debug)]
pub(crate) struct ValueWriter {
    texts: Option<Arc<[Box<[u8]>]>>,
    pool: Vec<u8>,
    /// The size of the values in the slots, or [`NO_SLOTS`].
    slot_bytes: usize,
    stride: usize,
    /// The digest of each slot's payload.
    digests: Vec<u64>,
    /// The next slot; without slots the next byte.
    next: usize,
}

/// The header of a value whose seal is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValueHeader {
    /// The key it belongs to.
    pub(crate) id: u32,
    /// The operation of its writer that wrote it.
    pub(crate) version: u32,
}

impl Values {
    /// The writer of one of `threads` threads for values of `size` bytes with their header.
    pub(crate) fn writer(&self, thread: u32, threads: usize, size: usize) -> ValueWriter {
        let texts = match self {
            Self::Pooled => None,
            Self::Records(texts) => Some(Arc::clone(texts)),
        };
        let size = size.max(HEADER_BYTES);
        let stride = size.next_multiple_of(SLOT_ALIGNMENT);
        let pool = pool((POOLS_BYTES / threads.max(1)).min(POOL_BYTES).max(stride), thread);
        let payload =
            |slot: usize| digest(&pool[slot * stride + HEADER_BYTES..slot * stride + size]);
        let digests: Vec<_> = (0..pool.len() / stride).map(payload).collect();
        assert!(!digests.is_empty(), "a pool holds a value");
        assert!(digests.len() * stride <= pool.len(), "every slot is in the pool");
        ValueWriter { texts, pool, slot_bytes: size, stride, digests, next: 0 }
    }
}

/// A pool of `bytes` or a little more; each `stream` gives another one.
fn pool(bytes: usize, stream: u32) -> Vec<u8> {
    let mut random = Random::new(0, &[u64::from(stream)]);
    let mut pool = Vec::with_capacity(bytes + POOL_UNIT_BYTES);
    while pool.len() < bytes {
        let start = pool.len();
        for _ in 0..POOL_UNIT_BYTES / 16 {
            pool.extend_from_slice(&random.bits().to_le_bytes());
        }
        pool.extend_from_within(start..);
    }
    assert!(pool.len() >= bytes && pool.len().is_multiple_of(POOL_UNIT_BYTES), "whole units");
    pool
}

impl ValueWriter {
    /// Seals version `version` of the value of `id` in the next slot of the pool, and lends it. `size` is in bytes and counts
    /// the header; the text of a record has its own size.
    pub(crate) fn seal_next(&mut self, id: u32, version: u32, size: u32) -> &[u8] {
        let size = size as usize;
        if let Some(texts) = &self.texts {
            let text = &texts[id as usize];
            self.pool.clear();
            self.pool.extend_from_slice(&[0; HEADER_BYTES]);
            self.pool.extend_from_slice(text);
            return sealed(&mut self.pool, id, version, digest(text));
        }
        if size == self.slot_bytes {
            let slot = self.next;
            self.next = if slot + 1 == self.digests.len() { 0 } else { slot + 1 };
            let start = slot * self.stride;
            debug_assert!(start + size <= self.pool.len(), "a slot is in the pool");
            return sealed(&mut self.pool[start..start + size], id, version, self.digests[slot]);
        }
        // Values of other sizes are sealed across the slots, so from now on each is digested when it is written.
        if self.slot_bytes != NO_SLOTS {
            (self.slot_bytes, self.next) = (NO_SLOTS, 0);
        }
        let size = size.max(HEADER_BYTES);
        if size > self.pool.len() {
            self.pool = pool(size, self.pool.len() as u32);
        }
        let start = if self.next + size > self.pool.len() { 0 } else { self.next };
        self.next = start + size;
        debug_assert!(self.next <= self.pool.len(), "a value is in the pool");
        let value = &mut self.pool[start..start + size];
        let payload = digest(&value[HEADER_BYTES..]);
        sealed(value, id, version, payload)
    }
}

/// Writes the header of `value`, whose payload has the digest `payload`.
fn sealed(value: &mut [u8], id: u32, version: u32, payload: u64) -> &[u8] {
    value[..4].copy_from_slice(&id.to_le_bytes());
    value[4..8].copy_from_slice(&version.to_le_bytes());
    value[8..12].copy_from_slice(&seal(id, version, payload).to_le_bytes());
    debug_assert_eq!(ValueHeader::read(value), Some(ValueHeader { id, version }), "reads back");
    value
}

fn seal(id: u32, version: u32, payload: u64) -> u32 {
    let identity = u64::from(id) << 32 | u64::from(version);
    (mix(payload ^ identity.wrapping_mul(FIRST_WEIGHT)) >> 32) as u32
}

impl ValueHeader {
    /// Reads the header of a value and checks every byte of it.
    #[inline]
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let (header, payload) = value.split_first_chunk::<HEADER_BYTES>()?;
        let field =
            |at| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (id, version) = (field(0), field(4));
        (field(8) == seal(id, version, digest(payload))).then_some(Self { id, version })
    }

    /// Why [`ValueHeader::read`] refuses `value`, for a message.
    pub(crate) fn complaint(value: &[u8]) -> String {
        if value.len() < HEADER_BYTES {
            format!("value of {} bytes, which was never written", value.len())
        } else {
            format!("value of {} bytes with a wrong checksum", value.len())
        }
    }
}

/// A hash of `bytes` to which every bit and the length count: the sum of all words, each times its weight. The weights are a
/// series with equal steps, so two sums without a multiplication suffice (Fletcher 1982): that of the words, and that of the
/// sums so far, in which word `i` of `n` counts `n - i` times.
#[inline]
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let (mut sum, mut sum_of_sums) = (0_u64, 0_u64);
    let mut add = |word: u64| {
        sum = sum.wrapping_add(word);
        sum_of_sums = sum_of_sums.wrapping_add(sum);
    };
    let (blocks, others) = words.as_chunks::<4>();
    for block in blocks {
        for word in block {
            add(u64::from_le_bytes(*word));
        }
    }
    for word in others {
        add(u64::from_le_bytes(*word));
    }
    add(last_word(bytes, rest));
    let count = words.len() as u64 + 1;
    let by_place = sum.wrapping_mul(count).wrapping_sub(sum_of_sums);
    let weighted = sum.wrapping_mul(FIRST_WEIGHT).wrapping_add(by_place.wrapping_mul(WEIGHT_STEP));
    mix(bytes.len() as u64).wrapping_add(weighted)
}

/// `rest`, the end of `bytes` of less than eight bytes, as a word. A copy of so few bytes, whose number is not known before,
/// would cost more than the word: the last eight bytes are read, and those before the rest shifted out.
#[inline]
fn last_word(bytes: &[u8], rest: &[u8]) -> u64 {
    debug_assert!(rest.len() < 8 && bytes.ends_with(rest), "the rest is the end");
    let bits = 8 * rest.len() as u32;
    if let Some(last) = bytes.last_chunk::<8>() {
        u64::from_le_bytes(*last).checked_shr(u64::BITS - bits).unwrap_or(0)
    } else {
        rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_proves_its_key_and_version_and_any_flipped_bit_is_found() {
        for size in [12, 13, 100, 1000] {
            let mut writer = Values::Pooled.writer(0, 1, 100);
            let mut value = writer.seal_next(7, 3, size).to_vec();
            assert_eq!(value.len(), size as usize);
            assert_eq!(ValueHeader::read(&value), Some(ValueHeader { id: 7, version: 3 }));
            for bit in 0..value.len() * 8 {
                value[bit / 8] ^= 1 << (bit % 8);
                assert!(ValueHeader::read(&value).is_none(), "size {size}, bit {bit}");
                value[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    #[test]
    fn a_digest_is_the_sum_of_the_words_each_times_its_weight() {
        let bytes: Vec<u8> = (0..200).map(|at: u64| mix(at) as u8).collect();
        for len in 0..bytes.len() {
            let (mut sum, mut weight) = (mix(len as u64), FIRST_WEIGHT);
            for part in bytes[..len].chunks(8) {
                let mut word = [0; 8];
                word[..part.len()].copy_from_slice(part);
                sum = sum.wrapping_add(u64::from_le_bytes(word).wrapping_mul(weight));
                weight = weight.wrapping_add(WEIGHT_STEP);
            }
            assert_eq!(digest(&bytes[..len]), sum, "{len}");
        }
    }

    #[test]
    fn the_last_word_of_a_digest_is_the_rest_and_nothing_before_it() {
        let bytes: Vec<u8> = (1..=20).collect();
        for len in 0..bytes.len() {
            let rest = &bytes[len - len % 8..len];
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            assert_eq!(last_word(&bytes[..len], rest), u64::from_le_bytes(word), "{len}");
        }
    }

    #[test]
    fn a_cut_value_is_found_at_every_length() {
        let mut writer = Values::Pooled.writer(0, 1, 40);
        let value = writer.seal_next(1, 1, 40).to_vec();
        assert!((0..value.len()).all(|len| ValueHeader::read(&value[..len]).is_none()));
    }

    #[test]
    fn a_value_torn_between_two_versions_is_found_at_every_byte() {
        let mut writer = Values::Pooled.writer(0, 1, 100);
        let old = writer.seal_next(1, 1, 100).to_vec();
        let new = writer.seal_next(1, 2, 100).to_vec();
        for cut in 1..100 {
            let torn = [&new[..cut], &old[cut..]].concat();
            let is_whole = torn == old || torn == new;
            assert!(is_whole || ValueHeader::read(&torn).is_none(), "{cut}");
        }
    }

    #[test]
    fn slots_are_used_again_and_stay_right() {
        let mut writer = Values::Pooled.writer(0, 16, 4000);
        for version in 1..2000 {
            let value = writer.seal_next(5, version, 4000);
            assert_eq!(ValueHeader::read(value), Some(ValueHeader { id: 5, version }));
        }
    }

    #[test]
    fn values_of_many_sizes_are_right_and_so_is_one_of_the_usual_size_among_them() {
        let mut writer = Values::Pooled.writer(0, 1, 100);
        for version in 1..50_000 {
            let size = [100, 12, 100, 5000, 101][version as usize % 5];
            let value = writer.seal_next(5, version, size);
            assert_eq!(value.len(), size as usize);
            assert_eq!(ValueHeader::read(value), Some(ValueHeader { id: 5, version }));
        }
    }

    #[test]
    fn the_pools_of_all_threads_take_16_mib() {
        for threads in [1, 8, 16, 100, 256] {
            let one = Values::Pooled.writer(0, threads, 100).pool.len();
            assert!(one * threads <= POOLS_BYTES + threads * POOL_UNIT_BYTES, "{threads}");
        }
    }
}
