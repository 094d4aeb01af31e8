//! A leaf of the tree: keys and values in one buffer, and their places in key order.
//!
//! A new entry goes to the end of the buffer, so that a put moves places and no bytes of its neighbours. A split lays out
//! both halves in key order.

use std::ops::Bound;

/// A leaf whose buffer is larger than this is split, if it has more than one entry.
const SPLIT_BYTES: usize = 16 << 10;

/// A leaf. Entries are named by their index in key order.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaf {
    places: Vec<Place>,
    bytes: Vec<u8>,
    /// Bytes of the buffer that no place names.
    dead_bytes: usize,
}

/// Where an entry lies in the buffer: the key, and the value right behind it.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: u32,
    key_len: u32,
    value_len: u32,
}

impl Place {
    fn len(self) -> usize {
        self.key_len as usize + self.value_len as usize
    }
}

impl Leaf {
    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The key and the value of an entry.
    #[inline]
    pub(super) fn entry(&self, at: usize) -> (&[u8], &[u8]) {
        let place = self.places[at];
        let start = place.start as usize;
        self.bytes[start..start + place.len()].split_at(place.key_len as usize)
    }

    /// The key of an entry.
    #[inline]
    pub(super) fn key(&self, at: usize) -> &[u8] {
        self.key_at(self.places[at])
    }

    fn key_at(&self, place: Place) -> &[u8] {
        let start = place.start as usize;
        &self.bytes[start..start + place.key_len as usize]
    }

    /// The value of `key`.
    pub(super) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.find(key).ok().map(|at| self.entry(at).1)
    }

    /// `Ok`: the entry of `key`. `Err`: where it would be.
    fn find(&self, key: &[u8]) -> Result<usize, usize> {
        self.places.binary_search_by(|place| self.key_at(*place).cmp(key))
    }

    /// The first entry within a lower bound.
    pub(super) fn first_within(&self, start: Bound<&[u8]>) -> usize {
        match start {
            Bound::Unbounded => 0,
            Bound::Included(key) => self.count_below(key),
            Bound::Excluded(key) => self.count_up_to(key),
        }
    }

    /// The entry behind the last one within an upper bound.
    pub(super) fn end_within(&self, end: Bound<&[u8]>) -> usize {
        match end {
            Bound::Unbounded => self.len(),
            Bound::Excluded(key) => self.count_below(key),
            Bound::Included(key) => self.count_up_to(key),
        }
    }

    fn count_below(&self, key: &[u8]) -> usize {
        self.places.partition_point(|place| self.key_at(*place) < key)
    }

    fn count_up_to(&self, key: &[u8]) -> usize {
        self.places.partition_point(|place| self.key_at(*place) <= key)
    }

    /// Puts an entry and returns whether its key is new.
    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> bool {
        let found = self.find(key);
        if let Ok(at) = found {
            let place = self.places[at];
            let start = (place.start + place.key_len) as usize;
            if place.value_len as usize == value.len() {
                self.bytes[start..start + value.len()].copy_from_slice(value);
                return false;
            }
            self.places.remove(at);
            self.bury(place);
        }
        let (Ok(at) | Err(at)) = found;
        let place = self.append(key, value);
        self.places.insert(at, place);
        debug_assert!(at == 0 || self.key(at - 1) < key, "keys ascend");
        found.is_err()
    }

    /// Removes an entry and returns whether it was there.
    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        let found = self.find(key);
        if let Ok(at) = found {
            let place = self.places.remove(at);
            self.bury(place);
        }
        found.is_ok()
    }

    fn append(&mut self, key: &[u8], value: &[u8]) -> Place {
        let start = u32::try_from(self.bytes.len()).expect("a leaf is smaller than 4 GiB");
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(SPLIT_BYTES);
        }
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        Place { start, key_len: key.len() as u32, value_len: value.len() as u32 }
    }

    /// Counts the bytes of an entry that went, and lays out the others anew once most bytes are dead.
    fn bury(&mut self, place: Place) {
        self.dead_bytes += place.len();
        debug_assert!(self.dead_bytes <= self.bytes.len());
        if self.dead_bytes * 2 > self.bytes.len() {
            *self = self.copy_of(0, self.len());
        }
    }

    /// A leaf of the entries from one index to another, its bytes in key order.
    fn copy_of(&self, from: usize, to: usize) -> Self {
        let mut copy = Self { places: Vec::with_capacity(self.len()), ..Self::default() };
        for at in from..to {
            let (key, value) = self.entry(at);
            let place = copy.append(key, value);
            copy.places.push(place);
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
            self.places[last].start as usize + self.places[last].len() == self.bytes.len();
        // Where keys arrive in order, the first leaf stays full.
        let middle = if is_ascending { last } else { self.middle(live_bytes / 2) };
        let right = self.copy_of(middle, self.len());
        *self = self.copy_of(0, middle);
        assert!(self.len() > 0 && right.len() > 0, "both leaves have entries");
        debug_assert!(self.key(middle - 1) < right.key(0), "and are in order");
        Some(right)
    }

    /// The first entry behind `half` of the bytes, so that there is one on both sides.
    fn middle(&self, half: usize) -> usize {
        let mut before = 0;
        let middle = self.places.iter().position(|place| {
            before += place.len();
            before > half
        });
        middle.unwrap_or_default().clamp(1, self.len() - 1)
    }
}
