//! The state of the commit section.

use std::sync::Arc;

use durable::log::publication::PublicationQueue;
use durable::log::{GroupSync, Span, WriteCounts, Writer};
use kv::{Error, Result};

use crate::file_handle::FileHandle;
use crate::keydir::Reservation;
use crate::record::{RecordWriter, SEQUENCE_LIMIT};

/// The state of the commit section. Guarded by `Committer::section`.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) writer: Writer,
    /// The file that `writer` appends to.
    pub(super) active: Option<Arc<FileHandle>>,
    /// The newest number that was given to a batch.
    pub(super) newest: u64,
    /// Which batches are visible, and which wait for the disk.
    pub(super) publication: PublicationQueue<LoggedBatch>,
    /// When the active file has grown to this many bytes, the next one is prepared.
    pub(super) prepare_at: u64,
    pub(super) closed: bool,
    pub(super) counts: WriteCounts,
}

/// Where a batch that waits for the disk lies.
#[derive(Debug)]
pub(super) struct LoggedBatch {
    pub(super) span: Span,
    /// The number of the file in the keydir.
    pub(super) file: u16,
    /// Room for its keys in the keydir, given back when the batch has been applied.
    pub(super) _room: Reservation,
}

impl Section {
    /// The section of a log that `sync` makes durable, after batch `newest`.
    pub(super) fn new(sync: Arc<GroupSync>, newest: u64) -> Self {
        Self {
            writer: Writer::new(sync),
            active: None,
            newest,
            publication: PublicationQueue::new(newest),
            prepare_at: u64::MAX,
            closed: false,
            counts: WriteCounts::default(),
        }
    }

    /// The number of the next batch.
    ///
    /// # Errors
    /// `InvalidArgument` when the store has given all its numbers away.
    #[inline]
    pub(super) fn next_sequence(&self) -> Result<u64> {
        let next = self.newest + 1;
        if next < SEQUENCE_LIMIT { Ok(next) } else { Err(out_of_numbers()) }
    }

    /// The number of the active file, which was just written to.
    #[inline]
    pub(super) fn file_number(&self) -> u16 {
        self.active.as_ref().expect("the file just written to").number
    }

    /// Notes in the active file when the puts of a batch expire, before any of them is visible.
    #[inline]
    pub(super) fn note_expiries(&self, ops: &[RecordWriter<'_>]) {
        let active = self.active.as_ref().expect("the file just written to");
        for expires_at in ops.iter().filter_map(RecordWriter::expires_at) {
            active.first_expiry.note(expires_at);
        }
    }
}

#[cold]
fn out_of_numbers() -> Error {
    let last = SEQUENCE_LIMIT - 1;
    Error::InvalidArgument(format!("the last sequence number, {last}, is used up"))
}
