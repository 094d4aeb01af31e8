//! Data files as readers see them: a table of them, and records read from a place in one.
//!
//! The table is published as a whole. A file enters it before the keydir names it, and its entry is replaced when the
//! file is sealed: then it is read through a mapping of its final length, or by position. It leaves the table when the
//! keydir no longer names it, after a merge. A reader that has loaded an earlier table keeps the file open.

mod verified;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use durable::log::{FrameView, Salt, Segment, SegmentHeader};
use durable::sync::atomic::AtomicBool;
use durable::{Access, File, Fs, Mapped};
use kv::{Error, Result, UnixMillis};

use crate::file_handle::FileHandle;
use crate::keydir::Location;
use crate::options::ReadMode;
use crate::record::Record;
use verified::VerifiedRecords;

/// The data files of an open store, by their number in the keydir.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileTable {
    files: Vec<Option<Arc<DataFile>>>,
}

impl FileTable {
    #[inline]
    pub(crate) fn get(&self, number: u16) -> Option<&Arc<DataFile>> {
        self.files.get(usize::from(number))?.as_ref()
    }

    /// One more than the greatest number.
    pub(crate) fn numbers(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<DataFile>> {
        self.files.iter().flatten()
    }

    /// Puts `file` at its number, in the place of an earlier form of it.
    pub(crate) fn insert(&mut self, file: Arc<DataFile>) {
        let number = usize::from(file.handle.number);
        if self.files.len() <= number {
            self.files.resize(number + 1, None);
        }
        let is_same = |old: &Arc<DataFile>| old.id == file.id;
        debug_assert!(self.files[number].as_ref().is_none_or(is_same), "a number is in use once");
        self.files[number] = Some(file);
    }

    /// Takes out the file with that number.
    pub(crate) fn remove(&mut self, number: u16) -> Option<Arc<DataFile>> {
        self.files.get_mut(usize::from(number))?.take()
    }

    pub(crate) fn with_id(&self, id: u64) -> Option<&Arc<DataFile>> {
        self.iter().find(|file| file.id == id)
    }
}

/// One data file.
#[derive(Debug)]
pub(crate) struct DataFile {
    pub(crate) id: u64,
    body: Body,
    header: SegmentHeader,
    /// That of `header`, for gets.
    salt: Salt,
    /// Shared by all forms of the same file.
    pub(crate) handle: Arc<FileHandle>,
}

#[derive(Debug)]
enum Body {
    /// Being written, or written and not sealed yet.
    Segment(Arc<Segment>),
    /// Sealed and mapped, or copied.
    Mapped {
        bytes: Arc<dyn Mapped>,
        verified: VerifiedRecords,
        path: PathBuf,
        /// [`DataFile::populate`] was called.
        populated: AtomicBool,
    },
    /// Sealed and read by position.
    Positional(Arc<dyn File>, u64),
}

impl DataFile {
    /// A file that is being written.
    pub(crate) fn active(segment: Arc<Segment>, handle: Arc<FileHandle>) -> Self {
        let header = segment.header();
        Self::new(Body::Segment(segment), header, handle)
    }

    /// A sealed file, whose length has been checked.
    pub(crate) fn sealed(
        fs: &dyn Fs,
        path: &Path,
        header: SegmentHeader,
        read: ReadMode,
        handle: Arc<FileHandle>,
    ) -> Result<Self> {
        let file = fs.open(path)?;
        // A process has a limited number of mappings; without one the file is read by position.
        let mapped = if read == ReadMode::Mapped { file.map(Access::Random).ok() } else { None };
        let body = if let Some(bytes) = mapped {
            Body::mapped(bytes, path.into())
        } else {
            let len = file.len()?;
            Body::Positional(file, len)
        };
        Ok(Self::new(body, header, handle))
    }

    /// A copy in memory of the whole batches of a file that another handle is writing.
    pub(crate) fn copied(
        bytes: Arc<dyn Mapped>,
        path: PathBuf,
        header: SegmentHeader,
        handle: Arc<FileHandle>,
    ) -> Self {
        Self::new(Body::mapped(bytes, path), header, handle)
    }

    fn new(body: Body, header: SegmentHeader, handle: Arc<FileHandle>) -> Self {
        let id = header.identity.id;
        assert_eq!(handle.id(), id, "the handle is that of the file");
        Self { id, body, header, salt: header.salt(), handle }
    }

    pub(crate) fn path(&self) -> &Path {
        match &self.body {
            Body::Segment(segment) => segment.path(),
            Body::Mapped { path, .. } => path,
            Body::Positional(file, _) => file.path(),
        }
    }

