//! Logs that are written with `write(2)` and read with `pread(2)`.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use kv::{Error, Result};
use parking_lot::Mutex;

use super::space::Space;
use crate::fs::LogFile;

/// Appends go through `write(2)`, reads through `pread(2)`.
#[derive(Debug)]
pub(super) struct WrittenLog {
    pub(super) space: Space,
    /// Held by an append, and while nothing may be appended.
    appending: Mutex<()>,
    /// Where the next append goes. Changed only while `appending` is held.
    end: AtomicU64,
}

impl WrittenLog {
    /// An empty log.
    pub(super) fn new(space: Space) -> Self {
        Self { space, appending: Mutex::new(()), end: AtomicU64::new(0) }
    }

    fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }
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
        let _one = self.appending.lock();
        assert_eq!(offset, self.end(), "appends leave no gap");
        self.space.file.write_all_at(bytes, offset).map_err(self.space.fail("append"))?;
        self.end.store(after, Ordering::Release);
        if self.space.wants_writeback(offset, after) {
            self.space.start_writeback(after);
        }
        Ok(())
    }

    fn cut(&self, end: u64) -> Result<()> {
        let _no_append = self.appending.lock();
        assert!(end <= self.end(), "a log is cut, and never made longer");
        self.space.cut(end)?;
        self.end.store(end, Ordering::Release);
        Ok(())
    }

    fn read(&self, offset: u64, len: usize, read: &mut dyn FnMut(&[u8])) -> Result<()> {
        let end = offset.checked_add(len as u64);
        if end.is_none_or(|end| end > self.end()) {
            let what = "a read past the end of the log";
            return Err(Error::corruption(self.path(), offset, what));
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| {
            let what = format!("no memory for {len} bytes at offset {offset}");
            self.space.fail("read")(io::Error::new(io::ErrorKind::OutOfMemory, what))
        })?;
        bytes.resize(len, 0);
        self.space.file.read_exact_at(&mut bytes, offset).map_err(self.space.fail("read"))?;
        read(&bytes);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let no_append = self.appending.lock();
        if self.space.needs_zeros(self.end()) {
            self.space.write_zeros(self.end())?;
        }
        drop(no_append);
        self.space.sync()
    }

    fn finish(&self, len: u64) -> Result<()> {
        let _no_append = self.appending.lock();
        self.space.finish(len)
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::super::file_system::FileSystem;
    use super::*;

    /// Damage may make a length huge, and no memory is there for it.
    #[test]
    fn a_read_without_memory_for_its_bytes_names_the_file_and_the_offset() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let file = crate::os_fs::create_file(&path).unwrap();
        let log = WrittenLog::new(Space::new(file, &path, 4096, FileSystem::REAL));
        log.end.store(u64::MAX, Ordering::Release);
        let refused = log.read(64, 1 << 60, &mut |_| ()).unwrap_err();
        assert_eq!(refused.io_kind(), Some(io::ErrorKind::OutOfMemory));
        let told = refused.to_string();
        assert!(told.contains("log") && told.contains("offset 64"), "{told}");
        assert!(refused.is_out_of_resources(), "the store is not poisoned");
    }
}
