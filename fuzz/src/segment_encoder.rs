//! An encoder of segments, made from the tables in `durable::log`, apart from the code that the targets test.

use durable::log::{FRAME_ALIGN, SegmentLayout, StoreId, frame_len};
use durable::{crc32, seeded_crc32};

pub(super) const STORE: StoreId = StoreId([7; 16]);
pub(super) const ID: u64 = 3;

/// The flag of the first frame of a batch.
pub(super) const FIRST: u8 = 1;
/// The flag of the last frame of a batch.
pub(super) const LAST: u8 = 2;

/// Where the slots of a witness are.
pub(super) const SLOTS: [usize; 3] = [512, 1024, 1536];

/// Bytes of a slot.
pub(super) const SLOT_LEN: usize = 16;

/// Where the frames of a segment with a witness start.
pub(super) const FIRST_FRAME: usize = 2048;

/// The fields of a frame that the fuzzer chooses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) sequence: u64,
    pub(super) undurable: u32,
}

/// A segment that is being encoded.
#[derive(Debug)]
pub(super) struct Encoder {
    pub(super) bytes: Vec<u8>,
    salt: u32,
}

impl Encoder {
    /// The header, and the area of the witness with empty slots if `layout` has one.
    pub(super) fn new(layout: SegmentLayout) -> Self {
        let plain = header(*b"KVSEGM01");
        let mut bytes = plain.clone();
        if layout == SegmentLayout::Witnessed {
            bytes = header(*b"KVSEGM02");
            bytes.resize(FIRST_FRAME, 0);
        }
        // Both formats take the salt from the header of format 1.
        Self { salt: crc32(&plain), bytes }
    }

    fn seed(&self, offset: usize) -> u32 {
        let place = u32::try_from(offset / FRAME_ALIGN).expect("segments are short");
        self.salt ^ place.wrapping_mul(0x9e37_79b1)
    }

    /// Writes a claim of the witness into slot `at`: the segment is durable up to `durable`, and `is_prior_durable` says
    /// whether all earlier segments are.
    pub(super) fn claim(&mut self, at: usize, durable: u64, is_prior_durable: bool) {
        let mut summed = u32::from(is_prior_durable).to_le_bytes().to_vec();
        summed.extend_from_slice(&durable.to_le_bytes());
        let sum = seeded_crc32(self.seed(SLOTS[at]), &summed);
        let slot = &mut self.bytes[SLOTS[at]..SLOTS[at] + SLOT_LEN];
        slot[..4].copy_from_slice(&sum.to_le_bytes());
        slot[4..].copy_from_slice(&summed);
    }

    /// Appends a frame.
    pub(super) fn frame(&mut self, fields: Fields, payload: &[u8]) {
        let start = self.bytes.len();
        let seed = self.seed(start);
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

fn header(magic: [u8; 8]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.extend_from_slice(&STORE.0);
    for number in [ID, 1, 0] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.resize(60, 0);
    bytes.extend_from_slice(&crc32(&bytes).to_le_bytes());
    bytes
}
