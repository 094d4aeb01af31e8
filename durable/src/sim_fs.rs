//! A disk in memory that can be cut off at any operation.
//!
//! A [`SimFs`] records every mutating operation of a run, in order, and knows which effects each leaves pending. A crash
//! at point `k` keeps everything that was durable after the first `k` operations and, of the rest, a part that a
//! [`Variant`] names. The workload runs once; a [`CrashSweep`] then builds an image for each point and variant. Each image
//! is a `SimFs` of its own, in which an engine can be reopened, and which can be crashed again.
//!
//! # The model
//!
//! **Durability.** [`File::sync`](crate::File::sync) makes the bytes and the length of a file durable.
//! [`Fs::sync_dir`](crate::Fs::sync_dir) makes the names in one directory durable. No other call makes anything durable;
//! a lock file is a name like any other. Two [metadata models](MetadataModel) decide about names:
//!
//! | model | names that survive | a synced file |
//! |---|---|---|
//! | strict (POSIX) | any subset of the operations since the last sync of their directory | may have no name |
//! | journalled (ext4, XFS) | a prefix of the operations of the whole file system | has its name |
//!
//! A rename is atomic in both: after a crash, the new name leads to the old file or to the new one. If a directory is lost,
//! so are its files.
//!
//! **Writes.** A write is pending in pieces, one for each 4 KiB page that it touches. The kernel writes pages back one by one
//! and in any order, so any subset of the pieces survives. A piece survives whole, up to any byte, or from a
//! sector boundary on. Where a file grew without its bytes there are zeros, or stale bytes. The space of a log is pending
//! until the first sync of the log: it is lost, or there with zeros.
//!
//! **Sectors.** A disk writes a sector of 512 bytes as a whole: after a power cut it has its old bytes or its new ones.
//! Bytes that were durable therefore survive a torn write to the rest of their sector. `SQLite` calls this a powersafe
//! overwrite and assumes it of every disk since version 3.7.9 (sqlite.org/psow.html); `NVMe` guarantees it for the size
//! that the controller states (AWUPF, at least one logical block). Every promise of this workspace holds on such disks.
//! Some disks destroy the sector in which they are interrupted. There an unfinished append can take up to 511 synced
//! bytes before it along. [`Variant::Garble`] makes such images for a look at the effect.
//! The suites do not ask for them, because no promise covers them.
//!
//! **Failed syncs.** Which bytes are on the disk, and which bytes later reads show, is one of [`SyncFailure`]. In three of
//! the four cases the next sync succeeds without having written anything (Rebello et al., ATC 2020).
//!
//! **Space.** [`SimFs::set_free_space`] limits it. Creating a file, allocating and growing fail with `StorageFull`. A
//! write that finds too little space leaves the part of its bytes that fits, as POSIX says, and then fails. Removing
//! the last name of a file gives its space back, while handles are open as well; a real file system waits for them.
//!
//! **Limits.** Reads never fail by themselves and never return other bytes than those in the page cache; damage is done
//! with [`SimFs::set_contents`], failing calls come from [`Inject`](crate::Inject). Locks belong to one `SimFs` and its
//! clones and are not part of an image. Directories cannot be renamed or removed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::sync::{Mutex, MutexGuard};

mod calls;
mod disk;
mod fixture;
mod handle;
mod image;
mod inode;
mod names;
mod op;
mod pending;
mod random;
mod selection;
mod state;
mod sweep;
mod variant;

use calls::plain;
use disk::Disk;
use inode::InodeId;
use names::Node;
use op::{Damage, Op, Target};
use state::State;
pub use sweep::CrashSweep;
pub use variant::{MetadataModel, Variant};

/// A simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimFs {
    state: Arc<Mutex<State>>,
}

/// How the page cache and the disk behave after a sync has failed. The caller cannot know, so a store must survive each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SyncFailure {
    /// The cache keeps the new bytes and calls them clean: they are never written, and the next sync succeeds (ext4).
    KeepsNew,
    /// The cache shows the old bytes again.
    Reverts,
    /// The new bytes wait for the next sync.
    StaysDirty,
    /// A part of the new bytes reached the disk, with holes between. The cache keeps all of them and calls them clean.
    KeepsPart,
}

impl SimFs {
    /// An empty disk.
    pub fn new() -> Self {
        Self::from_disk(Disk::default())
    }

