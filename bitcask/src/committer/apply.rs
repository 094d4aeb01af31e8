//! Publication: a batch is applied to the keydir, from memory or from the log.

use durable::log::{FrameView, frame_len};
use kv::{Error, Result};

use super::{Committer, LoggedBatch};
use crate::keydir::{Keydir, Location, Version};
use crate::record::{Record, RecordWriter};
use crate::steps::Step;

/// One record that a batch enters into the keydir: its key, and its place unless it is a tombstone.
type Entry<'k> = (&'k [u8], Option<Location>);

impl Committer {
    /// Publishes every durable batch that has no waiting predecessor, after the sync for batch `sequence` has ended.
    ///
    /// # Errors
    /// Batch `sequence` is not visible, and never will be in this handle. The store is poisoned.
    pub(super) fn resolve(&self, sequence: u64, synced: Result<()>) -> Result<()> {
        let mut section = self.enter_any();
        let visible = section.publication.visible();
        let synced = synced.map(|()| self.parts.store.log().durable());
        let resolved = section.publication.sync_ended(sequence, synced, &mut |sequence, batch| {
            // Poison here: if the failed batch is not the caller's, this call returns `Ok`.
            let applied = self.apply_from_log(sequence, batch);
            applied.map_err(|error| self.parts.store.poison(error))
        });
        debug_assert!(section.publication.visible() >= visible, "no batch becomes invisible");
        debug_assert!(section.publication.visible() <= section.newest, "numbers are given first");
        let batches = section.publication.visible() - visible;
        let released = self.parts.views.keep_within(self.undo_bytes, batches as usize);
        drop(section);
        drop(released);
        resolved
    }

    /// Applies batch `sequence` from memory. Its records lie in `span` of the file with that number.
    pub(super) fn apply_batch(
        &self,
        sequence: u64,
        ops: &[RecordWriter<'_>],
        span: &durable::log::Span,
        file: u16,
    ) {
        let mut offset = span.offset;
        let _raised = self.barrier.raise(sequence, ops.len());
        for some in ops.chunks(Keydir::PREFETCHED) {
            if some.len() > 1 {
                self.parts.keydir.prefetch(some.iter().map(|op| op.key));
            }
            for op in some {
                let len = frame_len(op.payload_len()) as u64;
                let location = Location { file, offset, len };
                self.apply(op.key, op.is_put().then_some(location), sequence);
                offset += len;
            }
        }
        debug_assert!(offset >= span.end().offset, "every logged record was applied");
    }

    /// Applies batch `sequence` from the log. On an error nothing of it was applied: all of the batch is read and checked
    /// before the first record enters the keydir.
    fn apply_from_log(&self, sequence: u64, batch: &LoggedBatch) -> Result<()> {
        let (span, path) = (&batch.span, batch.span.segment.path());
        let mut applied = Err(Error::corruption(path, span.offset, "nothing was read back"));
        let mut apply = |bytes: &[u8]| {
            applied = decode_batch(sequence, batch, bytes).map(|entries| {
                let _raised = self.barrier.raise(sequence, usize::MAX);
                for (key, location) in entries {
                    self.apply(key, location, sequence);
                }
            });
        };
        let read = || span.segment.read(span.offset, span.len as usize, &mut apply);
        self.parts.store.steps.run(Step::ReadBatchBack, read)?;
        applied
    }

    /// Enters one record into the keydir. Without a location it is a tombstone.
    fn apply(&self, key: &[u8], location: Option<Location>, sequence: u64) {
        let (keydir, steps) = (&self.parts.keydir, &self.parts.store.steps);
        let replaced = match location {
            Some(location) => {
                let version = Version { location, sequence };
                steps.repeatable(Step::ApplyPut, || keydir.put(key, version))
            }
            None => steps.run(Step::ApplyTombstone, || keydir.remove(key, sequence)),
        };
        debug_assert!(replaced.is_none_or(|old| old.sequence < sequence), "the newest write wins");
        let files = self.parts.files.load();
        if let Some(location) = location
            && let Some(file) = files.get(location.file)
        {
            file.handle.live.add(location);
        }
        // If a merge has taken the file out, its count is no longer needed. No other file has its number yet: each new file
        // enters the table after a step inside the commit section (`rotate`, or step 4 of a merge). This thread is in it.
        if let Some(old) = replaced
            && let Some(file) = files.get(old.location.file)
        {
            file.handle.live.subtract(old.location);
        }
    }
}

/// The entries of a batch, whose frames fill `bytes`.
fn decode_batch<'b>(sequence: u64, batch: &LoggedBatch, bytes: &'b [u8]) -> Result<Vec<Entry<'b>>> {
    let (span, segment) = (&batch.span, &batch.span.segment);
    assert_eq!(bytes.len() as u64, span.len, "the log returns as many bytes as were asked for");
    let (mut entries, mut offset) = (Vec::new(), span.offset);
    while offset < span.end().offset {
        let rest = &bytes[(offset - span.offset) as usize..];
        let frame = FrameView::expect(rest, segment.salt(), offset, segment.path())?;
        let record = Record::decode(&frame, segment.path())?;
        if frame.sequence != sequence {
            let other = format!("a frame of batch {} in batch {sequence}", frame.sequence);
            return Err(Error::corruption(segment.path(), offset, other));
        }
        let location = Location { file: batch.file, offset, len: frame.len() };
        let is_put = matches!(record, Record::Put { .. });
        entries.push((record.key(), is_put.then_some(location)));
        offset = frame.end();
    }
    Ok(entries)
}
