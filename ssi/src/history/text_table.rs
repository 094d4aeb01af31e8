//! Texts that occur many times, kept once and named by a small number.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;

/// The number of texts that one table holds at most: a number and the kind of a dependency share 32 bits in the graph.
pub(super) const MAX_TEXTS: usize = 1 << 28;

/// A slot of the hash table that holds no text.
const VACANT: u32 = u32::MAX;

/// An append-only set of texts, numbered from 0 in the order of their first occurrence.
///
/// All texts lie in one buffer, so that a text costs its own bytes and 40 to 72 more.
#[derive(Debug)]
pub(super) struct TextTable {
    bytes: String,
    /// The end of each text in `bytes`; it starts where the text before it ends.
    ends: Vec<usize>,
    /// The texts by hash, with linear probing. The length is a power of two.
    slots: Vec<Slot>,
    hasher: RandomState,
}

/// A place of the hash table: enough to tell most texts apart without a look at the buffer, which is seldom in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    hash: u32,
    number: u32,
    start: Start,
}

impl Slot {
    const NONE: Self = Self { hash: 0, number: VACANT, start: Start(0) };
}

/// The length of a text, up to 8, and its first 7 bytes: a text of up to 7 bytes is known by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Start(u64);

impl Start {
    fn of(text: &str) -> Self {
        let mut start = [0; 8];
        let len = text.len().min(7);
        start[..len].copy_from_slice(&text.as_bytes()[..len]);
        start[7] = text.len().min(8) as u8;
        Self(u64::from_le_bytes(start))
    }

    fn is_whole(self) -> bool {
        self.0.to_le_bytes()[7] < 8
    }
}

impl TextTable {
    pub(super) fn new() -> Self {
        Self {
            bytes: String::new(),
            ends: Vec::new(),
            slots: vec![Slot::NONE; 16],
            hasher: RandomState::default(),
        }
    }

    /// The number of `text`, which the table adds if it is new. `None` if the table is full.
    pub(super) fn intern(&mut self, text: &str) -> Option<u32> {
        let (hash, start) = (self.hasher.hash_one(text) as u32, Start::of(text));
        let slot = self.slot_of(hash, start, text);
        if self.slots[slot].number != VACANT {
            return Some(self.slots[slot].number);
        }
        if self.ends.len() == MAX_TEXTS {
            return None;
        }
        let number = self.ends.len() as u32;
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len());
        self.slots[slot] = Slot { hash, number, start };
        if self.ends.len() * 2 > self.slots.len() {
            self.grow();
        }
        debug_assert_eq!(self.get(number), text, "a text is found under its number");
        Some(number)
    }

    /// The text with this number.
    pub(super) fn get(&self, number: u32) -> &str {
        let index = number as usize;
        assert!(index < self.ends.len(), "text {number} of {}", self.ends.len());
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The slot that holds `text`, or the vacant one where it belongs.
    fn slot_of(&self, hash: u32, start: Start, text: &str) -> usize {
        let mask = self.slots.len() - 1;
        debug_assert!(self.slots.len().is_power_of_two(), "the mask keeps each bit of a slot");
        let mut place = hash as usize & mask;
        loop {
            let slot = self.slots[place];
            let same_start = slot.hash == hash && slot.start == start;
            match slot.number {
                VACANT => return place,
                number if same_start && (start.is_whole() || self.get(number) == text) => {
                    return place;
                }
                // Another text with the same place: the next one.
                _ => place = (place + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        let doubled = vec![Slot::NONE; self.slots.len() * 2];
        let mask = doubled.len() - 1;
        for slot in std::mem::replace(&mut self.slots, doubled) {
            if slot.number == VACANT {
                continue;
            }
            let mut place = slot.hash as usize & mask;
            while self.slots[place].number != VACANT {
                place = (place + 1) & mask;
            }
            self.slots[place] = slot;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_its_number_while_the_table_grows() {
        let mut table = TextTable::new();
        for number in 0..10_000_u32 {
            assert_eq!(table.intern(&format!("text {number}")), Some(number));
        }
        for number in (0..10_000_u32).rev() {
            assert_eq!(table.intern(&format!("text {number}")), Some(number));
            assert_eq!(table.get(number), format!("text {number}"));
        }
        assert_eq!(table.len(), 10_000);
    }

    #[test]
    fn the_empty_text_is_a_text() {
        let mut table = TextTable::new();
        assert_eq!(table.intern("a"), Some(0));
        assert_eq!(table.intern(""), Some(1));
        assert_eq!(table.intern(""), Some(1));
        assert_eq!(table.get(1), "");
    }

    #[test]
    fn texts_that_begin_alike_are_told_apart() {
        let mut table = TextTable::new();
        let texts = ["a", "a\0", "aaaaaaa", "aaaaaaa\0", "aaaaaaaa", "aaaaaaab", "aaaaaaaba"];
        for (number, text) in (0..).zip(texts) {
            assert_eq!(table.intern(text), Some(number));
        }
        for (number, text) in (0..).zip(texts) {
            assert_eq!((table.intern(text), table.get(number)), (Some(number), text));
        }
    }
}
