//! Hints: about where the entry of a stem begins in its data block.
//!
//! A search of a data block reads its heads, and they tell where the entry is. Neither is in the caches of the processor, as a
//! rule. With a hint, both are loaded at the same time, and so a look-up waits for the memory once instead of twice.
//!
//! The hints of a line of the filter are 64 *cells* of a byte, which lie right behind the line. A stem has two of them, and its
//! hint is their exclusive or. So the cells are the nodes of a graph, and each stem is an edge between its two cells. In a
//! forest every edge can have its hint: the roots are zero, and each other cell follows from the one above it. A stem whose
//! edge would close a cycle gets none: with 51 stems in a line, one of ten. A reader cannot tell, and its two cells name any
//! place of the block. So a hint is good for loading memory, and for nothing else.

use super::line::LINE_LEN;

/// The cells of one line.
pub(crate) type HintCells = [u8; LINE_LEN];

/// The two different cells of a hash.
#[inline]
fn cells_of(hash: u64) -> (usize, usize) {
    let first = hash as usize % LINE_LEN;
    // Of 8 bits, a number from 1 to 63.
    let distance = 1 + ((hash >> 6) as usize % 256 * (LINE_LEN - 1)) / 256;
    (first, first ^ distance)
}

/// The hint of `hash` in the cells of its line.
#[inline]
pub(crate) fn hint_of(cells: &HintCells, hash: u64) -> u8 {
    let (first, second) = cells_of(hash);
    cells[first] ^ cells[second]
}

/// The hint for an entry at `at` of a data block of `len` bytes: in which 256th of the block it begins.
#[inline]
pub(crate) fn hint_at(at: usize, len: usize) -> u8 {
    assert!(at < len, "an entry begins in its block");
    (at as u64 * 256 / len as u64) as u8
}

/// Where the 256th of a block of `len` bytes begins that `hint` names.
#[inline]
pub(crate) fn start_of(hint: u8, len: usize) -> usize {
    (u64::from(hint) * len as u64 / 256) as usize
}

/// Finds the cells of one line: a forest over them, whose edges are stems.
#[derive(Clone, Debug)]
pub(super) struct HintForest {
    /// The cell above each cell; its own number at a root.
    parents: [u8; LINE_LEN],
    /// The exclusive or of each cell and the one above.
    differences: HintCells,
}

impl HintForest {
    pub(super) fn new() -> Self {
        Self { parents: std::array::from_fn(|cell| cell as u8), differences: [0; LINE_LEN] }
    }

    /// The root above `cell`, and the exclusive or of both.
    #[inline]
    fn root(&self, mut cell: usize) -> (usize, u8) {
        let mut difference = 0;
        while usize::from(self.parents[cell]) != cell {
            difference ^= self.differences[cell];
            cell = usize::from(self.parents[cell]);
        }
        (cell, difference)
    }

    /// Has the cells of `hash` give `hint`, unless they are decided already.
    #[inline]
    pub(super) fn add(&mut self, hash: u64, hint: u8) {
        let (first, second) = cells_of(hash);
        let ((above, upper), (other, lower)) = (self.root(first), self.root(second));
        if above != other {
            self.parents[above] = other as u8;
            self.differences[above] = upper ^ lower ^ hint;
            debug_assert_eq!(self.root(first).1 ^ self.root(second).1, hint, "the cells give it");
        }
    }

    /// The cells. Those of the roots are zero.
    pub(super) fn cells(&self) -> HintCells {
        std::array::from_fn(|cell| self.root(cell).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::hash_stem;

    fn hash(number: u64) -> u64 {
        hash_stem(&number.to_le_bytes())
    }

    /// How many of the stems from `first` on have their hint in a line for all of them.
    fn right(first: u64, stems: u64) -> usize {
        let hint = |number: u64| (number * 37 % 256) as u8;
        let mut forest = HintForest::new();
        (first..first + stems).for_each(|number| forest.add(hash(number), hint(number)));
        let cells = forest.cells();
        (first..first + stems).filter(|at| hint_of(&cells, hash(*at)) == hint(*at)).count()
    }

    #[test]
    fn nine_of_ten_stems_of_a_full_line_have_their_hint() {
        let lines = 400;
        let all: usize = (0..lines).map(|line| right(line * 1_000, 51)).sum();
        assert!(all * 100 > 51 * lines as usize * 89, "{all}");
        assert!((0..64).all(|line| right(line, 1) == 1), "one stem closes no cycle");
        assert!(right(0, 1_000) >= 63, "63 edges span all cells");
    }

    #[test]
    fn a_hash_has_two_cells_and_all_cells_are_taken() {
        let mut taken = [0_u32; LINE_LEN];
        for number in 0..64_000 {
            let (first, second) = cells_of(hash(number));
            assert_ne!(first, second);
            taken[first] += 1;
            taken[second] += 1;
        }
        assert!(taken.iter().all(|count| (1_700..2_300).contains(count)), "{taken:?}");
    }

    #[test]
    fn a_hint_names_the_256th_of_the_block_that_has_the_place() {
        for len in [1, 12, 255, 256, 257, 4_096, 100_000, u32::MAX as usize] {
            for at in [0, 1, 11, 200, 4_000, len / 3, len - 1] {
                if at < len {
                    let start = start_of(hint_at(at, len), len);
                    assert!(start <= at && at - start <= len / 256 + 1, "{at} of {len}");
                }
            }
            assert!(start_of(255, len) < len);
        }
    }
}
