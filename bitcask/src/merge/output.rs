//! The files that a merge writes.

use std::path::Path;
use std::sync::Arc;

use durable::log::{Frame, GroupSync, Segment, Writer};
use kv::{Error, Result};

use crate::components::Components;
use crate::data_file::DataFile;
use crate::sealed_file::SealedFile;
use crate::state::Blocked;

/// A data file that a merge is writing.
#[derive(Debug)]
pub(super) struct Output {
    writer: Writer,
    /// An output is a log of its own.
    sync: Arc<GroupSync>,
    segment: Arc<Segment>,
    /// The bytes of copied tombstones, by blocker.
    blocked: Vec<Blocked>,
    /// The number of the last batch in it.
    newest: u64,
}

/// An output that is complete and durable.
#[derive(Debug)]
pub(super) struct FinishedOutput {
    pub(super) file: Arc<DataFile>,
    pub(super) sealed: SealedFile,
    pub(super) blocked: Vec<Blocked>,
}

impl Output {
    /// Begins an output with room for `capacity` bytes.
    pub(super) fn begin(parts: &Components, capacity: u64) -> Result<Self> {
        let segment = parts.rotation.begin_output(capacity)?;
        let sync = Arc::new(GroupSync::new());
        let mut writer = Writer::new(Arc::clone(&sync));
        let segment = writer.begin(segment);
        assert!(segment.capacity() >= capacity && segment.is_empty(), "there is room for all");
        Ok(Self { writer, sync, segment, blocked: Vec::new(), newest: 0 })
    }

    pub(super) fn path(&self) -> &Path {
        self.segment.path()
    }

    pub(super) fn has_room(&self, batch_len: u64) -> bool {
        self.writer.has_room(batch_len)
    }

    /// Appends the live frames of batch `sequence`.
    #[expect(single_use_lifetimes, reason = "an anonymous lifetime is not stable here")]
    pub(super) fn append<'f>(
        &mut self,
        parts: &Components,
        sequence: u64,
        frames: impl ExactSizeIterator<Item = Frame<'f>>,
    ) -> Result<()> {
        debug_assert!(frames.len() > 0, "a batch that is copied has frames");
        debug_assert!(sequence > self.newest, "outputs ascend in the order of sequence numbers");
        self.newest = sequence;
        let appended = parts.store.allocating(|| self.writer.append(sequence, frames));
        appended.map(drop).map_err(|error| self.poison_unless_unchanged(parts, error))
    }

    /// While the log is sound, the failed append has left nothing behind: there was no space, or it was not allocated. The
    /// caller judges such an error. Any other failure is one of the disk.
    fn poison_unless_unchanged(&self, parts: &Components, error: Error) -> Error {
        if self.sync.check().is_ok() { error } else { parts.store.poison(error) }
    }

    /// Notes that a tombstone of `bytes` was copied because of the file `blocker`.
    pub(super) fn block(&mut self, blocker: u64, bytes: u64) {
        let file = self.segment.id();
        assert!(blocker != file && bytes > 0, "a tombstone hides a put in another file");
        match self.blocked.iter_mut().find(|blocked| blocked.blocker == blocker) {
            Some(blocked) => blocked.bytes += bytes,
            None => self.blocked.push(Blocked { file, blocker, bytes }),
        }
    }

    /// Makes the output complete and durable, and opens it for reading.
    pub(super) fn finish(mut self, parts: &Components) -> Result<FinishedOutput> {
        self.writer.end().map_err(|error| self.poison_unless_unchanged(parts, error))?;
        let published = self.segment.finish();
        let published = published.map_err(|error| parts.store.poison(error))?;
        let sealed = parts.sealer.describe_and_hint(&self.segment, published)?;
        debug_assert_eq!(sealed.facts.newest, self.newest, "every batch was read back");
        let file =
            parts.files.open_sealed(self.segment.header(), self.segment.path(), &sealed.facts)?;
        Ok(FinishedOutput { file: Arc::new(file), sealed, blocked: self.blocked })
    }
}
