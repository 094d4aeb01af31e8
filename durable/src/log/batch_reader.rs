//! Reading a segment that is known to be whole, one batch at a time.

use std::path::Path;

use kv::{Error, Result};

use super::frame::{FrameView, KIND_END, Salt};
use super::header::SegmentHeader;

/// A place between two batches of a segment that was ended or cut behind its last one.
///
/// Unlike [`scan_segment`](super::scan_segment) it can stop anywhere and go on later, and it knows no torn tails: a bad
/// frame is damage.
#[derive(Clone, Copy, Debug)]
pub struct BatchReader {
    salt: Salt,
    offset: u64,
    /// The number of the last batch; 0 before the first one.
    newest_sequence: u64,
}

impl BatchReader {
    /// Stands before the first batch of the segment with that header.
    pub fn new(header: &SegmentHeader) -> Self {
        Self { salt: header.salt(), offset: header.format.first_frame(), newest_sequence: 0 }
    }

    /// How far it has come.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The number that the next frame of `bytes`, the whole segment, claims to have; an end mark has 0. Whether it is
    /// right shows when the frame is read. `None`: everything was read.
    pub fn peek_sequence(&self, bytes: &[u8]) -> Option<u64> {
        let rest = bytes.get(self.offset as usize..).filter(|rest| !rest.is_empty())?;
        Some(FrameView::claimed_sequence(rest).unwrap_or(0))
    }

    /// The next batch of `bytes`, the whole segment, which goes by the name `path`. `frames` is cleared first; it stays
    /// empty when there is no next batch.
    ///
    /// # Errors
    /// `Corruption`.
    pub fn next_batch<'s>(
        &mut self,
        bytes: &'s [u8],
        path: &Path,
        frames: &mut Vec<FrameView<'s>>,
    ) -> Result<()> {
        frames.clear();
        while self.offset < bytes.len() as u64 {
            let rest = &bytes[self.offset as usize..];
            let frame = FrameView::expect(rest, self.salt, self.offset, path)?;
            self.check_order(frames, &frame, bytes.len() as u64, path)?;
            self.offset = frame.end();
            // The end of the segment: there is no next batch.
            if frame.kind == KIND_END {
                return Ok(());
            }
            self.newest_sequence = frame.sequence;
            frames.push(frame);
            // Otherwise more frames of the batch follow.
            if frame.is_last() {
                return Ok(());
            }
        }
        if frames.is_empty() {
            return Ok(());
        }
        Err(Error::corruption(path, self.offset, "the segment ends inside a batch"))
    }

    /// Refuses a frame that no writer puts behind `batch`, the frames of the batch so far. The segment has `len` bytes.
    fn check_order(
        &self,
        batch: &[FrameView<'_>],
        frame: &FrameView<'_>,
        len: u64,
        path: &Path,
    ) -> Result<()> {
        let is_next = if frame.kind == KIND_END {
            // An end mark stands alone, behind the last batch and at the end of the file.
            frame.is_first() && batch.is_empty() && frame.end() == len
        } else {
            frame.is_first() == batch.is_empty()
                && batch.last().is_none_or(|last| last.sequence == frame.sequence)
        };
        if !is_next {
            let what = "not the next frame of its batch";
            return Err(Error::corruption(path, self.offset, what));
        }
        // 0 is the number of no batch. The first one is above it.
        let is_new_batch = frame.kind != KIND_END && frame.is_first();
        if is_new_batch && frame.sequence <= self.newest_sequence {
            return Err(Error::corruption(path, self.offset, "numbers do not ascend"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::SegmentFormat;
    use super::super::frame::{Frame, Place, encode};
    use super::super::header::SegmentIdentity;
    use super::*;
    use crate::identity::StoreId;

    const HEADER: SegmentHeader = SegmentHeader {
        identity: SegmentIdentity { store: StoreId([9; 16]), id: 3, epoch: 2, edit_number: 17 },
        format: SegmentFormat::V3,
    };

    /// A segment of frames with right sums: number, kind, first, last.
    fn segment(frames: &[(u64, u8, bool, bool)]) -> Vec<u8> {
        let mut bytes = HEADER.encode().to_vec();
        for &(sequence, kind, first, last) in frames {
            let (salt, offset) = (HEADER.salt(), bytes.len() as u64);
            let place = Place { salt, offset, sequence, undurable: 0, first, last };
            encode(&Frame { kind, payload: [b"payload", b"", b""] }, place, &mut bytes);
        }
        bytes
    }

    /// The numbers of the batches, and how many frames each has.
    fn read(bytes: &[u8]) -> Result<Vec<(u64, usize)>> {
        let (mut reader, mut frames) = (BatchReader::new(&HEADER), Vec::new());
        let mut batches = Vec::new();
        loop {
            reader.next_batch(bytes, Path::new("segment"), &mut frames)?;
            let Some(first) = frames.first() else { break };
            batches.push((first.sequence, frames.len()));
        }
        assert_eq!(reader.offset(), bytes.len() as u64, "everything was read");
        Ok(batches)
    }

    const END: (u64, u8, bool, bool) = (0, KIND_END, true, true);

    #[test]
    fn batches_are_read_up_to_the_end_mark_or_the_end() {
        let frames = [(5, 1, true, false), (5, 1, false, true), (6, 2, true, true), END];
        for count in [3, 4] {
            let bytes = segment(&frames[..count]);
            assert_eq!(read(&bytes).expect("it is whole"), [(5, 2), (6, 1)]);
        }
        assert_eq!(BatchReader::new(&HEADER).peek_sequence(&segment(&frames)), Some(5));
    }

    #[test]
    fn frames_that_form_no_whole_batches_are_damage() {
        let wrong: [&[(u64, u8, bool, bool)]; 6] = [
            // The batch changes its number.
            &[(5, 1, true, false), (6, 1, false, true)],
            // A batch begins inside another.
            &[(5, 1, true, false), (5, 1, true, true)],
            // The first frame of the batch is missing.
            &[(5, 1, false, true)],
            // The segment ends inside a batch.
            &[(5, 1, true, true), (6, 1, true, false)],
            // The end mark is not the end.
            &[(5, 1, true, true), END, (6, 1, true, true)],
            // An end mark inside a batch.
            &[(5, 1, true, false), (5, KIND_END, false, true)],
        ];
        for frames in wrong {
            let refused = read(&segment(frames));
            assert!(refused.is_err_and(|error| error.is_corruption()), "{frames:?}");
        }
    }

    #[test]
    fn a_batch_without_a_number_or_with_one_that_does_not_ascend_is_damage() {
        for numbers in [[0, 1], [1, 0], [5, 5], [5, 4]] {
            let batches = numbers.map(|number| (number, 1, true, true));
            let refused = read(&segment(&batches));
            assert!(refused.is_err_and(|error| error.is_corruption()), "{numbers:?}");
        }
        let frames = [(0, 1, true, false), (0, 1, false, true)];
        assert!(read(&segment(&frames)).is_err_and(|error| error.is_corruption()));
    }

    #[test]
    fn a_bad_frame_is_damage() {
        let mut bytes = segment(&[(5, 1, true, true)]);
        bytes[64 + 30] ^= 1;
        assert!(read(&bytes).is_err_and(|error| error.is_corruption()));
    }
}
