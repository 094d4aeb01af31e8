//! Scanning one segment of the log.
//!
//! The invariant: for any bytes, a scan returns `Corruption` or visits well-formed batches. Their frames have no gap from the
//! header on. The frames of a batch have one number; only the first is marked as first, and only the last as last. Numbers
//! ascend from batch to batch. The length that the scan returns is the end of the last batch or of the end mark, and
//! a scan of the bytes up to there finds the same. A log that was written right and then cut, with zeros behind the cut or
//! without, gives the batches before the cut and no error.
//!
//! The first byte of an input decides how the rest becomes a segment: 0 the whole file; 1 the bytes behind a right header;
//! 2 a script of frames with right sums, so that the fuzzer need not guess them; 3 a log that is written right and cut.
//! With 4 added, the segment is of format 1 instead of 3.

use std::path::Path;

use durable::log::{
    DISTANCE_UNKNOWN, FRAME_HEADER_LEN, FrameView, KIND_END, SEGMENT_HEADER_LEN, SegmentFormat,
    SegmentScan, Tail, frame_len, scan_segment,
};

use super::input::{Input, flip};
use super::segment_encoder::{Encoder, FIRST, Fields, ID, LAST, STORE};

/// Scans the segment that `data` describes.
///
/// # Panics
/// When the invariant is broken.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.byte().unwrap_or_default();
    let format = if how & 4 == 0 { SegmentFormat::V3 } else { SegmentFormat::V1 };
    match how % 4 {
        0 => check(input.rest()),
        1 => {
            let mut segment = Encoder::new(format);
            segment.bytes.extend_from_slice(input.rest());
            check(&segment.bytes);
        }
        2 => check(&forged(format, input)),
        _ => check_cut(format, input),
    }
}

/// A frame that was visited, without its place in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    offset: u64,
    sequence: u64,
    kind: u8,
    payload: Vec<u8>,
}

pub(super) fn scan(bytes: &[u8]) -> kv::Result<(SegmentScan, Vec<Vec<Seen>>)> {
    let mut batches = Vec::new();
    let scan = scan_segment(bytes, STORE, ID, Path::new("segment"), &mut |batch| {
        check_batch(batch);
        let seen = |frame: &FrameView<'_>| Seen {
            offset: frame.offset,
            sequence: frame.sequence,
            kind: frame.kind,
            payload: frame.payload.to_vec(),
        };
        batches.push(batch.iter().map(seen).collect());
        Ok(())
    })?;
    Ok((scan, batches))
}

