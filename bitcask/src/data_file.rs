//! Data files as readers see them: a table of them, and records read from a place in one.
//!
//! The table is published as a whole. A file enters it before the keydir names it, and its entry is replaced when the
//! file is sealed: then it is read through a mapping of its final length, or by position.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use durable::log::{FrameView, Salt, Segment, SegmentIdentity};
use durable::sync::atomic::AtomicU64;
use durable::{File, Fs, Mapped};
use kv::{Error, Result};

use crate::keydir::Location;
use crate::options::ReadMode;
use crate::record::Record;

/// The data files of an open store, by their number in the keydir. A number is never used for another file.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileTable {
    files: Vec<Option<Arc<DataFile>>>,
}

impl FileTable {
    /// Numbers that the keydir can hold.
    pub(crate) const MAX_FILES: usize = u16::MAX as usize - 1;

    pub(crate) fn get(&self, number: u16) -> Option<&Arc<DataFile>> {
        self.files.get(usize::from(number))?.as_ref()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<DataFile>> {
        self.files.iter().flatten()
    }

    /// Gives the next number to `file`, or to one that is no longer there. `None`: there are no numbers left.
    pub(crate) fn push(&mut self, file: Option<Arc<DataFile>>) -> Option<u16> {
        let number = u16::try_from(self.files.len())
            .ok()
            .filter(|&number| usize::from(number) < Self::MAX_FILES)?;
        self.files.push(file);
        Some(number)
    }

    /// A table with `file` in the place of the one with the same id.
    pub(crate) fn with_replaced(&self, file: &Arc<DataFile>) -> Self {
        let mut files = self.files.clone();
        for old in files.iter_mut().flatten().filter(|old| old.id == file.id) {
            *old = Arc::clone(file);
        }
        Self { files }
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
    salt: Salt,
    /// How much of it the keydir names; shared by all forms of the same file.
    pub(crate) live: Arc<Live>,
}

/// How much of a data file the keydir names.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) records: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

impl Live {
    pub(crate) fn add(&self, location: Location) {
        self.records.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(location.len, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, location: Location) {
        self.records.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(location.len, Ordering::Relaxed);
    }
}

#[derive(Debug)]
enum Body {
    /// Being written, or written and not sealed yet.
    Segment(Arc<Segment>),
    /// Sealed and mapped.
    Mapped { bytes: Arc<dyn Mapped>, path: PathBuf },
    /// Sealed and read by position.
    Positional(Arc<dyn File>, u64),
}

impl DataFile {
    /// A file that is being written.
    pub(crate) fn active(segment: Arc<Segment>) -> Self {
        let (id, salt) = (segment.id(), segment.salt());
        Self { id, body: Body::Segment(segment), salt, live: Arc::default() }
    }

    /// A sealed file, whose length has been checked.
    pub(crate) fn sealed(
        fs: &dyn Fs,
        path: &Path,
        identity: SegmentIdentity,
        read: ReadMode,
        live: Arc<Live>,
    ) -> Result<Self> {
        let file = fs.open(path)?;
        // A process has a limited number of mappings; without one the file is read by position.
        let mapped = if read == ReadMode::Mapped { file.map().ok() } else { None };
        let body = if let Some(bytes) = mapped {
            Body::Mapped { bytes, path: path.into() }
        } else {
            let len = file.len()?;
            Body::Positional(file, len)
        };
        Ok(Self { id: identity.id, body, salt: identity.salt(), live })
    }

    pub(crate) fn path(&self) -> &Path {
        match &self.body {
            Body::Segment(segment) => segment.path(),
            Body::Mapped { path, .. } => path,
            Body::Positional(file, _) => file.path(),
        }
    }

    /// How many bytes it has, header included, so far.
    pub(crate) fn len(&self) -> u64 {
        match &self.body {
            Body::Segment(segment) => segment.end(),
            Body::Mapped { bytes, .. } => bytes.bytes().len() as u64,
            Body::Positional(_, len) => *len,
        }
    }

    /// Calls `found` with the value at `location` if the record there is of `key`, which it must be.
    ///
    /// # Errors
    /// `Corruption` when the record fails its check or is another one; `Io`.
    pub(crate) fn read_value(
        &self,
        location: Location,
        key: &[u8],
        found: &mut dyn FnMut(&[u8]),
    ) -> Result<()> {
        self.with_frame_bytes(location, &mut |bytes| {
            let frame = FrameView::expect(bytes, self.salt, location.offset, self.path())?;
            match Record::decode(&frame, self.path())? {
                Record::Put { key: stored, value } if stored == key => {
                    found(value);
                    Ok(())
                }
                _ => {
                    Err(Error::corruption(self.path(), location.offset, "a record of another key"))
                }
            }
        })
    }

    fn with_frame_bytes(
        &self,
        location: Location,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let (offset, len) = (location.offset, location.len as usize);
        match &self.body {
            Body::Mapped { bytes, path } => {
                let bytes = bytes.bytes().get(offset as usize..offset as usize + len);
                read(
                    bytes
                        .ok_or_else(|| Error::corruption(path, offset, "the file is too short"))?,
                )
            }
            Body::Segment(segment) => {
                let mut result = Ok(());
                segment.read(offset, len, &mut |bytes| result = read(bytes))?;
                result
            }
            Body::Positional(file, _) => {
                let mut bytes = vec![0; len];
                file.read_at(offset, &mut bytes)?;
                read(&bytes)
            }
        }
    }
}
