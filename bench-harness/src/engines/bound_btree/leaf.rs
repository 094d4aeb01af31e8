//! A leaf of the tree: keys and values in one buffer, and the positions of the entries in key order.
//!
//! A new entry goes to the end of the buffer, so that a put moves positions and no bytes of its neighbours. A split lays out
//! both halves in key order.
//!
//! A search compares heads: eight bytes of each key, from the first byte on that may differ within the leaf. They lie side
//! by side, so it touches few cache lines before it meets the key itself.

use std::cmp::Ordering;
use std::ops::Bound;

/// A leaf whose buffer is larger than this is split, if it has more than one entry.
const SPLIT_BYTES: usize = 16 << 10;

/// The longest prefix of its keys that a leaf factors out.
const LONGEST_PREFIX: usize = 24;

/// A leaf. Entries are named by their index in key order.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaf {
    /// The first bytes of every key. There may be more that all keys share.
    prefix: [u8; LONGEST_PREFIX],
    prefix_len: usize,
    /// The head of each key.
    heads: Vec<u64>,
    positions: Vec<EntryPosition>,
    bytes: Vec<u8>,
    /// Bytes of the buffer that no position names.
    dead_bytes: usize,
}

/// The position of an entry in the buffer: the key, and the value right after it.
#[derive(Clone, Copy, Debug)]
struct EntryPosition {
    start: u32,
    key_len: u32,
    value_len: u32,
}

impl EntryPosition {
    fn len(self) -> usize {
        self.key_len as usize + self.value_len as usize
    }
}

