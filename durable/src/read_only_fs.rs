//! A file system that changes nothing, and on which some files are held as they were at one moment.
//!
//! A reader beside a writer does everything through it. So no mistake of an engine can write to the store of another
//! process. The code that loads a store opens files by path. While it runs for a reader, the path of a held
//! file leads to the reader's own handle, mapping or copy. The reader took it when it read the manifest.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kv::{Error, Result};

use crate::fs::{Access, Entry, File, Fs, Lock, LockMode, LogFile, Mapped};

/// A file system without the calls that change it: these return `ReadOnly`.
#[derive(Debug)]
pub struct ReadOnlyFs {
    fs: Arc<dyn Fs>,
    held: BTreeMap<PathBuf, Arc<dyn File>>,
}

impl ReadOnlyFs {
    /// Reads from `fs`, and holds no file yet.
    pub fn new(fs: Arc<dyn Fs>) -> Self {
        Self { fs, held: BTreeMap::new() }
    }

    /// Opening the path of `file` returns this handle from now on.
    pub fn hold(&mut self, file: Arc<dyn File>) {
        self.held.insert(file.path().into(), file);
    }

    /// Opening `path` returns a file of these bytes from now on.
    pub fn hold_bytes(&mut self, path: PathBuf, bytes: Arc<dyn Mapped>) {
        self.held.insert(path.clone(), Arc::new(HeldBytes { path, bytes }));
    }
}

impl Fs for ReadOnlyFs {
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
struct HeldBytes {
    path: PathBuf,
    bytes: Arc<dyn Mapped>,
}

impl File for HeldBytes {
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

/// The first bytes of a mapped file: the part that counted when a reader looked.
#[derive(Debug)]
pub struct MappedPrefix {
    whole: Arc<dyn Mapped>,
    len: usize,
}

impl MappedPrefix {
    /// The first `len` bytes of `whole`. `None`: it has fewer.
    pub fn new(whole: Arc<dyn Mapped>, len: usize) -> Option<Self> {
        (len <= whole.bytes().len()).then_some(Self { whole, len })
    }
}

impl Mapped for MappedPrefix {
    fn bytes(&self) -> &[u8] {
        &self.whole.bytes()[..self.len]
    }

    fn prefetch(&self, range: Range<usize>) {
        assert!(range.end <= self.len, "only bytes of the prefix are read");
        self.whole.prefetch(range);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::SimFs;

    fn disk() -> (SimFs, ReadOnlyFs) {
        let disk = SimFs::new();
        disk.create_dir(Path::new("store")).expect("the disk is empty");
        disk.set_contents(Path::new("store/file"), b"as it is".to_vec());
        (disk.clone(), ReadOnlyFs::new(Arc::new(disk)))
    }

    #[test]
    fn every_call_that_would_change_the_disk_is_refused_and_records_nothing() {
        let (disk, fs) = disk();
        let before = disk.ops();
        let (file, other) = (Path::new("store/file"), Path::new("store/other"));
        let refused = [
            fs.create_dir(other),
            fs.open_writable(file).map(drop),
            fs.create(other).map(drop),
            fs.create_log(other, 100).map(drop),
            fs.rename(file, other),
            fs.remove(file),
            fs.link(file, other),
            fs.sync_dir(Path::new("store")),
            fs.lock(other, LockMode::Shared).map(drop),
        ];
        for refused in refused {
            assert!(matches!(refused, Err(Error::ReadOnly)), "{refused:?}");
        }
        assert_eq!(disk.ops(), before);
        assert_eq!(fs.open(file).unwrap().len().unwrap(), 8);
        assert_eq!(fs.list(Path::new("store")).unwrap().len(), 1);
    }

    #[test]
    fn held_files_and_bytes_hide_what_the_paths_have_become() {
        let (disk, mut fs) = disk();
        let (file, gone) = (Path::new("store/file"), Path::new("store/gone"));
        fs.hold(fs.open(file).unwrap());
        fs.hold_bytes(gone.into(), Arc::new(b"kept bytes".to_vec()));
        disk.remove(file).unwrap();
        assert_eq!(fs.open(file).unwrap().len().unwrap(), 8);
        let held = fs.open(gone).unwrap();
        assert_eq!((held.len().unwrap(), held.path()), (10, gone));
        let mut bytes = [0; 5];
        held.read_at(5, &mut bytes).unwrap();
        assert_eq!(&bytes, b"bytes");
        let past = held.read_at(6, &mut bytes).unwrap_err();
        assert_eq!(past.io_kind(), Some(ErrorKind::UnexpectedEof));
        for refused in [held.write_at(0, b"x"), held.set_len(0), held.sync()] {
            assert!(matches!(refused, Err(Error::ReadOnly)), "{refused:?}");
        }
    }

    #[test]
    fn a_prefix_ends_where_it_was_cut_and_is_never_longer_than_the_whole() {
        let whole: Arc<dyn Mapped> = Arc::new(b"whole".to_vec());
        let prefix = MappedPrefix::new(Arc::clone(&whole), 2).unwrap();
        assert_eq!(prefix.bytes(), b"wh");
        assert!(MappedPrefix::new(whole, 6).is_none());
    }
}
