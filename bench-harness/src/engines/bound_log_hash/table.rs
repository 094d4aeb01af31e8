//! A hash table of places: open addressing, sixteen bytes a slot, no keys, at least half of the slots free.
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

use super::maker::SEGMENT_BYTES;

/// Shards of the table, each with a lock of its own.
pub(super) const SHARDS: usize = 64;
/// Slots of a new table; a power of two, like every later size. All shards together take 8 MiB, and a load of 250,000 keys
/// moves no slot.
const FIRST_SLOTS: usize = 8192;
/// Bytes of a slot.
pub(super) const SLOT_BYTES: usize = 16;
/// Slots in a page of memory, or fewer.
const PAGE_SLOTS: usize = 4096 / SLOT_BYTES;

/// A slot as it lies in memory and in an image.
type RawSlot = [u8; SLOT_BYTES];
const FREE: RawSlot = [0; SLOT_BYTES];

/// Bits of the offset and of the length in the second word of a slot; the segment has the rest.
const OFFSET_BITS: u32 = SEGMENT_BYTES.ilog2();
const LEN_BITS: u32 = OFFSET_BITS + 1;
/// More segments than a slot can name.
pub(super) const SEGMENTS_END: u32 = 1 << (u64::BITS - OFFSET_BITS - LEN_BITS);

/// Where a record lies. A length of 0 marks a slot that is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot {
    /// The hash of the key.
    pub(super) hash: u64,
    /// Bytes of the record: at most those of a segment.
    pub(super) len: u32,
    /// Number of the segment, below [`SEGMENTS_END`].
    pub(super) segment: u32,
    /// Place in the segment.
    pub(super) offset: u32,
}

impl Slot {
    #[inline]
    fn to_raw(self) -> RawSlot {
        let (segment, len) = (u64::from(self.segment), u64::from(self.len));
        debug_assert!(self.segment < SEGMENTS_END && len >> LEN_BITS == 0);
        debug_assert!(u64::from(self.offset) < SEGMENT_BYTES);
        let place =
            segment << (OFFSET_BITS + LEN_BITS) | len << OFFSET_BITS | u64::from(self.offset);
        let words = [self.hash, place].map(u64::to_le_bytes);
        std::array::from_fn(|at| words[at / 8][at % 8])
    }

    #[inline]
    pub(super) fn from_raw(raw: &RawSlot) -> Self {
        let [h0, h1, h2, h3, h4, h5, h6, h7, p0, p1, p2, p3, p4, p5, p6, p7] = *raw;
        let place = u64::from_le_bytes([p0, p1, p2, p3, p4, p5, p6, p7]);
        Self {
            hash: u64::from_le_bytes([h0, h1, h2, h3, h4, h5, h6, h7]),
            len: (place >> OFFSET_BITS) as u32 & ((1 << LEN_BITS) - 1),
            segment: (place >> (OFFSET_BITS + LEN_BITS)) as u32,
            offset: place as u32 & ((1 << OFFSET_BITS) - 1),
        }
    }

    /// Where the search for the key begins in a table of `mask + 1` slots. The lowest bits chose the shard.
    #[inline]
    fn home(&self, mask: usize) -> usize {
        home(self.hash, mask)
    }

    #[inline]
    fn is_free(&self) -> bool {
        self.len == 0
    }
}

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

#[inline]
fn home(hash: u64, mask: usize) -> usize {
    (hash >> 32) as usize & mask
}

#[derive(Debug)]
enum Slots {
    InMemory(Vec<RawSlot>),
    Mapped(MappedSlots),
}

/// A part of the key directory.
#[derive(Debug)]
pub(super) struct Table {
    slots: Slots,
    /// A byte for each slot in memory.
    filter: Vec<u8>,
    used: usize,
}

/// A part of the table. Each has cache lines of its own, or the locks of neighbours would hold up threads that meet in no
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

    fn admit(&mut self, hash: u64) {
        let (byte, bit) = Self::filter_bit(hash, self.filter.len());
        self.filter[byte] |= bit;
    }

    /// Makes the filter of the slots in memory.
    fn filter_again(&mut self) {
        self.filter = vec![0; self.slots().len()];
        let hashes: Vec<u64> = self.used_slots().map(|slot| slot.hash).collect();
        for hash in hashes {
            self.admit(hash);
        }
    }

    /// The place of the slot with `hash` whose record `is_match` takes; `None` where there is none.
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
        settle(self.in_memory(), slot);
        self.admit(slot.hash);
        self.used += 1;
        debug_assert!(self.filter.len() == self.slots().len());
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
                self.filter_again();
            }
        }
        match &mut self.slots {
            Slots::InMemory(slots) => slots,
            Slots::Mapped(_) => unreachable!("they were copied"),
        }
    }

    fn grow(&mut self) {
        let mut larger = vec![FREE; self.slots().len() * 2];
        self.used_slots().for_each(|slot| settle(&mut larger, slot));
        self.slots = Slots::InMemory(larger);
        self.filter_again();
    }
}

/// Puts `slot` into the first free slot from its home on.
fn settle(slots: &mut [RawSlot], slot: Slot) {
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

    #[test]
    fn a_slot_survives_its_bytes() {
        let last = SEGMENT_BYTES as u32;
        for slot in [
            Slot { hash: 0x0807_0605_0403_0201, len: 1, segment: 0, offset: last - 1 },
            Slot { hash: u64::MAX, len: last, segment: SEGMENTS_END - 1, offset: 0 },
            Slot { hash: 0, len: 0x0001_0203, segment: 0x0405, offset: 0x0006_0708 },
        ] {
            assert_eq!(Slot::from_raw(&slot.to_raw()), slot);
        }
        assert!(Slot::from_raw(&FREE).is_free());
    }
}
