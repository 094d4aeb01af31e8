//! Reading a segment back, and telling a torn tail from damage. The rule for one segment is in the [module above](super),
//! the rule for several in [`chain`](super::chain). A scan has five steps, which the code is marked with:
//!
//! 1. Decode the header. A header of another store or segment is damage.
//! 2. Read the witness, if the layout has one. A witness without a readable slot is damage.
//! 3. Read frames up to the end mark or the first bad frame, and visit each whole batch. Valid frames that break the rules
//!    of a batch are damage. An end mark ends the scan.
//! 4. Search the bytes behind the bad frame for frames that prove that the log was durable beyond it.
//! 5. If such a frame, or the witness, proves it, the bad frame is damage. Otherwise the tail is torn: the whole batches
//!    before it remain, and a batch without its last frame is dropped.

use std::path::Path;

use kv::{Error, Result};

use super::format::SegmentLayout;
use super::frame::{FrameView, KIND_END, Salt};
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
    /// A frame was written, or the witness made its claim, when all earlier segments were durable.
    pub proves_prior_durable: bool,
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
/// `Corruption` for a header of another segment, a witness without a readable slot, and a bad frame that was durable once.
/// Also for frames with valid sums that break the rules of a batch. Errors of `visit` end the scan.
pub fn scan_segment(
    bytes: &[u8],
    store: StoreId,
    id: u64,
    path: &Path,
    visit: &mut dyn FnMut(&[FrameView<'_>]) -> Result<()>,
) -> Result<SegmentScan> {
    // Step 1.
    let header = SegmentHeader::decode(bytes, store, id, path)?;
    let (salt, first_frame) = (header.salt(), header.format.first_frame());
    // Step 2.
    let claim = read_claim(bytes, header.format.layout(), salt, path)?;
    let proves_prior_durable = claim.is_some_and(|claim| claim.is_prior_durable);
    let mut scan = SegmentScan { header, len: first_frame, tail: Tail::Torn, proves_prior_durable };
    // Step 3.
    let mut frames = Frames { bytes, salt, offset: first_frame };
    let mut batch: Vec<FrameView<'_>> = Vec::new();
    let mut newest = 0;
    while let Some(frame) = frames.next() {
        scan.proves_prior_durable |= frame.durable_before().is_some();
        check_order(&batch, newest, &frame, path)?;
        if frame.kind == KIND_END {
            (scan.len, scan.tail) = (frame.end(), Tail::Ended);
            return Ok(scan);
        }
        newest = frame.sequence;
        let (end, is_last) = (frame.end(), frame.is_last());
        batch.push(frame);
        if is_last {
            visit(&batch)?;
            batch.clear();
            scan.len = end;
        }
    }
    debug_assert!(scan.len <= frames.offset, "whole batches end before the bad frame");
    // Step 4.
    let bad = frames.offset;
    let later = LaterFrames::search(bytes, salt, bad);
    // Step 5.
    if later.prove_damage || claim.is_some_and(|claim| claim.durable > bad) {
        let what = "a frame that was durable fails its checksum";
        return Err(Error::corruption(path, bad, what));
    }
    scan.proves_prior_durable |= later.prove_prior_durable;
    Ok(scan)
}

/// Refuses a frame with a valid sum that no writer puts behind the frames of `batch`, which are those of the batch so far,
/// and behind frames up to number `newest`.
fn check_order(
    batch: &[FrameView<'_>],
    newest: u64,
    frame: &FrameView<'_>,
    path: &Path,
) -> Result<()> {
    let broken = if frame.kind == KIND_END {
        (!batch.is_empty()).then_some("an end mark inside a batch")
    } else if frame.is_first() != batch.is_empty() {
        Some("a batch begins inside another")
    } else if batch.first().is_some_and(|first| first.sequence != frame.sequence) {
        Some("a batch changes its number")
    } else if frame.is_first() && frame.sequence <= newest {
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
        // A crash can tear two of the three slots; the third one is durable.
        SegmentLayout::Witnessed => {
            let no_claim = "the segment has no readable witness";
            let claim = Claim::read(bytes, salt);
            claim.ok_or_else(|| Error::corruption(path, 0, no_claim)).map(Some)
        }
    }
}

/// The frames from `offset` on, up to the first bad one, where `offset` stays.
struct Frames<'s> {
    bytes: &'s [u8],
    salt: Salt,
    offset: u64,
}

impl<'s> Frames<'s> {
    fn next(&mut self) -> Option<FrameView<'s>> {
        let rest = self.bytes.get(usize::try_from(self.offset).ok()?..)?;
        let frame = FrameView::decode(rest, self.salt, self.offset)?;
        self.offset = frame.end();
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::SegmentFormat;
    use super::super::frame::{Frame, Place, UNLINKED, encode};
    use super::super::header::SegmentIdentity;
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
            [(5, 1, true, false, UNLINKED), (0, KIND_END, true, true, UNLINKED)],
            // The same number twice.
            [(5, 1, true, true, UNLINKED), (5, 1, true, true, UNLINKED)],
            // The batch changes its number.
            [(5, 1, true, false, UNLINKED), (6, 1, false, true, UNLINKED)],
            // A batch begins inside another.
            [(5, 1, true, false, UNLINKED), (5, 1, true, true, UNLINKED)],
            // The first frame of the second batch is missing.
            [(5, 1, true, true, UNLINKED), (6, 1, false, true, UNLINKED)],
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
        for (distance, is_proof) in [(UNLINKED, false), (8, true)] {
            let mut bytes = HEADER.encode().to_vec();
            forge(&mut bytes, (5, 1, true, true, UNLINKED));
            bytes[64 + 30] ^= 1;
            // Nothing of this segment was durable.
            forge(&mut bytes, (6, 1, true, true, distance));
            let found = scan(&bytes).expect("a torn tail is no damage");
            assert_eq!((found.len, found.tail), (64, Tail::Torn));
            assert_eq!(found.proves_prior_durable, is_proof, "distance {distance}");
        }
    }
}
