//! Scanning a segment with a witness that was written right and cut.
//!
//! The invariant: if no slot is readable, or a readable claim reaches behind the last whole batch or the end mark, the scan
//! returns `Corruption`. Otherwise it gives the batches before the cut, and it knows the earlier segments
//! as durable if the farthest claim says so.
//!
//! An input has three claims of 3 bytes each: how many units of 8 bytes behind the first frame's start are durable, 2 bytes;
//! then a byte whose lowest bit says that earlier segments are durable. If the other bits of this byte are not zero, one
//! bit of the slot is inverted. Then follow the place of the cut and the number of zeros behind it, 2 bytes each, and the
//! batches as in `segment`.

use durable::log::{SegmentFormat, Tail};

use super::input::{Input, flip};
use super::segment::{Written, check, scan, written};
use super::segment_encoder::{FIRST_FRAME, SLOT_LEN, SLOTS};

/// Scans the segment that `data` describes.
///
/// # Panics
/// When the invariant is broken.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let claims = SLOTS.map(|_| {
        let units = input.number().unwrap_or_default() % 1024;
        let flags = input.byte().unwrap_or_default();
        Claim {
            durable: FIRST_FRAME + units * 8,
            is_prior_durable: flags & 1 == 1,
            flip: flags >> 1,
        }
    });
    let cut = input.number().unwrap_or_default();
    let zeros = input.number().unwrap_or_default() % 512;
    let Written { mut segment, ends, marked } = written(SegmentFormat::V4, input);
    for (at, claim) in claims.iter().enumerate() {
        segment.claim(at, claim.durable as u64, claim.is_prior_durable);
        if claim.flip != 0 {
            flip(&mut segment.bytes[SLOTS[at]..SLOTS[at] + SLOT_LEN], claim.flip.into(), 0x10);
        }
    }
    let whole = segment.bytes;
    let mut bytes = whole.clone();
    bytes.truncate(FIRST_FRAME.max(cut));
    bytes.resize(bytes.len() + zeros, 0);

    // Zeros behind the cut may be just the padding that was cut away.
    let same = whole.iter().zip(&bytes).take_while(|(a, b)| a == b).count();
    let is_ended = marked.is_some_and(|end| end <= same);
    let readable = claims.iter().filter(|claim| claim.flip == 0);
    let farthest = readable.max_by_key(|claim| (claim.durable, claim.is_prior_durable));
    let kept = ends.iter().chain(&marked).filter(|end| **end <= same);
    let kept_end = kept.max().copied().unwrap_or(FIRST_FRAME);
    let is_sound = farthest.is_some_and(|claim| claim.durable <= kept_end);
    check(&bytes);
    match scan(&bytes) {
        Ok((found, batches)) => {
            assert!(is_sound, "damage is taken for a torn tail");
            let kept = ends.iter().filter(|end| **end <= same).count();
            assert_eq!(batches.len(), kept, "the batches before the cut, and no other");
            assert_eq!(found.tail == Tail::Ended, is_ended, "an end mark counts if it is whole");
            assert_eq!(found.header.format.first_frame(), FIRST_FRAME as u64);
            let is_proven = farthest.is_some_and(|claim| claim.is_prior_durable);
            assert!(found.proves_earlier_segments_durable || !is_proven, "the claim counts");
        }
        Err(error) => {
            assert!(error.is_corruption(), "a scan fails with {error}");
            assert!(!is_sound, "a torn tail is taken for damage: {error}");
        }
    }
}

/// One slot of the witness.
#[derive(Clone, Copy, Debug)]
struct Claim {
    durable: usize,
    is_prior_durable: bool,
    /// Which byte of the slot has an inverted bit; 0: none.
    flip: u8,
}
