//! Batches of one input that are read before they are copied, so that the cache misses of their keydir look-ups overlap.

use std::path::Path;

use durable::log::{BatchReader, FrameView};
use kv::Result;

use crate::keydir::Keydir;
use crate::record::Record;

/// Some batches of one input, in their order.
#[derive(Default)]
pub(super) struct ReadAhead<'s> {
    frames: Vec<FrameView<'s>>,
    /// Where each batch ends among the frames, and the reader behind it.
    ends: Vec<(usize, BatchReader)>,
}

impl<'s> ReadAhead<'s> {
    /// Reads from where `reader` stands, while the sequence numbers are not above `limit`.
    ///
    /// # Errors
    /// `Corruption`.
    pub(super) fn read(
        mut reader: BatchReader,
        bytes: &'s [u8],
        path: &Path,
        limit: u64,
    ) -> Result<Self> {
        let mut ahead = Self::default();
        let mut batch = Vec::new();
        while ahead.frames.len() < Keydir::PREFETCHED
            && reader.peek_sequence(bytes).is_some_and(|next| next <= limit)
        {
            reader.next_batch(bytes, path, &mut batch)?;
            ahead.frames.append(&mut batch);
            ahead.ends.push((ahead.frames.len(), reader));
        }
        debug_assert!(ahead.frames.iter().all(|frame| frame.sequence <= limit), "in its limit");
        debug_assert!(ahead.ends.is_sorted_by_key(|(end, _)| *end), "batches follow each other");
        debug_assert_eq!(ahead.ends.last().map_or(0, |(end, _)| *end), ahead.frames.len());
        Ok(ahead)
    }

    /// The keys of the records. A record that cannot be decoded is left out: copying it reports it.
    pub(super) fn keys<'a>(
        &'a self,
        path: &'a Path,
    ) -> impl Iterator<Item = &'s [u8]> + use<'a, 's> {
        let records = self.frames.iter().filter_map(|frame| Record::decode(frame, path).ok());
        records.map(|record| record.key())
    }

    /// Each batch, and the reader behind it.
    pub(super) fn batches(&self) -> impl Iterator<Item = (&[FrameView<'s>], BatchReader)> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        starts.zip(&self.ends).map(|(start, (end, after))| (&self.frames[start..*end], *after))
    }
}
