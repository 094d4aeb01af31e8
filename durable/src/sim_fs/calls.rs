//! The file system calls of a simulated disk: the errors of a call, and the effects that it records.

use std::io::ErrorKind;
use std::ops::Bound;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use kv::{Error, Result};

use super::SimFs;
use super::handle::{LogSpace, SimFile, SimLock, SimLog};
use super::names::{Node, is_dir};
use super::op::{Op, Target};
use super::state::{State, fail};
use crate::fs::{DirCalls, Entry, EntryKind, File, Fs, Lock, LockMode, LogFile, create_dir};
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

/// An error that names both paths: either may be the cause.
fn fail_both(op: &'static str, from: &Path, to: &Path, kind: ErrorKind) -> Error {
    let both = std::io::Error::new(kind, format!("to {}: {kind}", to.display()));
    Error::io(op, from, both)
}

impl DirCalls for SimFs {
    fn is_dir(&self, path: &Path) -> bool {
        is_dir(&self.state().disk.tree, &plain(path))
    }

    fn make_dir(&self, path: &Path) -> Result<()> {
        let mut state = self.state();
        state.check_parent("create directory", path)?;
        match state.disk.tree.get(path) {
            None => state.record(Op::CreateDir { path: path.into() }),
            Some(Node::Dir) => {}
            Some(Node::File(_)) => {
                return Err(fail("create directory", path, ErrorKind::AlreadyExists));
            }
        }
        Ok(())
    }

    /// A sync without an effect is not recorded: it is no crash point, and an opening that is refused records nothing.
    fn sync_old_dir(&self, dir: &Path) -> Result<()> {
        let has_pending = self.state().disk.has_pending_names(&plain(dir));
        if has_pending { Fs::sync_dir(self, dir) } else { Ok(()) }
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        Fs::sync_dir(self, dir)
    }
}

impl Fs for SimFs {
    fn create_dir(&self, path: &Path) -> Result<()> {
        create_dir(self, &plain(path))
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
            return Err(fail_both("rename", &from, &to, ErrorKind::Unsupported));
        }
        if target == Some(Node::Dir) {
            return Err(fail_both("rename", &from, &to, ErrorKind::IsADirectory));
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
            return Err(fail("remove", &path, ErrorKind::InvalidInput));
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
            return Err(fail_both("link", &from, &to, ErrorKind::PermissionDenied));
        }
        if state.disk.tree.contains_key(&*to) {
            return Err(fail_both("link", &from, &to, ErrorKind::AlreadyExists));
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

    fn lock(&self, path: &Path, mode: LockMode) -> Result<Box<dyn Lock>> {
        let path = plain(path);
        let mut state = self.state();
        state.check_parent("lock", &path)?;
        if !state.disk.tree.contains_key(&*path) {
            create_file(&mut state, &path)?;
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
