//! Scanning one segment of the log.
//!
//! The law: whatever the bytes are, a scan says `Corruption` or visits well-formed batches: frames without a gap from
//! the header on, of one number, the first and only the first marked as first, the last and only the last as last,
//! numbers ascending from batch to batch. What the scan calls whole ends where the last batch or the end mark ends, and
//! scanning just that much again finds the same. And a log that was written right and then cut, with zeros behind the
//! cut or without, gives the batches before the cut and no error.
//!
//! The first byte of an input decides how the rest becomes a segment: 0 the whole file; 1 what follows a right header;
//! 2 a script of frames with right sums, so that the fuzzer need not guess them; 3 a log that is written right and cut.
//! With 4 added, the segment is of format 1 instead of 3.
//! The encoding here is made from the tables in `durable::log`, apart from the code that it tests.

use std::path::Path;

use durable::log::{
    FRAME_ALIGN, FRAME_HEADER_LEN, FrameView, KIND_END, SEGMENT_HEADER_LEN, SegmentScan, StoreId,
    Tail, UNLINKED, frame_len, scan_segment,
};
use durable::{crc32, seeded_crc32};

use super::input::{Input, flip};

const STORE: StoreId = StoreId([7; 16]);
const ID: u64 = 3;
type Magic = [u8; 8];

const MAGIC_1: Magic = *b"KVSEGM01";
const MAGIC_3: Magic = *b"KVSEGM03";
const FIRST: u8 = 1;
const LAST: u8 = 2;

/// Scans the segment that `data` describes.
///
/// # Panics
/// When the law is broken.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.byte().unwrap_or_default();
    let magic = if how & 4 == 0 { MAGIC_3 } else { MAGIC_1 };
    match how % 4 {
        0 => check(input.rest()),
        1 => {
            let mut segment = Encoder::new(magic);
            segment.bytes.extend_from_slice(input.rest());
            check(&segment.bytes);
        }
        2 => check(&forged(magic, input)),
        _ => check_cut(magic, input),
    }
}

/// A frame that was visited, without its place in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    offset: u64,
    sequence: u64,
    kind: u8,
    payload: Vec<u8>,
}

fn scan(bytes: &[u8]) -> kv::Result<(SegmentScan, Vec<Vec<Seen>>)> {
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

fn check(bytes: &[u8]) {
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
    let (again, same) = scan(&bytes[..whole]).expect("what a scan calls whole can be read");
    assert_eq!((again.len, again.tail, same), (found.len, found.tail, batches));
}

/// The fields of a frame that the fuzzer chooses.
#[derive(Clone, Copy, Debug)]
struct Fields {
    kind: u8,
    flags: u8,
    sequence: u64,
    undurable: u32,
}

/// Writes a segment by the tables.
#[derive(Debug)]
struct Encoder {
    bytes: Vec<u8>,
    salt: u32,
}

impl Encoder {
    fn new(magic: Magic) -> Self {
        let mut bytes = magic.to_vec();
        bytes.extend_from_slice(&STORE.0);
        for number in [ID, 1, 0] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.resize(60, 0);
        let sum = crc32(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        let salt = if magic == MAGIC_1 { crc32(&bytes) } else { sum };
        Self { bytes, salt }
    }

    fn frame(&mut self, fields: Fields, payload: &[u8]) {
        let start = self.bytes.len();
        let place = u32::try_from(start / FRAME_ALIGN).expect("segments are short");
        let seed = self.salt ^ place.wrapping_mul(0x9e37_79b1);
        let len = u32::try_from(payload.len()).expect("payloads are short");
        let mut summed = len.to_le_bytes().to_vec();
        summed.extend_from_slice(&fields.sequence.to_le_bytes());
        summed.extend_from_slice(&fields.undurable.to_le_bytes());
        summed.extend_from_slice(&[fields.kind, fields.flags]);
        let check = seeded_crc32(seed, &summed).to_le_bytes();
        summed.extend_from_slice(&check[..2]);
        summed.extend_from_slice(payload);
        self.bytes.extend_from_slice(&seeded_crc32(seed, &summed).to_le_bytes());
        self.bytes.extend_from_slice(&summed);
        self.bytes.resize(start + frame_len(payload.len()), 0);
    }
}

/// Frames with right sums and any fields: 4 bytes each, for kind and flags, step of the number, undurable distance, and
/// length of the payload with a bit that damages the frame; then the payload.
fn forged(magic: Magic, mut input: Input<'_>) -> Vec<u8> {
    const KINDS: [u8; 8] = [1, 2, 3, 239, KIND_END, 0, 1, 1];
    let mut segment = Encoder::new(magic);
    let mut sequence = 0_u64;
    while let (Some(what), Some(step), Some(distance), Some(len)) =
        (input.byte(), input.byte(), input.byte(), input.byte())
    {
        sequence = match step {
            0xff => u64::MAX,
            0x80.. => sequence.wrapping_sub(u64::from(step - 0x80)),
            step => sequence.wrapping_add(u64::from(step)),
        };
        let undurable = if distance == 0xff { UNLINKED } else { u32::from(distance) };
        let kind = KINDS[usize::from(what >> 2) % KINDS.len()];
        let fields = Fields { kind, flags: what & (FIRST | LAST), sequence, undurable };
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
struct Written {
    segment: Encoder,
    ends: Vec<usize>,
    /// Where the end mark ends, if there is one.
    marked: Option<usize>,
}

/// Batches of 1 to 4 frames, a byte for each batch and each frame. The byte 0 as a batch is the end mark.
fn written(magic: Magic, mut input: Input<'_>) -> Written {
    let mut segment = Encoder::new(magic);
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

fn check_cut(magic: Magic, mut input: Input<'_>) {
    let cut = input.number().unwrap_or_default();
    let zeros = input.number().unwrap_or_default() % 512;
    let Written { segment, ends, marked } = written(magic, input);
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
