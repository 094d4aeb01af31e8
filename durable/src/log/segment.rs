//! One segment file: its identity, and how much of it is written and durable.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kv::{Error, Result};

use super::format::{SEGMENT_HEADER_LEN, SegmentLayout};
use super::frame::{FRAME_ALIGN, FrameView, Salt};
use super::header::{SegmentHeader, SegmentIdentity};
use super::segment_file::SegmentFile;
use super::witness::{Claim, Witness};
use crate::fs::{Fs, LogFile};
use crate::publish::PublishedFile;
use crate::sync::Mutex;
use crate::sync::atomic::AtomicU64;

/// A point in the log: everything before `offset` of segment `segment`, and all earlier segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// The id of the segment.
    pub segment: u64,
    /// The offset in it.
    pub offset: u64,
}

/// A segment that is or was being written in this opening of the store.
#[derive(Debug)]
pub struct Segment {
    header: SegmentHeader,
    salt: Salt,
    file: Arc<dyn LogFile>,
    capacity: u64,
    end: AtomicU64,
    durable: AtomicU64,
    syncing: Mutex<Syncing>,
}

/// State that only one sync at a time uses.
#[derive(Debug)]
struct Syncing {
    /// The first sync that failed. The operating system reports a failure once, to one of several callers, and a second
    /// attempt may succeed without having written anything.
    failed: Option<Error>,
    /// `None` without one, and after the segment was finished.
    witness: Option<Witness>,
}

/// How an append failed.
#[derive(Debug)]
pub(super) enum AppendFailure {
    /// A resource ran out, and none of the bytes is left, on the disk either. The segment takes further batches.
    Undone(Error),
    /// The content of the disk is unknown until the store is opened again.
    Unknown(Error),
}

impl Segment {
    /// Creates the file of segment `identity` with room for `capacity` bytes, header included and witness apart. Writes the
    /// header and the first claim of the witness. None of it is durable yet.
    ///
    /// # Errors
    /// `Io`, with `StorageFull` when there is no space: no harm is done, but the file may be there. Nothing names it, so it
    /// can be removed now or at the next opening.
    pub fn create_file(
        fs: &dyn Fs,
        path: &Path,
        capacity: u64,
        layout: SegmentLayout,
        identity: SegmentIdentity,
    ) -> Result<SegmentFile> {
        SegmentFile::create(fs, path, capacity, layout, identity)
    }

    /// Begins a segment in a file from [`Segment::create_file`]: makes its bytes and its name durable. A disk that has failed
    /// to write the header is reported here, too.
    ///
    /// # Errors
    /// `Io` for want of a file handle ([`Error::is_out_of_file_handles`]): the file is removed again, and no harm is done.
    /// Any other `Io`: poison the store, as after any failed sync.
    pub fn begin(fs: &dyn Fs, file: SegmentFile) -> Result<Self> {
        file.make_durable(fs)?;
        let SegmentFile { header, salt, log, capacity, slots, .. } = file;
        let first_frame = header.format.first_frame();
        Ok(Self {
            header,
            salt,
            file: log,
            capacity,
            end: AtomicU64::new(first_frame),
            durable: AtomicU64::new(first_frame),
            syncing: Mutex::new(Syncing {
                failed: None,
                witness: slots.map(|slots| Witness::new(slots, salt)),
            }),
        })
    }

