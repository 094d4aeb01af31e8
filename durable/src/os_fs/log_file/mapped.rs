//! Logs that are written and read through a mapping.
//!
//! Before the kernel writes a page to the disk, it write-protects the page in every mapping. For that it interrupts each
//! processor that runs a thread of the process. Page by page that took half of the processor time of filling a store, and
//! stopped the appender each time. So before pages are written, a log takes them out of its page table, with one
//! interrupt for all of them ([`Region::forget_pages`]).

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use kv::{Error, Result};

use super::space::Space;
use crate::fs::LogFile;
use crate::os_fs::mapping::Region;

/// Appends and reads go through a mapping.
#[derive(Debug)]
pub(super) struct MappedLog {
    space: Space,
    region: Region,
    /// Up to here the pages were taken out of the page table once.
    forgotten: AtomicU64,
}

/// A write of fewer bytes than these to the disk leaves its pages where they are: the appender and readers would meet them
/// again at once.
const WORTH_FORGETTING: u64 = 256 << 10;

impl MappedLog {
    pub(super) fn new(space: Space, region: Region) -> Self {
        Self { space, region, forgotten: AtomicU64::new(0) }
    }

    /// Takes the pages of the bytes that were appended up to `end` out of the page table, because they are about to be written.
    fn forget_pages(&self, end: u64) {
        let from = self.forgotten.load(Ordering::Relaxed);
        if end >= from + WORTH_FORGETTING {
            self.region.forget_pages(from as usize, end as usize);
            self.forgotten.fetch_max(end / WORTH_FORGETTING * WORTH_FORGETTING, Ordering::Relaxed);
        }
    }
}

impl LogFile for MappedLog {
    fn path(&self) -> &Path {
        &self.space.path
    }

    fn reserve(&self, end: u64) -> Result<()> {
        self.space.reserve(end)?;
        if !self.space.lacks_zeros(end) {
            return Ok(());
        }
        let zeros = |at| self.space.write_few_zeros(at as u64, end);
        match self.region.between_appends(zeros) {
            // The space is allocated, and there is none for its bytes. Through the mapping that would end the process.
            Err(error) if error.is_out_of_resources() => Err(error),
            // Without the zeros appends are slower and nothing else.
            _ => Ok(()),
        }
    }

    fn append(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset + bytes.len() as u64;
        self.space.check_reserved(end);
        self.region.append(offset as usize, bytes);
        if self.space.wants_writeback(offset, end) {
            self.forget_pages(end);
            self.space.start_writeback(end);
        }
        Ok(())
    }

    /// An append through a mapping cannot fail, and bytes that are published stay as they are.
    fn cut(&self, end: u64) -> Result<()> {
        self.region.between_appends(|published| {
            if published as u64 != end {
                let source = io::Error::from(io::ErrorKind::Unsupported);
                return Err(Error::io("cut", self.path(), source));
            }
            self.space.cut(end)
        })
    }

    fn read(&self, offset: u64, len: usize, read: &mut dyn FnMut(&[u8])) -> Result<()> {
        let offset = offset as usize;
        let bytes = self.region.published(offset, len).ok_or_else(|| {
            Error::corruption(&self.space.path, offset as u64, "a read past the end of the log")
        })?;
        read(bytes);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let end = self.region.published_len() as u64;
        if self.space.needs_zeros(end) {
            self.region.between_appends(|end| self.space.write_zeros(end as u64))?;
        }
        self.forget_pages(end);
        self.space.sync()
    }

    /// Cuts the file behind the last published byte: no access through the region reaches past that.
    fn finish(&self, len: u64) -> Result<()> {
        self.region.between_appends(|_| self.space.finish(len))
    }
}
