//! Reading what is left of a damaged segment, for a repair: every frame with right sums, wherever it lies.
//!
//! Behind a bad frame the next one is looked for at each multiple of 8. The sums of a frame are seeded with the salt of the
//! segment and the offset, so bytes of a value are not taken for a frame. The work is linear, as that of `later_frames`.
//!
//! The salt follows from the header. If the header is damaged, several numbers can be the salt: the sum that the header ends
//! with, and the sums over the header with its known fields put right, one for each format. The one that proves most frames
//! counts. A whole header of another segment is no damaged one: no frame is taken.
//!
//! A frame that is found need not be part of the log: a power cut may have left it behind a torn tail. The rule that tells
//! is [`chain`](super::chain)'s; a caller asks it first.

use std::ops::Range;

use super::format::{SEGMENT_HEADER_LEN, SegmentFormat};
use super::frame::{FRAME_ALIGN, FrameHead, FrameView, KIND_END, Salt};
use super::header::{SegmentHeader, SegmentIdentity};
use crate::checksum::PrefixSums;
use crate::identity::StoreId;

/// What is left of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SalvagedSegment<'s> {
    /// The frames, in order, without the end mark.
    pub frames: Vec<FrameView<'s>>,
    /// The parts between and behind the frames, up to the last byte of each that is not zero. Without any frame the header
    /// is part of them.
    pub skipped: Vec<Range<u64>>,
}

/// Reads what is left of segment `id` of `store` in `bytes`.
pub fn salvage_segment(bytes: &[u8], store: StoreId, id: u64) -> SalvagedSegment<'_> {
    let mut sums = PrefixSums::new(bytes);
    let salvaged =
        candidates(bytes, store, id).into_iter().map(|salt| walk(bytes, salt, &mut sums));
    let best = salvaged.max_by_key(|salvaged| salvaged.frames.len());
    best.filter(|best| !best.frames.is_empty()).unwrap_or_else(|| SalvagedSegment {
        frames: Vec::new(),
        skipped: nonzero(bytes, 0..bytes.len()),
    })
}

/// The salts that the segment may have.
fn candidates(bytes: &[u8], store: StoreId, id: u64) -> Vec<Salt> {
    let Some(header) = bytes.first_chunk::<{ SEGMENT_HEADER_LEN as usize }>() else {
        return Vec::new();
    };
    let is_of_other =
        |stated: SegmentHeader| (stated.identity.store, stated.identity.id) != (store, id);
    if SegmentHeader::stated(header).is_some_and(is_of_other) {
        return Vec::new();
    }
    let field = |start: usize| u64::from_le_bytes(std::array::from_fn(|at| header[start + at]));
    let identity = SegmentIdentity { store, id, epoch: field(32), edit_number: field(40) };
    let put_right = SegmentFormat::ALL.map(|format| SegmentHeader { identity, format }.salt());
    let stated = u32::from_le_bytes(std::array::from_fn(|at| header[60 + at]));
    let mut salts = put_right.to_vec();
    salts.push(Salt(stated));
    salts
}

/// The frames of a segment with `salt`. `sums` are those of `bytes`.
fn walk<'s>(bytes: &'s [u8], salt: Salt, sums: &mut PrefixSums<'_>) -> SalvagedSegment<'s> {
    let mut salvaged = SalvagedSegment::default();
    let format = SegmentFormat::of(bytes).unwrap_or(SegmentFormat::V4);
    let mut offset = SEGMENT_HEADER_LEN as usize;
    // Up to here everything was read. The header and the witness are no frames.
    let mut behind = (format.first_frame() as usize).min(bytes.len());
    while offset < bytes.len() {
        let Some(frame) = frame_at(bytes, offset, salt, sums) else {
            offset += FRAME_ALIGN;
            continue;
        };
        salvaged.skipped.extend(nonzero(bytes, behind.min(offset)..offset));
        offset = frame.end() as usize;
        behind = offset;
        if frame.kind != KIND_END {
            salvaged.frames.push(frame);
        }
    }
    salvaged.skipped.extend(nonzero(bytes, behind..bytes.len()));
    let is_in_order = |one: &FrameView<'_>, next: &FrameView<'_>| one.end() <= next.offset;
    debug_assert!(salvaged.frames.is_sorted_by(is_in_order), "frames lie side by side");
    salvaged
}

