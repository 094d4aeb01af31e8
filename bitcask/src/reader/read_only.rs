//! A file system that changes nothing, and on which some files are held as they were at one moment.
//!
//! Everything that a reader does goes through it, so that no mistake of this crate can write to somebody else's store.
//! The code that loads a store opens files by path; while it runs for a reader, the paths of held files lead to the
//! handle, the mapping or the copy that was taken when the manifest was read.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::{Access, Entry, File, Fs, Lock, LockMode, LogFile, Mapped};
use kv::{Error, Result};

/// The file system `fs`, without the calls that change it.
#[derive(Debug)]
pub(super) struct ReadOnly {
    fs: Arc<dyn Fs>,
    held: BTreeMap<PathBuf, Arc<dyn File>>,
}

impl ReadOnly {
    /// Holds nothing so far.
    pub(super) fn new(fs: Arc<dyn Fs>) -> Self {
        Self { fs, held: BTreeMap::new() }
    }

    /// Whoever opens the path of `file` gets this handle.
    pub(super) fn hold(&mut self, file: Arc<dyn File>) {
        self.held.insert(file.path().into(), file);
    }

    /// Whoever opens `path` gets these bytes.
    pub(super) fn hold_bytes(&mut self, path: PathBuf, bytes: Arc<dyn Mapped>) {
        self.held.insert(path.clone(), Arc::new(Held { path, bytes }));
    }
}

impl Fs for ReadOnly {
    fn create_dir(&self, _: &Path) -> Result<()> {
        Err(Error::ReadOnly)
    }

    fn resolve(&self, dir: &Path) -> Result<PathBuf> {
        self.fs.resolve(dir)
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        self.fs.list(dir)
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.held.get(path).map_or_else(|| self.fs.open(path), |file| Ok(Arc::clone(file)))
    }

    fn open_writable(&self, _: &Path) -> Result<Arc<dyn File>> {
        Err(Error::ReadOnly)
    }

    fn create(&self, _: &Path) -> Result<Arc<dyn File>> {
        Err(Error::ReadOnly)
    }

    fn create_log(&self, _: &Path, _: u64) -> Result<Arc<dyn LogFile>> {
        Err(Error::ReadOnly)
    }

    fn rename(&self, _: &Path, _: &Path) -> Result<()> {
        Err(Error::ReadOnly)
    }

    fn remove(&self, _: &Path) -> Result<()> {
        Err(Error::ReadOnly)
    }

    fn link(&self, _: &Path, _: &Path) -> Result<()> {
        Err(Error::ReadOnly)
    }

    fn sync_dir(&self, _: &Path) -> Result<()> {
        Err(Error::ReadOnly)
    }

    fn lock(&self, _: &Path, _: LockMode) -> Result<Box<dyn Lock>> {
        Err(Error::ReadOnly)
    }

    fn free_space(&self, dir: &Path) -> Result<u64> {
        self.fs.free_space(dir)
    }
}

/// Bytes that stand for a file.
#[derive(Debug)]
struct Held {
    path: PathBuf,
    bytes: Arc<dyn Mapped>,
}

impl File for Held {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len(&self) -> Result<u64> {
        Ok(self.bytes.bytes().len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let rest = usize::try_from(offset).ok().and_then(|start| self.bytes.bytes().get(start..));
        let Some(bytes) = rest.and_then(|rest| rest.get(..buf.len())) else {
            return Err(Error::io("read", &self.path, io::ErrorKind::UnexpectedEof.into()));
        };
        buf.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, _: u64, _: &[u8]) -> Result<()> {
        Err(Error::ReadOnly)
    }

    fn set_len(&self, _: u64) -> Result<()> {
        Err(Error::ReadOnly)
    }

    fn sync(&self) -> Result<()> {
        Err(Error::ReadOnly)
    }

    fn map(&self, _: Access) -> Result<Arc<dyn Mapped>> {
        Ok(Arc::clone(&self.bytes))
    }
}

/// The first so many bytes of others.
#[derive(Debug)]
pub(super) struct Cut(pub(super) Arc<dyn Mapped>, pub(super) usize);

impl Mapped for Cut {
    fn bytes(&self) -> &[u8] {
        &self.0.bytes()[..self.1]
    }
}
