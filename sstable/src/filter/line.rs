//! The line of a hash, and its bits in it.

/// Bytes of a line: one cache line.
pub(crate) const LINE_LEN: usize = 64;

/// Bytes of a word of a line.
const WORD_LEN: usize = 8;

/// Words of half a line.
const WORDS_OF_HALF: usize = LINE_LEN / WORD_LEN / 2;

/// How many bits of a hash choose a word of a half.
const BITS_PER_WORD: u32 = WORDS_OF_HALF.ilog2();

/// How many bits of a hash choose a bit of a word.
const BITS_PER_PROBE: u32 = (8 * WORD_LEN).ilog2();

/// The most bits of a stem: three in each of its words. A filter with 10 bits for each stem, or more, has so many.
pub(super) const MOST_PROBES: u8 = 6;

const _: () = assert!(
    2 * BITS_PER_WORD + MOST_PROBES as u32 * BITS_PER_PROBE <= u64::BITS,
    "a hash has bits for both words and all probes"
);

/// The hash of a stem, as the filters of all tables use it. A store that asks many tables hashes a stem once.
#[inline]
pub fn hash_stem(stem: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(stem)
}

/// The line of `hash` among `lines`, of which there is at least one.
#[inline]
pub(crate) fn line_of(hash: u64, lines: u32) -> usize {
    let line = (u128::from(hash) * u128::from(lines)) >> 64;
    debug_assert!(line < u128::from(lines), "a hash has a line");
    line as usize
}

/// The bits of a hash that choose places inside a line.
#[inline]
pub(super) fn spread(hash: u64) -> u64 {
    hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The bits of a stem in its line.
#[derive(Clone, Copy, Debug)]
struct StemBits {
    /// The words that have them: one of each half of the line.
    words: [usize; 2],
    /// All bits of each word but those of the stem.
    others: [u64; 2],
}

impl StemBits {
    #[expect(
        clippy::inline_always,
        reason = "with a known number of probes, the loop is a dozen instructions"
    )]
    #[inline(always)]
    fn of(hash: u64, probes: u8) -> Self {
        debug_assert!((1..=MOST_PROBES).contains(&probes), "a stem has bits");
        let spread = spread(hash);
        // The bits of the spread hash from the upper end on: a word, a word, and a bit for each probe.
        let mut end = u64::BITS - BITS_PER_WORD;
        let first = (spread >> end) as usize % WORDS_OF_HALF;
        end -= BITS_PER_WORD;
        let second = (spread >> end) as usize % WORDS_OF_HALF;
        let mut others = [!0; 2];
        for probe in 0..usize::from(probes) {
            end -= BITS_PER_PROBE;
            others[probe % 2] &= !(1 << ((spread >> end) % u64::from(u64::BITS)));
        }
        Self { words: [first, WORDS_OF_HALF + second], others }
    }

    /// Whether all of them are set in `line`.
    #[inline]
    fn are_set(&self, line: &[u8; LINE_LEN]) -> bool {
        let words = line.as_chunks::<WORD_LEN>().0;
        let [first, second] = self.words.map(|word| u64::from_le_bytes(words[word]));
        (first | self.others[0]) & (second | self.others[1]) == !0
    }
}

/// Sets the bits of `hash` in `line`.
#[inline]
pub(super) fn set(line: &mut [u8; LINE_LEN], hash: u64, probes: u8) {
    let bits = StemBits::of(hash, probes);
    let words = line.as_chunks_mut::<WORD_LEN>().0;
    for (word, others) in bits.words.into_iter().zip(bits.others) {
        words[word] = (u64::from_le_bytes(words[word]) | !others).to_le_bytes();
    }
    debug_assert!(bits.are_set(line), "the line has the stem");
}

/// Whether all bits of `hash` are set in `line`.
///
/// The fewer instructions this takes, the more look-ups the processor has in flight while the first one waits for its line.
#[inline]
pub(crate) fn is_set(line: &[u8; LINE_LEN], hash: u64, probes: u8) -> bool {
    if probes == MOST_PROBES {
        StemBits::of(hash, MOST_PROBES).are_set(line)
    } else {
        is_set_with_fewer(line, hash, probes)
    }
}

/// As [`is_set`], for a filter with fewer probes.
#[inline(never)]
fn is_set_with_fewer(line: &[u8; LINE_LEN], hash: u64, probes: u8) -> bool {
    StemBits::of(hash, probes).are_set(line)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        // The test vector of XXH3 for no bytes and seed 0.
        assert_eq!(hash_stem(b""), 0x2d06_8005_38d3_94c2);
    }

    #[test]
    fn hashes_spread_over_all_lines_and_bits() {
        let mut lines = [0_u32; 7];
        let mut line = [0; LINE_LEN];
        for number in 0..7_000_u64 {
            let hash = hash_stem(&number.to_le_bytes());
            lines[line_of(hash, 7)] += 1;
            if number < 300 {
                set(&mut line, hash, MOST_PROBES);
                assert!(is_set(&line, hash, MOST_PROBES));
            }
        }
        assert!(lines.iter().all(|count| (850..1150).contains(count)), "{lines:?}");
        let ones: u32 = line.iter().map(|byte| byte.count_ones()).sum();
        assert!(ones > 480, "300 stems with 6 bits each leave few of 512 bits: {ones}");
        assert_eq!((line_of(0, 5), line_of(u64::MAX, 5)), (0, 4));
    }

    #[test]
    fn a_stem_has_its_bits_in_one_word_of_each_half() {
        for number in 0..1_000_u64 {
            let hash = hash_stem(&number.to_le_bytes());
            for probes in 1..=MOST_PROBES {
                let mut line = [0; LINE_LEN];
                set(&mut line, hash, probes);
                assert!(is_set(&line, hash, probes));
                let taken: Vec<usize> = (0..LINE_LEN).filter(|at| line[*at] != 0).collect();
                let words: BTreeSet<usize> = taken.iter().map(|at| at / WORD_LEN).collect();
                let halves: Vec<usize> = words.iter().map(|word| word / WORDS_OF_HALF).collect();
                assert_eq!(halves, &[0, 1][..usize::from(probes).min(2)], "{words:?}");
                // Without any of its bits, the line does not have the stem.
                for at in taken {
                    let mut other = line;
                    other[at] &= other[at] - 1;
                    assert!(!is_set(&other, hash, probes), "{number}: {at}");
                }
            }
        }
    }

    #[test]
    fn all_words_of_a_half_are_taken_equally() {
        let mut taken = [0_u32; 2 * WORDS_OF_HALF];
        for number in 0..8_000_u64 {
            let bits = StemBits::of(hash_stem(&number.to_le_bytes()), MOST_PROBES);
            bits.words.iter().for_each(|word| taken[*word] += 1);
        }
        assert!(taken.iter().all(|count| (1_850..2_150).contains(count)), "{taken:?}");
    }
}