    /// Whether no frame was appended.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.end() == self.first_frame()
    }

    /// Whether `len` more bytes fit.
    #[inline]
    pub(super) fn has_room(&self, len: u64) -> bool {
        let slots_len = self.first_frame() - SEGMENT_HEADER_LEN;
        self.end() + len <= self.capacity.saturating_add(slots_len)
    }

    /// Its number.
    #[inline]
    pub fn id(&self) -> u64 {
        self.header.identity.id
    }

    /// Its identity and its format.
    pub fn header(&self) -> SegmentHeader {
        self.header
    }

    fn first_frame(&self) -> u64 {
        self.header.format.first_frame()
    }

    /// The seed of the sums of its frames.
    #[inline]
    pub fn salt(&self) -> Salt {
        self.salt
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// How many bytes it can hold, header included and witness apart.
    #[inline]
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// How many bytes have been appended, header included.
    #[inline]
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// The position behind the last byte that was appended.
    pub(super) fn position(&self) -> Position {
        Position { segment: self.id(), offset: self.end() }
    }

    /// How many bytes are durable.
    #[inline]
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Owns the space for `len` more bytes, or fails and appends nothing.
    #[inline]
    pub(super) fn reserve(&self, len: u64) -> Result<()> {
        self.file.reserve(self.end() + len)
    }

    /// Appends `bytes`, whole frames, into space that was reserved.
    #[inline]
    pub(super) fn append(&self, bytes: &[u8]) -> std::result::Result<(), AppendFailure> {
        let end = self.end.load(Ordering::Relaxed);
        debug_assert!(end.is_multiple_of(FRAME_ALIGN as u64), "frames are aligned");
        debug_assert!(bytes.len().is_multiple_of(FRAME_ALIGN), "frames are padded");
        self.file.append(end, bytes).map_err(|error| self.take_back(end, error))?;
        self.end.store(end + bytes.len() as u64, Ordering::Release);
        Ok(())
    }

    /// Removes the part of a batch that an append left behind `end` before it failed with `error`, and makes the removal
    /// durable. Otherwise a crash could bring frames of the batch back, behind those of the next one.
    #[cold]
    fn take_back(&self, end: u64, error: Error) -> AppendFailure {
        if !error.is_out_of_resources() {
            return AppendFailure::Unknown(error);
        }
        let mut syncing = self.syncing.lock();
        match self.file.cut(end).and_then(|()| self.sync_file(&mut syncing.failed)) {
            Ok(()) => AppendFailure::Undone(error),
            Err(_) => AppendFailure::Unknown(error),
        }
    }

    /// Makes the bytes that were appended so far durable, and has the witness claim so. All earlier segments must be
    /// durable.
    pub(super) fn sync(&self) -> Result<u64> {
        let mut syncing = self.syncing.lock();
        let end = self.end();
        if self.durable() < end {
            self.sync_up_to(&mut syncing.failed, end)?;
            if let Some(witness) = &mut syncing.witness {
                witness.record(Claim { durable: end, earlier_segments_are_durable: true });
            }
        }
        Ok(end)
    }

    /// Syncs the bytes up to `end`, which were appended before.
    fn sync_up_to(&self, failed: &mut Option<Error>, end: u64) -> Result<()> {
        debug_assert!(end <= self.end(), "only appended bytes become durable");
        self.sync_file(failed)?;
        self.durable.fetch_max(end, Ordering::AcqRel);
        Ok(())
    }

    /// Syncs the file, unless a sync has failed before.
    fn sync_file(&self, failed: &mut Option<Error>) -> Result<()> {
        if let Some(error) = failed {
            return Err(error.clone());
        }
        self.file.sync().inspect_err(|error| *failed = Some(error.clone()))
    }

    /// Proof that the segment has a durable header and a durable name. It may go on growing.
    pub fn published(&self) -> PublishedFile {
        PublishedFile::proven(self.path(), self.durable())
    }

    /// Gives back the space behind the last frame of a segment that gets no more, and makes all of the segment durable.
    ///
    /// # Errors
    /// `Io`: poison the store.
    pub fn finish(&self) -> Result<PublishedFile> {
        self.finish_with(false)
    }

    /// As [`Segment::finish`], and has the witness claim all of the segment, durably. `earlier_segments_are_durable`: all earlier
    /// segments are wholly durable.
    pub(super) fn finish_with(&self, earlier_segments_are_durable: bool) -> Result<PublishedFile> {
        let mut syncing = self.syncing.lock();
        let end = self.end();
        self.file.finish(end)?;
        self.sync_up_to(&mut syncing.failed, end)?;
        // The bytes of a finished segment are summed as a whole: the slots must not change any more.
        if let Some(mut witness) = syncing.witness.take()
            && witness.record(Claim { durable: end, earlier_segments_are_durable })
        {
            self.sync_up_to(&mut syncing.failed, end)?;
        }
        debug_assert_eq!(self.durable(), end, "a finished segment is wholly durable");
        Ok(PublishedFile::proven(self.path(), end))
    }

    /// Calls `read` with `len` raw bytes from `offset`.
    ///
    /// # Errors
    /// `Io`; `Corruption` when they were not appended.
    pub fn read(&self, offset: u64, len: usize, read: &mut dyn FnMut(&[u8])) -> Result<()> {
        debug_assert!(
            offset >= self.first_frame() || self.syncing.lock().witness.is_none(),
            "the slots of a witness are rewritten, and not read"
        );
        let end = offset.checked_add(len as u64);
        if end.is_none_or(|end| end > self.end()) {
            return Err(Error::corruption(self.path(), offset, "a read past the end of the log"));
        }
        self.file.read(offset, len, read)
    }

    /// Calls `read` with the frame of `len` bytes at `offset`, whose sum is checked.
    ///
    /// # Errors
    /// `Io`; `Corruption`.
    pub fn read_frame(
        &self,
        offset: u64,
        len: usize,
        read: &mut dyn FnMut(FrameView<'_>),
    ) -> Result<()> {
        let mut checked = Ok(());
        self.read(offset, len, &mut |bytes| {
            checked = FrameView::expect(bytes, self.salt, offset, self.path()).map(&mut *read);
        })?;
        checked
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests;
