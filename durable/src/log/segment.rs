//! One segment file: its identity, and how much of it is written and durable.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kv::{Error, Result};

use super::frame::{FrameView, Salt};
use crate::checksum::crc32;
use crate::fs::{Fs, LogFile};
use crate::identity::{Stamp, StoreId};
use crate::publish::PublishedFile;
use crate::sync::Mutex;
use crate::sync::atomic::AtomicU64;

/// Bytes before the first frame of a segment.
pub const SEGMENT_HEADER_LEN: u64 = 64;

const MAGIC: &[u8; 8] = b"KVSEGM01";

/// Which segment this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentIdentity {
    /// The store it belongs to.
    pub store: StoreId,
    /// Its number; never reused, ascending.
    pub id: u64,
    /// The opening of the store that wrote it. Durable before the segment is created.
    pub epoch: u64,
    /// The newest edit of the manifest that was durable before the segment was created.
    pub edit_number: u64,
}

impl SegmentIdentity {
    /// How far the store had come when the segment was created.
    pub fn stamp(&self) -> Stamp {
        Stamp { open_epoch: self.epoch, edit_number: self.edit_number }
    }

    /// What the sums of this segment's frames are seeded with.
    pub fn salt(&self) -> Salt {
        Salt(crc32(&self.encode()))
    }

    fn encode(&self) -> [u8; SEGMENT_HEADER_LEN as usize] {
        let mut header = [0; SEGMENT_HEADER_LEN as usize];
        header[..8].copy_from_slice(MAGIC);
        header[8..24].copy_from_slice(&self.store.0);
        header[24..32].copy_from_slice(&self.id.to_le_bytes());
        header[32..40].copy_from_slice(&self.epoch.to_le_bytes());
        header[40..48].copy_from_slice(&self.edit_number.to_le_bytes());
        let sum = crc32(&header[..60]);
        header[60..].copy_from_slice(&sum.to_le_bytes());
        header
    }

    /// Reads the header of segment `id` of `store`.
    ///
    /// # Errors
    /// `Corruption` when the bytes are not the header of that very segment.
    pub fn decode(bytes: &[u8], store: StoreId, id: u64, path: &Path) -> Result<Self> {
        let refuse = |what: &str| Err(Error::corruption(path, 0, what));
        let Some(header) = bytes.get(..SEGMENT_HEADER_LEN as usize) else {
            return refuse("the file is too short for a segment header");
        };
        let field = |start: usize| u64::from_le_bytes(std::array::from_fn(|at| header[start + at]));
        let identity = Self { store, id, epoch: field(32), edit_number: field(40) };
        if header == identity.encode() {
            return Ok(identity);
        }
        if !header.starts_with(MAGIC) {
            return refuse("not a segment of format 1");
        }
        refuse("the segment header fails its checksum or belongs to another file")
    }

    /// Whether a crash while segment `id` of `store` was begun can have left `bytes`, all of its file: a header that is
    /// whole, torn or missing, and zeros where it should be.
    pub fn may_have_begun(bytes: &[u8], store: StoreId, id: u64) -> bool {
        let header = Self { store, id, epoch: 0, edit_number: 0 }.encode();
        // Epoch, edit number and sum follow the id; they are unknown.
        let known = &header[..32];
        let written = known.iter().zip(bytes).take_while(|(known, byte)| known == byte).count();
        written == known.len() || bytes[written..].iter().all(|&byte| byte == 0)
    }
}

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
    identity: SegmentIdentity,
    salt: Salt,
    file: Arc<dyn LogFile>,
    capacity: u64,
    end: AtomicU64,
    durable: AtomicU64,
    /// Admits one sync at a time, and remembers the first that failed: the operating system reports a failure once,
    /// to one of several callers, and a second attempt may succeed without having written anything.
    failed_sync: Mutex<Option<Error>>,
}

impl Segment {
    /// Creates the file of a segment with room for `capacity` bytes, header included.
    ///
    /// # Errors
    /// `Io`, with `StorageFull` when there is no space: no harm is done, but the file may be there, to be removed at
    /// the next opening.
    pub fn create_file(fs: &dyn Fs, path: &Path, capacity: u64) -> Result<Arc<dyn LogFile>> {
        let file = fs.create_log(path, capacity)?;
        file.reserve(SEGMENT_HEADER_LEN)?;
        Ok(file)
    }

    /// Begins a segment in a file from [`Segment::create_file`] with the same `capacity`: writes its header, and makes
    /// it and its name durable.
    ///
    /// # Errors
    /// `Io`: poison the store, as after any failed sync.
    pub fn begin(
        fs: &dyn Fs,
        file: Arc<dyn LogFile>,
        identity: SegmentIdentity,
        capacity: u64,
    ) -> Result<Self> {
        file.append(0, &identity.encode())?;
        file.sync()?;
        fs.sync_dir(file.path().parent().unwrap_or_else(|| Path::new(".")))?;
        Ok(Self {
            identity,
            salt: identity.salt(),
            file,
            capacity,
            end: AtomicU64::new(SEGMENT_HEADER_LEN),
            durable: AtomicU64::new(SEGMENT_HEADER_LEN),
            failed_sync: Mutex::new(None),
        })
    }

    /// Its number.
    pub fn id(&self) -> u64 {
        self.identity.id
    }

    /// Its identity.
    pub fn identity(&self) -> SegmentIdentity {
        self.identity
    }

    /// What the sums of its frames are seeded with.
    pub fn salt(&self) -> Salt {
        self.salt
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// How many bytes it can hold, header included.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// How many bytes have been appended, header included.
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// How many bytes are durable.
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Owns the space for `len` more bytes, or fails without a change.
    pub(super) fn reserve(&self, len: u64) -> Result<()> {
        self.file.reserve(self.end() + len)
    }

    pub(super) fn append(&self, bytes: &[u8]) -> Result<()> {
        let end = self.end.load(Ordering::Relaxed);
        self.file.append(end, bytes)?;
        self.end.store(end + bytes.len() as u64, Ordering::Release);
        Ok(())
    }

    /// Makes what was appended so far durable.
    pub(super) fn sync(&self) -> Result<u64> {
        let mut failed = self.failed_sync.lock();
        let end = self.end();
        if self.durable() < end {
            self.sync_once(&mut failed, end)?;
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
        let mut failed = self.failed_sync.lock();
        let end = self.end();
        self.file.finish(end)?;
        self.sync_once(&mut failed, end)?;
        debug_assert_eq!(self.durable(), end, "a finished segment is wholly durable");
        Ok(PublishedFile::proven(self.path(), end))
    }

    /// Calls `read` with `len` raw bytes from `offset`.
    ///
    /// # Errors
    /// `Io`; `Corruption` when they were not appended.
    pub fn read(&self, offset: u64, len: usize, read: &mut dyn FnMut(&[u8])) -> Result<()> {
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
