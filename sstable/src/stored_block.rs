//! A block as it lies in the file: its body and a trailer.
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | | body: the block, or its length (4 bytes) and its compressed bytes |
//! | n | 1 | codec: 0 none, 1 LZ4, 2 zstd |
//! | n + 1 | 4 | CRC-32 of body and codec, started from the seed of the place |
//!
//! The seed is the xor of three numbers: the CRC-32 of the table's id, the lower 32 bits of the body's offset, and its upper 32
//! bits rotated left by 16. So a right block in a wrong place, or in another table, fails its check.

use durable::{crc32, seeded_crc32};

use crate::compression::Codec;
use crate::damage::{Checked, Damage};
use crate::table_id::TableId;

/// Bytes behind the body.
pub(crate) const TRAILER_LEN: usize = 5;

/// Makes the seeds of one table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seeds(u32);

impl Seeds {
    pub(crate) fn of(table: TableId) -> Self {
        Self(crc32(&table.0))
    }

    /// The seed of the bytes at `offset`.
    #[inline]
    pub(crate) fn at(self, offset: u64) -> u32 {
        self.0 ^ offset as u32 ^ ((offset >> 32) as u32).rotate_left(16)
    }
}

/// The trailer of a block with `body` at `offset`.
pub(crate) fn trailer(body: &[u8], codec: Codec, seeds: Seeds, offset: u64) -> [u8; TRAILER_LEN] {
    let code = codec as u8;
    debug_assert_eq!(Codec::from_code(code), Some(codec), "a codec reads back");
    debug_assert!(u32::try_from(body.len()).is_ok(), "a handle has room for the length");
    let sum = seeded_crc32(seeded_crc32(seeds.at(offset), body), &[code]);
    let [a, b, c, d] = sum.to_le_bytes();
    [code, a, b, c, d]
}

/// The codec and the body of the block `stored` at `offset`, checked.
#[inline]
pub(crate) fn check(stored: &[u8], seeds: Seeds, offset: u64) -> Checked<(Codec, &[u8])> {
    let (codec, body) = split(stored)?;
    let trailer = &stored[body.len()..];
    debug_assert_eq!(trailer.len(), TRAILER_LEN, "the body and the trailer are all");
    let sum = seeded_crc32(seeds.at(offset), &stored[..=body.len()]);
    if sum.to_le_bytes() != trailer[1..] {
        return Err(Damage::new(0, "the checksum of a block does not match"));
    }
    Ok((codec, body))
}

/// The codec and the body of the block `stored`, whose checksum was found right before.
#[inline]
pub(crate) fn split(stored: &[u8]) -> Checked<(Codec, &[u8])> {
    let Some((body, [code, ..])) = stored.split_last_chunk::<TRAILER_LEN>() else {
        return Err(Damage::new(0, "a block shorter than its trailer"));
    };
    let codec = Codec::from_code(*code);
    let codec = codec.ok_or(Damage::new(body.len(), "an unknown codec"))?;
    Ok((codec, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_counts_in_its_place_only() {
        let seeds = Seeds::of(TableId([1; 16]));
        let offset = 0x1_2345_6789;
        let mut stored = b"body".to_vec();
        stored.extend(trailer(b"body", Codec::Lz4, seeds, offset));
        assert_eq!(check(&stored, seeds, offset), Ok((Codec::Lz4, &b"body"[..])));
        assert_eq!(split(&stored), Ok((Codec::Lz4, &b"body"[..])));
        assert!(check(&stored, seeds, offset + 1).is_err());
        assert!(check(&stored, seeds, offset & 0xffff_ffff).is_err());
        assert!(check(&stored, Seeds::of(TableId([2; 16])), offset).is_err());
        for bit in 0..8 * stored.len() {
            stored[bit / 8] ^= 1 << (bit % 8);
            assert!(check(&stored, seeds, offset).is_err(), "bit {bit}");
            stored[bit / 8] ^= 1 << (bit % 8);
        }
        for cut in 0..stored.len() {
            assert!(check(&stored[..cut], seeds, offset).is_err());
        }
    }
}
