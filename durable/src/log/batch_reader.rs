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
}

impl BatchReader {
    /// Stands before the first batch of the segment with that header.
    pub fn new(header: &SegmentHeader) -> Self {
        Self { salt: header.salt(), offset: header.format.first_frame() }
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
            let is_end = frame.kind == KIND_END;
            let ends_here = is_end && frame.end() == bytes.len() as u64;
            let continues = frames.last().is_none_or(|last| last.sequence == frame.sequence);
            if frame.is_first() != frames.is_empty() || !continues || is_end != ends_here {
                let what = "not the next frame of its batch";
                return Err(Error::corruption(path, self.offset, what));
            }
            if is_end {
                self.offset = frame.end();
                return Ok(());
            }
            self.offset = frame.end();
            frames.push(frame);
            if frame.is_last() {
                return Ok(());
            }
        }
        if frames.is_empty() {
            return Ok(());
        }
        Err(Error::corruption(path, self.offset, "the segment ends inside a batch"))
    }
}
