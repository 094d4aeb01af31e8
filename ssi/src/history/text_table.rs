//! Texts that occur many times, kept once and named by a small number.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

/// The number of texts that one table holds at most: a number and the kind of a dependency share 32 bits in the graph.
pub(super) const MAX_TEXTS: usize = 1 << 28;

/// A slot of the hash table that holds no text.
const VACANT: u32 = u32::MAX;

/// An append-only set of texts, numbered from 0 in the order of their first occurrence.
///
/// All texts lie in one buffer, so that a text costs its own bytes and about 16 more.
#[derive(Debug)]
pub(super) struct TextTable {
    bytes: String,
    /// The end of each text in `bytes`; it starts where the text before it ends.
    ends: Vec<usize>,
    /// Numbers of texts by hash, with linear probing. The length is a power of two.
    slots: Vec<u32>,
    hasher: RandomState,
}

impl TextTable {
    pub(super) fn new() -> Self {
        Self {
            bytes: String::new(),
            ends: Vec::new(),
            slots: vec![VACANT; 16],
            hasher: RandomState::default(),
        }
    }

    /// The number of `text`, which the table adds if it is new. `None` if the table is full.
    pub(super) fn intern(&mut self, text: &str) -> Option<u32> {
        let slot = self.slot_of(text);
        if self.slots[slot] != VACANT {
            return Some(self.slots[slot]);
        }
        if self.ends.len() == MAX_TEXTS {
            return None;
        }
        let number = self.ends.len() as u32;
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len());
        self.slots[slot] = number;
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
    fn slot_of(&self, text: &str) -> usize {
        let mask = self.slots.len() - 1;
        debug_assert!(self.slots.len().is_power_of_two(), "the mask keeps each bit of a slot");
        let mut slot = self.hasher.hash_one(text) as usize & mask;
        loop {
            match self.slots[slot] {
                VACANT => return slot,
                number if self.get(number) == text => return slot,
                // Another text with the same hash: the next slot.
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        self.slots = vec![VACANT; self.slots.len() * 2];
        for number in 0..self.ends.len() as u32 {
            let slot = self.slot_of(self.get(number));
            debug_assert_eq!(self.slots[slot], VACANT, "each text occurs once");
            self.slots[slot] = number;
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
}
