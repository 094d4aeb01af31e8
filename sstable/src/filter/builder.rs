//! Building a filter.

use super::directory::{CHUNK_LEN, FilterDirectory, LineFormat};
use super::hints::{HintForest, hint_at};
use super::line::{LINE_LEN, MOST_BITS, line_of, set};
use crate::stored_block::Seeds;

/// Collects the hashes of a table's stems, 8 bytes each, and their hints, until their number is known.
#[derive(Debug)]
pub(crate) struct FilterBuilder {
    bits_per_stem: u8,
    has_hints: bool,
    hashes: Vec<u64>,
    /// The hints of the stems whose data block is finished.
    hints: Vec<u8>,
    /// For each of the other stems, the index of its first entry in the data block.
    unplaced: Vec<u32>,
}

impl FilterBuilder {
    /// A filter with so many bits for each stem; none at all with 0.
    pub(crate) fn new(bits_per_stem: u8, has_hints: bool) -> Self {
        let (hashes, hints, unplaced) = (Vec::new(), Vec::new(), Vec::new());
        Self { bits_per_stem, has_hints, hashes, hints, unplaced }
    }

    /// Whether there is to be a filter.
    pub(crate) fn is_wanted(&self) -> bool {
        self.bits_per_stem > 0
    }

    /// Adds a stem by its hash. Its first entry is number `index` of the current data block.
    #[inline]
    pub(crate) fn add(&mut self, hash: u64, index: usize) {
        self.hashes.push(hash);
        if self.has_hints {
            self.unplaced.push(index as u32);
        }
    }

    /// The current data block is finished and has `len` bytes. `start_of` tells where a search begins to read an entry.
    pub(crate) fn end_block(&mut self, len: usize, start_of: impl Fn(usize) -> usize) {
        let hint = |index: u32| hint_at(start_of(index as usize), len);
        self.hints.extend(self.unplaced.drain(..).map(hint));
        debug_assert!(!self.has_hints || self.hints.len() == self.hashes.len(), "a hint each");
    }

    /// The lines of the filter, and the description of them if the first one lies at `offset`. `None`: there is to be no
    /// filter, or no stem was added.
    pub(crate) fn finish(self, seeds: Seeds, offset: u64) -> Option<(Vec<u8>, FilterDirectory)> {
        if self.hashes.is_empty() || !self.is_wanted() {
            return None;
        }
        let bits = self.hashes.len() as u64 * u64::from(self.bits_per_stem);
        // A table with more stems than 2^32 lines are good for gets a filter that is less sharp.
        let lines = bits.div_ceil(8 * LINE_LEN as u64).min(u32::MAX.into()) as u32;
        let bits_per_word = bits_per_word(self.bits_per_stem);
        debug_assert!(
            lines > 0 && (1..=MOST_BITS).contains(&bits_per_word),
            "a reader accepts them"
        );
        let format = LineFormat { bits_per_word, has_hints: self.has_hints };
        let mut bytes = vec![0; lines as usize * format.stride()];
        let (chunks, rest) = bytes.as_chunks_mut::<LINE_LEN>();
        assert!(rest.is_empty(), "a filter has whole lines");
        let step = format.stride() / LINE_LEN;
        for hash in &self.hashes {
            set(&mut chunks[line_of(*hash, lines) * step], *hash, bits_per_word);
        }
        if self.has_hints {
            let cells = chunks.iter_mut().skip(1).step_by(step);
            self.hint_forests(lines)
                .iter()
                .zip(cells)
                .for_each(|(forest, cells)| *cells = forest.cells());
        }
        let directory = FilterDirectory::describe(&bytes, format, seeds, offset);
        debug_assert_eq!(bytes.len().div_ceil(CHUNK_LEN), directory.chunks(), "a sum a chunk");
        Some((bytes, directory))
    }

    /// The hints of all stems, a forest for each line.
    fn hint_forests(&self, lines: u32) -> Vec<HintForest> {
        assert_eq!(self.hints.len(), self.hashes.len(), "the last data block is finished");
        let mut forests = vec![HintForest::new(); lines as usize];
        for (hash, hint) in self.hashes.iter().zip(&self.hints) {
            forests[line_of(*hash, lines)].add(*hash, *hint);
        }
        forests
    }
}

/// The number of bits in each word of a stem with the fewest false positives, by counting them for each number of bits for
/// each stem.
fn bits_per_word(bits_per_stem: u8) -> u8 {
    (u16::from(bits_per_stem) * 2 / 5).clamp(1, MOST_BITS.into()) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{hash_stem, hint_of, is_set};
    use crate::table_id::TableId;

    fn build(stems: u64, bits_per_stem: u8, has_hints: bool) -> Option<(Vec<u8>, FilterDirectory)> {
        let mut builder = FilterBuilder::new(bits_per_stem, has_hints);
        for stem in 0..stems {
            builder.add(hash_stem(&stem.to_le_bytes()), stem as usize % 10);
            if stem % 10 == 9 || stem + 1 == stems {
                builder.end_block(2_560, |index| 100 + index * 240);
            }
        }
        builder.finish(Seeds::of(TableId([0; 16])), 0)
    }

    #[test]
    fn hints_follow_each_line_and_most_of_them_are_right() {
        let (bytes, directory) = build(100_000, 10, true).unwrap();
        let (plain, _) = build(100_000, 10, false).unwrap();
        let lines: Vec<u8> = bytes.chunks(64).step_by(2).flatten().copied().collect();
        assert_eq!(lines, plain, "hints change no line");
        let right = (0..100_000_u64).filter(|stem| {
            let hash = hash_stem(&stem.to_le_bytes());
            let cells = &bytes.as_chunks().0[directory.line_at(hash) / LINE_LEN + 1];
            usize::from(hint_of(cells, hash)) == (100 + *stem as usize % 10 * 240) / 10
        });
        assert!(right.count() > 89_000);
    }

    #[test]
    fn every_stem_is_found_and_one_of_a_hundred_others() {
        for stems in [1_u64, 10, 1_000, 100_000] {
            let (bytes, directory) = build(stems, 10, false).unwrap();
            assert_eq!(bytes.len() as u64, (stems * 10).div_ceil(512) * 64);
            let lines = bytes.as_chunks().0;
            let has = |stem: u64| {
                let hash = hash_stem(&stem.to_le_bytes());
                is_set(
                    &lines[directory.line_at(hash) / LINE_LEN],
                    hash,
                    directory.format.bits_per_word,
                )
            };
            assert!((0..stems).all(has));
            let foreign = (stems..stems + 100_000).filter(|stem| has(*stem)).count();
            assert!(foreign < 1_300, "{foreign} of 100,000 beside {stems}");
        }
    }

    #[test]
    fn without_bits_or_stems_there_is_no_filter() {
        assert!(build(100, 0, true).is_none());
        assert!(build(0, 10, true).is_none());
        assert_eq!([1, 4, 5, 7, 8, 10, 255].map(bits_per_word), [1, 1, 2, 2, 3, 3, 3]);
    }
}
