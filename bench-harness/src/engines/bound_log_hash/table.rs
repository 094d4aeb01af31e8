//! A hash table of positions in the log: open addressing, sixteen bytes a slot, no keys, at least half of the slots free.
//!
//! A slot has all 64 bits of its key's hash. Writes take them for the key, so that a put reads no older record: that two
//! keys of ten million have the same hash is as likely as 1 in 400,000, and only a yardstick may risk it. Gets compare the
//! key in the record.
//!
//! A filter of a bit for each hash, with eight bits a slot, answers most searches for keys that are not there: it is small
//! enough for the processor's cache. A table in an image has none, and bits of removed keys stay until the table grows.
//!
//! The slots of a table are bytes, in memory or in a mapped file, and both are searched by the same code. The first change
//! copies mapped slots into memory.

use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;

use durable::Mapped;
use parking_lot::RwLock;

use super::slot::{FREE, RawSlot, SLOT_BYTES, Slot, home};

/// Shards of the table, each with a lock of its own.
pub(super) const SHARDS: usize = 64;
/// Slots of a new table; a power of two, like every later size. All shards together take 8 MiB, and a load of 250,000 keys
/// moves no slot.
const FIRST_SLOTS: usize = 8192;
/// Slots in a page of memory, or fewer.
const PAGE_SLOTS: usize = 4096 / SLOT_BYTES;

/// The slots of a table in a mapped file.
#[derive(Debug)]
pub(super) struct MappedSlots {
    file: Arc<dyn Mapped>,
    place: Range<usize>,
}

impl MappedSlots {
    /// The slots at `place`, in bytes, of `file`.
    pub(super) fn new(file: Arc<dyn Mapped>, place: Range<usize>) -> Self {
        assert!(place.end <= file.bytes().len() && place.len().is_multiple_of(SLOT_BYTES));
        Self { file, place }
    }

    fn slots(&self) -> &[RawSlot] {
        self.file.bytes()[self.place.clone()].as_chunks().0
    }
}

#[derive(Debug)]
enum Slots {
    InMemory(Vec<RawSlot>),
    Mapped(MappedSlots),
}

/// The slots of one shard, with their filter.
#[derive(Debug)]
pub(super) struct Table {
    slots: Slots,
    /// A byte for each slot in memory.
    filter: Vec<u8>,
    used: usize,
}

/// A table with its lock. Each has cache lines of its own, or the locks of neighbours would hold up threads that meet in no
/// key.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Shard(pub(super) RwLock<Table>);

impl Default for Table {
    fn default() -> Self {
        let mut slots = vec![FREE; FIRST_SLOTS];
        // The first writes find their pages in memory.
        slots.chunks_mut(PAGE_SLOTS).for_each(|page| page[0] = black_box(FREE));
        Self { slots: Slots::InMemory(slots), filter: vec![0; FIRST_SLOTS], used: 0 }
    }
}

impl Table {
    /// The table of which `used` of the `slots` are said to be in use. Reads none of them.
    pub(super) fn mapped(slots: MappedSlots, used: usize) -> Self {
        assert!(slots.slots().len().is_power_of_two());
        Self { slots: Slots::Mapped(slots), filter: Vec::new(), used }
    }

    /// Every slot, free ones included.
    #[inline]
    pub(super) fn slots(&self) -> &[RawSlot] {
        match &self.slots {
            Slots::InMemory(slots) => slots,
            Slots::Mapped(slots) => slots.slots(),
        }
    }

    /// The slots that name a record.
    pub(super) fn used_slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.slots().iter().map(Slot::from_raw).filter(|slot| !slot.is_free())
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// Reads the slot where the search for `hash` begins. Several such reads wait for memory together; the searches that
    /// follow do not.
    #[inline]
    pub(super) fn touch(&self, hash: u64) {
        let slots = self.slots();
        black_box(slots[home(hash, slots.len() - 1)]);
    }