impl Leaf {
    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.positions.len()
    }

    /// The key and the value of an entry.
    #[inline]
    pub(super) fn entry(&self, at: usize) -> (&[u8], &[u8]) {
        let position = self.positions[at];
        let start = position.start as usize;
        self.bytes[start..start + position.len()].split_at(position.key_len as usize)
    }

    /// The key of an entry.
    #[inline]
    pub(super) fn key(&self, at: usize) -> &[u8] {
        self.key_at(self.positions[at])
    }

    fn key_at(&self, position: EntryPosition) -> &[u8] {
        let start = position.start as usize;
        &self.bytes[start..start + position.key_len as usize]
    }

    /// The value of `key`.
    pub(super) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.find(key).ok().map(|at| self.entry(at).1)
    }

    /// `Ok`: the entry of `key`. `Err`: where it would be.
    fn find(&self, key: &[u8]) -> Result<usize, usize> {
        let at = self.count_below(key);
        if at < self.len() && self.key(at) == key { Ok(at) } else { Err(at) }
    }

    /// The first entry within a lower bound.
    pub(super) fn first_within(&self, start: Bound<&[u8]>) -> usize {
        match start {
            Bound::Unbounded => 0,
            Bound::Included(key) => self.count_below(key),
            Bound::Excluded(key) => self.count_up_to(key),
        }
    }

    /// The entry after the last one within an upper bound.
    pub(super) fn end_within(&self, end: Bound<&[u8]>) -> usize {
        match end {
            Bound::Unbounded => self.len(),
            Bound::Excluded(key) => self.count_below(key),
            Bound::Included(key) => self.count_up_to(key),
        }
    }

    fn count_below(&self, key: &[u8]) -> usize {
        self.count(key, |other| other < key)
    }

    fn count_up_to(&self, key: &[u8]) -> usize {
        self.count(key, |other| other <= key)
    }

    /// How many keys `is_before` takes. It takes every key that is less than `key` and none that is greater.
    fn count(&self, key: &[u8], is_before: impl Fn(&[u8]) -> bool) -> usize {
        let prefix = &self.prefix[..self.prefix_len];
        let (start, rest) = key.split_at(key.len().min(prefix.len()));
        match start.cmp(prefix) {
            Ordering::Less => return 0,
            Ordering::Greater => return self.len(),
            Ordering::Equal => {}
        }
        let head = head_of(rest);
        let first = self.heads.partition_point(|other| *other < head);
        let equal = self.heads[first..].partition_point(|other| *other == head);
        let positions = &self.positions[first..first + equal];
        first + positions.partition_point(|position| is_before(self.key_at(*position)))
    }

    /// Puts an entry and returns whether its key is new.
    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> bool {
        let found = self.find(key);
        if let Ok(at) = found {
            let position = self.positions[at];
            let start = (position.start + position.key_len) as usize;
            if position.value_len as usize == value.len() {
                self.bytes[start..start + value.len()].copy_from_slice(value);
                return false;
            }
            self.remove_at(at);
        }
        let (Ok(at) | Err(at)) = found;
        self.shorten_prefix_to(key);
        let position = self.append(key, value);
        self.positions.insert(at, position);
        self.heads.insert(at, head_of(&key[self.prefix_len..]));
        debug_assert!(at == 0 || self.key(at - 1) < key, "keys ascend");
        debug_assert!(at + 1 == self.len() || key < self.key(at + 1), "keys ascend");
        debug_assert_eq!(self.heads.len(), self.positions.len(), "each entry has a head");
        found.is_err()
    }

    /// Removes an entry and returns whether it was there.
    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        let found = self.find(key);
        if let Ok(at) = found {
            self.remove_at(at);
        }
        found.is_ok()
    }

    fn remove_at(&mut self, at: usize) {
        self.heads.remove(at);
        let position = self.positions.remove(at);
        self.mark_dead(position);
    }

    /// Shortens the prefix to the bytes that `key` shares with it.
    fn shorten_prefix_to(&mut self, key: &[u8]) {
        let known = if self.positions.is_empty() { key } else { &self.prefix[..self.prefix_len] };
        let shared = shared_bytes(known, key);
        if self.positions.is_empty() || shared < self.prefix_len {
            self.set_prefix(key, shared);
        }
    }

    /// Sets the prefix to the first `len` bytes of `key`, and makes the heads anew.
    fn set_prefix(&mut self, key: &[u8], len: usize) {
        assert!(len <= LONGEST_PREFIX, "a prefix has its place");
        self.prefix[..len].copy_from_slice(&key[..len]);
        self.prefix_len = len;
        let heads = self.positions.iter().map(|position| head_of(&self.key_at(*position)[len..]));
        self.heads = heads.collect();
    }

    fn append(&mut self, key: &[u8], value: &[u8]) -> EntryPosition {
        let start = u32::try_from(self.bytes.len()).expect("a leaf is smaller than 4 GiB");
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(SPLIT_BYTES);
        }
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        let position =
            EntryPosition { start, key_len: key.len() as u32, value_len: value.len() as u32 };
        debug_assert_eq!(start as usize + position.len(), self.bytes.len(), "the last entry");
        position
    }

    /// Counts the bytes of an entry that went, and lays out the others anew once most bytes are dead.
    fn mark_dead(&mut self, position: EntryPosition) {
        self.dead_bytes += position.len();
        debug_assert!(self.dead_bytes <= self.bytes.len(), "bytes die once");
        if self.dead_bytes * 2 > self.bytes.len() {
            *self = self.copy_of(0, self.len());
        }
    }

    /// A leaf of the entries from one index to another, its bytes in key order.
    fn copy_of(&self, from: usize, to: usize) -> Self {
        let mut copy = Self { positions: Vec::with_capacity(self.len()), ..Self::default() };
        for at in from..to {
            let (key, value) = self.entry(at);
            let position = copy.append(key, value);
            copy.positions.push(position);
        }
        if from < to {
            let first = self.key(from);
            copy.set_prefix(first, shared_bytes(first, self.key(to - 1)));
        }
        copy
    }

    /// Cuts a leaf that is full in two and returns the second one.
    pub(super) fn split_if_full(&mut self) -> Option<Self> {
        let live_bytes = self.bytes.len() - self.dead_bytes;
        if live_bytes <= SPLIT_BYTES || self.len() < 2 {
            return None;
        }
        let last = self.len() - 1;
        let is_ascending =
            self.positions[last].start as usize + self.positions[last].len() == self.bytes.len();
        // Where keys arrive in order, the first leaf stays full.
        let middle = if is_ascending { last } else { self.middle(live_bytes / 2) };
        let right = self.copy_of(middle, self.len());
        *self = self.copy_of(0, middle);
        assert!(self.len() > 0 && right.len() > 0, "both leaves have entries");
        debug_assert!(self.key(middle - 1) < right.key(0), "and are in order");
        Some(right)
    }

    /// The first entry after `half` of the bytes, so that there is one on both sides.
    fn middle(&self, half: usize) -> usize {
        let mut before = 0;
        let middle = self.positions.iter().position(|position| {
            before += position.len();
            before > half
        });
        middle.unwrap_or_default().clamp(1, self.len() - 1)
    }
}

/// How many bytes of a prefix two keys share.
fn shared_bytes(one: &[u8], other: &[u8]) -> usize {
    let pairs = one.iter().zip(other).take(LONGEST_PREFIX);
    pairs.take_while(|(one, other)| one == other).count()
}

/// The first bytes of `rest`, padded with zeros. Two heads that differ compare like the bytes that they were made of.
fn head_of(rest: &[u8]) -> u64 {
    if let Some(head) = rest.first_chunk() {
        return u64::from_be_bytes(*head);
    }
    let mut head = [0; 8];
    head[..rest.len()].copy_from_slice(rest);
    u64::from_be_bytes(head)
}
