//! Checksums of many ranges of the same bytes, for the price of one pass.
//!
//! A search for a valid record in a torn tail has to check a range at every place where a record may begin. Summing each
//! range by itself is quadratic in bytes that somebody crafted. CRC-32 is linear, which avoids that:
//!
//! ```text
//! crc(seed, A) xor crc(other, A) = shift(seed xor other, |A|)
//! ```
//!
//! `shift(v, n)` multiplies the polynomial `v` by x to the power of 8n, modulo the polynomial of CRC-32. Let P(i) be
//! the checksum of the first i bytes. The bytes from a to b then have the checksum `P(b) xor shift(seed xor P(a), b - a)`.
//! P is kept for every [`STRIDE`] bytes, so a range costs two pieces of less than that, and one `shift`.

use std::ops::Range;

use super::seeded_crc32;

/// How far apart the kept prefixes end. They take 4 bytes each: a sixteenth of the bytes.
const STRIDE: usize = 64;

/// The polynomial of CRC-32; the highest bit is the coefficient of x to the power of 0.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// The polynomial 1.
const ONE: u32 = 1 << 31;

/// x to the power of 8, 16, 32, and so on, each the square of the one before.
const POWERS: [u32; usize::BITS as usize] = powers();

/// Sums ranges of some bytes, each in a time that does not depend on its length.
#[derive(Debug)]
pub(crate) struct PrefixSums<'b> {
    bytes: &'b [u8],
    /// The checksums of the first 0, [`STRIDE`], 2 * [`STRIDE`] bytes and so on. Empty until the first range is summed.
    prefixes: Vec<u32>,
    summed: u64,
}

impl<'b> PrefixSums<'b> {
    /// Sums nothing yet.
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, prefixes: Vec::new(), summed: 0 }
    }

    /// The CRC-32 of the bytes in `range`, started from `seed`.
    ///
    /// # Panics
    /// When the range does not lie in the bytes.
    pub(crate) fn sum(&mut self, seed: u32, range: Range<usize>) -> u32 {
        assert!(range.start <= range.end && range.end <= self.bytes.len(), "a range of the bytes");
        if self.prefixes.is_empty() {
            self.sum_prefixes();
        }
        let before = self.prefix(range.start);
        let sum = self.prefix(range.end) ^ shift(seed ^ before, range.len());
        debug_assert!(
            range.len() > 4 * STRIDE || sum == seeded_crc32(seed, &self.bytes[range]),
            "the combined sum is the sum"
        );
        sum
    }

    /// How many bytes were summed so far: at most the length of the bytes, and less than 128 for each range.
    pub(crate) fn summed(&self) -> u64 {
        self.summed
    }

    fn sum_prefixes(&mut self) {
        self.prefixes.reserve_exact(self.bytes.len() / STRIDE + 1);
        let mut sum = 0;
        self.prefixes.push(sum);
        for piece in self.bytes.chunks_exact(STRIDE) {
            sum = seeded_crc32(sum, piece);
            self.prefixes.push(sum);
        }
        self.summed += self.bytes.len() as u64;
    }

    /// The checksum of the first `len` bytes.
    fn prefix(&mut self, len: usize) -> u32 {
        let rest = &self.bytes[len / STRIDE * STRIDE..len];
        debug_assert!(rest.len() < STRIDE, "a kept prefix ends close before");
        self.summed += rest.len() as u64;
        seeded_crc32(self.prefixes[len / STRIDE], rest)
    }
}

/// `value` times x to the power of `8 * len`.
fn shift(value: u32, len: usize) -> u32 {
    let bits = (0..POWERS.len()).filter(|bit| len >> bit & 1 == 1);
    bits.fold(value, |product, bit| multiply(product, POWERS[bit]))
}

/// The product of two polynomials, modulo the polynomial of CRC-32.
const fn multiply(left: u32, right: u32) -> u32 {
    let (mut product, mut shifted, mut bit) = (0, right, ONE);
    while bit != 0 {
        if left & bit != 0 {
            product ^= shifted;
        }
        // Times x: the coefficient that leaves comes back as the polynomial.
        shifted = if shifted & 1 == 1 { (shifted >> 1) ^ POLYNOMIAL } else { shifted >> 1 };
        bit >>= 1;
    }
    product
}

const fn powers() -> [u32; usize::BITS as usize] {
    let mut powers = [ONE >> 8; usize::BITS as usize];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = multiply(powers[at - 1], powers[at - 1]);
        at += 1;
    }
    powers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_every_range_is_the_sum_of_its_bytes() {
        let bytes: Vec<u8> = (0..300_u32).map(|at| (at * at % 251) as u8).collect();
        let mut sums = PrefixSums::new(&bytes);
        for start in 0..=bytes.len() {
            for end in start..=bytes.len() {
                let seed = (start as u32).wrapping_mul(0x9e37_79b1) ^ end as u32;
                assert_eq!(sums.sum(seed, start..end), seeded_crc32(seed, &bytes[start..end]));
            }
        }
    }

    #[test]
    fn a_long_range_costs_no_more_than_a_short_one() {
        let bytes = vec![7; 1 << 20];
        let mut sums = PrefixSums::new(&bytes);
        assert_eq!(sums.sum(9, 3..bytes.len() - 5), seeded_crc32(9, &bytes[3..bytes.len() - 5]));
        let before = sums.summed();
        for start in 0..1000 {
            sums.sum(1, start..bytes.len() - 1);
        }
        assert!(before <= bytes.len() as u64 + 128 && sums.summed() - before < 128_000);
    }
}
