//! One segment file: its identity, and how much of it is written and durable.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kv::{Error, Result};

use super::format::{SEGMENT_HEADER_LEN, SegmentLayout};
use super::frame::{FrameView, Salt};
use super::header::{SegmentHeader, SegmentIdentity};
use super::witness::{self, Claim, Witness};
use crate::fs::{File, Fs, LogFile};
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

/// The file of a segment that has no header yet.
#[derive(Debug)]
pub struct SegmentFile {
    log: Arc<dyn LogFile>,
    layout: SegmentLayout,
    capacity: u64,
    /// A second handle, for the slots of the witness.
    slots: Option<Arc<dyn File>>,
}

impl Segment {
    /// Creates the file of a segment with room for `capacity` bytes, header included and witness apart.
    ///
    /// # Errors
    /// `Io`, with `StorageFull` when there is no space: no harm is done, but the file may be there, to be removed at
    /// the next opening.
    pub fn create_file(
        fs: &dyn Fs,
        path: &Path,
        capacity: u64,
        layout: SegmentLayout,
    ) -> Result<SegmentFile> {
        let slots_len = layout.first_frame() - SEGMENT_HEADER_LEN;
        let log = fs.create_log(path, capacity.saturating_add(slots_len))?;
        log.reserve(layout.first_frame())?;
        let slots = match layout {
            SegmentLayout::Plain => None,
            SegmentLayout::Witnessed => Some(fs.open_writable(path)?),
        };
        Ok(SegmentFile { log, layout, capacity, slots })
    }

    /// Begins a segment in a file from [`Segment::create_file`]: writes its header and the first claim of its witness,
    /// and makes them and its name durable.
    ///
    /// # Errors
    /// `Io`: poison the store, as after any failed sync.
    pub fn begin(fs: &dyn Fs, file: SegmentFile, identity: SegmentIdentity) -> Result<Self> {
        let SegmentFile { log: file, layout, capacity, slots } = file;
        let header = SegmentHeader { identity, format: layout.format() };
        let (salt, bytes) = (header.salt(), header.encode());
        match layout {
            SegmentLayout::Plain => file.append(0, &bytes)?,
            SegmentLayout::Witnessed => file.append(0, &witness::encode_prefix(&bytes, salt))?,
        }
        file.sync()?;
        fs.sync_dir(file.path().parent().unwrap_or_else(|| Path::new(".")))?;
        let witness = slots.map(|slots| Witness::new(slots, salt));
        Ok(Self {
            header,
            salt,
            file,
            capacity,
            end: AtomicU64::new(layout.first_frame()),
            durable: AtomicU64::new(layout.first_frame()),
            syncing: Mutex::new(Syncing { failed: None, witness }),
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

    /// How many bytes are durable.
    #[inline]
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Owns the space for `len` more bytes, or fails without a change.
    #[inline]
    pub(super) fn reserve(&self, len: u64) -> Result<()> {
        self.file.reserve(self.end() + len)
    }

    #[inline]
    pub(super) fn append(&self, bytes: &[u8]) -> Result<()> {
        let end = self.end.load(Ordering::Relaxed);
        self.file.append(end, bytes)?;
        self.end.store(end + bytes.len() as u64, Ordering::Release);
        Ok(())
    }

    /// Makes the bytes that were appended so far durable, and has the witness claim so. All earlier segments must be
    /// durable.
    pub(super) fn sync(&self) -> Result<u64> {
        let mut syncing = self.syncing.lock();
        let end = self.end();
        if self.durable() < end {
            self.sync_once(&mut syncing.failed, end)?;
            if let Some(witness) = &mut syncing.witness {
                witness.record(Claim { durable: end, is_prior_durable: true });
            }
        }
        Ok(end)
    }

    fn sync_once(&self, failed: &mut Option<Error>, end: u64) -> Result<()> {
        if let Some(error) = failed {
            return Err(error.clone());
        }
        self.file.sync().inspect_err(|error| *failed = Some(error.clone()))?;
        self.durable.fetch_max(end, Ordering::AcqRel);
        Ok(())
    }

    /// Proof that the segment has a durable header and a durable name. It may go on growing.
    pub fn published(&self) -> PublishedFile {
        PublishedFile::proven(self.path(), self.durable())
    }

    /// Gives back the space behind the last frame of a segment that gets no more, and makes all of it durable.
    ///
    /// # Errors
    /// `Io`: poison the store.
    pub fn finish(&self) -> Result<PublishedFile> {
        let mut syncing = self.syncing.lock();
        // The bytes of a finished segment are summed as a whole: the slots must not change any more.
        syncing.witness = None;
        let end = self.end();
        self.file.finish(end)?;
        self.sync_once(&mut syncing.failed, end)?;
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
        if offset + len as u64 > self.end() {
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
mod tests {
    use super::*;
    use crate::identity::StoreId;
    use crate::{Fault, Inject, Plan, SimFs};

    /// The operating system reports a failed sync once. A second attempt may succeed without having written anything.
    #[test]
    fn a_failed_sync_is_remembered_and_not_tried_again() {
        let calls_to_begin = 5;
        let plan = Plan::once(calls_to_begin + 1, Fault::Eio);
        let inject = Inject::over_sim(SimFs::new(), plan);
        let path = Path::new("segment");
        let identity = SegmentIdentity { store: StoreId([9; 16]), id: 3, epoch: 2, edit_number: 1 };
        let file = Segment::create_file(&inject, path, 4096, SegmentLayout::Plain).unwrap();
        let segment = Segment::begin(&inject, file, identity).unwrap();
        assert_eq!(inject.calls(), calls_to_begin, "create, reserve, append and two syncs");
        segment.append(&[1; 8]).unwrap();
        let failed = segment.sync().unwrap_err().to_string();
        assert_eq!(inject.injected(), 1, "the sync failed");
        let calls = inject.calls();
        assert_eq!(segment.sync().unwrap_err().to_string(), failed);
        assert!(segment.durable() < segment.end() && inject.calls() == calls, "no second attempt");
        assert_eq!(segment.finish().unwrap_err().to_string(), failed);
    }
}
