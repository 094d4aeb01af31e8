//! The header of a segment: which segment it is, and in which format. The table is in the [module above](super).

use std::path::Path;

use kv::{Error, Result};

use super::format::{SEGMENT_HEADER_LEN, SegmentFormat};
use super::frame::Salt;
use crate::checksum::crc32;
use crate::identity::{Stamp, StoreId};

const HEADER_LEN: usize = SEGMENT_HEADER_LEN as usize;

/// Where the sum of the header is, which covers all bytes before it.
const SUM_AT: usize = HEADER_LEN - 4;

/// The salt of every segment of formats 1 and 2: the CRC-32 of bytes that end with their own CRC-32 does not depend on
/// the bytes.
const COMMON_SALT: Salt = Salt(0x2144_df1c);

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
}

/// The content of the header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Which segment it is.
    pub identity: SegmentIdentity,
    /// How its bytes are to be read.
    pub format: SegmentFormat,
}

impl SegmentHeader {
    /// The seed of the sums of this segment's frames. From format 3 on it depends on all of the header.
    pub fn salt(&self) -> Salt {
        match self.format {
            SegmentFormat::V1 | SegmentFormat::V2 => COMMON_SALT,
            SegmentFormat::V3 | SegmentFormat::V4 => Salt(crc32(&self.encode()[..SUM_AT])),
        }
    }

    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        let SegmentIdentity { store, id, epoch, edit_number } = self.identity;
        let mut header = [0; HEADER_LEN];
        header[..8].copy_from_slice(self.format.magic());
        header[8..24].copy_from_slice(&store.0);
        header[24..32].copy_from_slice(&id.to_le_bytes());
        header[32..40].copy_from_slice(&epoch.to_le_bytes());
        header[40..48].copy_from_slice(&edit_number.to_le_bytes());
        let sum = crc32(&header[..SUM_AT]);
        header[SUM_AT..].copy_from_slice(&sum.to_le_bytes());
        debug_assert_eq!(
            SegmentFormat::of(&header),
            Some(self.format),
            "a header names its format"
        );
        header
    }

    /// Reads the header of segment `id` of `store` at the start of `bytes`.
    ///
    /// # Errors
    /// `Corruption` when the bytes are not the header of that very segment.
    pub fn decode(bytes: &[u8], store: StoreId, id: u64, path: &Path) -> Result<Self> {
        let refuse = |what: &str| Err(Error::corruption(path, 0, what));
        let Some(bytes) = bytes.first_chunk::<HEADER_LEN>() else {
            return refuse("the file is too short for a segment header");
        };
        // Another file, or a newer format.
        let Some(format) = SegmentFormat::of(bytes) else {
            return refuse("not a segment of format 1 to 4");
        };
        let field = |start: usize| u64::from_le_bytes(std::array::from_fn(|at| bytes[start + at]));
        let identity = SegmentIdentity { store, id, epoch: field(32), edit_number: field(40) };
        let header = Self { identity, format };
        // Damage, or a segment of another store, or one with another number.
        if *bytes != header.encode() {
            return refuse("the segment header fails its checksum or belongs to another file");
        }
        Ok(header)
    }

    /// Reads the header at the start of `bytes`, whatever store and segment it says it belongs to. `None`: `bytes` do not begin with
    /// a header.
    pub fn stated(bytes: &[u8]) -> Option<Self> {
        let store = StoreId(*bytes.get(8..)?.first_chunk()?);
        let id = u64::from_le_bytes(*bytes.get(24..)?.first_chunk()?);
        Self::decode(bytes, store, id, Path::new("")).ok()
    }

    /// Whether a crash while segment `id` of `store` was begun can have left `bytes`, all of its file: a header that is
    /// whole, torn or missing, and zeros where it should be. The header may be of any format, since an older build may
    /// have begun the segment.
    pub fn may_have_begun(bytes: &[u8], store: StoreId, id: u64) -> bool {
        let identity = SegmentIdentity { store, id, epoch: 0, edit_number: 0 };
        SegmentFormat::ALL.into_iter().any(|format| {
            let header = Self { identity, format }.encode();
            // Epoch, edit number and sum follow the id; they are unknown.
            let known = &header[..32];
            let written = known.iter().zip(bytes).take_while(|(known, byte)| known == byte).count();
            // The slots of a witness may be there without the header.
            let is_slot = |at: usize| format.layout().is_slot(at as u64);
            let is_empty = |(at, &byte): (usize, &u8)| byte == 0 || is_slot(at);
            written == known.len() || bytes.iter().enumerate().skip(written).all(is_empty)
        })
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::super::format::SegmentLayout;
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

    fn header(format: SegmentFormat) -> SegmentHeader {
        SegmentHeader { identity: IDENTITY, format }
    }

    fn decoded(bytes: &[u8]) -> Result<SegmentHeader> {
        SegmentHeader::decode(bytes, IDENTITY.store, IDENTITY.id, Path::new("golden"))
    }

    /// The file of a segment that was begun, and then synced up to 4096 if it has a witness.
    fn written(layout: SegmentLayout) -> Result<[Vec<u8>; 2]> {
        let (fs, path) = (SimFs::new(), Path::new("segment"));
        let file = Segment::create_file(&fs, path, 8192, layout, IDENTITY)?;
        let segment = Segment::begin(&fs, file)?;
        let begun = fs.contents(path).expect("it was created");
        let appended = segment.append(&vec![1; (4096 - layout.first_frame()) as usize]);
        appended.expect("the simulated disk works");
        segment.sync()?;
        Ok([begun, fs.contents(path).expect("it was created")])
    }

    #[test]
    fn the_golden_headers_of_the_older_formats_are_read() {
        let plain = lines(include_str!("../../tests/golden/segment-1.hex"));
        assert_eq!(decoded(&plain[0]).expect("it is right"), header(SegmentFormat::V1));
        let witnessed = lines(include_str!("../../tests/golden/segment-2.hex"));
        assert_eq!(decoded(&witnessed[0]).expect("it is right"), header(SegmentFormat::V2));
    }

    #[test]
    fn a_plain_segment_begins_with_the_golden_header_of_format_3() {
        let golden = lines(include_str!("../../tests/golden/segment-3.hex"));
        let [begun, _] = written(SegmentLayout::Plain).expect("the simulated disk works");
        assert_eq!(begun[..64], golden[0]);
        assert_eq!(decoded(&golden[0]).expect("it is right"), header(SegmentFormat::V3));
    }

    #[test]
    fn a_witnessed_segment_begins_with_the_golden_header_and_claims_of_format_4() {
        let golden = lines(include_str!("../../tests/golden/segment-4.hex"));
        let [begun, synced] = written(SegmentLayout::Witnessed).expect("the simulated disk works");
        assert_eq!(decoded(&begun).expect("it is right"), header(SegmentFormat::V4));
        let mut expected = vec![0; 2048];
        for (at, bytes) in [0, 512, 1024, 1536].into_iter().zip(&golden) {
            expected[at..at + bytes.len()].copy_from_slice(bytes);
        }
        assert_eq!(begun[..2048], expected);
        assert_eq!(synced[512..528], golden[4], "the first slot has the newest claim");
    }

    #[test]
    fn segments_that_differ_in_store_id_epoch_or_format_have_different_salts() {
        let header = header(SegmentFormat::V4);
        let with = |identity| SegmentHeader { identity, ..header };
        let mut salts = vec![header.salt().0];
        for bit in 0..32 {
            let mut store = IDENTITY.store;
            store.0[bit / 8] ^= 1 << (bit % 8);
            salts.push(with(SegmentIdentity { store, ..IDENTITY }).salt().0);
            let id = IDENTITY.id ^ 1 << bit;
            salts.push(with(SegmentIdentity { id, ..IDENTITY }).salt().0);
            let epoch = IDENTITY.epoch ^ 1 << bit;
            salts.push(with(SegmentIdentity { epoch, ..IDENTITY }).salt().0);
        }
        salts.push(SegmentHeader { format: SegmentFormat::V3, ..header }.salt().0);
        let count = salts.len();
        salts.sort_unstable();
        salts.dedup();
        assert_eq!(salts.len(), count, "each alone changes the salt");
    }

    #[test]
    fn the_older_formats_have_the_sum_of_a_header_with_its_sum_as_their_common_salt() {
        for format in [SegmentFormat::V1, SegmentFormat::V2] {
            let header = header(format);
            assert_eq!(header.salt(), Salt(crc32(&header.encode())));
        }
    }

    #[test]
    fn a_header_of_a_newer_format_or_of_another_segment_is_refused() {
        let [golden] = &lines(include_str!("../../tests/golden/segment-3.hex"))[..] else {
            panic!("one line");
        };
        let mut newer = golden.clone();
        newer[7] = b'5';
        let mut other_format = golden.clone();
        other_format[7] = b'1';
        let mut other_epoch = golden.clone();
        other_epoch[32] ^= 1;
        for bytes in [&newer[..], &other_format, &other_epoch, &golden[..63]] {
            assert!(decoded(bytes).is_err_and(|error| error.is_corruption()));
        }
        for (store, id) in [(IDENTITY.store, 4), (StoreId([8; 16]), 3)] {
            let refused = SegmentHeader::decode(golden, store, id, Path::new("golden"));
            assert!(refused.is_err_and(|error| error.is_corruption()));
        }
    }

    #[test]
    fn a_header_of_any_format_is_one_that_the_store_has_begun() {
        for format in SegmentFormat::ALL {
            let mut bytes = header(format).encode().to_vec();
            bytes.push(7);
            let begun = |bytes: &[u8], id| SegmentHeader::may_have_begun(bytes, IDENTITY.store, id);
            assert!(begun(&bytes, 3) && !begun(&bytes, 4), "{format:?}");
            // Torn behind the magic: zeros, or something else.
            bytes[8..].fill(0);
            assert!(begun(&bytes, 3), "{format:?}");
            bytes[40] = 7;
            assert!(!begun(&bytes, 3), "{format:?}");
        }
    }
}
