//! CRC-32, the checksum of the house (ISO 3309 polynomial, as in zlib).
//!
//! A checksum stops accidents, not forgery. A *seeded* one also says where the bytes belong: for bytes of one length,
//! two seeds never give the same sum, so a right block in a wrong place fails its check.

use crc32fast::Hasher;

/// The CRC-32 of `bytes`.
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// The CRC-32 of `bytes`, started from `seed` instead of zero.
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
}
