//! The effects that are pending at one crash point, listed, so that a variant can speak of them by number.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::disk::Disk;
use super::inode::{DataEffect, Fate, InodeId};
use super::names::{NameEffect, Node, Tree};
use super::variant::MetadataModel;

/// The pending effects under one metadata model: the directory operations, then the data effects file by file.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) model: MetadataModel,
    /// How many directory operations there are.
    pub(super) names: usize,
    /// The data effects of all files that a crash can leave a name of.
    pub(super) data: Vec<Piece>,
    /// Which of `data` belong to which file.
    pub(super) files: Vec<(InodeId, Range<usize>)>,
}

/// A data effect, in short.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) op: usize,
    /// Where it lies, if it is a piece of a write.
    pub(super) write: Option<(usize, usize)>,
}

impl Pending {
    pub(super) fn of(disk: &Disk, model: MetadataModel) -> Self {
        let names = disk.names(model);
        let mut reachable = BTreeSet::new();
        reachable.extend(files_in(&disk.tree));
        if !names.pending.is_empty() {
            reachable.extend(files_in(&names.durable));
            reachable.extend(names.pending.iter().filter_map(added_file));
        }
        let mut pending =
            Self { model, names: names.pending.len(), data: Vec::new(), files: Vec::new() };
        for inode in reachable {
            let start = pending.data.len();
            pending.data.extend(disk.inodes[&inode].pending.iter().map(piece));
            if start < pending.data.len() {
                pending.files.push((inode, start..pending.data.len()));
            }
        }
        pending
    }

    pub(super) fn len(&self) -> usize {
        self.names + self.data.len()
    }

    /// The part of `fates` that is about `inode`.
    pub(super) fn fates_of<'f>(&self, inode: InodeId, fates: &'f [Fate]) -> &'f [Fate] {
        let at = self.files.binary_search_by_key(&inode, |(inode, _)| *inode);
        at.map_or(&[], |at| &fates[self.files[at].1.clone()])
    }

    /// The numbers in `data` of the pieces of the last write.
    pub(super) fn last_write(&self) -> Range<usize> {
        let writes = || self.data.iter().filter(|piece| piece.write.is_some());
        let Some(last) = writes().map(|piece| piece.op).max() else {
            return 0..0;
        };
        let is_last = |piece: &Piece| piece.op == last;
        let start = self.data.iter().position(is_last).unwrap_or(0);
        let len = self.data[start..].iter().take_while(|piece| is_last(piece)).count();
        start..start + len
    }

    /// The number of the operation that effect `number` is a part of.
    pub(super) fn op(&self, disk: &Disk, number: usize) -> Option<usize> {
        match number.checked_sub(self.names) {
            None => Some(disk.names(self.model).pending[number].op),
            Some(number) => self.data.get(number).map(|piece| piece.op),
        }
    }
}

/// The files that `tree` names, some of them twice.
pub(super) fn files_in(tree: &Arc<Tree>) -> impl Iterator<Item = InodeId> {
    tree.values().filter_map(file)
}

fn added_file(effect: &NameEffect) -> Option<InodeId> {
    effect.add.as_ref().and_then(|(_, node)| file(node))
}

fn file(node: &Node) -> Option<InodeId> {
    match node {
        Node::File(inode) => Some(*inode),
        Node::Dir => None,
    }
}

fn piece(effect: &DataEffect) -> Piece {
    let write = match effect {
        DataEffect::Write { offset, range, .. } => Some((*offset, range.len())),
        DataEffect::SetLen { .. } => None,
    };
    Piece { op: effect.op(), write }
}
