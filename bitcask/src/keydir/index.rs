//! The hash index of a shard: open addressing with linear probing over cells of 4 bytes.
//!
//! A cell holds the place of an entry in its low 25 bits and a fingerprint of the hash in its high 7 bits. An empty cell has
//! all bits set, which no entry has: the largest place is free. An empty cell is not zero: a read of untouched zero memory
//! maps the kernel's shared zero page, and the first write must copy it. A look-up compares the 7 bits first and then the
//! key.
//!
//! The length is any number, not only powers of two, so that the index can grow by a third at a time. Removal shifts later
//! cells back: there are no deleted-cell markers to skip.
//!
//! A look-up of a missing key probes until an empty cell: `(1 + 1 / (1 - load)^2) / 2` cells on average (Knuth, The Art of
//! Computer Programming, volume 3, section 6.4). That is 13 cells at the largest load, 4/5, and 8 at 3/4, the
//! load after opening a store without waste; it would be 32 at 7/8. A present key takes 3 cells at most on average.

use super::arena::Place;

const EMPTY: u32 = u32::MAX;
const FEWEST_CELLS: usize = 8;

/// An index with fewer cells is small: a keydir of all such shards has fewer than a million keys.
const SMALL: usize = 4096;

const PLACE_BITS: u32 = 25;

/// While loading, an index grows to at most this factor above the cells needed.
const LONGEST_STEP: usize = 64;

/// Places of entries, by the hash of their keys.
#[derive(Default)]
pub(super) struct Index {
    cells: Vec<u32>,
    /// Cells that are not empty.
    filled: usize,
}

#[inline]
fn fingerprint(hash: u64) -> u32 {
    (hash as u32) << PLACE_BITS
}

#[inline]
fn place(cell: u32) -> Place {
    Place(cell & ((1 << PLACE_BITS) - 1))
}

impl Index {
    /// The entry for which `matches` holds, among those whose fingerprint matches.
    #[inline]
    pub(super) fn find(&self, hash: u64, matches: impl FnMut(Place) -> bool) -> Option<Place> {
        self.cell_of(hash, matches).map(|cell| place(self.cells[cell]))
    }

    /// Reads the cell where a look-up begins, or none where there are none.
    #[inline]
    pub(super) fn touch(&self, hash: u64) -> u32 {
        self.cells.get(self.home(hash)).copied().unwrap_or_default()
    }

