//! Open regular files of the operating system.

use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use kv::{Error, Result};

use super::cache_pass::CachePass;
use super::mapping::{map_file, start_writeback};
use super::read_mapping;
use crate::fs::{Access, File, Mapped, read_pieces};

/// An open regular file.
#[derive(Debug)]
pub(super) struct OsFile {
    /// Shared with the mappings, which give advice about it.
    file: Arc<fs::File>,
    path: PathBuf,
}

impl OsFile {
    pub(super) fn new(file: fs::File, path: &Path) -> Self {
        Self { file: Arc::new(file), path: path.into() }
    }

    fn fail(&self, op: &'static str) -> impl FnOnce(io::Error) -> Error {
        let path = self.path.clone();
        move |e| Error::io(op, path, e)
    }
}

impl File for OsFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len(&self) -> Result<u64> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(self.fail("measure"))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buf, offset).map_err(self.fail("read"))
    }

    /// The mapping only tells which pages are in memory. If there can be none, the pages that are read stay.
    fn read_in_pieces(&self, visit: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        let len = self.len()?;
        let map = map_file(&self.file).ok().flatten();
        let mut pass = CachePass::over(&self.file, map.as_ref());
        drop(map);
        advise_sequential(&self.file, true);
        let read = &mut |offset, piece: &mut [u8]| {
            self.read_at(offset, piece)?;
            pass.release(offset + piece.len() as u64, None);
            Ok(())
        };
        let result = read_pieces(len, read, visit);
        advise_sequential(&self.file, false);
        result
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(self.fail("write"))
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.file.set_len(len).map_err(self.fail("set length"))
    }

    fn start_writeback(&self, range: Range<u64>) {
        if !range.is_empty() {
            start_writeback(&self.file, range.start, range.end);
        }
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(self.fail("sync"))
    }

    fn map(&self, access: Access) -> Result<Arc<dyn Mapped>> {
        read_mapping::map(&self.file, access).map_err(self.fail("map"))
    }
}

/// Has the kernel read far ahead, or as usual again. A system that refuses reads as usual.
fn advise_sequential(file: &fs::File, sequential: bool) {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{Advice, fadvise};

        let advice = if sequential { Advice::Sequential } else { Advice::Normal };
        drop(fadvise(file, 0, None, advice).map_err(io::Error::from));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, sequential);
}
