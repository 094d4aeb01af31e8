//! Finds the operation of a key by its hash, with open addressing.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;

/// An index over the slots of a batch, built by the first search that needs it.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// Seeded at random when the index is first built, so that nobody can choose keys that collide.
    state: Option<RandomState>,
    /// The number of a slot plus one, or 0 in an empty place. The length is a power of two, and half of it stays empty.
    places: Vec<u32>,
}

impl Index {
    /// Forgets all slots and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.places.clear();
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The slot with `key`, among `slots` slots whose keys `key_at` gives. `None`: no slot has it, and the index has noted
    /// it for slot number `slots`, which the caller pushes next.
    pub(super) fn find_or_insert<'k>(
        &mut self,
        key: &[u8],
        slots: usize,
        key_at: impl Fn(usize) -> &'k [u8],
    ) -> Option<usize> {
        if slots * 2 >= self.places.len() {
            self.rebuild(slots, &key_at);
        }
        let mut place = self.start(key);
        while let Some(slot) = self.slot_at(place) {
            assert!(slot < slots, "the index names a slot that does not exist");
            if key_at(slot) == key {
                return Some(slot);
            }
            place = self.after(place);
        }
        self.places[place] = u32::try_from(slots + 1).expect("fewer than 2^32 operations");
        None
    }

    fn rebuild<'k>(&mut self, slots: usize, key_at: &impl Fn(usize) -> &'k [u8]) {
        self.state.get_or_insert_default();
        self.places.clear();
        self.places.resize((slots * 4).next_power_of_two(), 0);
        assert!(slots < self.places.len(), "an empty place ends each search");
        for slot in 0..slots {
            let mut place = self.start(key_at(slot));
            while self.slot_at(place).is_some() {
                place = self.after(place);
            }
            self.places[place] = u32::try_from(slot + 1).expect("fewer than 2^32 operations");
        }
    }

    fn start(&self, key: &[u8]) -> usize {
        debug_assert!(self.places.len().is_power_of_two(), "the mask keeps the low bits");
        let state = self.state.as_ref().expect("the index is built before it is searched");
        state.hash_one(key) as usize & (self.places.len() - 1)
    }

    fn after(&self, place: usize) -> usize {
        (place + 1) & (self.places.len() - 1)
    }

    fn slot_at(&self, place: usize) -> Option<usize> {
        self.places[place].checked_sub(1).map(|slot| slot as usize)
    }
}
