//! Frames: how one record lies in a segment. The format table is in the [module above](super).

use std::path::Path;

use kv::{Error, Result};

use crate::checksum::{PrefixSums, seeded_crc32};

/// Bytes before the payload of a frame.
pub const FRAME_HEADER_LEN: usize = 24;

/// Frames start on multiples of this many bytes.
pub const FRAME_ALIGN: usize = 8;

/// The kind of the mark that ends a segment which has a successor or was closed.
pub const KIND_END: u8 = 255;

/// The undurable distance of a frame whose predecessor segment was not wholly durable.
pub const DISTANCE_UNKNOWN: u32 = u32::MAX;

const FLAG_FIRST: u8 = 1;
const FLAG_LAST: u8 = 2;

/// How many bytes a frame with a payload of `payload_len` bytes takes, padding included.
#[inline]
pub fn frame_len(payload_len: usize) -> usize {
    (FRAME_HEADER_LEN + payload_len).next_multiple_of(FRAME_ALIGN)
}

/// Ties sums to a segment: they are seeded with it and with the offset of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt(pub(super) u32);

impl Salt {
    /// The seed of a frame at `offset`. Distinct for all offsets of a segment of up to 32 GiB, since multiplying by an
    /// odd number permutes the `u32`s.
    #[inline]
    pub(super) fn seed(self, offset: u64) -> u32 {
        self.0 ^ ((offset / FRAME_ALIGN as u64) as u32).wrapping_mul(0x9e37_79b1)
    }
}

/// A frame to be written: a kind, and a payload in parts that are written one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'p> {
    /// The kind of the payload; see the format table.
    pub kind: u8,
    /// The payload.
    pub payload: [&'p [u8]; 3],
}

impl Frame<'_> {
    /// How long the payload is.
    #[inline]
    pub fn payload_len(&self) -> usize {
        self.payload.iter().map(|part| part.len()).sum()
    }
}

/// A frame that was read and whose sum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameView<'s> {
    /// Where it starts in its segment.
    pub offset: u64,
    /// The sequence number of its batch.
    pub sequence: u64,
    /// The kind of the payload.
    pub kind: u8,
    /// The payload.
    pub payload: &'s [u8],
    flags: u8,
    undurable: u32,
}

/// The position of a frame in the log, as the writer knows it when it encodes the frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) salt: Salt,
    pub(super) offset: u64,
    pub(super) sequence: u64,
    pub(super) undurable: u32,
    pub(super) first: bool,
    pub(super) last: bool,
}

/// Appends the encoding of `frame` at `place` to `out`.
#[inline]
pub(super) fn encode(frame: &Frame<'_>, place: Place, out: &mut Vec<u8>) {
    let payload_len = frame.payload_len();
    debug_assert!(u32::try_from(payload_len).is_ok(), "the engine limits payloads");
    let flags = if place.first { FLAG_FIRST } else { 0 } | if place.last { FLAG_LAST } else { 0 };
    let mut header = [0; FRAME_HEADER_LEN];
    header[4..8].copy_from_slice(&(payload_len as u32).to_le_bytes());
    header[8..16].copy_from_slice(&place.sequence.to_le_bytes());
    header[16..20].copy_from_slice(&place.undurable.to_le_bytes());
    header[20] = frame.kind;
    header[21] = flags;
    let seed = place.salt.seed(place.offset);
    let check = seeded_crc32(seed, &header[4..22]) as u16;
    header[22..24].copy_from_slice(&check.to_le_bytes());
    let start = out.len();
    out.reserve(frame_len(payload_len));
    out.extend_from_slice(&header);
    for part in frame.payload {
        out.extend_from_slice(part);
    }
    // From the start again: one long pass is faster than going on with the rest.
    let sum = seeded_crc32(seed, &out[start + 4..]);
    out[start..start + 4].copy_from_slice(&sum.to_le_bytes());
    out.resize(start + frame_len(payload_len), 0);
}

#[inline]
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The fields of a frame in front of its payload. Plausible, and with a right header check; the payload is not summed.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameHead {
    offset: u64,
    sum: u32,
    payload_len: usize,
    undurable: u32,
}

