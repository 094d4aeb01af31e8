//! CRC-32, the checksum of the workspace (ISO 3309 polynomial, as in zlib).
//!
//! A checksum stops accidents, not forgery. A *seeded* checksum also says where the bytes belong. Two seeds never give
//! the same checksum for bytes of one length, so a right block in a wrong place fails its check.

mod prefix_sums;

use crc32fast::Hasher;

pub(crate) use prefix_sums::PrefixSums;

/// The CRC-32 of `bytes`.
#[inline]
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// The CRC-32 of `bytes`, started from `seed` instead of zero.
#[inline]
pub fn seeded_crc32(seed: u32, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_standard_holds() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(seeded_crc32(crc32(b"1234"), b"56789"), 0xcbf4_3926);
    }

    #[test]
    fn two_seeds_never_give_one_sum_for_bytes_of_one_length() {
        for bytes in [&b""[..], b"a", b"some bytes"] {
            assert_ne!(seeded_crc32(1, bytes), seeded_crc32(2, bytes));
        }
    }
}
