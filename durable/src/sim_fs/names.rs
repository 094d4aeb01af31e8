//! The names of files: the content of the directories, its durable part, and the operations in between.
//!
//! Directories are never renamed, so one flat map from path to node is the whole tree.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::inode::InodeId;

/// All names of a disk. Parents sort before their children, and the children of a directory by byte order.
pub(super) type Tree = BTreeMap<Arc<Path>, Node>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Node {
    Dir,
    File(InodeId),
}

/// A directory operation that is not durable yet. A rename has both halves, and they happen together.
#[derive(Clone, Debug)]
pub(super) struct NameEffect {
    pub(super) op: usize,
    pub(super) remove: Option<Arc<Path>>,
    pub(super) add: Option<(Arc<Path>, Node)>,
}

impl NameEffect {
    pub(super) fn land(&self, tree: &mut Tree) {
        assert!(self.remove.is_some() || self.add.is_some(), "an effect changes a name");
        if let Some(path) = &self.remove {
            tree.remove(path);
        }
        if let Some((path, node)) = &self.add {
            tree.insert(Arc::clone(path), *node);
        }
    }

    fn adds_in(&self, dir: &Path) -> bool {
        self.add.as_ref().is_some_and(|(path, _)| path.parent() == Some(dir))
    }

    fn removes_in(&self, dir: &Path) -> bool {
        self.remove.as_ref().is_some_and(|path| path.parent() == Some(dir))
    }
}

/// The names as one metadata model sees them.
#[derive(Clone, Debug, Default)]
pub(super) struct NameState {
    pub(super) durable: Arc<Tree>,
    pub(super) pending: Vec<NameEffect>,
}

impl NameState {
    /// Makes the operations in `dir` durable and no others. A rename out of `dir` is durable with its target, which may
    /// not be lost; one into `dir` leaves the old name for the other directory's sync to remove.
    pub(super) fn sync_dir(&mut self, dir: &Path) {
        let durable = &mut self.durable;
        self.pending.retain_mut(|effect| {
            if effect.removes_in(dir) || (effect.remove.is_none() && effect.adds_in(dir)) {
                effect.land(Arc::make_mut(durable));
                return false;
            }
            if effect.adds_in(dir)
                && let Some((path, node)) = effect.add.take()
            {
                Arc::make_mut(durable).insert(path, node);
            }
            true
        });
    }

    /// Whether an operation in `dir` is not durable yet.
    pub(super) fn is_pending_in(&self, dir: &Path) -> bool {
        self.pending.iter().any(|effect| effect.adds_in(dir) || effect.removes_in(dir))
    }

    /// Makes everything up to the last operation in `dir` durable, as a journal that is written in order does.
    pub(super) fn commit_dir(&mut self, dir: &Path) {
        self.commit_through(|effect| effect.removes_in(dir) || effect.adds_in(dir));
    }

    /// Makes everything up to the last operation that named `inode` durable.
    pub(super) fn commit_names_of(&mut self, inode: InodeId) {
        self.commit_through(|effect| {
            effect.add.as_ref().is_some_and(|(_, node)| *node == Node::File(inode))
        });
    }

    fn commit_through(&mut self, is_wanted: impl Fn(&NameEffect) -> bool) {
        if let Some(last) = self.pending.iter().rposition(is_wanted) {
            let durable = Arc::make_mut(&mut self.durable);
            for effect in self.pending.drain(..=last) {
                effect.land(durable);
            }
        }
    }

    /// Puts `path` into a durable state from outside, whatever was pending for it.
    pub(super) fn force(&mut self, path: &Arc<Path>, node: Option<Node>) {
        for effect in &mut self.pending {
            effect.remove.take_if(|removed| removed == path);
            effect.add.take_if(|(added, _)| added == path);
        }
        self.pending.retain(|effect| effect.remove.is_some() || effect.add.is_some());
        set(&mut self.durable, path, node);
        debug_assert_eq!(self.durable.get(path).copied(), node, "the name is durable as forced");
    }
}

/// Gives or takes a name, without unsharing a tree that says so already.
pub(super) fn set(tree: &mut Arc<Tree>, path: &Arc<Path>, node: Option<Node>) {
    if tree.get(path).copied() == node {
        return;
    }
    let tree = Arc::make_mut(tree);
    match node {
        Some(node) => tree.insert(Arc::clone(path), node),
        None => tree.remove(path),
    };
    debug_assert_eq!(tree.get(path).copied(), node);
}

/// Whether `dir` is a directory of `tree`. The root and the working directory always are.
pub(super) fn is_dir(tree: &Tree, dir: &Path) -> bool {
    dir.parent().is_none() || tree.get(dir) == Some(&Node::Dir)
}

/// Takes out the entries that cannot be reached because a directory above them is missing.
pub(super) fn drop_orphans(tree: &mut Tree) {
    let all = std::mem::take(tree);
    for (path, node) in all {
        if path.parent().is_some_and(|parent| is_dir(tree, parent)) {
            tree.insert(path, node);
        }
    }
}