impl FrameHead {
    /// Reads the head at the start of `bytes`, which lie at `offset` of a segment with `salt`. `None`: no frame begins
    /// here that ends inside of `bytes`.
    pub(super) fn decode(bytes: &[u8], salt: Salt, offset: u64) -> Option<Self> {
        let header = bytes.get(..FRAME_HEADER_LEN)?;
        let payload_len = u32_at(header, 4) as usize;
        // Zeros that were never written have kind 0. A length past the end is no frame, or one that was cut.
        if header[20] == 0 || frame_len(payload_len) > bytes.len() {
            return None;
        }
        let check = seeded_crc32(salt.seed(offset), &header[4..22]) as u16;
        let is_right = check == u16::from_le_bytes([header[22], header[23]]);
        let (sum, undurable) = (u32_at(header, 0), u32_at(header, 16));
        is_right.then_some(Self { offset, sum, payload_len, undurable })
    }

    /// How many bytes the frame takes, unproven until [`FrameHead::is_proven`].
    pub(super) fn frame_len(&self) -> usize {
        frame_len(self.payload_len)
    }

    /// As [`FrameView::durable_before`], unproven until [`FrameHead::is_proven`].
    pub(super) fn durable_before(&self) -> Option<u64> {
        durable_before(self.offset, self.undurable)
    }

    /// Whether the sum of the whole frame is right. It starts at `at` of the bytes that `sums` sums.
    pub(super) fn is_proven(&self, sums: &mut PrefixSums<'_>, salt: Salt, at: usize) -> bool {
        let summed = at + 4..at + FRAME_HEADER_LEN + self.payload_len;
        sums.sum(salt.seed(self.offset), summed) == self.sum
    }
}

/// How far a segment was durable when the frame at `offset` was written with the distance `undurable`. `None` while an
/// earlier segment was not.
fn durable_before(offset: u64, undurable: u32) -> Option<u64> {
    let distance = u64::from(undurable) * FRAME_ALIGN as u64;
    (undurable != DISTANCE_UNKNOWN).then(|| offset.saturating_sub(distance))
}

impl<'s> FrameView<'s> {
    /// Reads the frame that starts at `bytes`, which lie at `offset` of a segment with `salt`. `None`: there is no
    /// whole frame with right sums.
    pub fn decode(bytes: &'s [u8], salt: Salt, offset: u64) -> Option<Self> {
        debug_assert!(offset.is_multiple_of(FRAME_ALIGN as u64), "frames are aligned");
        let header = bytes.get(..FRAME_HEADER_LEN)?;
        let kind = header[20];
        let payload_len = u32_at(header, 4) as usize;
        // Zeros that were never written have kind 0. A length past the end is no frame, or one that was cut.
        if kind == 0 || frame_len(payload_len) > bytes.len() {
            return None;
        }
        let seed = salt.seed(offset);
        let check = || seeded_crc32(seed, &header[4..22]) as u16;
        // The check says whether the length is right. A frame that fills the bytes has the length that was expected.
        let is_expected = frame_len(payload_len) == bytes.len();
        if !is_expected && check() != u16::from_le_bytes([header[22], header[23]]) {
            return None;
        }
        if seeded_crc32(seed, &bytes[4..FRAME_HEADER_LEN + payload_len]) != u32_at(header, 0) {
            return None;
        }
        Some(Self::of_verified(bytes, payload_len, offset))
    }

    /// Reads the frame that fills `bytes`, which lie at `offset`, without checking its sums: for bytes that passed
    /// [`FrameView::decode`] before and have not changed since. `None`: the header contradicts the length of `bytes`.
    #[inline]
    pub fn decode_verified(bytes: &'s [u8], offset: u64) -> Option<Self> {
        let header = bytes.get(..FRAME_HEADER_LEN)?;
        let payload_len = u32_at(header, 4) as usize;
        let fills = frame_len(payload_len) == bytes.len();
        fills.then(|| Self::of_verified(bytes, payload_len, offset))
    }

