//! One segment file: its identity, and how much of it is written and durable.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kv::{Error, Result};

use super::frame::{FrameView, Salt};
use super::witness::{self, Claim, Witness};
use crate::checksum::crc32;
use crate::fs::{File, Fs, LogFile};
use crate::identity::{Stamp, StoreId};
use crate::publish::PublishedFile;
use crate::sync::Mutex;
use crate::sync::atomic::AtomicU64;

/// Bytes before the first frame of a segment.
pub const SEGMENT_HEADER_LEN: u64 = 64;

const MAGIC_PLAIN: &[u8; 8] = b"KVSEGM01";
const MAGIC_WITNESSED: &[u8; 8] = b"KVSEGM02";

/// Where the parts of a segment are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentLayout {
    /// Format 1: frames follow the header. For a segment that is published when it is whole, like an output of a merge.
    Plain,
    /// Format 2: slots of a witness lie between header and frames. For the segments of a log that is synced as it grows.
    Witnessed,
}

impl SegmentLayout {
    /// The layout of the segment `bytes`, whose header was checked.
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.starts_with(MAGIC_WITNESSED) { Self::Witnessed } else { Self::Plain }
    }

    /// Where the first frame starts.
    pub fn first_frame(self) -> u64 {
        match self {
            Self::Plain => SEGMENT_HEADER_LEN,
            Self::Witnessed => witness::FIRST_FRAME,
        }
    }

    fn is_slot(self, offset: u64) -> bool {
        self == Self::Witnessed && witness::is_slot(offset)
    }

    fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::Plain => MAGIC_PLAIN,
            Self::Witnessed => MAGIC_WITNESSED,
        }
    }
}

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
        // The header of format 1 in both formats: the salt depends on the identity alone.
        Salt(crc32(&self.encode(SegmentLayout::Plain)))
    }

    fn encode(&self, layout: SegmentLayout) -> [u8; SEGMENT_HEADER_LEN as usize] {
        let mut header = [0; SEGMENT_HEADER_LEN as usize];
        header[..8].copy_from_slice(layout.magic());
        header[8..24].copy_from_slice(&self.store.0);
        header[24..32].copy_from_slice(&self.id.to_le_bytes());
        header[32..40].copy_from_slice(&self.epoch.to_le_bytes());
        header[40..48].copy_from_slice(&self.edit_number.to_le_bytes());
        let sum = crc32(&header[..60]);
        header[60..].copy_from_slice(&sum.to_le_bytes());
        header
    }

    /// Reads the header of segment `id` of `store`: its identity and its layout.
    ///
    /// # Errors
    /// `Corruption` when the bytes are not the header of that very segment.
    pub fn decode(
        bytes: &[u8],
        store: StoreId,
        id: u64,
        path: &Path,
    ) -> Result<(Self, SegmentLayout)> {
        let refuse = |what: &str| Err(Error::corruption(path, 0, what));
        let Some(header) = bytes.get(..SEGMENT_HEADER_LEN as usize) else {
            return refuse("the file is too short for a segment header");
        };
        let field = |start: usize| u64::from_le_bytes(std::array::from_fn(|at| header[start + at]));
        let identity = Self { store, id, epoch: field(32), edit_number: field(40) };
        let layout = SegmentLayout::of(bytes);
        if header == identity.encode(layout) {
            return Ok((identity, layout));
        }
        // Another file, or a newer format.
        if !header.starts_with(layout.magic()) {
            return refuse("not a segment of format 1 or 2");
        }
        refuse("the segment header fails its checksum or belongs to another file")
    }

    /// Whether a crash while segment `id` of `store` was begun can have left `bytes`, all of its file: a header that is
    /// whole, torn or missing, and zeros where it should be.
    pub fn may_have_begun(bytes: &[u8], store: StoreId, id: u64) -> bool {
        let identity = Self { store, id, epoch: 0, edit_number: 0 };
        [SegmentLayout::Plain, SegmentLayout::Witnessed].into_iter().any(|layout| {
            let header = identity.encode(layout);
            // Epoch, edit number and sum follow the id; they are unknown.
            let known = &header[..32];
            let written = known.iter().zip(bytes).take_while(|(known, byte)| known == byte).count();
            // The slots of a witness may be there without the header.
            let is_empty = |(at, &byte): (usize, &u8)| byte == 0 || layout.is_slot(at as u64);
            written == known.len() || bytes.iter().enumerate().skip(written).all(is_empty)
        })
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
    layout: SegmentLayout,
    capacity: u64,
    end: AtomicU64,
    durable: AtomicU64,
    syncing: Mutex<Syncing>,
}