    /// Whether the next insertion needs more cells first: [`Index::rebuild`].
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        (self.filled + 1) * 5 > self.cells.len() * 4
    }

    /// Whether `more` entries fit without [`Index::rebuild`].
    pub(super) fn has_room_for(&self, more: usize) -> bool {
        Self::cells_for(self.filled + more) <= self.cells.len()
    }

    /// How many cells `entries` need for the index not to be full.
    fn cells_for(entries: usize) -> usize {
        ((entries + 1) * 5).div_ceil(4)
    }

    /// How many cells there are to be when it is full: a third more, so that a large keydir has few empty cells; a small one
    /// doubles, because it grows often.
    pub(super) fn grown_len(&self) -> usize {
        let more = if self.cells.len() < SMALL { self.cells.len() } else { self.cells.len() / 3 };
        (self.cells.len() + more).max(FEWEST_CELLS)
    }

    /// How many cells there are to be to take `more` entries while a store is loaded that has `expected` entries or fewer.
    /// Some of the entries may be there already. The first step is half of the cells for all: it suffices where most entries
    /// are overwritten. The next step is the cells for all. A manifest may claim any number, so a step is at most
    /// [`LONGEST_STEP`] times the cells needed now.
    pub(super) fn cells_to_load(&self, more: usize, expected: usize) -> usize {
        let (needed, all) = (Self::cells_for(self.filled + more), expected.saturating_mul(4) / 3);
        let step = if self.cells.len() < all / 2 { all / 2 } else { all };
        needed.max(step.min(needed * LONGEST_STEP))
    }

    /// How many cells there are to be after loading, if there are too many.
    pub(super) fn cells_to_keep(&self) -> Option<usize> {
        let is_sparse = self.cells.len() > FEWEST_CELLS && self.filled * 2 < self.cells.len();
        is_sparse.then_some((self.filled * 3 / 2).max(FEWEST_CELLS))
    }

    /// Begins anew with `cells` and all `entries` and their hashes.
    pub(super) fn rebuild(&mut self, cells: usize, entries: impl Iterator<Item = (u64, Place)>) {
        assert!(Self::cells_for(self.filled) <= cells, "the entries fit");
        let filled = std::mem::take(&mut self.filled);
        // The old cells go first, and the new ones are allocated to size: a vector that grows doubles.
        self.cells = Vec::new();
        self.cells = vec![EMPTY; cells];
        entries.for_each(|(hash, entry)| self.insert(hash, entry));
        assert_eq!(self.filled, filled, "the entries are those that were there");
    }

    /// Adds an entry that is not there yet. There must be room.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, entry: Place) {
        assert!(self.filled < self.cells.len(), "the caller grows a full index first");
        let mut at = self.home(hash);
        while self.cells[at] != EMPTY {
            at = self.next_cell(at);
        }
        let cell = fingerprint(hash) | entry.0;
        debug_assert!(place(cell) == entry && cell != EMPTY, "a cell reads back as it was stored");
        self.cells[at] = cell;
        self.filled += 1;
    }

    /// Removes the entry for which `matches` holds and returns it.
    pub(super) fn remove(
        &mut self,
        hash: u64,
        matches: impl FnMut(Place) -> bool,
        hash_of: impl Fn(Place) -> u64,
    ) -> Option<Place> {
        let mut hole = self.cell_of(hash, matches)?;
        let removed = place(self.cells[hole]);
        let mut cell = self.next_cell(hole);
        while self.cells[cell] != EMPTY {
            let home = self.home(hash_of(place(self.cells[cell])));
            if self.distance(home, cell) >= self.distance(hole, cell) {
                self.cells[hole] = self.cells[cell];
                hole = cell;
            }
            cell = self.next_cell(cell);
        }
        self.cells[hole] = EMPTY;
        assert!(self.filled > 0, "an entry was found, so there was one");
        self.filled -= 1;
        Some(removed)
    }

    pub(super) fn len(&self) -> usize {
        self.filled
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.cells.capacity() * size_of::<u32>()
    }

    #[inline]
    fn cell_of(&self, hash: u64, mut matches: impl FnMut(Place) -> bool) -> Option<usize> {
        if self.cells.is_empty() {
            return None;
        }
        debug_assert!(self.filled < self.cells.len(), "an empty cell ends each probe");
        let wanted = fingerprint(hash);
        let mut at = self.home(hash);
        loop {
            let cell = self.cells[at];
            // No entry with this home lies behind an empty cell: removal leaves no gap.
            if cell == EMPTY {
                return None;
            }
            if cell >> PLACE_BITS == wanted >> PLACE_BITS && matches(place(cell)) {
                return Some(at);
            }
            at = self.next_cell(at);
        }
    }

    /// The first cell of the probe for `hash`. Uses bits 24 to 55. The bits above choose the shard, and those below are the
    /// fingerprint.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        let bits = (hash >> 24) & 0xffff_ffff;
        ((bits * self.cells.len() as u64) >> 32) as usize
    }

    /// Panics unless each of `entries` is found by its hash, within a probe that grows slowly with the number of cells.
    /// Panics if there are others.
    #[cfg(test)]
    pub(super) fn check_invariants(&self, entries: impl Iterator<Item = (u64, Place)>) {
        let (mut count, mut probes) = (0, 0);
        for (hash, entry) in entries {
            let cell = self.cell_of(hash, |found| found == entry).expect("every entry is found");
            probes += self.distance(self.home(hash), cell) + 1;
            count += 1;
        }
        assert_eq!(count, self.filled);
        assert_eq!(self.cells.iter().filter(|cell| **cell != EMPTY).count(), self.filled);
        // Linear probing in a table that is four fifths full takes 3 cells on average.
        assert!(probes <= 64 + 6 * count, "{probes} cells for {count} entries");
    }

    #[inline]
    fn next_cell(&self, at: usize) -> usize {
        if at + 1 == self.cells.len() { 0 } else { at + 1 }
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.cells.len() - from }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A hash that makes many entries share a home, so that removal has much to shift.
    fn crowded(entry: Place) -> u64 {
        (u64::from(entry.0 % 7) << 50) | (u64::from(entry.0) << 24)
    }

    #[test]
    fn an_index_agrees_with_a_set_through_growth_and_removal() {
        let mut index = Index::default();
        let mut model: BTreeSet<u32> = BTreeSet::new();
        let mut state = 1_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let entry = Place((state >> 40) as u32 % 600);
            let hash = crowded(entry);
            if model.remove(&entry.0) {
                let removed = index.remove(hash, |found| found == entry, crowded);
                assert_eq!(removed, Some(entry));
            } else {
                assert_eq!(index.find(hash, |found| found == entry), None);
                if index.is_full() {
                    index.rebuild(
                        index.grown_len(),
                        model.iter().map(|&entry| (crowded(Place(entry)), Place(entry))),
                    );
                }
                index.insert(hash, entry);
                model.insert(entry.0);
            }
            assert_eq!(index.len(), model.len());
        }
        for &entry in &model {
            let entry = Place(entry);
            assert_eq!(index.find(crowded(entry), |found| found == entry), Some(entry));
        }
    }
}
