//! Entries in memory: how their bytes lie in words, and how they are compared with a key.
//!
//! | words | content |
//! |---|---|
//! | 1 | the suffix of the internal key ([`Trailer::suffix`]), big-endian |
//! | 1 | length of the user key in the lower 16 bits, length of the value above; bit 63: the value is large |
//! | length / 8, rounded up | the user key, big-endian, zeros behind its end |
//! | length / 8, rounded up | the value, little-endian; of a large value: where it is |
//!
//! As the words of keys are big-endian, they compare as the bytes do. Words are atomic because readers and the writer share
//! the memory; each is written once, before the entry becomes part of the tree.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::chunks::{self, CACHE_LINE_WORDS, Chunks};
use crate::internal_key::{SUFFIX_BYTES, Trailer};

pub(super) const WORD: usize = size_of::<u64>();

/// The words in front of the key.
const HEADER_WORDS: usize = 2;

/// A value of more bytes is a large one. It is in memory of its own, and is not copied when it is read.
const LARGEST_INLINE_VALUE: usize = 4096;

/// Values of up to 256 bytes are copied to the stack.
const STACK_WORDS: usize = 32;

const KEY_LEN_BITS: u32 = 16;
const IS_LARGE: u64 = 1 << 63;

const _: () = assert!(kv::MAX_KEY_LEN < 1 << KEY_LEN_BITS, "the length of a key fits");

/// A place in the order of entries: that of internal keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe<'k> {
    pub(super) user: &'k [u8],
    pub(super) trailer: Trailer,
}

impl Probe<'_> {
    /// The 8 bytes of the user key behind `skip`, as a number, zeros behind its end.
    #[inline]
    pub(super) fn head(&self, skip: usize) -> u64 {
        let rest = self.user.get(skip..).unwrap_or_default();
        rest.first_chunk().map_or_else(|| padded(rest), |bytes| u64::from_be_bytes(*bytes))
    }

    #[inline]
    fn suffix(&self) -> u64 {
        u64::from_be_bytes(self.trailer.suffix())
    }
}

/// Fewer than 8 bytes as a big-endian number, zeros behind them.
#[inline]
fn padded(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    debug_assert!(len < WORD, "fewer bytes than a word has");
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        // Two halves that overlap in equal bytes.
        let (first, last) = (u32::from_be_bytes(*first), u32::from_be_bytes(*last));
        return u64::from(first) << 32 | u64::from(last) << (64 - 8 * len);
    }
    bytes.iter().rev().fold(0, |word, &byte| word >> 8 | u64::from(byte) << 56)
}

/// All entries of a tree.
#[derive(Debug, Default)]
pub(super) struct Entries {
    words: Chunks<AtomicU64>,
    large: Chunks<OnceLock<Box<[u8]>>>,
}

impl Entries {
    /// Has no entries from now on, and keeps the memory of all but large values.
    pub(super) fn clear(&mut self) {
        self.words.clear();
        self.large = Chunks::default();
    }

    /// Writes an entry, and returns its index and the bytes that it takes. One thread at a time.
    #[inline]
    pub(super) fn write(&self, key: Probe<'_>, value: &[u8]) -> (u32, u64) {
        let is_large = value.len() > LARGEST_INLINE_VALUE;
        let key_words = key.user.len().div_ceil(WORD);
        let value_words = if is_large { 1 } else { value.len().div_ceil(WORD) };
        let len = HEADER_WORDS + key_words + value_words;
        let index = self.words.take(len, chunks::words);
        let words = &self.words.from(index)[..len];
        let flag = if is_large { IS_LARGE } else { 0 };
        let lens = flag | (value.len() as u64) << KEY_LEN_BITS | key.user.len() as u64;
        words[0].store(key.suffix(), Relaxed);
        words[1].store(lens, Relaxed);
        let (key_words, value_words) = words[HEADER_WORDS..].split_at(key_words);
        store(key.user, key_words, u64::from_be_bytes);
        let mut bytes = (len * WORD) as u64;
        if is_large {
            value_words[0].store(u64::from(self.keep(value)), Relaxed);
            bytes += value.len() as u64;
        } else {
            store(value, value_words, u64::from_le_bytes);
        }
        debug_assert_eq!(self.get(index).compare(&key), Ordering::Equal, "the key reads back");
        (index, bytes)
    }

    #[cold]
    fn keep(&self, value: &[u8]) -> u32 {
        let make = |len| std::iter::repeat_with(OnceLock::new).take(len).collect();
        let at = self.large.take(1, make);
        let kept = self.large.from(at)[0].set(value.into());
        debug_assert!(kept.is_ok(), "the place is new");
        at
    }

    /// The entry at `index`, which [`Self::write`] returned.
    #[inline]
    pub(super) fn get(&self, index: u32) -> Entry<'_> {
        Entry { words: self.words.from(index), entries: self }
    }
}

#[inline]
fn store(bytes: &[u8], words: &[AtomicU64], word_of: impl Fn([u8; WORD]) -> u64) {
    let (whole, rest) = bytes.as_chunks();
    for (bytes, word) in whole.iter().zip(words) {
        word.store(word_of(*bytes), Relaxed);
    }
    if !rest.is_empty() {
        let mut last = [0; WORD];
        last[..rest.len()].copy_from_slice(rest);
        words[whole.len()].store(word_of(last), Relaxed);
    }
}

/// One entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'m> {
    /// From its first word to the end of the chunk.
    words: &'m [AtomicU64],
    entries: &'m Entries,
}