/// The frame at `offset`. `None`: there is no whole frame with right sums.
fn frame_at<'s>(
    bytes: &'s [u8],
    offset: usize,
    salt: Salt,
    sums: &mut PrefixSums<'_>,
) -> Option<FrameView<'s>> {
    let head = FrameHead::decode(&bytes[offset..], salt, offset as u64)?;
    let frame = &bytes[offset..offset + head.frame_len()];
    let is_proven = head.is_proven(sums, salt, offset);
    is_proven.then(|| FrameView::decode_verified(frame, offset as u64))?
}

/// `range`, without the zeros at its end, if anything is left of it.
fn nonzero(bytes: &[u8], range: Range<usize>) -> Vec<Range<u64>> {
    let last = bytes[range.clone()].iter().rposition(|byte| *byte != 0);
    last.map(|last| range.start as u64..(range.start + last + 1) as u64).into_iter().collect()
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::super::frame::{Frame, Place, encode};
    use super::*;

    const STORE: StoreId = StoreId([9; 16]);

    /// A segment of `format` with three frames of 40 bytes, and zeros behind them.
    fn segment(format: SegmentFormat) -> Vec<u8> {
        let identity = SegmentIdentity { store: STORE, id: 3, epoch: 2, edit_number: 17 };
        let header = SegmentHeader { identity, format };
        let mut bytes = header.encode().to_vec();
        bytes.resize(format.first_frame() as usize, 0);
        for sequence in 1..=3 {
            let (salt, offset) = (header.salt(), bytes.len() as u64);
            let place = Place { salt, offset, sequence, undurable: 0, first: true, last: true };
            encode(&Frame { kind: 1, payload: [b"a value of ", b"16 b", b"!"] }, place, &mut bytes);
        }
        bytes.resize(bytes.len() + 100, 0);
        bytes
    }

    fn sequences(bytes: &[u8]) -> Vec<u64> {
        let salvaged = salvage_segment(bytes, STORE, 3);
        salvaged.frames.iter().map(|frame| frame.sequence).collect()
    }

    #[test]
    fn a_whole_segment_has_all_its_frames_and_nothing_is_skipped() {
        for format in SegmentFormat::ALL {
            let bytes = segment(format);
            let salvaged = salvage_segment(&bytes, STORE, 3);
            assert_eq!(sequences(&bytes), [1, 2, 3], "{format:?}");
            assert_eq!(salvaged.skipped, [], "{format:?}");
        }
    }

    #[test]
    fn a_damaged_byte_costs_the_frame_that_it_is_in_and_no_other_one() {
        for format in SegmentFormat::ALL {
            let (right, first) = (segment(format), format.first_frame() as usize);
            for at in 0..first + 3 * 40 {
                let mut bytes = right.clone();
                bytes[at] ^= 1;
                let lost = at.checked_sub(first).map(|at| at as u64 / 40 + 1);
                let expected: Vec<u64> = (1..=3).filter(|number| Some(*number) != lost).collect();
                assert_eq!(sequences(&bytes), expected, "{format:?}, byte {at}");
                let salvaged = salvage_segment(&bytes, STORE, 3);
                let is_listed = salvaged.skipped.iter().any(|range| range.contains(&(at as u64)));
                assert_eq!(is_listed, lost.is_some(), "{format:?}, byte {at}");
            }
        }
    }

    #[test]
    fn bytes_without_a_frame_are_skipped_up_to_the_zeros() {
        for len in [0, 1, 63, 64, 65, 500] {
            let mut bytes = vec![7; len];
            bytes.resize(len + 10, 0);
            let salvaged = salvage_segment(&bytes, STORE, 3);
            let expected = (len > 0).then_some(0..len as u64).into_iter().collect();
            assert_eq!((salvaged.frames, salvaged.skipped), (vec![], expected), "{len} bytes");
        }
    }

    #[test]
    fn a_frame_of_another_store_segment_or_epoch_is_not_taken() {
        let bytes = segment(SegmentFormat::V4);
        let of_other_store = salvage_segment(&bytes, StoreId([8; 16]), 3);
        let of_other_segment = salvage_segment(&bytes, STORE, 4);
        assert_eq!((of_other_store.frames.len(), of_other_segment.frames.len()), (0, 0));
        let mut of_other_epoch = bytes.clone();
        of_other_epoch[32] ^= 1;
        let sum = crate::crc32(&of_other_epoch[..60]).to_le_bytes();
        of_other_epoch[60..64].copy_from_slice(&sum);
        assert_eq!(sequences(&of_other_epoch), Vec::<u64>::new());
    }
}
