//! Open files of a simulated disk.

use std::io;
use std::path::Path;
use std::sync::Arc;

use kv::{Error, Result};

use super::SimFs;
use super::op::{Op, Target};
use crate::fs::{Access, File, Lock, LockMode, LogFile, Mapped};
use crate::sync::Mutex;

/// An open file. It reads and writes the inode, whatever happens to its names.
#[derive(Debug)]
pub(super) struct SimFile {
    pub(super) fs: SimFs,
    pub(super) file: Target,
    pub(super) writable: bool,
}

impl SimFile {
    fn fail(&self, op: &'static str, kind: io::ErrorKind) -> Error {
        Error::io(op, &self.file.path, kind.into())
    }

    fn check_writable(&self, op: &'static str) -> Result<()> {
        if self.writable {
            return Ok(());
        }
        Err(self.fail(op, io::ErrorKind::PermissionDenied))
    }
}

impl File for SimFile {
    fn path(&self) -> &Path {
        &self.file.path
    }

    fn len(&self) -> Result<u64> {
        Ok(self.fs.state().cache(&self.file).len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let state = self.fs.state();
        let bytes = slice(state.cache(&self.file), offset, buf.len());
        let bytes = bytes.ok_or_else(|| self.fail("read", io::ErrorKind::UnexpectedEof))?;
        buf.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.check_writable("write")?;
        if bytes.is_empty() {
            return Ok(());
        }
        let mut state = self.fs.state();
        let fitting = state.fitting("write", &self.file, offset, bytes.len())?;
        if fitting > 0 {
            let file = self.file.clone();
            state.record(Op::Write { file, offset, bytes: bytes[..fitting].into() });
        }
        if fitting < bytes.len() {
            return Err(self.fail("write", io::ErrorKind::StorageFull));
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.check_writable("set length")?;
        let mut state = self.fs.state();
        state.check_space("set length", &self.file, len)?;
        state.record(Op::SetLen { file: self.file.clone(), len });
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.fs.state().record(Op::Sync { file: self.file.clone() });
        Ok(())
    }

    fn map(&self, _access: Access) -> Result<Arc<dyn Mapped>> {
        Ok(Arc::new(SimMapped(Arc::clone(self.fs.state().cache(&self.file)))))
    }
}

/// A part of a file. Nothing can be read anywhere, even past the end.
fn slice(bytes: &[u8], offset: u64, len: usize) -> Option<&[u8]> {
    if len == 0 {
        return Some(&[]);
    }
    let offset = usize::try_from(offset).ok()?;
    bytes.get(offset..offset.checked_add(len)?)
}

/// The bytes of a file when it was mapped.
#[derive(Debug)]
struct SimMapped(Arc<Vec<u8>>);

impl Mapped for SimMapped {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A log file, with the rules of the real ones: no gap, and no byte past the capacity.
#[derive(Debug)]
pub(super) struct SimLog {
    pub(super) fs: SimFs,
    pub(super) file: Target,
    /// Locked before the disk is.
    pub(super) space: Mutex<LogSpace>,
}

#[derive(Debug)]
pub(super) struct LogSpace {
    /// Where the next append goes.
    pub(super) end: u64,
    /// Where the space ends that belongs to the log, until it is given back.
    pub(super) capacity: u64,
}

impl LogFile for SimLog {
    fn path(&self) -> &Path {
        &self.file.path
    }

    /// The whole capacity is owned from the beginning. A log that was cut allocates the space again.
    fn reserve(&self, end: u64) -> Result<()> {
        let space = self.space.lock();
        assert!(end <= space.capacity, "the bytes fit into the capacity");
        let mut state = self.fs.state();
        if end > state.cache(&self.file).len() as u64 {
            state.check_space("allocate", &self.file, end)?;
            state.record(Op::Allocate { file: self.file.clone(), capacity: end });
        }
        Ok(())
    }

    fn append(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut space = self.space.lock();
        let after = offset + bytes.len() as u64;
        assert_eq!(offset, space.end, "appends leave no gap");
        assert!(after <= space.capacity, "the bytes fit into the capacity");
        if bytes.is_empty() {
            return Ok(());
        }
        let mut state = self.fs.state();
        let fitting = state.fitting("append", &self.file, offset, bytes.len())?;
        if fitting > 0 {
            let file = self.file.clone();
            state.record(Op::Append { file, offset, bytes: bytes[..fitting].into() });
        }
        if fitting < bytes.len() {
            return Err(Error::io("append", self.path(), io::ErrorKind::StorageFull.into()));
        }
        space.end = after;
        Ok(())
    }

    fn cut(&self, end: u64) -> Result<()> {
        let mut space = self.space.lock();
        assert!(end <= space.end, "a log is cut, and never made longer");
        self.fs.state().record(Op::SetLen { file: self.file.clone(), len: end });
        space.end = end;
        Ok(())
    }

    fn read(&self, offset: u64, len: usize, read: &mut dyn FnMut(&[u8])) -> Result<()> {
        let end = self.space.lock().end;
        if offset.saturating_add(len as u64) > end {
            return Err(Error::corruption(self.path(), offset, "a read past the end of the log"));
        }
        let bytes = slice(self.fs.state().cache(&self.file), offset, len).map(<[u8]>::to_vec);
        let cut = || Error::io("read", self.path(), io::ErrorKind::UnexpectedEof.into());
        // The disk is not locked here: the caller may use it.
        read(&bytes.ok_or_else(cut)?);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.fs.state().record(Op::Sync { file: self.file.clone() });
        Ok(())
    }

    fn finish(&self, len: u64) -> Result<()> {
        let mut space = self.space.lock();
        space.capacity = len;
        self.fs.state().record(Op::Finish { file: self.file.clone(), len });
        Ok(())
    }
}

/// A held lock of one simulated disk.
#[derive(Debug)]
pub(super) struct SimLock {
    pub(super) fs: SimFs,
    pub(super) file: Target,
    pub(super) mode: LockMode,
}

impl Lock for SimLock {
    fn check(&self) -> Result<()> {
        let path = &self.file.path;
        if self.fs.state().disk.file(path) == Some(self.file.inode) {
            return Ok(());
        }
        let what = "the lock file was replaced while the store was open";
        Err(Error::io("find", &**path, io::Error::new(io::ErrorKind::NotFound, what)))
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.fs.state().unlock(self.file.inode, self.mode);
    }
}