impl<'m> Entry<'m> {
    #[inline]
    fn word(&self, at: usize) -> u64 {
        self.words[at].load(Relaxed)
    }

    #[inline]
    pub(crate) fn trailer(&self) -> Trailer {
        Trailer::of_suffix(self.word(0).to_be_bytes())
    }

    #[inline]
    fn user_len(&self) -> usize {
        (self.word(1) & ((1 << KEY_LEN_BITS) - 1)) as usize
    }

    #[inline]
    fn user_words(&self) -> Range<usize> {
        HEADER_WORDS..HEADER_WORDS + self.user_len().div_ceil(WORD)
    }

    /// In the order of internal keys.
    #[inline]
    pub(super) fn compare(&self, probe: &Probe<'_>) -> Ordering {
        self.compare_user(probe.user).then_with(|| self.word(0).cmp(&probe.suffix()))
    }

    #[inline]
    pub(super) fn is_of(&self, user: &[u8]) -> bool {
        self.user_len() == user.len() && self.compare_user(user).is_eq()
    }

    #[inline]
    fn compare_user(&self, user: &[u8]) -> Ordering {
        let words = &self.words[self.user_words()];
        let (whole, rest) = user.as_chunks();
        for (word, bytes) in words.iter().zip(whole) {
            let (one, other) = (word.load(Relaxed), u64::from_be_bytes(*bytes));
            if one != other {
                return one.cmp(&other);
            }
        }
        let behind = words.get(whole.len()).map_or(0, |word| word.load(Relaxed));
        behind.cmp(&padded(rest)).then_with(|| self.user_len().cmp(&user.len()))
    }

    /// As [`Probe::head`].
    pub(super) fn head(&self, skip: usize) -> u64 {
        let words = &self.words[self.user_words()];
        let word = |at: usize| words.get(at).map_or(0, |word| word.load(Relaxed));
        let (at, bits) = (skip / WORD, (skip % WORD * 8) as u32);
        let behind = if bits == 0 { 0 } else { word(at + 1) >> (64 - bits) };
        word(at) << bits | behind
    }

    /// How many bytes at the beginning of the user keys are the same.
    pub(super) fn shared_bytes(&self, other: &Self) -> usize {
        let least = self.user_len().min(other.user_len());
        for at in 0..least.div_ceil(WORD) {
            let difference = self.word(HEADER_WORDS + at) ^ other.word(HEADER_WORDS + at);
            if difference != 0 {
                return least.min(at * WORD + difference.leading_zeros() as usize / 8);
            }
        }
        least
    }

    /// Writes the internal key over `out`.
    #[inline]
    pub(super) fn copy_key(&self, out: &mut Vec<u8>) {
        let words = &self.words[self.user_words()];
        let user_len = self.user_len();
        // Whole words are written, and the suffix over what is too much.
        resize(out, words.len() * WORD + SUFFIX_BYTES);
        for (bytes, word) in out.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.load(Relaxed).to_be_bytes();
        }
        out[user_len..user_len + SUFFIX_BYTES].copy_from_slice(&self.word(0).to_be_bytes());
        out.truncate(user_len + SUFFIX_BYTES);
    }

    /// The value, which is copied to `copy` unless it is large.
    #[inline]
    pub(super) fn value<'c>(&self, copy: &'c mut Vec<[u8; WORD]>) -> &'c [u8]
    where
        'm: 'c,
    {
        if self.has_large_value() {
            return self.large_value();
        }
        let len = self.value_len();
        let words = len.div_ceil(WORD);
        if copy.len() < words {
            copy.resize(words, [0; WORD]);
        }
        self.copy_value(&mut copy[..words]);
        &copy.as_flattened()[..len]
    }

    /// Calls `found` with the value.
    #[inline]
    pub(crate) fn with_value(&self, found: &mut dyn FnMut(&[u8])) {
        let len = self.value_len();
        let words = len.div_ceil(WORD);
        if self.has_large_value() || words > STACK_WORDS {
            found(self.value(&mut Vec::new()));
        } else {
            let mut copy = [[0; WORD]; STACK_WORDS];
            self.copy_value(&mut copy[..words]);
            found(&copy.as_flattened()[..len]);
        }
    }

    /// Asks for the first two cache lines of the entry.
    #[inline]
    pub(super) fn touch(&self) {
        for at in [0, CACHE_LINE_WORDS] {
            let _: Option<u64> = self.words.get(at).map(|word| word.load(Relaxed));
        }
    }

    #[inline]
    fn has_large_value(&self) -> bool {
        self.word(1) & IS_LARGE != 0
    }

    #[inline]
    fn value_len(&self) -> usize {
        ((self.word(1) & !IS_LARGE) >> KEY_LEN_BITS) as usize
    }

    #[inline]
    fn copy_value(&self, copy: &mut [[u8; WORD]]) {
        let at = self.user_words().end;
        for (bytes, word) in copy.iter_mut().zip(&self.words[at..]) {
            *bytes = word.load(Relaxed).to_le_bytes();
        }
    }

    #[cold]
    fn large_value(&self) -> &'m [u8] {
        let large = self.entries.large.from(self.word(self.user_words().end) as u32);
        let value = large[0].get().expect("a large value is kept before its entry is written");
        debug_assert_eq!(value.len(), self.value_len(), "the entry says how long the value is");
        value
    }
}

/// Gives `out` the length `len`; its bytes are written over afterwards.
#[inline]
fn resize(out: &mut Vec<u8>, len: usize) {
    if out.len() < len {
        out.resize(len, 0);
    } else {
        out.truncate(len);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests;
