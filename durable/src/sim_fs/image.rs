//! Building the disk that a crash leaves, and telling two such disks apart without building them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::disk::Disk;
use super::inode::{Fate, Inode, InodeId};
use super::names::{Node, Tree, drop_orphans};
use super::pending::{Pending, files_in};
use super::selection::{Data, Names, Selection};

/// The disk after the crash. Files that lost nothing, or everything, share their bytes with `disk`.
pub(super) fn build(disk: &Disk, pending: &Pending, selection: &Selection) -> Disk {
    let tree = surviving_names(disk, pending, &selection.names);
    let mut inodes = BTreeMap::new();
    for inode in files_in(&tree) {
        inodes.entry(inode).or_insert_with(|| {
            let file = &disk.inodes[&inode];
            Inode::durable(match &selection.data {
                Data::Cache => Arc::clone(&file.cache),
                Data::Fates(fates) => {
                    let fates = pending.fates_of(inode, fates);
                    // Each file gets its own stale bytes, whatever other files there are.
                    let stale = selection.stale.map(|seed| seed ^ inode.0 as u64);
                    file.after_crash(fates, stale)
                }
            })
        });
    }
    Disk::durable(tree, inodes)
}

/// A number that two selections share only if they leave the same disk.
pub(super) fn fingerprint(disk: &Disk, pending: &Pending, selection: &Selection) -> u64 {
    let mut hasher = DefaultHasher::new();
    let tree = surviving_names(disk, pending, &selection.names);
    if pending.names > 0 {
        for (path, node) in tree.iter() {
            path.as_os_str().hash(&mut hasher);
            node.hash(&mut hasher);
        }
    }
    let named: BTreeSet<InodeId> = files_in(&tree).collect();
    let mut grew = false;
    for (inode, range) in pending.files.iter().filter(|(inode, _)| named.contains(inode)) {
        let mut len = disk.inodes[inode].durable.len();
        for number in range.clone() {
            let fate = match &selection.data {
                Data::Cache => Fate::Keep,
                Data::Fates(fates) => fates[number],
            };
            let effect = &disk.inodes[inode].pending[number - range.start];
            let (fate, hole) = effect.simplify(fate, &mut len);
            fate.hash(&mut hasher);
            grew |= hole;
        }
    }
    if grew {
        selection.stale.hash(&mut hasher);
    }
    if matches!(selection.data, Data::Cache) {
        named.iter().any(|inode| disk.inodes[inode].diverged).hash(&mut hasher);
    } else {
        false.hash(&mut hasher);
    }
    hasher.finish()
}

fn surviving_names(disk: &Disk, pending: &Pending, names: &Names) -> Arc<Tree> {
    let state = disk.names(pending.model);
    let mut tree = match names {
        _ if state.pending.is_empty() => return Arc::clone(&disk.tree),
        Names::All => return Arc::clone(&disk.tree),
        Names::Prefix(0) => return Arc::clone(&state.durable),
        Names::Prefix(_) | Names::Subset(_) => Tree::clone(&state.durable),
    };
    for (number, effect) in state.pending.iter().enumerate() {
        let survives = match names {
            Names::All => true,
            Names::Prefix(len) => number < *len,
            Names::Subset(kept) => kept[number],
        };
        if survives {
            effect.land(&mut tree);
        }
    }
    let makes_dir = |(_, node): &(_, Node)| *node == Node::Dir;
    if state.pending.iter().any(|effect| effect.add.as_ref().is_some_and(makes_dir)) {
        drop_orphans(&mut tree);
    }
    Arc::new(tree)
}
