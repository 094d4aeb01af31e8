//! The line of a hash, and its bits in it.

/// Bytes of a line: one cache line.
pub(crate) const LINE_LEN: usize = 64;

/// Bytes of a word of a line.
const WORD_LEN: usize = 8;

/// Words of half a line.
const WORDS_OF_HALF: usize = LINE_LEN / WORD_LEN / 2;

/// How many bits of a hash choose a word of a half.
const BITS_OF_WORD: u32 = WORDS_OF_HALF.ilog2();

/// How many bits of a hash choose a bit of a word, or a rotation of one.
const BITS_OF_PLACE: u32 = (8 * WORD_LEN).ilog2();

/// The most bits of a stem in each of its words. A filter with 8 bits for each stem, or more, has so many.
pub(super) const MOST_BITS: u8 = 3;

/// Behind the places in the first word, a hash has the rotation that leads to the bits in the second one.
const ROTATION_AT: u32 = MOST_BITS as u32 * BITS_OF_PLACE;

/// Behind the rotation, it has the two words.
const WORDS_AT: [u32; 2] =
    [ROTATION_AT + BITS_OF_PLACE, ROTATION_AT + BITS_OF_PLACE + BITS_OF_WORD];

const _: () = assert!(
    WORDS_AT[1] + BITS_OF_WORD <= u32::BITS,
    "the upper half of a hash chooses the line, the lower half everything in it"
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

/// The bits of a stem in its line.
#[derive(Clone, Copy, Debug)]
struct StemBits {
    /// The words that have them: one of each half of the line.
    words: [usize; 2],
    /// All bits of each word but those of the stem.
    others: [u64; 2],
}

impl StemBits {
    /// `bits` is how many there are in each word. The places come from the lower end of the hash.
    #[expect(
        clippy::inline_always,
        reason = "with a known number of bits, the loop is a dozen instructions"
    )]
    #[inline(always)]
    fn of(hash: u64, bits: u8) -> Self {
        debug_assert!((1..=MOST_BITS).contains(&bits), "a stem has bits");
        let mut first: u64 = !0;
        for bit in 0..u32::from(bits) {
            first &= !(1 << ((hash >> (bit * BITS_OF_PLACE)) % u64::from(u64::BITS)));
        }
        // As good as bits of their own, nearly, and fewer instructions.
        let second = first.rotate_left((hash >> ROTATION_AT) as u32 % u64::BITS);
        let [one, other] = WORDS_AT.map(|at| (hash >> at) as usize % WORDS_OF_HALF);
        Self { words: [one, WORDS_OF_HALF + other], others: [first, second] }
    }

    /// Whether all of them are set in `line`.
    #[inline]
    fn are_set(&self, line: &[u8; LINE_LEN]) -> bool {
        let words = line.as_chunks::<WORD_LEN>().0;
        let [first, second] = self.words.map(|word| u64::from_le_bytes(words[word]));
        (first | self.others[0]) & (second | self.others[1]) == !0
    }
}

/// Sets the bits of `hash` in `line`, so many in each of two words.
#[inline]
pub(super) fn set(line: &mut [u8; LINE_LEN], hash: u64, bits: u8) {
    let bits = StemBits::of(hash, bits);
    let words = line.as_chunks_mut::<WORD_LEN>().0;
    for (word, others) in bits.words.into_iter().zip(bits.others) {
        words[word] = (u64::from_le_bytes(words[word]) | !others).to_le_bytes();
    }
    debug_assert!(bits.are_set(line), "the line has the stem");
}

/// Whether all bits of `hash` are set in `line`, so many in each of two words.
///
/// The fewer instructions this takes, the more look-ups the processor has in flight while the first one waits for its line.
#[inline]
pub(crate) fn is_set(line: &[u8; LINE_LEN], hash: u64, bits: u8) -> bool {
    if bits == MOST_BITS {
        StemBits::of(hash, MOST_BITS).are_set(line)
    } else {
        is_set_with_fewer(line, hash, bits)
    }
}

/// As [`is_set`], for a filter with fewer bits for each stem.
#[inline(never)]
fn is_set_with_fewer(line: &[u8; LINE_LEN], hash: u64, bits: u8) -> bool {
    StemBits::of(hash, bits).are_set(line)
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
                set(&mut line, hash, MOST_BITS);
                assert!(is_set(&line, hash, MOST_BITS));
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
            for bits in 1..=MOST_BITS {
                let mut line = [0; LINE_LEN];
                set(&mut line, hash, bits);
                assert!(is_set(&line, hash, bits));
                let taken: Vec<usize> = (0..LINE_LEN).filter(|at| line[*at] != 0).collect();
                let words: BTreeSet<usize> = taken.iter().map(|at| at / WORD_LEN).collect();
                let halves: Vec<usize> = words.iter().map(|word| word / WORDS_OF_HALF).collect();
                assert_eq!(halves, [0, 1], "{words:?}");
                // Without any of its bits, the line does not have the stem.
                for at in taken {
                    let mut other = line;
                    other[at] &= other[at] - 1;
                    assert!(!is_set(&other, hash, bits), "{number}: {at}");
                }
            }
        }
    }

    #[test]
    fn all_words_of_a_half_are_taken_equally() {
        let mut taken = [0_u32; 2 * WORDS_OF_HALF];
        for number in 0..8_000_u64 {
            let bits = StemBits::of(hash_stem(&number.to_le_bytes()), MOST_BITS);
            bits.words.iter().for_each(|word| taken[*word] += 1);
        }
        assert!(taken.iter().all(|count| (1_850..2_150).contains(count)), "{taken:?}");
    }
}
