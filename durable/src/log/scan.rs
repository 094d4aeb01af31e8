//! Reading a segment back, and telling a torn tail from damage. The rule for one segment is in the [module above](super),
//! the rule for several in [`chain`](super::chain). A scan has five steps, to which the comments in the code refer:
//!
//! 1. Decode the header. A header of another store or segment is damage.
//! 2. Read the witness, if the layout has one. A witness without a readable slot is damage.
//! 3. Read frames up to the end mark or the first bad frame, and visit each whole batch. Valid frames that break the rules
//!    of a batch are damage.
//! 4. If there is no end mark, search behind the bad frame for evidence that bytes beyond the whole batches were durable.
//! 5. If a later frame or the witness is such evidence, the segment is damaged. Otherwise a tail without an end mark is
//!    torn: the whole batches remain, and a batch without its last frame is dropped.
//!
//! Evidence is compared with the end of the whole batches, not with the bad frame, because a scan drops a batch as a whole.
//! So a claim behind an end mark is damage too, although no frame is bad.

use std::path::Path;

use kv::{Error, Result};

use super::format::SegmentLayout;
use super::frame::{FRAME_ALIGN, FrameView, KIND_END, Salt};
use super::header::SegmentHeader;
use super::later_frames::LaterFrames;
use super::witness::Claim;
use crate::identity::StoreId;

/// The result of a scan besides the batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentScan {
    /// The segment's identity and format.
    pub header: SegmentHeader,
    /// Everything up to here is whole batches.
    pub len: u64,
    /// How the batches end.
    pub tail: Tail,
    /// Whether a frame or the witness proves that all earlier segments were durable.
    pub proves_earlier_segments_durable: bool,
}

/// How the batches of a segment end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// With an end mark, which `SegmentScan::len` includes: the segment is whole.
    Ended,
    /// Without one: the bytes behind `SegmentScan::len` were never acknowledged as durable and have to be cut.
    Torn,
}

