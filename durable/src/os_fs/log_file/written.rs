//! Logs that are written with `write(2)` and read with `pread(2)`.

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use kv::Result;
use parking_lot::Mutex;

use super::space::Space;
use crate::fs::LogFile;

/// Appends go through `write(2)`, reads through `pread(2)`.
#[derive(Debug)]
pub(super) struct WrittenLog {
    pub(super) space: Space,
    /// Where the next append goes.
    pub(super) end: Mutex<u64>,
}

impl LogFile for WrittenLog {
    fn path(&self) -> &Path {
        &self.space.path
    }

    fn reserve(&self, end: u64) -> Result<()> {
        self.space.reserve(end)
    }

    fn append(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let after = offset + bytes.len() as u64;
        self.space.check_reserved(after);
        let mut end = self.end.lock();
        assert_eq!(offset, *end, "appends leave no gap");
        self.space.file.write_all_at(bytes, offset).map_err(self.space.fail("append"))?;
        *end = after;
        if self.space.wants_writeback(offset, after) {
            self.space.start_writeback(after);
        }
        Ok(())
    }

    fn read(&self, offset: u64, len: usize, read: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut bytes = vec![0; len];
        self.space.file.read_exact_at(&mut bytes, offset).map_err(self.space.fail("read"))?;
        read(&bytes);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let end = self.end.lock();
        if self.space.needs_zeros(*end) {
            self.space.write_zeros(*end)?;
        }
        drop(end);
        self.space.sync()
    }

    fn finish(&self, len: u64) -> Result<()> {
        let _no_append = self.end.lock();
        self.space.finish(len)
    }
}