    /// Which segment it is, and in which format.
    pub(crate) fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// How many bytes it has, header included, so far.
    pub(crate) fn len(&self) -> u64 {
        match &self.body {
            Body::Segment(segment) => segment.end(),
            Body::Mapped { bytes, .. } => bytes.bytes().len() as u64,
            Body::Positional(_, len) => *len,
        }
    }

    /// Enters the pages of a mapped file that are in memory into the page table of the process. The first read of such a page
    /// then costs no page fault. Reads nothing from the disk. `false`: there is nothing to do, or it was done before.
    pub(crate) fn populate(&self) -> bool {
        self.body.populate()
    }

    /// Calls `found` with the value at `location` if the record there is of `key`, which it must be. `false`: the record
    /// has expired at the time `now`.
    ///
    /// A value in a mapped file is lent as it lies there, without a copy. A large record of a mapped file has its checksum
    /// verified by the first call that touches it, any other record by each call.
    ///
    /// # Errors
    /// `Corruption` when the record fails its check or is another one; `Io`.
    pub(crate) fn read_value(
        &self,
        location: Location,
        key: &[u8],
        now: &dyn Fn() -> UnixMillis,
        found: &mut dyn FnMut(&[u8]),
    ) -> Result<bool> {
        debug_assert_eq!(location.file, self.handle.number, "the location is in this file");
        debug_assert!(location.len > 0 && location.offset > 0, "a record lies behind the header");
        let mut is_visible = true;
        self.with_frame(location, &mut |frame| match Record::decode(frame, self.path())? {
            Record::Put { key: stored, value, expires_at } if stored == key => {
                is_visible = expires_at.is_none_or(|end| now() < end);
                if is_visible {
                    found(value);
                }
                Ok(())
            }
            _ => Err(Error::corruption(self.path(), location.offset, "a record of another key")),
        })?;
        Ok(is_visible)
    }

    /// Calls `read` with the frame at `location`, whose checksum has been verified.
    fn with_frame(
        &self,
        location: Location,
        read: &mut dyn FnMut(&FrameView<'_>) -> Result<()>,
    ) -> Result<()> {
        let (offset, len) = (location.offset, location.len as usize);
        let mut check_and_read = |bytes: &[u8]| {
            FrameView::expect(bytes, self.salt, offset, self.path()).and_then(|frame| read(&frame))
        };
        match &self.body {
            // Mapped bytes stay as they are, so a check can be remembered.
            Body::Mapped { bytes, verified, path, .. } => {
                let too_short = || Error::corruption(path, offset, "the file is too short");
                let bytes = bytes.bytes().get(offset as usize..).and_then(|rest| rest.get(..len));
                let bytes = bytes.ok_or_else(too_short)?;
                read(&verified.frame(bytes, self.salt, offset, path)?)
            }
            // The file is still being written, and the log may copy the bytes anew for each call.
            Body::Segment(segment) => {
                let mut result = Ok(());
                segment.read(offset, len, &mut |bytes| result = check_and_read(bytes))?;
                result
            }
            // The bytes may come from the disk anew with each call.
            Body::Positional(file, _) => {
                let mut bytes = vec![0; len];
                file.read_at(offset, &mut bytes)?;
                check_and_read(&bytes)
            }
        }
    }
}

impl Body {
    fn mapped(bytes: Arc<dyn Mapped>, path: PathBuf) -> Self {
        let verified = VerifiedRecords::new(bytes.bytes().len() as u64);
        Self::Mapped { bytes, verified, path, populated: AtomicBool::new(false) }
    }

    fn populate(&self) -> bool {
        let Self::Mapped { bytes, populated, .. } = self else { return false };
        let is_first = !populated.swap(true, Ordering::Relaxed);
        if is_first {
            bytes.populate();
        }
        is_first
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Counts the calls of `populate`.
    #[derive(Debug, Default)]
    struct Counting(AtomicUsize);

    impl Mapped for Counting {
        fn bytes(&self) -> &[u8] {
            &[]
        }

        fn populate(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_mapped_file_is_populated_once() {
        let mapped = Arc::new(Counting::default());
        let body = Body::mapped(Arc::clone(&mapped) as _, PathBuf::new());
        assert_eq!(mapped.0.load(Ordering::Relaxed), 0);
        assert!(body.populate());
        assert!(!body.populate());
        assert_eq!(mapped.0.load(Ordering::Relaxed), 1);
    }
}
