//! Which large records of a mapped file have passed their checksum.
//!
//! Checking a record of 1 MiB costs several times as much as handing it out, so a get checks it on the first touch only.
//! A record counts as large from [`LARGE`] bytes on; checking a smaller one is cheaper than looking up whether to check it.
//! Two large records never start in the same block of [`LARGE`] bytes, so one bit for each block of the file says it all:
//! 2 KiB for a data file of 64 MiB.
//!
//! The first touch is the first get through one open file. The kernel may drop a page of the mapping and read it from the
//! disk again. A get does not notice that the page has changed; `verify`, merges and the next opening do.
//!
//! The table has thousands of random gets a second in 1 GB of values, all in memory. The caller reads each byte of a value.
//! fjall 3.1 has a block cache of 2 GiB. Each figure is the median of five runs in turn:
//!
//! | value | mapped | fjall |
//! |---|---|---|
//! | 100 KiB | 160 | 82 (102 when its cache is warm) |
//! | 1 MiB | 23.8 | 17.9 |

use std::path::Path;
use std::sync::atomic::Ordering;

use durable::log::{FrameView, Salt};
use durable::sync::atomic::AtomicU64;
use kv::{Error, Result};

/// A record of at least so many bytes is checked once. Also the size of a block.
const LARGE: u64 = 4 << 10;

/// Blocks that one word covers.
const BLOCKS_PER_WORD: u64 = u64::BITS as u64;

/// One bit for each block of one file: the large record that starts in the block has passed its checksum.
#[derive(Debug)]
pub(super) struct VerifiedRecords {
    words: Box<[AtomicU64]>,
}

impl VerifiedRecords {
    /// Nothing is verified yet. `file_len` is the final length of the file, in bytes.
    pub(super) fn new(file_len: u64) -> Self {
        let words = file_len.div_ceil(LARGE).div_ceil(BLOCKS_PER_WORD);
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }

