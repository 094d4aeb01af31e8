//! The header of a segment: which segment it is, and where its frames start. The table is in the [module above](super).

use std::path::Path;

use kv::{Error, Result};

use super::frame::Salt;
use super::witness;
use crate::checksum::crc32;
use crate::identity::{Stamp, StoreId};

/// Bytes before the first frame of a segment.
pub const SEGMENT_HEADER_LEN: u64 = 64;

const MAGIC_PLAIN: &[u8; 8] = b"KVSEGM01";
const MAGIC_WITNESSED: &[u8; 8] = b"KVSEGM02";

/// Where the parts of a segment are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentLayout {
    /// Format 1: frames follow the header. For a segment that is published when it is whole, like an output of a merge.
    Plain,
    /// Format 2: slots of a witness lie between header and frames. For the segments of a log that is synced as it grows.
    Witnessed,
}

impl SegmentLayout {
    /// The layout of the segment `bytes`, whose header was checked.
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.starts_with(MAGIC_WITNESSED) { Self::Witnessed } else { Self::Plain }
    }

    /// Where the first frame starts.
    pub fn first_frame(self) -> u64 {
        match self {
            Self::Plain => SEGMENT_HEADER_LEN,
            Self::Witnessed => witness::FIRST_FRAME,
        }
    }

    fn is_slot(self, offset: u64) -> bool {
        self == Self::Witnessed && witness::is_slot(offset)
    }

    fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::Plain => MAGIC_PLAIN,
            Self::Witnessed => MAGIC_WITNESSED,
        }
    }
}

/// Which segment this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentIdentity {
    /// The store it belongs to.
    pub store: StoreId,
    /// Its number; never reused, ascending.
    pub id: u64,
    /// The opening of the store that wrote it. Durable before the segment is created.
    pub epoch: u64,
    /// The newest edit of the manifest that was durable before the segment was created.
    pub edit_number: u64,
}

impl SegmentIdentity {
    /// How far the store had come when the segment was created.
    pub fn stamp(&self) -> Stamp {
        Stamp { open_epoch: self.epoch, edit_number: self.edit_number }
    }

    /// The seed of the sums of this segment's frames. In formats 1 and 2 it is the same for every segment: see the known
    /// fault in the [module above](super).
    pub fn salt(&self) -> Salt {
        // The header of format 1 in both formats, as it was always done. It ends with its own sum.
        Salt(crc32(&self.encode(SegmentLayout::Plain)))
    }

    pub(super) fn encode(&self, layout: SegmentLayout) -> [u8; SEGMENT_HEADER_LEN as usize] {
        let mut header = [0; SEGMENT_HEADER_LEN as usize];
        header[..8].copy_from_slice(layout.magic());
        header[8..24].copy_from_slice(&self.store.0);
        header[24..32].copy_from_slice(&self.id.to_le_bytes());
        header[32..40].copy_from_slice(&self.epoch.to_le_bytes());
        header[40..48].copy_from_slice(&self.edit_number.to_le_bytes());
        let sum = crc32(&header[..60]);
        header[60..].copy_from_slice(&sum.to_le_bytes());
        header
    }

    /// Reads the header of segment `id` of `store`: its identity and its layout.
    ///
    /// # Errors
    /// `Corruption` when the bytes are not the header of that very segment.
    pub fn decode(
        bytes: &[u8],
        store: StoreId,
        id: u64,
        path: &Path,
    ) -> Result<(Self, SegmentLayout)> {
        let refuse = |what: &str| Err(Error::corruption(path, 0, what));
        let Some(header) = bytes.get(..SEGMENT_HEADER_LEN as usize) else {
            return refuse("the file is too short for a segment header");
        };
        let field = |start: usize| u64::from_le_bytes(std::array::from_fn(|at| header[start + at]));
        let identity = Self { store, id, epoch: field(32), edit_number: field(40) };
        let layout = SegmentLayout::of(bytes);
        if header == identity.encode(layout) {
            return Ok((identity, layout));
        }
        // Another file, or a newer format.
        if !header.starts_with(layout.magic()) {
            return refuse("not a segment of format 1 or 2");
        }
        refuse("the segment header fails its checksum or belongs to another file")
    }

