//! The file of a segment before its first frame.

use std::path::Path;
use std::sync::Arc;

use kv::{Error, Result};

use super::format::{SEGMENT_HEADER_LEN, SegmentLayout};
use super::frame::Salt;
use super::header::{SegmentHeader, SegmentIdentity};
use super::witness;
use crate::fs::{File, Fs, LogFile};

/// The file of a segment that was created and is not durable yet.
#[derive(Debug)]
pub struct SegmentFile {
    pub(super) header: SegmentHeader,
    pub(super) salt: Salt,
    pub(super) log: Arc<dyn LogFile>,
    /// How many bytes the segment can hold, header included and witness apart.
    pub(super) capacity: u64,
    /// A second handle, for the slots of the witness.
    pub(super) slots: Option<Arc<dyn File>>,
    /// The disk has failed to write the header. Beginning the segment reports it, as it reports a failed sync.
    failed: Option<Error>,
}

impl SegmentFile {
    /// As [`Segment::create_file`](super::Segment::create_file).
    pub(super) fn create(
        fs: &dyn Fs,
        path: &Path,
        capacity: u64,
        layout: SegmentLayout,
        identity: SegmentIdentity,
    ) -> Result<Self> {
        let header = SegmentHeader { identity, format: layout.format() };
        let (salt, bytes) = (header.salt(), header.encode());
        let slots_len = layout.first_frame() - SEGMENT_HEADER_LEN;
        let log = fs.create_log(path, capacity.saturating_add(slots_len))?;
        log.reserve(layout.first_frame())?;
        let written = match layout {
            SegmentLayout::Plain => log.append(0, &bytes),
            SegmentLayout::Witnessed => log.append(0, &witness::encode_prefix(&bytes, salt)),
        };
        let failed = match written {
            // Nothing has been lost, and nothing names the file.
            Err(error) if error.is_out_of_resources() => return Err(error),
            written => written.err(),
        };
        let has_slots = layout == SegmentLayout::Witnessed && failed.is_none();
        let slots = if has_slots { Some(fs.open_writable(path)?) } else { None };
        Ok(Self { header, salt, log, capacity, slots, failed })
    }

    /// Makes the bytes and the name of the file durable.
    ///
    /// # Errors
    /// As [`Segment::begin`](super::Segment::begin).
    pub(super) fn make_durable(&self, fs: &dyn Fs) -> Result<()> {
        self.failed.clone().map_or(Ok(()), Err)?;
        self.log.sync()?;
        let path = self.log.path();
        let named = fs.sync_dir(path.parent().unwrap_or_else(|| Path::new(".")));
        named.inspect_err(|error| {
            // The directory could not be opened, and nobody knows of the file yet.
            if error.is_out_of_file_handles() {
                drop(fs.remove(path));
            }
        })
    }
}