    /// The byte and the bit of `hash` in a filter of `len` bytes. Other bits than those of the slot decide.
    #[inline]
    fn filter_bit(hash: u64, len: usize) -> (usize, u8) {
        debug_assert!(len.is_power_of_two());
        ((hash >> 11) as usize & (len - 1), 1 << (hash >> 8 & 7))
    }

    /// Whether no slot has `hash`, as far as the filter knows.
    #[inline]
    fn is_absent(&self, hash: u64) -> bool {
        if self.filter.is_empty() {
            return false;
        }
        let (byte, bit) = Self::filter_bit(hash, self.filter.len());
        self.filter[byte] & bit == 0
    }

    /// Notes in the filter that `hash` is there.
    fn add_to_filter(&mut self, hash: u64) {
        let (byte, bit) = Self::filter_bit(hash, self.filter.len());
        self.filter[byte] |= bit;
    }

    /// Makes the filter anew from the slots in memory.
    fn rebuild_filter(&mut self) {
        self.filter = vec![0; self.slots().len()];
        let hashes: Vec<u64> = self.used_slots().map(|slot| slot.hash).collect();
        for hash in hashes {
            self.add_to_filter(hash);
        }
    }

    /// The index of the slot with `hash` whose record `is_match` takes; `None` where there is none.
    #[inline]
    pub(super) fn find<E>(
        &self,
        hash: u64,
        mut is_match: impl FnMut(&Slot) -> Result<bool, E>,
    ) -> Result<Option<usize>, E> {
        if self.is_absent(hash) {
            return Ok(None);
        }
        let slots = self.slots();
        let mask = slots.len() - 1;
        let mut at = home(hash, mask);
        // A damaged image may have no free slot.
        for _ in 0..slots.len() {
            let slot = Slot::from_raw(&slots[at]);
            if slot.is_free() {
                break;
            }
            if slot.hash == hash && is_match(&slot)? {
                return Ok(Some(at));
            }
            at = (at + 1) & mask;
        }
        Ok(None)
    }

    /// Points the key at `known` to another record.
    pub(super) fn replace(&mut self, known: usize, slot: Slot) {
        debug_assert!(Slot::from_raw(&self.slots()[known]).hash == slot.hash && !slot.is_free());
        self.in_memory()[known] = slot.to_raw();
    }

    /// Adds a key that is not there yet.
    pub(super) fn add(&mut self, slot: Slot) {
        let len = self.in_memory().len();
        if (self.used + 1) * 2 > len {
            self.grow();
        }
        insert_at_home(self.in_memory(), slot);
        self.add_to_filter(slot.hash);
        self.used += 1;
        debug_assert_eq!(self.filter.len(), self.slots().len(), "a byte for each slot");
        debug_assert!(self.used < self.slots().len(), "a search for a free slot ends");
    }

    /// Removes the key at `known` and moves those after it that would no longer be found.
    pub(super) fn remove(&mut self, known: usize) {
        let slots = self.in_memory();
        let mask = slots.len() - 1;
        let (mut hole, mut at) = (known, known);
        loop {
            at = (at + 1) & mask;
            let slot = Slot::from_raw(&slots[at]);
            if slot.is_free() {
                break;
            }
            let home = slot.home(mask);
            // The hole lies on the way from the slot's home to the slot.
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(hole) & mask) {
                slots[hole] = slots[at];
                hole = at;
            }
        }
        slots[hole] = FREE;
        debug_assert!(self.used > 0, "a removed key was counted");
        self.used -= 1;
    }

    /// The slots, to be changed.
    fn in_memory(&mut self) -> &mut Vec<RawSlot> {
        if let Slots::Mapped(mapped) = &self.slots {
            self.slots = Slots::InMemory(mapped.slots().to_vec());
            // The count in the image was not checked, and a search for a free slot needs one.
            self.used = self.used_slots().count();
            if self.used == self.slots().len() {
                self.grow();
            } else {
                self.rebuild_filter();
            }
        }
        match &mut self.slots {
            Slots::InMemory(slots) => slots,
            Slots::Mapped(_) => unreachable!("they were copied"),
        }
    }

    fn grow(&mut self) {
        let mut larger = vec![FREE; self.slots().len() * 2];
        self.used_slots().for_each(|slot| insert_at_home(&mut larger, slot));
        self.slots = Slots::InMemory(larger);
        self.rebuild_filter();
    }
}

