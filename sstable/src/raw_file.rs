//! The bytes of a table's file, mapped or read by position.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use durable::{Access, File, Mapped};
use kv::{Bytes, Error, Result};

use crate::options::ReadMode;

/// How many bytes of the end are read at once when a table is opened by position: enough for footer, directory and top
/// block of most tables.
const TAIL_BYTES: u64 = 64 << 10;

/// A file that no longer changes.
#[derive(Debug)]
pub(crate) struct RawFile {
    file: Arc<dyn File>,
    len: u64,
    map: Option<Arc<dyn Mapped>>,
    /// The bytes of the mapping, so that a read need not ask it.
    mapped: Bytes,
    /// The end of the file, while a table is opened by position.
    tail: Option<Bytes>,
}

/// Bytes of the file: where they are in the mapping, or a copy.
#[derive(Clone, Debug)]
pub(crate) enum RawBytes {
    Mapped(Range<usize>),
    Copied(Bytes),
}

impl RawFile {
    /// A file that is read in the given way. Reads its end if that is by position.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn open(file: Arc<dyn File>, mode: ReadMode) -> Result<Self> {
        let map = match mode {
            ReadMode::Positional => None,
            ReadMode::Mapped => match file.map(Access::Random) {
                // The process has all the mappings that it may have.
                Err(error) if error.is_out_of_resources() => None,
                map => Some(map?),
            },
        };
        let len = match &map {
            Some(map) => map.bytes().len() as u64,
            None => file.len()?,
        };
        let mapped = map.clone().map(view).unwrap_or_default();
        debug_assert!(map.is_none() || mapped.len() as u64 == len, "a view of the whole mapping");
        let mut raw = Self { file, len, map, mapped, tail: None };
        if raw.map.is_none() {
            raw.tail = Some(raw.copy(len.saturating_sub(TAIL_BYTES)..len)?);
        }
        Ok(raw)
    }

    /// A file whose bytes are mapped already.
    pub(crate) fn of_mapping(file: Arc<dyn File>, map: Arc<dyn Mapped>) -> Self {
        let mapped = view(Arc::clone(&map));
        Self { file, len: mapped.len() as u64, map: Some(map), mapped, tail: None }
    }

    /// The table was opened: the end is read like the rest from now on.
    pub(crate) fn release_tail(&mut self) {
        self.tail = None;
    }

    pub(crate) fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn map(&self) -> Option<&dyn Mapped> {
        self.map.as_deref()
    }

    /// The bytes of the whole file. `None`: it is read by position.
    #[inline]
    pub(crate) fn mapped(&self) -> Option<&[u8]> {
        self.map.is_some().then(|| &self.mapped[..])
    }

    /// The bytes of `range`, which lies in the file.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<RawBytes> {
        if self.map.is_some() {
            assert!(range.start <= range.end && range.end <= self.len, "a range of the file");
            return Ok(RawBytes::Mapped(range.start as usize..range.end as usize));
        }
        self.copy(range).map(RawBytes::Copied)
    }

    /// A copy of the bytes of `range`, which lies in the file.
    pub(crate) fn copy(&self, range: Range<u64>) -> Result<Bytes> {
        assert!(range.start <= range.end && range.end <= self.len, "a range of the file");
        let len = (range.end - range.start) as usize;
        if let Some(tail) = &self.tail
            && let Some(start) = range.start.checked_sub(self.len - tail.len() as u64)
        {
            // A copy, so that bytes that are kept do not keep the whole tail.
            let start = start as usize;
            debug_assert!(start + len <= tail.len(), "the tail goes to the end of the file");
            return Ok(Bytes::copy_from_slice(&tail[start..start + len]));
        }
        let mut bytes = Vec::new();
        let full = |_| Error::io("read", self.file.path(), io::ErrorKind::OutOfMemory.into());
        bytes.try_reserve_exact(len).map_err(full)?;
        bytes.resize(len, 0);
        self.file.read_at(range.start, &mut bytes)?;
        Ok(bytes.into())
    }

    /// The bytes that a read has found.
    #[inline]
    pub(crate) fn bytes<'b>(&'b self, found: &'b RawBytes) -> &'b [u8] {
        match found {
            RawBytes::Mapped(range) => &self.mapped[range.clone()],
            RawBytes::Copied(bytes) => bytes,
        }
    }

    /// The bytes that a read has found, to be kept. Counts a reference, and copies nothing.
    pub(crate) fn share(&self, found: RawBytes) -> Bytes {
        match found {
            RawBytes::Mapped(range) => self.mapped.slice(range),
            RawBytes::Copied(bytes) => bytes,
        }
    }
}

/// The bytes of `map`, which they keep.
fn view(map: Arc<dyn Mapped>) -> Bytes {
    struct Owner(Arc<dyn Mapped>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            self.0.bytes()
        }
    }
    Bytes::from_owner(Owner(map))
}
