//! The state of a simulated disk: files, names, and the durable part of both.
//!
//! [`Disk::apply`] is the one transition function. A running [`SimFs`](super::SimFs) and a
//! [`CrashSweep`](super::CrashSweep) both go through it, so an enumerated image and a run agree.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::inode::{Inode, InodeId};
use super::names::{NameEffect, NameState, Node, Tree, set};
use super::op::{Damage, Op, Step, Target};
use super::variant::MetadataModel;

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) inodes: BTreeMap<InodeId, Inode>,
    /// The content that a running process sees.
    pub(super) tree: Arc<Tree>,
    strict: NameState,
    journalled: NameState,
    /// Operations applied so far, over all restarts.
    pub(super) applied: usize,
}

impl Disk {
    /// A disk on which all of `tree` is durable.
    pub(super) fn durable(tree: Arc<Tree>, inodes: BTreeMap<InodeId, Inode>) -> Self {
        let names = NameState { durable: Arc::clone(&tree), pending: Vec::new() };
        Self { inodes, tree, strict: names.clone(), journalled: names, applied: 0 }
    }

    pub(super) fn names(&self, model: MetadataModel) -> &NameState {
        match model {
            MetadataModel::Strict => &self.strict,
            MetadataModel::Journalled => &self.journalled,
        }
    }

    /// Whether a sync of `dir` would make a name durable.
    pub(super) fn has_pending_names(&self, dir: &Path) -> bool {
        [&self.strict, &self.journalled].iter().any(|names| names.is_pending_in(dir))
    }

    pub(super) fn file(&self, path: &Path) -> Option<InodeId> {
        match self.tree.get(path) {
            Some(Node::File(inode)) => Some(*inode),
            Some(Node::Dir) | None => None,
        }
    }

    pub(super) fn next_inode(&self) -> InodeId {
        self.inodes.last_key_value().map_or(InodeId(0), |(last, _)| InodeId(last.0 + 1))
    }

    pub(super) fn apply_step(&mut self, step: &Step) {
        self.apply(&step.op);
        for damage in &step.damage {
            self.damage(damage);
        }
    }

    pub(super) fn apply(&mut self, op: &Op) {
        let number = self.applied;
        self.applied += 1;
        match op {
            Op::CreateDir { path } => self.rename(None, Some((path, Node::Dir))),
            Op::Create { path, inode } => {
                let before = self.inodes.insert(*inode, Inode::default());
                assert!(before.is_none(), "a new file has a number of its own");
                self.rename(None, Some((path, Node::File(*inode))));
            }
            Op::Allocate { file, capacity: len }
            | Op::SetLen { file, len }
            | Op::Finish { file, len } => self.inode(file).set_len(number, *len as usize),
            Op::Write { file, offset, bytes } | Op::Append { file, offset, bytes } => {
                self.inode(file).write(number, *offset as usize, bytes);
            }
            Op::Sync { file } => {
                self.inode(file).sync();
                self.journalled.commit_names_of(file.inode);
            }
            Op::FailSync { file, behaviour } => self.inode(file).fail_sync(*behaviour),
            Op::Rename { from, to } => {
                let node = self.tree[from];
                self.rename(Some(from), Some((to, node)));
            }
            Op::Remove { path } => self.rename(Some(path), None),
            Op::Link { from, to } => {
                let node = self.tree[from];
                self.rename(None, Some((to, node)));
            }
            Op::SyncDir { path } => {
                self.strict.sync_dir(path);
                self.journalled.commit_dir(path);
            }
        }
    }

    pub(super) fn damage(&mut self, damage: &Damage) {
        match damage {
            Damage::Delete { path } => self.force(path, None),
            Damage::Contents { path, bytes } => {
                for dir in path.ancestors().skip(1).filter(|dir| dir.parent().is_some()) {
                    self.force(&Arc::from(dir), Some(Node::Dir));
                }
                let inode = self.file(path).unwrap_or_else(|| self.next_inode());
                self.inodes.insert(inode, Inode::durable(Arc::clone(bytes)));
                self.force(path, Some(Node::File(inode)));
            }
        }
    }

    fn inode(&mut self, file: &Target) -> &mut Inode {
        self.inodes.get_mut(&file.inode).expect("files stay while the disk runs")
    }

    /// Takes a name away, gives one, or both at once.
    fn rename(&mut self, remove: Option<&Arc<Path>>, add: Option<(&Arc<Path>, Node)>) {
        let effect = NameEffect {
            op: self.applied - 1,
            remove: remove.map(Arc::clone),
            add: add.map(|(path, node)| (Arc::clone(path), node)),
        };
        assert!(self.applied > 0, "the operation is counted before its effect");
        effect.land(Arc::make_mut(&mut self.tree));
        self.strict.pending.push(effect.clone());
        self.journalled.pending.push(effect);
    }

    fn force(&mut self, path: &Arc<Path>, node: Option<Node>) {
        set(&mut self.tree, path, node);
        self.strict.force(path, node);
        self.journalled.force(path, node);
    }
}
