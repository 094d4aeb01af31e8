//! The hash index of a shard: open addressing with linear probing over cells of 4 bytes.
//!
//! A cell holds the number of an entry plus one in its low 24 bits and a fingerprint of the hash in its high 8 bits;
//! zero is empty. The length is any number, not only powers of two, so that the index can grow by a quarter at a time
//! and stay between 70 and 87.5 % full. Removal shifts later cells back: there are no grave cells to skip.

/// Entries that a shard can number.
pub(super) const MAX_ENTRIES: usize = (1 << 24) - 1;

const EMPTY: u32 = 0;
const FEWEST_CELLS: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Index {
    cells: Vec<u32>,
    filled: usize,
}

fn fingerprint(hash: u64) -> u32 {
    ((hash & 0xff) as u32) << 24
}

impl Index {
    /// The entry for which `is_it` holds, among those whose fingerprint matches.
    pub(super) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.cell_of(hash, &mut is_it).map(|cell| number(self.cells[cell]))
    }

    /// Adds an entry that is not there yet. `hash_of` gives the hash of any entry, for growing.
    pub(super) fn insert(&mut self, hash: u64, entry: u32, hash_of: impl Fn(u32) -> u64) {
        if (self.filled + 1) * 8 > self.cells.len() * 7 {
            self.grow(hash_of);
        }
        self.put(hash, entry);
        self.filled += 1;
    }

    /// Removes the entry for which `is_it` holds and returns it.
    pub(super) fn remove(
        &mut self,
        hash: u64,
        mut is_it: impl FnMut(u32) -> bool,
        hash_of: impl Fn(u32) -> u64,
    ) -> Option<u32> {
        let mut hole = self.cell_of(hash, &mut is_it)?;
        let removed = number(self.cells[hole]);
        let mut cell = self.after(hole);
        while self.cells[cell] != EMPTY {
            let home = self.home(hash_of(number(self.cells[cell])));
            if self.distance(home, cell) >= self.distance(hole, cell) {
                self.cells[hole] = self.cells[cell];
                hole = cell;
            }
            cell = self.after(cell);
        }
        self.cells[hole] = EMPTY;
        self.filled -= 1;
        Some(removed)
    }

    pub(super) fn len(&self) -> usize {
        self.filled
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.cells.capacity() * size_of::<u32>()
    }

    /// All entries, in no order.
    pub(super) fn entries(&self) -> impl Iterator<Item = u32> {
        self.cells.iter().filter(|&&cell| cell != EMPTY).map(|&cell| number(cell))
    }

    fn cell_of(&self, hash: u64, is_it: &mut impl FnMut(u32) -> bool) -> Option<usize> {
        if self.cells.is_empty() {
            return None;
        }
        let wanted = fingerprint(hash);
        let mut at = self.home(hash);
        loop {
            let cell = self.cells[at];
            if cell == EMPTY {
                return None;
            }
            if cell & 0xff00_0000 == wanted && is_it(number(cell)) {
                return Some(at);
            }
            at = self.after(at);
        }
    }

    fn put(&mut self, hash: u64, entry: u32) {
        let mut at = self.home(hash);
        while self.cells[at] != EMPTY {
            at = self.after(at);
        }
        self.cells[at] = fingerprint(hash) | (entry + 1);
    }

    #[cold]
    fn grow(&mut self, hash_of: impl Fn(u32) -> u64) {
        let len = (self.cells.len() + self.cells.len() / 4).max(FEWEST_CELLS);
        let old = std::mem::replace(&mut self.cells, vec![EMPTY; len]);
        for cell in old {
            if cell != EMPTY {
                self.put(hash_of(number(cell)), number(cell));
            }
        }
    }

    /// Where an entry with `hash` would like to be. Uses bits 24 to 55: the shard has those above, the fingerprint
    /// those below.
    fn home(&self, hash: u64) -> usize {
        let bits = (hash >> 24) & 0xffff_ffff;
        ((bits * self.cells.len() as u64) >> 32) as usize
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 == self.cells.len() { 0 } else { at + 1 }
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.cells.len() - from }
    }
}

fn number(cell: u32) -> u32 {
    (cell & 0x00ff_ffff) - 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A hash that makes many entries share a home, so that removal has much to shift.
    fn crowded(entry: u32) -> u64 {
        (u64::from(entry % 7) << 50) | (u64::from(entry) << 24)
    }

    #[test]
    fn an_index_agrees_with_a_set_through_growth_and_removal() {
        let mut index = Index::default();
        let mut model = BTreeSet::new();
        let mut state = 1_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let entry = (state >> 40) as u32 % 600;
            let hash = crowded(entry);
            if model.remove(&entry) {
                let removed = index.remove(hash, |found| found == entry, crowded);
                assert_eq!(removed, Some(entry));
            } else {
                assert_eq!(index.find(hash, |found| found == entry), None);
                index.insert(hash, entry, crowded);
                model.insert(entry);
            }
            assert_eq!(index.len(), model.len());
        }
        for &entry in &model {
            assert_eq!(index.find(crowded(entry), |found| found == entry), Some(entry));
        }
        assert_eq!(index.entries().collect::<BTreeSet<_>>(), model);
    }
}