/// Puts `slot` into the first free slot from its home on.
fn insert_at_home(slots: &mut [RawSlot], slot: Slot) {
    let mask = slots.len() - 1;
    let mut at = slot.home(mask);
    while !Slot::from_raw(&slots[at]).is_free() {
        at = (at + 1) & mask;
    }
    slots[at] = slot.to_raw();
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::random::Random;

    /// A file in memory.
    #[derive(Debug)]
    struct Bytes(Vec<u8>);

    impl Mapped for Bytes {
        fn bytes(&self) -> &[u8] {
            &self.0
        }
    }

    fn mapped(bytes: Vec<u8>, used: usize) -> Table {
        let place = 0..bytes.len();
        Table::mapped(MappedSlots::new(Arc::new(Bytes(bytes)), place), used)
    }

    /// Few hashes: they collide all the time.
    fn tag(key: u32) -> u64 {
        u64::from(key % 97) << 32
    }

    fn find(table: &Table, key: u32) -> Option<usize> {
        let same = |slot: &Slot| Ok::<_, ()>(slot.offset == key);
        table.find(tag(key), same).unwrap()
    }

    #[test]
    fn a_table_holds_what_a_map_holds_after_any_writes_and_mappings() {
        let mut random = Random::new(1, &[]);
        let (mut table, mut map) = (Table::default(), BTreeMap::new());
        for len in 1..20_000 {
            let key = random.below(500) as u32;
            let slot = Slot { hash: tag(key), len, segment: 0, offset: key };
            match (find(&table, key), random.below(3) == 0) {
                (Some(at), true) => {
                    map.remove(&key);
                    table.remove(at);
                }
                (Some(at), false) => {
                    map.insert(key, len);
                    table.replace(at, slot);
                }
                (None, true) => assert!(!map.contains_key(&key)),
                (None, false) => {
                    assert_eq!(map.insert(key, len), None);
                    table.add(slot);
                }
            }
            if random.below(100) == 0 {
                table = mapped(table.slots().as_flattened().to_vec(), table.len());
            }
        }
        assert_eq!(table.len(), map.len());
        for key in 0..500 {
            let found = find(&table, key).map(|at| Slot::from_raw(&table.slots()[at]).len);
            assert_eq!(found, map.get(&key).copied());
        }
    }

    #[test]
    fn a_table_whose_image_has_no_free_slot_is_searched_and_written_all_the_same() {
        let mut table = mapped(vec![1; 64 * SLOT_BYTES], 7);
        assert_eq!(find(&table, 5), None);
        table.add(Slot { hash: tag(5), len: 9, segment: 0, offset: 5 });
        assert!(find(&table, 5).is_some());
        assert_eq!(table.len(), 65);
    }

    #[test]
    fn the_filter_answers_for_most_keys_that_are_not_there_and_for_none_that_is() {
        let mut table = Table::default();
        let hash = |number: u32| crate::random::mix(u64::from(number));
        for number in 0..4 * FIRST_SLOTS as u32 {
            table.add(Slot { hash: hash(number), len: 1, segment: 0, offset: number });
            assert!(!table.is_absent(hash(number)));
        }
        let present = (0..4 * FIRST_SLOTS as u32).map(hash);
        assert_eq!(present.filter(|&hash| table.is_absent(hash)).count(), 0);
        let missing = 5_000_000..5_010_000;
        let answered = missing.filter(|&number| table.is_absent(hash(number))).count();
        assert!(answered > 9_000, "{answered}");
    }
}