    /// The frame that fills `bytes`, which lie at `offset` of the file at `path`. Verifies its checksum unless it is large
    /// and has passed before.
    ///
    /// # Errors
    /// `Corruption`: the frame fails its checksum or has another length than `bytes`, and the next call checks it again.
    pub(super) fn frame<'b>(
        &self,
        bytes: &'b [u8],
        salt: Salt,
        offset: u64,
        path: &Path,
    ) -> Result<FrameView<'b>> {
        if (bytes.len() as u64) < LARGE {
            return FrameView::expect(bytes, salt, offset, path);
        }
        let (word, bit) = self.bit(offset);
        if word.load(Ordering::Relaxed) & bit != 0 {
            let changed = || Error::corruption(path, offset, "the frame has changed its length");
            return FrameView::decode_verified(bytes, offset).ok_or_else(changed);
        }
        let frame = FrameView::expect(bytes, salt, offset, path)?;
        if frame.len() != bytes.len() as u64 {
            // The place comes from a hint with the right checksum and a wrong content.
            let what =
                format!("a frame of {} bytes where {} were expected", frame.len(), bytes.len());
            return Err(Error::corruption(path, offset, what));
        }
        // The file never changes, so the bit carries no other memory with it.
        word.fetch_or(bit, Ordering::Relaxed);
        Ok(frame)
    }

    fn bit(&self, offset: u64) -> (&AtomicU64, u64) {
        let block = offset / LARGE;
        (&self.words[(block / BLOCKS_PER_WORD) as usize], 1 << (block % BLOCKS_PER_WORD))
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::sync::Arc;

    use durable::SimFs;
    use durable::log::{
        Frame, GroupSync, Segment, SegmentFormat, SegmentHeader, SegmentIdentity, SegmentLayout,
        StoreId, Writer,
    };

    use super::*;

    const CAPACITY: u64 = 1 << 20;

    const IDENTITY: SegmentIdentity =
        SegmentIdentity { store: StoreId([7; 16]), id: 1, epoch: 1, edit_number: 1 };

    const HEADER: SegmentHeader = SegmentHeader { identity: IDENTITY, format: SegmentFormat::V3 };

    /// A segment with a record for each of `payload_lens`: its bytes, and where each record lies.
    fn segment(payload_lens: &[usize]) -> (Vec<u8>, Vec<(u64, usize)>) {
        let fs = SimFs::new();
        let (path, layout) = (Path::new("segment"), SegmentLayout::Plain);
        let file = Segment::create_file(&fs, path, CAPACITY, layout, IDENTITY)
            .expect("the simulated disk works");
        let mut writer = Writer::new(Arc::new(GroupSync::new()));
        let segment = writer.begin(Segment::begin(&fs, file).expect("the simulated disk works"));
        let mut places = Vec::new();
        for &payload_len in payload_lens {
            let payload = vec![5; payload_len];
            let frame = Frame { kind: 1, payload: [&payload, &[], &[]] };
            let span = writer.append(1, std::iter::once(frame)).expect("the simulated disk works");
            places.push((span.offset, span.len as usize));
        }
        let mut bytes = Vec::new();
        let copy = &mut |read: &[u8]| bytes.extend_from_slice(read);
        segment.read(0, segment.end() as usize, copy).expect("the simulated disk works");
        (bytes, places)
    }

    fn touch<'b>(
        verified: &VerifiedRecords,
        bytes: &'b [u8],
        (offset, len): (u64, usize),
    ) -> Result<FrameView<'b>> {
        let record = &bytes[offset as usize..][..len];
        verified.frame(record, HEADER.salt(), offset, Path::new("segment"))
    }

    /// A damaged record that is returned all the same was not checked.
    fn is_checked(verified: &VerifiedRecords, bytes: &[u8], place: (u64, usize)) -> bool {
        let mut damaged = bytes.to_vec();
        damaged[place.0 as usize + 50] ^= 1;
        touch(verified, &damaged, place).is_err()
    }

    #[test]
    fn a_large_record_is_checked_once_and_a_small_one_each_time() {
        let lens = [100, 4_064, 4_072, 4_072, 300_000, 4_072];
        let (bytes, places) = segment(&lens);
        let verified = VerifiedRecords::new(bytes.len() as u64);
        for (at, &place) in places.iter().enumerate() {
            assert!(places[at..].iter().all(|&later| is_checked(&verified, &bytes, later)));
            touch(&verified, &bytes, place).unwrap();
            assert_eq!(is_checked(&verified, &bytes, place), lens[at] < 4_072, "record {at}");
        }
    }

    #[test]
    fn a_failed_check_is_repeated() {
        let (mut bytes, places) = segment(&[10_000]);
        let verified = VerifiedRecords::new(bytes.len() as u64);
        bytes[5_000] ^= 1;
        for _ in 0..2 {
            let refused = touch(&verified, &bytes, places[0]).unwrap_err();
            assert!(refused.is_corruption(), "{refused}");
        }
        bytes[5_000] ^= 1;
        let read = touch(&verified, &bytes, places[0]).unwrap();
        assert_eq!((read.payload, read.sequence), (&[5; 10_000][..], 1));
        assert!(!is_checked(&verified, &bytes, places[0]));
    }

    #[test]
    fn a_verified_record_whose_length_has_changed_is_damage() {
        let (mut bytes, places) = segment(&[10_000]);
        let verified = VerifiedRecords::new(bytes.len() as u64);
        touch(&verified, &bytes, places[0]).unwrap();
        bytes[places[0].0 as usize + 5] ^= 1;
        let refused = touch(&verified, &bytes, places[0]).unwrap_err();
        assert!(refused.is_corruption(), "{refused}");
    }

    /// A hint with the right checksum can name a wrong length.
    #[test]
    fn a_place_longer_than_its_frame_is_damage() {
        let (bytes, places) = segment(&[10_000, 10_000]);
        let verified = VerifiedRecords::new(bytes.len() as u64);
        for _ in 0..2 {
            let refused = touch(&verified, &bytes, (places[0].0, 2 * places[0].1)).unwrap_err();
            let Error::Corruption { path, offset, .. } = &refused else { panic!("{refused}") };
            assert_eq!((&**path, *offset), (Path::new("segment"), places[0].0));
        }
        touch(&verified, &bytes, places[0]).unwrap();
    }

    #[test]
    fn a_file_of_64_mib_takes_2_kib_and_its_last_record_has_a_bit() {
        let verified = VerifiedRecords::new(64 << 20);
        assert_eq!(size_of_val(&*verified.words), 2 << 10);
        for len in [LARGE, LARGE + 64, 64 * LARGE, 64 * LARGE + 8] {
            let verified = VerifiedRecords::new(len);
            let (word, bit) = verified.bit((len - LARGE) / 8 * 8);
            assert_eq!((word.load(Ordering::Relaxed), bit.count_ones()), (0, 1), "{len}");
        }
    }
}
