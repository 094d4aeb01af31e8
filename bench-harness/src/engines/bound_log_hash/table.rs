//! A hash table of places: open addressing, sixteen bytes a slot, no keys. A tag of the hash stands for the key, and the
//! record that a slot names has the key itself.

use parking_lot::RwLock;

/// Parts of the table, each behind a lock of its own.
pub(super) const SHARDS: usize = 64;
/// Slots of a new table; a power of two, like every later size. All shards together take 4 MiB, and a load of 190,000 keys
/// moves no slot.
const FIRST_SLOTS: usize = 4096;
/// Bytes of a slot in an image.
pub(super) const SLOT_BYTES: usize = 16;

/// Where a record lies. A length of 0 marks a slot that is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot {
    /// The upper half of the hash of the key: it also says where the search begins.
    pub(super) tag: u32,
    /// Bytes of the record.
    pub(super) len: u32,
    /// Number of the segment.
    pub(super) segment: u32,
    /// Place in the segment.
    pub(super) offset: u32,
}

impl Slot {
    pub(super) fn to_bytes(self) -> [u8; SLOT_BYTES] {
        let words = [self.tag, self.len, self.segment, self.offset].map(u32::to_le_bytes);
        std::array::from_fn(|at| words[at / 4][at % 4])
    }

    pub(super) fn from_bytes(bytes: [u8; SLOT_BYTES]) -> Self {
        let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| bytes[at * 4 + byte]));
        Self { tag: word(0), len: word(1), segment: word(2), offset: word(3) }
    }
}

/// A part of the key directory.
#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<Slot>,
    used: usize,
}

/// A part of the table. Each has cache lines of its own, or the locks of neighbours would hold up threads that meet in no
/// key.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Shard(pub(super) RwLock<Table>);

impl Default for Table {
    fn default() -> Self {
        Self { slots: vec![Slot::default(); FIRST_SLOTS], used: 0 }
    }
}

impl Table {
    /// A table with these slots, as [`Table::slots`] gave them.
    pub(super) fn from_slots(slots: Vec<Slot>) -> Self {
        let used = slots.iter().filter(|slot| slot.len > 0).count();
        assert!(slots.len().is_power_of_two() && used < slots.len());
        Self { slots, used }
    }

    /// Every slot, free ones included.
    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// The place of the slot with `tag` whose record `is_match` takes; `None` where there is none.
    pub(super) fn find<E>(
        &self,
        tag: u32,
        mut is_match: impl FnMut(&Slot) -> Result<bool, E>,
    ) -> Result<Option<usize>, E> {
        let mask = self.slots.len() - 1;
        let mut at = tag as usize & mask;
        while self.slots[at].len > 0 {
            if self.slots[at].tag == tag && is_match(&self.slots[at])? {
                return Ok(Some(at));
            }
            at = (at + 1) & mask;
        }
        Ok(None)
    }

    /// Points the key at `known` to another record.
    pub(super) fn replace(&mut self, known: usize, slot: Slot) {
        debug_assert!(self.slots[known].tag == slot.tag && slot.len > 0);
        self.slots[known] = slot;
    }

    /// Adds a key that is not there yet.
    pub(super) fn add(&mut self, slot: Slot) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            let larger = vec![Slot::default(); self.slots.len() * 2];
            let old = std::mem::replace(&mut self.slots, larger);
            old.into_iter().filter(|slot| slot.len > 0).for_each(|slot| self.settle(slot));
        }
        self.settle(slot);
        self.used += 1;
    }

    fn settle(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut at = slot.tag as usize & mask;
        while self.slots[at].len > 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }

    /// Removes the key at `known` and moves those behind it that would no longer be found.
    pub(super) fn remove(&mut self, known: usize) {
        let mask = self.slots.len() - 1;
        let (mut hole, mut at) = (known, known);
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot.len == 0 {
                break;
            }
            let home = slot.tag as usize & mask;
            // The hole lies on the way from the slot's home to the slot.
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(hole) & mask) {
                self.slots[hole] = slot;
                hole = at;
            }
        }
        self.slots[hole] = Slot::default();
        self.used -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::random::Random;

    fn find(table: &Table, key: u32) -> Option<usize> {
        let same = |slot: &Slot| Ok::<_, ()>(slot.offset == key);
        table.find(key % 97, same).unwrap()
    }

    #[test]
    fn a_table_holds_what_a_map_holds_after_any_writes() {
        let mut random = Random::new(1, &[]);
        let (mut table, mut map) = (Table::default(), BTreeMap::new());
        for len in 1..20_000 {
            // Tags collide all the time.
            let key = random.below(500) as u32;
            let slot = Slot { tag: key % 97, len, segment: 0, offset: key };
            match (find(&table, key), random.below(3) == 0) {
                (Some(at), true) => table.remove(at),
                (Some(at), false) => table.replace(at, slot),
                (None, true) => {}
                (None, false) => table.add(slot),
            }
            if find(&table, key).is_some() {
                map.insert(key, len)
            } else {
                map.remove(&key)
            };
        }
        assert_eq!(table.len(), map.len());
        for key in 0..500 {
            let found = find(&table, key).map(|at| table.slots()[at].len);
            assert_eq!(found, map.get(&key).copied());
        }
    }

    #[test]
    fn a_slot_survives_its_bytes() {
        let slot = Slot { tag: 1, len: u32::MAX, segment: 3, offset: 0x0102_0304 };
        assert_eq!(Slot::from_bytes(slot.to_bytes()), slot);
    }
}
