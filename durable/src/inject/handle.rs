//! Open files whose calls are counted and faulted.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use kv::Result;

use super::call::OpKind;
use super::{Core, Verdict};
use crate::fs::{Access, File, LogFile, Mapped};
use crate::sim_fs::SimInode;

#[derive(Debug)]
pub(super) struct InjectFile {
    pub(super) inner: Arc<dyn File>,
    pub(super) core: Arc<Core>,
    /// The file of the simulated disk, to tell it of failed syncs.
    pub(super) inode: Option<SimInode>,
}

impl File for InjectFile {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn len(&self) -> Result<u64> {
        self.core.returning(OpKind::Len, self.path(), || self.inner.len())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.core.returning(OpKind::Read, self.path(), || self.inner.read_at(offset, buf))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let write = |bytes: &[u8]| self.inner.write_at(offset, bytes);
        self.core.writing(OpKind::Write, self.path(), bytes, write, || Ok(()))
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.core.doing(OpKind::SetLen, self.path(), None, || self.inner.set_len(len))
    }

    /// A hint, so no call that a plan can fail.
    fn start_writeback(&self, range: Range<u64>) {
        self.inner.start_writeback(range);
    }

    fn sync(&self) -> Result<()> {
        self.core.syncing(self.path(), self.inode, || self.inner.sync())
    }

    fn map(&self, access: Access) -> Result<Arc<dyn Mapped>> {
        self.core.returning(OpKind::Map, self.path(), || self.inner.map(access))
    }
}

#[derive(Debug)]
pub(super) struct InjectLog {
    pub(super) inner: Arc<dyn LogFile>,
    pub(super) core: Arc<Core>,
    /// As [`InjectFile::inode`].
    pub(super) inode: Option<SimInode>,
}

impl LogFile for InjectLog {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn reserve(&self, end: u64) -> Result<()> {
        self.core.doing(OpKind::Reserve, self.path(), None, || self.inner.reserve(end))
    }

    fn append(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let append = |bytes: &[u8]| self.inner.append(offset, bytes);
        // A skipped append uses up its space, or the next one would leave a gap.
        let skip = || self.inner.append(offset, &vec![0; bytes.len()]);
        self.core.writing(OpKind::Append, self.path(), bytes, append, skip)
    }

    fn cut(&self, end: u64) -> Result<()> {
        self.core.doing(OpKind::Cut, self.path(), None, || self.inner.cut(end))
    }

    fn read(&self, offset: u64, len: usize, read: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.core.returning(OpKind::Read, self.path(), || self.inner.read(offset, len, read))
    }

    fn sync(&self) -> Result<()> {
        self.core.syncing(self.path(), self.inode, || self.inner.sync())
    }

    fn finish(&self, len: u64) -> Result<()> {
        self.core.doing(OpKind::Finish, self.path(), None, || self.inner.finish(len))
    }
}

impl Core {
    fn writing(
        &self,
        kind: OpKind,
        path: &Path,
        bytes: &[u8],
        write: impl Fn(&[u8]) -> Result<()>,
        skip: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let (call, verdict) = self.judge(kind, path, None, bytes.len());
        let failed = |errno| Err(super::error(errno, &call));
        let result = match verdict {
            Verdict::Run => write(bytes),
            Verdict::Skip => skip(),
            Verdict::Fail(errno) => failed(errno),
            Verdict::FailAfter(errno) => write(bytes).and_then(|()| failed(errno)),
            Verdict::FailAfterBytes(len, errno) => {
                assert!(len <= bytes.len(), "a part of the bytes is written");
                write(&bytes[..len]).and_then(|()| failed(errno))
            }
        };
        self.returned(&call, result)
    }

    /// A failing sync also has its effect on the simulated page cache.
    fn syncing(
        &self,
        path: &Path,
        inode: Option<SimInode>,
        sync: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let (call, verdict) = self.judge(OpKind::SyncFile, path, None, 0);
        if let (Verdict::Fail(_), Some(sim), Some(inode)) = (&verdict, &self.sim, inode) {
            sim.fail_sync_of(inode, path);
        }
        self.returned(&call, Self::carry_out(verdict, &call, sync))
    }
}