    /// Whether a crash while segment `id` of `store` was begun can have left `bytes`, all of its file: a header that is
    /// whole, torn or missing, and zeros where it should be.
    pub fn may_have_begun(bytes: &[u8], store: StoreId, id: u64) -> bool {
        let identity = Self { store, id, epoch: 0, edit_number: 0 };
        [SegmentLayout::Plain, SegmentLayout::Witnessed].into_iter().any(|layout| {
            let header = identity.encode(layout);
            // Epoch, edit number and sum follow the id; they are unknown.
            let known = &header[..32];
            let written = known.iter().zip(bytes).take_while(|(known, byte)| known == byte).count();
            // The slots of a witness may be there without the header.
            let is_empty = |(at, &byte): (usize, &u8)| byte == 0 || layout.is_slot(at as u64);
            written == known.len() || bytes.iter().enumerate().skip(written).all(is_empty)
        })
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::super::segment::Segment;
    use super::*;
    use crate::SimFs;

    const IDENTITY: SegmentIdentity =
        SegmentIdentity { store: StoreId([9; 16]), id: 3, epoch: 2, edit_number: 17 };

    fn lines(golden: &str) -> Vec<Vec<u8>> {
        let byte = |line: &str, at: usize| u8::from_str_radix(&line[at..at + 2], 16).expect("hex");
        let bytes = |line: &str| (0..line.len()).step_by(2).map(|at| byte(line, at)).collect();
        golden.lines().map(bytes).collect()
    }

    /// The file of a segment that was begun, and then synced up to 4096 if it has a witness.
    fn written(layout: SegmentLayout) -> Result<[Vec<u8>; 2]> {
        let (fs, path) = (SimFs::new(), Path::new("segment"));
        let file = Segment::create_file(&fs, path, 8192, layout)?;
        let segment = Segment::begin(&fs, file, IDENTITY)?;
        let begun = fs.contents(path).expect("it was created");
        segment.append(&vec![1; (4096 - layout.first_frame()) as usize])?;
        segment.sync()?;
        Ok([begun, fs.contents(path).expect("it was created")])
    }

    #[test]
    fn a_segment_of_format_1_begins_with_the_golden_header() {
        let golden = lines(include_str!("../../tests/golden/segment-1.hex"));
        let [begun, _] = written(SegmentLayout::Plain).expect("the simulated disk works");
        assert_eq!(begun[..64], golden[0]);
        let decoded = SegmentIdentity::decode(&golden[0], IDENTITY.store, 3, Path::new("golden"));
        assert_eq!(decoded.expect("it is right"), (IDENTITY, SegmentLayout::Plain));
    }

    #[test]
    fn a_segment_of_format_2_begins_with_the_golden_header_and_claims() {
        let golden = lines(include_str!("../../tests/golden/segment-2.hex"));
        let [begun, synced] = written(SegmentLayout::Witnessed).expect("the simulated disk works");
        let decoded = SegmentIdentity::decode(&begun, IDENTITY.store, 3, Path::new("golden"));
        assert_eq!(decoded.expect("it is right"), (IDENTITY, SegmentLayout::Witnessed));
        let mut expected = vec![0; 2048];
        for (at, bytes) in [0, 512, 1024, 1536].into_iter().zip(&golden) {
            expected[at..at + bytes.len()].copy_from_slice(bytes);
        }
        assert_eq!(begun[..2048], expected);
        assert_eq!(synced[512..528], golden[4], "the first slot has the newest claim");
    }

    #[test]
    fn a_header_of_a_newer_format_or_of_another_segment_is_refused() {
        let [golden] = &lines(include_str!("../../tests/golden/segment-1.hex"))[..] else {
            panic!("one line");
        };
        let mut newer = golden.clone();
        newer[7] = b'3';
        for (bytes, id) in [(&newer, 3), (golden, 4), (&golden[..63].to_vec(), 3)] {
            let refused = SegmentIdentity::decode(bytes, IDENTITY.store, id, Path::new("golden"));
            assert!(refused.is_err_and(|error| error.is_corruption()));
        }
    }
}