    fn from_disk(disk: Disk) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(disk))) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// How many mutating operations were recorded. There is a crash point before each of them and one after the last.
    pub fn ops(&self) -> usize {
        self.state().steps.len()
    }

    /// Operation `k`, from 0, for messages: `append store/000001.data 64+144`.
    ///
    /// # Panics
    /// When there is no such operation.
    pub fn op_name(&self, k: usize) -> String {
        self.state().steps[k].op.to_string()
    }

    /// A walk over all crash points up to now.
    pub fn sweep(&self) -> CrashSweep {
        let state = self.state();
        CrashSweep::new(state.base.clone(), state.steps.clone())
    }

    /// The image of one crash, to replay it.
    ///
    /// # Panics
    /// When `point` is past the last operation.
    pub fn crash(&self, point: usize, variant: &Variant) -> Self {
        let mut sweep = self.sweep();
        sweep.skip_to(point);
        sweep.image(variant)
    }

    /// The disk as a new process finds it after this one died now: effects that were not synced are still pending.
    pub fn restarted(&self) -> Self {
        Self::from_disk(self.state().disk.clone())
    }

    /// An independent copy as it is now, all of it durable, with nothing recorded.
    pub fn duplicate(&self) -> Self {
        let disk = self.state().disk.clone();
        CrashSweep::new(disk, Vec::new()).image(&Variant::All)
    }

    /// All files, in order.
    pub fn files(&self) -> Vec<PathBuf> {
        let tree = Arc::clone(&self.state().disk.tree);
        let files = tree.iter().filter(|(_, node)| matches!(node, Node::File(_)));
        files.map(|(path, _)| path.to_path_buf()).collect()
    }

    /// The bytes of a file.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let bytes = {
            let state = self.state();
            Arc::clone(&state.disk.inodes[&state.disk.file(&plain(path))?].cache)
        };
        Some(Vec::clone(&bytes))
    }

    /// All files with their bytes.
    pub fn all_contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let with_contents = |path: PathBuf| Some((path.clone(), self.contents(&path)?));
        self.files().into_iter().filter_map(with_contents).collect()
    }

    /// Damages the disk: these are all of its files now, and nothing was recorded.
    pub fn set_all_contents(&self, files: &BTreeMap<PathBuf, Vec<u8>>) {
        self.files().iter().for_each(|path| self.delete(path));
        for (path, bytes) in files {
            self.set_contents(path, bytes.clone());
        }
    }

    /// Damages a file, or makes one: these are its bytes now, on the disk, and nothing was recorded.
    pub fn set_contents(&self, path: &Path, bytes: Vec<u8>) {
        let path = plain(path).into();
        self.state().damage(Damage::Contents { path, bytes: Arc::new(bytes) });
    }

    /// Deletes a file behind everybody's back, durably and unrecorded. Nothing happens if it is not there.
    pub fn delete(&self, path: &Path) {
        let path = plain(path).into();
        self.state().damage(Damage::Delete { path });
    }

    /// Sets the effect of failed syncs from now on. At first: [`SyncFailure::KeepsNew`].
    pub fn set_sync_failure(&self, mode: SyncFailure) {
        self.state().sync_failure = mode;
    }

    /// Has the effect of a failing sync on a file. It is recorded, as crash images must know of it.
    pub fn fail_sync(&self, path: &Path) {
        if let Some(inode) = self.inode(path) {
            self.fail_sync_of(inode, path);
        }
    }

    /// The file that has the name `path` now.
    pub(crate) fn inode(&self, path: &Path) -> Option<SimInode> {
        self.state().disk.file(&plain(path)).map(SimInode)
    }

    /// [`SimFs::fail_sync`] for a file whose name may have changed since it was opened.
    pub(crate) fn fail_sync_of(&self, inode: SimInode, path: &Path) {
        let mut state = self.state();
        let file = Target { inode: inode.0, path: plain(path).into() };
        let behaviour = state.sync_failure;
        state.record(Op::FailSync { file, behaviour });
    }

    /// Limits the space that is left to `bytes`, or lifts the limit. A call that needs more fails with `StorageFull`.
    pub fn set_free_space(&self, bytes: Option<u64>) {
        self.state().set_free_space(bytes);
    }
}

/// A file of a simulated disk, whatever its names are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SimInode(InodeId);

impl Default for SimFs {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SimFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFs").finish_non_exhaustive()
    }
}