    /// The frame at the start of `bytes`, which hold all of it.
    #[inline]
    fn of_verified(bytes: &'s [u8], payload_len: usize, offset: u64) -> Self {
        assert!(frame_len(payload_len) <= bytes.len(), "the caller compares the lengths");
        Self {
            offset,
            sequence: u64::from_le_bytes(std::array::from_fn(|at| bytes[8 + at])),
            kind: bytes[20],
            payload: &bytes[FRAME_HEADER_LEN..FRAME_HEADER_LEN + payload_len],
            flags: bytes[21],
            undurable: u32_at(bytes, 16),
        }
    }

    /// As [`FrameView::decode`], for a frame that must be there.
    ///
    /// # Errors
    /// `Corruption` at `offset` of `path`.
    pub fn expect(bytes: &'s [u8], salt: Salt, offset: u64, path: &Path) -> Result<Self> {
        Self::decode(bytes, salt, offset)
            .ok_or_else(|| Error::corruption(path, offset, "the frame fails its checksum"))
    }

    /// The sequence number in the header at the start of `bytes`, unchecked: to be checked when the frame is read. `None`
    /// for bytes too short for a header.
    pub(super) fn claimed_sequence(bytes: &[u8]) -> Option<u64> {
        let header = bytes.get(..FRAME_HEADER_LEN)?;
        Some(u64::from_le_bytes(std::array::from_fn(|at| header[8 + at])))
    }

    /// Whether this frame begins its batch.
    pub fn is_first(&self) -> bool {
        self.flags & FLAG_FIRST != 0
    }

    /// Whether this frame ends its batch.
    pub fn is_last(&self) -> bool {
        self.flags & FLAG_LAST != 0
    }

    /// How many bytes it takes in the segment.
    pub fn len(&self) -> u64 {
        frame_len(self.payload.len()) as u64
    }

    /// Never: a frame has a header.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Where the frame ends in its segment.
    pub fn end(&self) -> u64 {
        self.offset + self.len()
    }

    /// How far this segment was durable when the frame was written; `None` while an earlier segment was not.
    pub fn durable_before(&self) -> Option<u64> {
        durable_before(self.offset, self.undurable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place =
        Place { salt: Salt(7), offset: 64, sequence: 9, undurable: 3, first: true, last: false };

    fn encoded(place: Place) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&Frame { kind: 1, payload: [b"he", b"llo", b""] }, place, &mut out);
        out
    }

    #[test]
    fn a_frame_reads_back_as_written() {
        let bytes = encoded(PLACE);
        assert_eq!(bytes.len(), 32);
        let frame = FrameView::decode(&bytes, Salt(7), 64).unwrap();
        assert_eq!((frame.payload, frame.sequence, frame.kind), (&b"hello"[..], 9, 1));
        assert!(frame.is_first() && !frame.is_last());
        assert_eq!(frame.durable_before(), Some(40));
        assert_eq!(FrameView::decode_verified(&bytes, 64), Some(frame));
    }

    #[test]
    fn without_checking_a_frame_must_still_fill_its_bytes() {
        let mut bytes = encoded(PLACE);
        assert_eq!(FrameView::decode_verified(&bytes[..24], 64), None);
        assert_eq!(FrameView::decode_verified(&bytes[..8], 64), None);
        bytes[4] = 9;
        assert_eq!(FrameView::decode_verified(&bytes, 64), None);
    }

    #[test]
    fn a_frame_in_another_place_or_segment_is_refused() {
        let bytes = encoded(PLACE);
        assert_eq!(FrameView::decode(&bytes, Salt(7), 72), None);
        assert_eq!(FrameView::decode(&bytes, Salt(8), 64), None);
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let bytes = encoded(PLACE);
        for bit in 0..(FRAME_HEADER_LEN + 5) * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameView::decode(&damaged, Salt(7), 64), None, "bit {bit}");
            // With more of the segment behind it the length is not known beforehand.
            damaged.extend([0; 64]);
            assert_eq!(FrameView::decode(&damaged, Salt(7), 64), None, "bit {bit}");
        }
    }

    #[test]
    fn the_encoding_is_the_one_of_format_1() {
        let golden = include_str!("../../tests/golden/frame-1.hex").trim();
        let byte = |at: usize| u8::from_str_radix(&golden[at..at + 2], 16).unwrap();
        assert_eq!(encoded(PLACE), (0..golden.len()).step_by(2).map(byte).collect::<Vec<_>>());
    }
}
