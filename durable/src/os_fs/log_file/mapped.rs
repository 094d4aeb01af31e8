//! Logs that are written and read through a mapping.

use std::path::Path;

use kv::{Error, Result};

use super::space::Space;
use crate::fs::LogFile;
use crate::os_fs::mapping::Region;

/// Appends and reads go through a mapping.
#[derive(Debug)]
pub(super) struct MappedLog {
    pub(super) space: Space,
    pub(super) region: Region,
}

impl LogFile for MappedLog {
    fn path(&self) -> &Path {
        &self.space.path
    }

    fn reserve(&self, end: u64) -> Result<()> {
        self.space.reserve(end)?;
        if self.space.lacks_zeros(end) {
            // Without the zeros appends are slower and nothing else.
            drop(self.region.between_appends(|at| self.space.write_few_zeros(at as u64, end)));
        }
        Ok(())
    }

    fn append(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset + bytes.len() as u64;
        self.space.check_reserved(end);
        self.region.append(offset as usize, bytes);
        self.space.pace_writeback(offset, end);
        Ok(())
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
        if self.space.needs_zeros(self.region.published_len() as u64) {
            self.region.between_appends(|end| self.space.write_zeros(end as u64))?;
        }
        self.space.sync()
    }

    /// Cuts the file behind the last published byte: no access through the region reaches past that.
    fn finish(&self, len: u64) -> Result<()> {
        self.region.between_appends(|_| self.space.finish(len))
    }
}
