//! The line of a hash, and its bits in it.

/// Bytes of a line: one cache line.
pub(crate) const LINE_LEN: usize = 64;

/// How many bits of a hash choose a bit of a line.
const BITS_PER_PROBE: u32 = 9;

/// The most probes that one hash has bits for.
pub(super) const MOST_PROBES: u8 = 7;

const _: () = assert!(LINE_LEN * 8 == 1 << BITS_PER_PROBE, "the bits of a probe choose any bit");
const _: () = assert!(MOST_PROBES as u32 * BITS_PER_PROBE <= u64::BITS, "there are bits for all");

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

/// The bits of `hash` in its line.
#[inline]
fn bits(hash: u64, probes: u8) -> impl Iterator<Item = usize> {
    let spread = spread(hash);
    let probe = move |number: u8| spread << (u32::from(number) * BITS_PER_PROBE);
    (0..probes).map(move |number| (probe(number) >> (u64::BITS - BITS_PER_PROBE)) as usize)
}

/// Sets the bits of `hash` in `line`.
#[inline]
pub(super) fn set(line: &mut [u8; LINE_LEN], hash: u64, probes: u8) {
    for bit in bits(hash, probes) {
        line[bit / 8] |= 1 << (bit % 8);
    }
}

/// Whether all bits of `hash` are set in `line`. It reads all of them: a jump after each would be mispredicted more often
/// than it saved a read.
#[inline]
pub(crate) fn is_set(line: &[u8; LINE_LEN], hash: u64, probes: u8) -> bool {
    bits(hash, probes).fold(1, |all, bit| all & (line[bit / 8] >> (bit % 8))) & 1 == 1
}

#[cfg(test)]
mod tests {
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
            assert!(bits(hash, MOST_PROBES).all(|bit| bit < 8 * LINE_LEN));
            if number < 300 {
                set(&mut line, hash, MOST_PROBES);
                assert!(is_set(&line, hash, MOST_PROBES));
            }
        }
        assert!(lines.iter().all(|count| (850..1150).contains(count)), "{lines:?}");
        let ones: u32 = line.iter().map(|byte| byte.count_ones()).sum();
        assert!(ones > 490, "300 stems with 7 bits each leave few of 512 bits: {ones}");
        assert_eq!((line_of(0, 5), line_of(u64::MAX, 5)), (0, 4));
    }
}
