//! The state of a running simulated disk besides its contents: the record, the locks, the space that is left.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use kv::{Error, Result};

use super::SyncFailure;
use super::disk::Disk;
use super::inode::InodeId;
use super::names::{Node, is_dir};
use super::op::{Damage, Op, Step, Target};
use super::pending::files_in;
use crate::fs::LockMode;

/// No simulated file grows past this: it would be memory.
const LARGEST_FILE: u64 = 4 << 30;

pub(super) struct State {
    pub(super) disk: Disk,
    /// The disk when the record began.
    pub(super) base: Disk,
    pub(super) steps: Vec<Step>,
    pub(super) sync_failure: SyncFailure,
    /// Bytes that all files together may have, if limited.
    capacity: Option<u64>,
    /// Held locks. They belong to files, not to names: a lock file that is made anew is not locked.
    locks: HashMap<InodeId, Holders>,
}

/// Who holds a lock.
enum Holders {
    One,
    Sharing(usize),
}

impl State {
    pub(super) fn new(disk: Disk) -> Self {
        Self {
            base: disk.clone(),
            disk,
            steps: Vec::new(),
            sync_failure: SyncFailure::KeepsNew,
            capacity: None,
            locks: HashMap::new(),
        }
    }

    pub(super) fn record(&mut self, op: Op) {
        self.disk.apply(&op);
        self.steps.push(Step { op, damage: Vec::new() });
        let recorded = self.disk.applied - self.base.applied;
        debug_assert_eq!(recorded, self.steps.len(), "every operation since the base is recorded");
    }

    /// Damages the disk here and at this point of the record.
    pub(super) fn damage(&mut self, damage: Damage) {
        self.disk.damage(&damage);
        match self.steps.last_mut() {
            Some(step) => step.damage.push(damage),
            None => self.base.damage(&damage),
        }
    }

    pub(super) fn cache(&self, file: &Target) -> &Arc<Vec<u8>> {
        &self.disk.inodes[&file.inode].cache
    }

    pub(super) fn target(&self, op: &'static str, path: &Path) -> Result<Target> {
        match self.disk.tree.get_key_value(path) {
            Some((path, Node::File(inode))) => Ok(Target { inode: *inode, path: Arc::clone(path) }),
            Some((_, Node::Dir)) => Err(fail(op, path, io::ErrorKind::InvalidInput)),
            None => Err(fail(op, path, io::ErrorKind::NotFound)),
        }
    }

    /// Refuses `op` unless `dir` is a directory.
    pub(super) fn check_dir(&self, op: &'static str, path: &Path, dir: &Path) -> Result<()> {
        if is_dir(&self.disk.tree, dir) {
            return Ok(());
        }
        let taken = self.disk.tree.contains_key(dir);
        let kind = if taken { io::ErrorKind::NotADirectory } else { io::ErrorKind::NotFound };
        Err(fail(op, path, kind))
    }

    pub(super) fn check_parent(&self, op: &'static str, path: &Path) -> Result<()> {
        let parent = path.parent().ok_or_else(|| fail(op, path, io::ErrorKind::InvalidInput))?;
        self.check_dir(op, path, parent)
    }

    /// Refuses `op` when a file cannot get `len` bytes long.
    pub(super) fn check_space(&self, op: &'static str, file: &Target, len: u64) -> Result<()> {
        let growth = len.saturating_sub(self.cache(file).len() as u64);
        if growth == 0 {
            return Ok(());
        }
        if len > LARGEST_FILE {
            return Err(fail(op, &file.path, io::ErrorKind::FileTooLarge));
        }
        if growth > self.free_space() {
            return Err(fail(op, &file.path, io::ErrorKind::StorageFull));
        }
        Ok(())
    }

    /// How many of `len` bytes at `offset` the file can hold, the first ones. Refuses `op` when the file would get larger than
    /// any simulated file is.
    pub(super) fn fitting(
        &self,
        op: &'static str,
        file: &Target,
        offset: u64,
        len: usize,
    ) -> Result<usize> {
        if offset.saturating_add(len as u64) > LARGEST_FILE {
            return Err(fail(op, &file.path, io::ErrorKind::FileTooLarge));
        }
        let longest = (self.cache(file).len() as u64).saturating_add(self.free_space());
        let fitting = longest.saturating_sub(offset).min(len as u64);
        Ok(fitting as usize)
    }

    pub(super) fn set_free_space(&mut self, bytes: Option<u64>) {
        self.capacity = bytes.map(|bytes| self.used().saturating_add(bytes));
        debug_assert!(bytes.is_none_or(|bytes| self.free_space() == bytes), "so much is free now");
    }

    /// Space comes back with the last name of a file, even while it is open.
    pub(super) fn free_space(&self) -> u64 {
        self.capacity.map_or(1 << 40, |capacity| capacity.saturating_sub(self.used()))
    }

    fn used(&self) -> u64 {
        let mut files: Vec<_> = files_in(&self.disk.tree).collect();
        files.sort_unstable();
        files.dedup();
        files.iter().map(|inode| self.disk.inodes[inode].cache.len() as u64).sum()
    }

    /// Takes the lock on `file`. `false`: another holder has it.
    pub(super) fn try_lock(&mut self, file: InodeId, mode: LockMode) -> bool {
        match (self.locks.get_mut(&file), mode) {
            (None, LockMode::Exclusive) => {
                self.locks.insert(file, Holders::One);
                true
            }
            (None, LockMode::Shared) => {
                self.locks.insert(file, Holders::Sharing(1));
                true
            }
            (Some(Holders::Sharing(count)), LockMode::Shared) => {
                assert!(*count > 0, "a shared lock has a holder");
                *count += 1;
                true
            }
            (Some(_), _) => false,
        }
    }

    pub(super) fn unlock(&mut self, file: InodeId, mode: LockMode) {
        if let (Some(Holders::Sharing(count)), LockMode::Shared) = (self.locks.get_mut(&file), mode)
            && *count > 1
        {
            *count -= 1;
        } else {
            let held = self.locks.remove(&file);
            debug_assert!(held.is_some(), "a lock is let go by its holder");
        }
    }
}

pub(super) fn fail(op: &'static str, path: &Path, kind: io::ErrorKind) -> Error {
    Error::io(op, path, kind.into())
}