fn check_batch(batch: &[FrameView<'_>]) {
    assert!(!batch.is_empty(), "an empty batch");
    for (number, frame) in batch.iter().enumerate() {
        assert_eq!(frame.is_first(), number == 0, "the first frame, and no other, is the first");
        assert_eq!(frame.is_last(), number + 1 == batch.len(), "so it is with the last");
        assert_eq!(frame.sequence, batch[0].sequence, "a batch has one number");
        assert!(!matches!(frame.kind, 0 | KIND_END), "kind {} is no record", frame.kind);
    }
}

/// Scans `bytes`, and checks the invariant.
pub(super) fn check(bytes: &[u8]) {
    let (found, batches) = match scan(bytes) {
        Ok(scanned) => scanned,
        Err(error) => return assert!(error.is_corruption(), "a scan fails with {error}"),
    };
    let mut end = found.header.format.first_frame();
    let mut newest = 0;
    for batch in &batches {
        assert!(batch[0].sequence > newest, "numbers ascend");
        newest = batch[0].sequence;
        for frame in batch {
            assert_eq!(frame.offset, end, "frames have no gaps");
            end += frame_len(frame.payload.len()) as u64;
        }
    }
    if found.tail == Tail::Torn {
        assert_eq!(found.len, end, "a torn log ends behind its last batch");
    } else {
        assert!(found.len > end, "a whole log ends behind its end mark");
    }
    let whole = usize::try_from(found.len).expect("it lies in memory");
    assert!(whole <= bytes.len(), "a scan ends inside the file");
    let (again, same) = scan(&bytes[..whole]).expect("the whole batches can be read");
    assert_eq!((again.len, again.tail, same), (found.len, found.tail, batches));
}

/// Frames with right sums and any fields: 4 bytes each, for kind and flags, step of the number, undurable distance, and
/// length of the payload with a bit that damages the frame; then the payload.
fn forged(format: SegmentFormat, mut input: Input<'_>) -> Vec<u8> {
    const KINDS: [u8; 8] = [1, 2, 3, 239, KIND_END, 0, 1, 1];
    let mut segment = Encoder::new(format);
    let mut sequence = 0_u64;
    while let (Some(kind_and_flags), Some(step), Some(distance), Some(len)) =
        (input.byte(), input.byte(), input.byte(), input.byte())
    {
        sequence = match step {
            0xff => u64::MAX,
            0x80.. => sequence.wrapping_sub(u64::from(step - 0x80)),
            step => sequence.wrapping_add(u64::from(step)),
        };
        let undurable = if distance == 0xff { DISTANCE_UNKNOWN } else { u32::from(distance) };
        let kind = KINDS[usize::from(kind_and_flags >> 2) % KINDS.len()];
        let flags = kind_and_flags & (FIRST | LAST);
        let fields = Fields { kind, flags, sequence, undurable };
        let start = segment.bytes.len();
        segment.frame(fields, input.bytes(usize::from(len & 0x7f)));
        if len & 0x80 != 0 {
            let at = usize::from(input.byte().unwrap_or_default());
            flip(&mut segment.bytes[start..], at, 0x10);
        }
    }
    segment.bytes
}

/// A log that was written right, and where each of its batches ends.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) segment: Encoder,
    /// Where each batch ends.
    pub(super) ends: Vec<usize>,
    /// Where the end mark ends, if there is one.
    pub(super) marked: Option<usize>,
}

/// Batches of 1 to 4 frames, a byte for each batch and each frame. The byte 0 as a batch is the end mark.
pub(super) fn written(format: SegmentFormat, mut input: Input<'_>) -> Written {
    let mut segment = Encoder::new(format);
    let (mut ends, mut marked) = (Vec::new(), None);
    while let Some(batch) = input.byte() {
        let sequence = ends.len() as u64 + 1;
        let fields = Fields { kind: 1, flags: 0, sequence, undurable: 0 };
        if batch == 0 {
            segment.frame(Fields { kind: KIND_END, flags: FIRST | LAST, ..fields }, &[]);
            marked = Some(segment.bytes.len());
            break;
        }
        let frames = batch % 4;
        for number in 0..=frames {
            let len = usize::from(input.byte().unwrap_or_default());
            let first = if number == 0 { FIRST } else { 0 };
            let last = if number == frames { LAST } else { 0 };
            segment.frame(Fields { flags: first | last, ..fields }, &vec![batch; len]);
        }
        ends.push(segment.bytes.len());
    }
    Written { segment, ends, marked }
}

fn check_cut(format: SegmentFormat, mut input: Input<'_>) {
    let cut = input.number().unwrap_or_default();
    let zeros = input.number().unwrap_or_default() % 512;
    let Written { segment, ends, marked } = written(format, input);
    let whole = segment.bytes;
    let mut bytes = whole.clone();
    bytes.truncate(FRAME_HEADER_LEN.max(SEGMENT_HEADER_LEN as usize).max(cut));
    bytes.resize(bytes.len() + zeros, 0);
    // Zeros behind the cut may be just the padding that was cut away.
    let same = whole.iter().zip(&bytes).take_while(|(a, b)| a == b).count();
    let (scan, batches) = scan(&bytes).expect("a torn tail is no damage");
    let kept = ends.iter().filter(|end| **end <= same).count();
    assert_eq!(batches.len(), kept, "the batches before the cut, and no other");
    let marked = marked.filter(|end| *end <= same);
    assert_eq!(scan.tail == Tail::Ended, marked.is_some(), "an end mark counts if it is whole");
    let end = marked.or(kept.checked_sub(1).map(|last| ends[last]));
    assert_eq!(scan.len, end.map_or(SEGMENT_HEADER_LEN, |end| end as u64));
    check(&bytes);
}