/// Reads segment `id` of `store` from `bytes` and calls `visit` with each whole batch, in order.
///
/// # Errors
/// `Corruption` for a header of another segment, a witness without a readable slot, and a segment that was durable past its
/// whole batches. Also for frames with valid sums that break the rules of a batch. Errors of `visit` end the scan.
pub fn scan_segment(
    bytes: &[u8],
    store: StoreId,
    id: u64,
    path: &Path,
    visit: &mut dyn FnMut(&[FrameView<'_>]) -> Result<()>,
) -> Result<SegmentScan> {
    // Step 1.
    let header = SegmentHeader::decode(bytes, store, id, path)?;
    // Step 2.
    let claim = read_claim(bytes, header.format.layout(), header.salt(), path)?;
    let claims_earlier = claim.is_some_and(|claim| claim.earlier_segments_are_durable);
    // Step 3.
    let first_frame = header.format.first_frame();
    let mut frames = Frames { bytes, salt: header.salt(), offset: first_frame };
    let WholeBatches { len, tail, proves_earlier_segments_durable } =
        frames.read_batches(path, visit)?;
    let bad = frames.offset;
    debug_assert!(first_frame <= len && len <= bad, "whole batches end before the bad frame");
    // Step 4.
    let later = match tail {
        Tail::Ended => LaterFrames::default(),
        Tail::Torn => LaterFrames::search(bytes, header.salt(), bad, len),
    };
    // Step 5.
    if later.prove_damage || claim.is_some_and(|claim| claim.durable > len) {
        let what = "the log was durable past its readable end";
        return Err(Error::corruption(path, bad, what));
    }
    let proves_earlier_segments_durable =
        proves_earlier_segments_durable || claims_earlier || later.prove_earlier_segments_durable;
    Ok(SegmentScan { header, len, tail, proves_earlier_segments_durable })
}

/// Refuses a valid frame that no writer appends here. `batch` has the frames of its batch so far; `newest_sequence` is the
/// number of the last whole batch.
fn check_order(
    batch: &[FrameView<'_>],
    newest_sequence: u64,
    frame: &FrameView<'_>,
    path: &Path,
) -> Result<()> {
    let broken = if frame.kind == KIND_END {
        (!batch.is_empty()).then_some("an end mark inside a batch")
    } else if frame.is_first() != batch.is_empty() {
        Some("a first frame inside a batch, or a later frame outside of one")
    } else if batch.first().is_some_and(|first| first.sequence != frame.sequence) {
        Some("a batch changes its number")
    } else if frame.is_first() && frame.sequence <= newest_sequence {
        Some("numbers do not ascend")
    } else {
        None
    };
    broken.map_or(Ok(()), |what| Err(Error::corruption(path, frame.offset, what)))
}

/// The claim of the witness of the segment `bytes`, if its layout has one.
fn read_claim(
    bytes: &[u8],
    layout: SegmentLayout,
    salt: Salt,
    path: &Path,
) -> Result<Option<Claim>> {
    match layout {
        SegmentLayout::Plain => Ok(None),
        // A crash can tear at most two of the three slots.
        SegmentLayout::Witnessed => {
            let what = "the segment has no readable witness";
            let claim = Claim::read(bytes, salt);
            claim.ok_or_else(|| Error::corruption(path, 0, what)).map(Some)
        }
    }
}

/// The frames from `offset` on, up to the first bad one, where `offset` stays.
struct Frames<'s> {
    bytes: &'s [u8],
    salt: Salt,
    offset: u64,
}

/// The whole batches of a segment.
struct WholeBatches {
    /// Where the last one ends, or the end mark.
    len: u64,
    tail: Tail,
    /// Whether a frame was written when all earlier segments were durable.
    proves_earlier_segments_durable: bool,
}

impl<'s> Frames<'s> {
    /// Visits the whole batches up to the end mark or the first bad frame.
    fn read_batches(
        &mut self,
        path: &Path,
        visit: &mut dyn FnMut(&[FrameView<'_>]) -> Result<()>,
    ) -> Result<WholeBatches> {
        let mut batches = WholeBatches {
            len: self.offset,
            tail: Tail::Torn,
            proves_earlier_segments_durable: false,
        };
        let mut batch: Vec<FrameView<'_>> = Vec::new();
        let mut newest_sequence = 0;
        while let Some(frame) = self.next() {
            batches.proves_earlier_segments_durable |= frame.durable_before().is_some();
            check_order(&batch, newest_sequence, &frame, path)?;
            // The end mark: nothing follows.
            if frame.kind == KIND_END {
                (batches.len, batches.tail) = (frame.end(), Tail::Ended);
                break;
            }
            newest_sequence = frame.sequence;
            let (end, is_last) = (frame.end(), frame.is_last());
            batch.push(frame);
            // A frame in the middle of its batch: the batch is not whole yet.
            if !is_last {
                continue;
            }
            visit(&batch)?;
            batch.clear();
            batches.len = end;
        }
        Ok(batches)
    }

    fn next(&mut self) -> Option<FrameView<'s>> {
        debug_assert!(self.offset.is_multiple_of(FRAME_ALIGN as u64), "frames are aligned");
        let rest = self.bytes.get(usize::try_from(self.offset).ok()?..)?;
        let frame = FrameView::decode(rest, self.salt, self.offset)?;
        assert!(frame.end() <= self.bytes.len() as u64, "a frame ends inside of the segment");
        self.offset = frame.end();
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::SegmentFormat;
    use super::super::frame::{DISTANCE_UNKNOWN, Frame, Place, encode};
    use super::super::header::SegmentIdentity;
    use super::super::witness;
    use super::*;

    const HEADER: SegmentHeader = SegmentHeader {
        identity: SegmentIdentity { store: StoreId([9; 16]), id: 3, epoch: 2, edit_number: 17 },
        format: SegmentFormat::V3,
    };

    /// A frame to be forged: number, kind, first, last, undurable distance.
    type Forged = (u64, u8, bool, bool, u32);

    fn forge(bytes: &mut Vec<u8>, (sequence, kind, first, last, undurable): Forged) {
        let (salt, offset) = (HEADER.salt(), bytes.len() as u64);
        let place = Place { salt, offset, sequence, undurable, first, last };
        encode(&Frame { kind, payload: [b"payload", b"", b""] }, place, bytes);
    }

    fn scan(bytes: &[u8]) -> Result<SegmentScan> {
        scan_segment(bytes, StoreId([9; 16]), 3, Path::new("segment"), &mut |_| Ok(()))
    }

    #[test]
    fn right_sums_around_batches_that_no_writer_makes_are_damage() {
        let wrong: [[Forged; 2]; 5] = [
            // An end mark inside a batch.
            [(5, 1, true, false, DISTANCE_UNKNOWN), (0, KIND_END, true, true, DISTANCE_UNKNOWN)],
            // The same number twice.
            [(5, 1, true, true, DISTANCE_UNKNOWN), (5, 1, true, true, DISTANCE_UNKNOWN)],
            // The batch changes its number.
            [(5, 1, true, false, DISTANCE_UNKNOWN), (6, 1, false, true, DISTANCE_UNKNOWN)],
            // A batch begins inside another.
            [(5, 1, true, false, DISTANCE_UNKNOWN), (5, 1, true, true, DISTANCE_UNKNOWN)],
            // The first frame of the second batch is missing.
            [(5, 1, true, true, DISTANCE_UNKNOWN), (6, 1, false, true, DISTANCE_UNKNOWN)],
        ];
        for frames in wrong {
            let mut bytes = HEADER.encode().to_vec();
            for frame in frames {
                forge(&mut bytes, frame);
            }
            let Err(Error::Corruption { offset, .. }) = scan(&bytes) else {
                panic!("{frames:?} is taken for a log");
            };
            assert_eq!(offset, 64 + 32, "the second frame is the wrong one");
        }
    }

    #[test]
    fn a_frame_behind_a_torn_one_still_proves_that_the_earlier_segments_were_durable() {
        for (distance, is_proof) in [(DISTANCE_UNKNOWN, false), (8, true)] {
            let mut bytes = HEADER.encode().to_vec();
            forge(&mut bytes, (5, 1, true, true, DISTANCE_UNKNOWN));
            bytes[64 + 30] ^= 1;
            // Nothing of this segment was durable.
            forge(&mut bytes, (6, 1, true, true, distance));
            let found = scan(&bytes).expect("a torn tail is no damage");
            assert_eq!((found.len, found.tail), (64, Tail::Torn));
            assert_eq!(found.proves_earlier_segments_durable, is_proof, "distance {distance}");
        }
    }

    /// A witnessed segment of `frames`, whose witness claims that it was durable up to `durable`.
    fn witnessed(durable: u64, frames: &[Forged]) -> Result<SegmentScan> {
        let header = SegmentHeader { format: SegmentFormat::V4, ..HEADER };
        let mut bytes = witness::encode_prefix(&header.encode(), header.salt());
        witness::claim_in(&mut bytes, header.salt(), durable);
        for &(sequence, kind, first, last, undurable) in frames {
            let (salt, offset) = (header.salt(), bytes.len() as u64);
            let place = Place { salt, offset, sequence, undurable, first, last };
            encode(&Frame { kind, payload: [b"payload", b"", b""] }, place, &mut bytes);
        }
        scan(&bytes)
    }

    /// No writer claims a part of a batch. The scan drops all of its frames, so a claim on one of them is a claim on bytes that
    /// would be cut.
    #[test]
    fn a_claim_inside_a_batch_without_its_last_frame_is_damage() {
        let frames = [(5, 1, true, true, 0), (6, 1, true, false, 0), (6, 1, false, false, 0)];
        let (whole, bad) = (2048 + 32, 2048 + 3 * 32);
        let found = witnessed(whole, &frames).expect("the claim ends with the whole batches");
        assert_eq!((found.len, found.tail), (whole, Tail::Torn));
        for durable in [whole + 8, whole + 32, bad, bad + 8] {
            let refused = witnessed(durable, &frames);
            let Err(Error::Corruption { offset, .. }) = refused else {
                panic!("a claim of {durable} is cut: {refused:?}");
            };
            assert_eq!(offset, bad);
        }
    }

    #[test]
    fn a_frame_behind_a_torn_batch_that_says_a_part_of_it_was_durable_proves_damage() {
        for (durable, is_damage) in [(64, false), (72, true), (96, true), (104, true)] {
            let mut bytes = HEADER.encode().to_vec();
            forge(&mut bytes, (5, 1, true, false, DISTANCE_UNKNOWN));
            forge(&mut bytes, (5, 1, false, true, DISTANCE_UNKNOWN));
            bytes[96 + 30] ^= 1;
            let undurable = ((bytes.len() - durable) / 8) as u32;
            forge(&mut bytes, (6, 1, true, true, undurable));
            assert_eq!(scan(&bytes).is_err(), is_damage, "durable up to {durable}");
        }
    }

    #[test]
    fn a_claim_behind_the_end_mark_is_damage() {
        let frames = [(5, 1, true, true, 0), (0, KIND_END, true, true, 0)];
        let end = 2048 + 2 * 32;
        assert_eq!(witnessed(end, &frames).expect("the segment is whole").tail, Tail::Ended);
        assert!(witnessed(end + 8, &frames).is_err_and(|error| error.is_corruption()));
    }
}
