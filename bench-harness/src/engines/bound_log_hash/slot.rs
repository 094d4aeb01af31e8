//! A slot of the hash table: sixteen bytes that hold the hash of a key and the position of its record.

use super::maker::SEGMENT_BYTES;

/// Bytes of a slot.
pub(super) const SLOT_BYTES: usize = 16;

/// A slot as it lies in memory and in an image.
pub(super) type RawSlot = [u8; SLOT_BYTES];
/// A slot that names no record.
pub(super) const FREE: RawSlot = [0; SLOT_BYTES];

/// Bits of the offset and of the length in the second word of a slot; the segment has the rest.
const OFFSET_BITS: u32 = SEGMENT_BYTES.ilog2();
const LEN_BITS: u32 = OFFSET_BITS + 1;
/// More segments than a slot can name.
pub(super) const SEGMENTS_END: u32 = 1 << (u64::BITS - OFFSET_BITS - LEN_BITS);

/// The position of a record in the log. A length of 0 marks a slot that is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot {
    /// The hash of the key.
    pub(super) hash: u64,
    /// Bytes of the record: at most those of a segment.
    pub(super) len: u32,
    /// Number of the segment, below [`SEGMENTS_END`].
    pub(super) segment: u32,
    /// Offset in the segment.
    pub(super) offset: u32,
}

impl Slot {
    /// The bytes of the slot.
    #[inline]
    pub(super) fn to_raw(self) -> RawSlot {
        let (segment, len) = (u64::from(self.segment), u64::from(self.len));
        debug_assert!(self.segment < SEGMENTS_END && len >> LEN_BITS == 0);
        debug_assert!(u64::from(self.offset) < SEGMENT_BYTES);
        let place =
            segment << (OFFSET_BITS + LEN_BITS) | len << OFFSET_BITS | u64::from(self.offset);
        let words = [self.hash, place].map(u64::to_le_bytes);
        let raw = std::array::from_fn(|at| words[at / 8][at % 8]);
        debug_assert_eq!(Self::from_raw(&raw), self, "a slot reads back");
        raw
    }

    /// The slot that these bytes are.
    #[inline]
    pub(super) fn from_raw(raw: &RawSlot) -> Self {
        let [h0, h1, h2, h3, h4, h5, h6, h7, p0, p1, p2, p3, p4, p5, p6, p7] = *raw;
        let place = u64::from_le_bytes([p0, p1, p2, p3, p4, p5, p6, p7]);
        Self {
            hash: u64::from_le_bytes([h0, h1, h2, h3, h4, h5, h6, h7]),
            len: (place >> OFFSET_BITS) as u32 & ((1 << LEN_BITS) - 1),
            segment: (place >> (OFFSET_BITS + LEN_BITS)) as u32,
            offset: place as u32 & ((1 << OFFSET_BITS) - 1),
        }
    }

    /// Where the search for the key begins in a table of `mask + 1` slots.
    #[inline]
    pub(super) fn home(&self, mask: usize) -> usize {
        home(self.hash, mask)
    }

    /// Whether the slot names no record.
    #[inline]
    pub(super) fn is_free(&self) -> bool {
        self.len == 0
    }
}

/// Where the search for `hash` begins in a table of `mask + 1` slots. The lowest bits chose the shard.
#[inline]
pub(super) fn home(hash: u64, mask: usize) -> usize {
    (hash >> 32) as usize & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_survives_its_bytes() {
        let last = SEGMENT_BYTES as u32;
        for slot in [
            Slot { hash: 0x0807_0605_0403_0201, len: 1, segment: 0, offset: last - 1 },
            Slot { hash: u64::MAX, len: last, segment: SEGMENTS_END - 1, offset: 0 },
            Slot { hash: 0, len: 0x0001_0203, segment: 0x0405, offset: 0x0006_0708 },
        ] {
            assert_eq!(Slot::from_raw(&slot.to_raw()), slot);
        }
        assert!(Slot::from_raw(&FREE).is_free());
    }
}
