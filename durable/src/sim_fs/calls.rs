//! The file system calls of a simulated disk: what a call refuses, and what it records.

use std::io::ErrorKind;
use std::ops::Bound;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use kv::{Error, Result};

use super::SimFs;
use super::handle::{LogSpace, SimFile, SimLock, SimLog};
use super::names::Node;
use super::op::{Damage, Op, Target};
use super::state::{State, fail};
use crate::fs::{Entry, EntryKind, File, Fs, Lock, LockMode, LogFile};
use crate::sync::Mutex;

/// `path` without `.` and doubled separators, so that each file has one name.
pub(super) fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

impl SimFs {
    fn open_as(&self, path: &Path, writable: bool) -> Result<Arc<dyn File>> {
        let file = self.state().target("open", &plain(path))?;
        Ok(Arc::new(SimFile { fs: self.clone(), file, writable }))
    }
}

/// Records a new, empty file.
fn create_file(state: &mut State, path: &Path) -> Result<Target> {
    state.check_parent("create", path)?;
    if state.disk.tree.contains_key(path) {
        return Err(fail("create", path, ErrorKind::AlreadyExists));
    }
    if state.free_space() == 0 {
        return Err(fail("create", path, ErrorKind::StorageFull));
    }
    let (path, inode) = (Arc::<Path>::from(path), state.disk.next_inode());
    state.record(Op::Create { path: Arc::clone(&path), inode });
    Ok(Target { inode, path })
}

/// The shared name of something that exists.
fn existing(state: &State, op: &'static str, path: &Path) -> Result<(Arc<Path>, Node)> {
    let found = state.disk.tree.get_key_value(path);
    let found = found.map(|(path, node)| (Arc::clone(path), *node));
    found.ok_or_else(|| fail(op, path, ErrorKind::NotFound))
}

impl Fs for SimFs {
    fn create_dir(&self, path: &Path) -> Result<()> {
        let path = plain(path);
        let mut state = self.state();
        let is_missing =
            |dir: &&Path| dir.parent().is_some() && !state.disk.tree.contains_key(*dir);
        let missing: Vec<Arc<Path>> =
            path.ancestors().take_while(is_missing).map(Arc::from).collect();
        let there = missing.last().map_or(Some(&*path), |topmost| topmost.parent());
        if let Some(there) = there {
            state.check_dir("create directory", &path, there)?;
        }
        for dir in missing.into_iter().rev() {
            let parent = dir.parent().map(Arc::from);
            state.record(Op::CreateDir { path: dir });
            if let Some(path) = parent {
                state.record(Op::SyncDir { path });
            }
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        let dir = plain(dir);
        let state = self.state();
        state.check_dir("list", &dir, &dir)?;
        let after: (Bound<&Path>, Bound<&Path>) = (Bound::Excluded(&dir), Bound::Unbounded);
        let inside = state.disk.tree.range::<Path, _>(after);
        let inside = inside.take_while(|(path, _)| path.starts_with(&dir));
        let entries = inside.filter(|(path, _)| path.parent() == Some(&dir)).map(|(path, node)| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into();
            let kind = match node {
                Node::Dir => EntryKind::Dir,
                Node::File(_) => EntryKind::File,
            };
            Entry { name, kind }
        });
        Ok(entries.collect())
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.open_as(path, false)
    }

    fn open_writable(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.open_as(path, true)
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        let file = create_file(&mut self.state(), &plain(path))?;
        Ok(Arc::new(SimFile { fs: self.clone(), file, writable: true }))
    }

    /// Two operations: the file may be there without its space, also when the call fails.
    fn create_log(&self, path: &Path, capacity: u64) -> Result<Arc<dyn LogFile>> {
        let mut state = self.state();
        let file = create_file(&mut state, &plain(path))?;
        state.check_space("allocate", &file, capacity)?;
        if capacity > 0 {
            state.record(Op::Allocate { file: file.clone(), capacity });
        }
        let space = Mutex::new(LogSpace { end: 0, capacity });
        Ok(Arc::new(SimLog { fs: self.clone(), file, space }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let (from, to) = (plain(from), plain(to));
        let mut state = self.state();
        let (from, node) = existing(&state, "rename", &from)?;
        state.check_parent("rename", &to)?;
        let target = state.disk.tree.get(&*to).copied();
        if node == Node::Dir {
            return Err(fail("rename", &from, ErrorKind::Unsupported));
        }
        if target == Some(Node::Dir) {
            return Err(fail("rename", &from, ErrorKind::IsADirectory));
        }
        // Two names of one file: POSIX says that nothing happens.
        if target != Some(node) {
            state.record(Op::Rename { from, to: to.into() });
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let mut state = self.state();
        let (path, node) = existing(&state, "remove", &plain(path))?;
        if node == Node::Dir {
            return Err(fail("remove", &path, ErrorKind::IsADirectory));
        }
        state.record(Op::Remove { path });
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        let (from, to) = (plain(from), plain(to));
        let mut state = self.state();
        let (from, node) = existing(&state, "link", &from)?;
        state.check_parent("link", &to)?;
        if node == Node::Dir {
            return Err(fail("link", &from, ErrorKind::PermissionDenied));
        }
        if state.disk.tree.contains_key(&*to) {
            return Err(fail("link", &from, ErrorKind::AlreadyExists));
        }
        state.record(Op::Link { from, to: to.into() });
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let dir = plain(dir);
        let mut state = self.state();
        state.check_dir("sync directory", &dir, &dir)?;
        state.record(Op::SyncDir { path: dir.into() });
        Ok(())
    }

    /// The lock file appears at once and for good: it holds nothing that could be lost.
    fn lock(&self, path: &Path, mode: LockMode) -> Result<Box<dyn Lock>> {
        let path = plain(path);
        let mut state = self.state();
        state.check_parent("lock", &path)?;
        if !state.disk.tree.contains_key(&*path) {
            let bytes = Arc::default();
            state.damage(Damage::Contents { path: path.as_path().into(), bytes });
        }
        let file = state.target("lock", &path)?;
        if !state.try_lock(file.inode, mode) {
            return Err(Error::Locked { path });
        }
        Ok(Box::new(SimLock { fs: self.clone(), file, mode }))
    }

    fn free_space(&self, dir: &Path) -> Result<u64> {
        let dir = plain(dir);
        let state = self.state();
        state.check_dir("measure", &dir, &dir)?;
        Ok(state.free_space())
    }
}