/// What one sync at a time may touch.
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
        let (salt, header) = (identity.salt(), identity.encode(layout));
        match layout {
            SegmentLayout::Plain => file.append(0, &header)?,
            SegmentLayout::Witnessed => file.append(0, &witness::area(&header, salt))?,
        }
        file.sync()?;
        fs.sync_dir(file.path().parent().unwrap_or_else(|| Path::new(".")))?;
        let witness = slots.map(|slots| Witness::new(slots, salt));
        Ok(Self {
            identity,
            salt,
            file,
            layout,
            capacity,
            end: AtomicU64::new(layout.first_frame()),
            durable: AtomicU64::new(layout.first_frame()),
            syncing: Mutex::new(Syncing { failed: None, witness }),
        })
    }

    /// Whether no frame was appended.
    pub fn is_empty(&self) -> bool {
        self.end() == self.layout.first_frame()
    }

    /// Whether `len` more bytes fit.
    pub(super) fn has_room(&self, len: u64) -> bool {
        let slots_len = self.layout.first_frame() - SEGMENT_HEADER_LEN;
        self.end() + len <= self.capacity.saturating_add(slots_len)
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

    /// How many bytes it can hold, header included and witness apart.
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
            offset >= self.layout.first_frame() || self.syncing.lock().witness.is_none(),
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
    use crate::SimFs;

    const IDENTITY: SegmentIdentity =
        SegmentIdentity { store: StoreId([9; 16]), id: 3, epoch: 2, edit_number: 17 };

    fn lines(golden: &str) -> Vec<Vec<u8>> {
        let byte = |line: &str, at: usize| u8::from_str_radix(&line[at..at + 2], 16).expect("hex");
        let bytes = |line: &str| (0..line.len()).step_by(2).map(|at| byte(line, at)).collect();
        golden.lines().map(bytes).collect()
    }

    /// The file of a segment that was begun, and then synced up to 4096 if it has a witness.
    fn written(layout: SegmentLayout) -> Result<[Vec<u8>; 2]> {
        let (fs, path) = (SimFs::new(), Path::new("segment"));
        let file = Segment::create_file(&fs, path, 8192, layout)?;
        let segment = Segment::begin(&fs, file, IDENTITY)?;
        let begun = fs.contents(path).expect("it was created");
        segment.append(&vec![1; (4096 - layout.first_frame()) as usize])?;
        segment.sync()?;
        Ok([begun, fs.contents(path).expect("it was created")])
    }

    #[test]
    fn a_segment_of_format_1_begins_with_the_golden_header() {
        let golden = lines(include_str!("../../tests/golden/segment-1.hex"));
        let [begun, _] = written(SegmentLayout::Plain).expect("the simulated disk works");
        assert_eq!(begun[..64], golden[0]);
        let decoded = SegmentIdentity::decode(&golden[0], IDENTITY.store, 3, Path::new("golden"));
        assert_eq!(decoded.expect("it is right"), (IDENTITY, SegmentLayout::Plain));
    }

    #[test]
    fn a_segment_of_format_2_begins_with_the_golden_header_and_claims() {
        let golden = lines(include_str!("../../tests/golden/segment-2.hex"));
        let [begun, synced] = written(SegmentLayout::Witnessed).expect("the simulated disk works");
        let decoded = SegmentIdentity::decode(&begun, IDENTITY.store, 3, Path::new("golden"));
        assert_eq!(decoded.expect("it is right"), (IDENTITY, SegmentLayout::Witnessed));
        let mut expected = vec![0; 2048];
        for (at, bytes) in [0, 512, 1024, 1536].into_iter().zip(&golden) {
            expected[at..at + bytes.len()].copy_from_slice(bytes);
        }
        assert_eq!(begun[..2048], expected);
        assert_eq!(synced[512..528], golden[4], "the first slot has the newest claim");
    }

    #[test]
    fn a_header_of_a_newer_format_or_of_another_segment_is_refused() {
        let [golden] = &lines(include_str!("../../tests/golden/segment-1.hex"))[..] else {
            panic!("one line");
        };
        let mut newer = golden.clone();
        newer[7] = b'3';
        for (bytes, id) in [(&newer, 3), (golden, 4), (&golden[..63].to_vec(), 3)] {
            let refused = SegmentIdentity::decode(bytes, IDENTITY.store, id, Path::new("golden"));
            assert!(refused.is_err_and(|error| error.is_corruption()));
        }
    }
}
