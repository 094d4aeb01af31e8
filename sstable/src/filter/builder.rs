//! Building a filter.

use super::directory::{CHUNK_LEN, FilterDirectory};
use super::line::{LINE_LEN, MOST_PROBES, line_of, set};
use crate::stored_block::Seeds;

/// Collects the hashes of a table's stems, 8 bytes each, until their number is known.
#[derive(Debug)]
pub(crate) struct FilterBuilder {
    bits_per_stem: u8,
    hashes: Vec<u64>,
}

impl FilterBuilder {
    /// A filter with so many bits for each stem; none at all with 0.
    pub(crate) fn new(bits_per_stem: u8) -> Self {
        Self { bits_per_stem, hashes: Vec::new() }
    }

    /// Whether there is to be a filter.
    pub(crate) fn is_wanted(&self) -> bool {
        self.bits_per_stem > 0
    }

    /// Adds a stem by its hash.
    #[inline]
    pub(crate) fn add(&mut self, hash: u64) {
        self.hashes.push(hash);
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
        let probes = probes_for(self.bits_per_stem);
        debug_assert!(lines > 0 && (1..=MOST_PROBES).contains(&probes), "a reader accepts them");
        let mut bytes = vec![0; lines as usize * LINE_LEN];
        let (chunks, rest) = bytes.as_chunks_mut::<LINE_LEN>();
        assert!(rest.is_empty() && chunks.len() == lines as usize, "a filter has whole lines");
        for hash in self.hashes {
            set(&mut chunks[line_of(hash, lines)], hash, probes);
        }
        let directory = FilterDirectory::describe(&bytes, probes, seeds, offset);
        debug_assert_eq!(bytes.len().div_ceil(CHUNK_LEN), directory.chunks(), "a sum a chunk");
        Some((bytes, directory))
    }
}

/// The number of probes with the fewest false positives: the number of bits times the logarithm of 2, less a little
/// because the stems are spread unevenly over the lines.
fn probes_for(bits_per_stem: u8) -> u8 {
    (u16::from(bits_per_stem) * 6 / 10).clamp(1, MOST_PROBES.into()) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{hash_stem, is_set};
    use crate::table_id::TableId;

    fn build(stems: u64, bits_per_stem: u8) -> Option<(Vec<u8>, FilterDirectory)> {
        let mut builder = FilterBuilder::new(bits_per_stem);
        (0..stems).for_each(|stem| builder.add(hash_stem(&stem.to_le_bytes())));
        builder.finish(Seeds::of(TableId([0; 16])), 0)
    }

    #[test]
    fn every_stem_is_found_and_one_of_a_hundred_others() {
        for stems in [1_u64, 10, 1_000, 100_000] {
            let (bytes, directory) = build(stems, 10).unwrap();
            assert_eq!(bytes.len() as u64, (stems * 10).div_ceil(512) * 64);
            let lines = bytes.as_chunks().0;
            let has = |stem: u64| {
                let hash = hash_stem(&stem.to_le_bytes());
                is_set(&lines[line_of(hash, directory.lines)], hash, directory.probes)
            };
            assert!((0..stems).all(has));
            let foreign = (stems..stems + 100_000).filter(|stem| has(*stem)).count();
            assert!(foreign < 1_300, "{foreign} of 100,000 beside {stems}");
        }
    }

    #[test]
    fn without_bits_or_stems_there_is_no_filter() {
        assert!(build(100, 0).is_none());
        assert!(build(0, 10).is_none());
        assert_eq!([1, 5, 10, 20].map(probes_for), [1, 3, 6, 7]);
    }
}
