//! Memory of trees that are gone, for the trees to come.
//!
//! New memory is dear. The system zeroes each page and enters it in the page table at its first use. Handing the page back
//! interrupts all processors that run threads of the process. A store fills one tree after the other, so a tree that is gone
//! leaves its memory here, and the next one begins in it.

use std::sync::Arc;

use durable::sync::Mutex;
use durable::sync::atomic::{AtomicU64, Ordering};

use super::EntryTree;
use super::chunks::Chunks;
use super::entry::Entries;
use super::node::Shape;

/// The memory of at most one tree.
#[derive(Debug, Default)]
pub(crate) struct SpareMemory {
    /// A tree that takes more bytes than these leaves nothing.
    most_bytes: u64,
    /// Of the trees that are gone and leave something, the largest.
    kept: Mutex<Kept>,
}

/// The memory of a tree that had so many bytes.
#[derive(Debug, Default)]
struct Kept {
    bytes: u64,
    entries: Entries,
    nodes: Chunks<AtomicU64>,
}

impl SpareMemory {
    /// For trees of up to `most_bytes` bytes. A single batch can make a larger one, whose memory is not kept.
    pub(crate) fn new(most_bytes: u64) -> Arc<Self> {
        Arc::new(Self { most_bytes, kept: Mutex::default() })
    }

    /// The memory that is kept, which may be none, for one tree.
    fn take(&self) -> Kept {
        std::mem::take(&mut *self.kept.lock())
    }

    /// The tree that had `spare` is gone.
    fn keep(&self, mut spare: Kept) {
        if spare.bytes > self.most_bytes {
            return;
        }
        spare.entries.clear();
        spare.nodes.clear();
        let mut kept = self.kept.lock();
        if spare.bytes > kept.bytes {
            std::mem::swap(&mut *kept, &mut spare);
        }
        // Memory is handed back without the lock.
        drop(kept);
    }
}

impl EntryTree {
    /// A tree without entries, in the memory that `spare` has. It goes back there.
    pub(crate) fn in_memory_of(spare: &Arc<SpareMemory>) -> Self {
        let Kept { entries, nodes, .. } = spare.take();
        let tree = Self {
            entries,
            nodes,
            root: AtomicU64::new(0),
            last_leaf: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            len: AtomicU64::new(0),
            spare: Arc::clone(spare),
        };
        let leaf = tree.new_node(Shape { level: 0, skip: 0, low: 0, high: 0 }, 0, &[]);
        tree.root.store(u64::from(leaf), Ordering::Release);
        tree.last_leaf.store(u64::from(leaf), Ordering::Relaxed);
        tree
    }
}

impl Drop for EntryTree {
    fn drop(&mut self) {
        let entries = std::mem::take(&mut self.entries);
        let nodes = std::mem::take(&mut self.nodes);
        self.spare.keep(Kept { bytes: self.bytes(), entries, nodes });
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::internal_key::{Kind, Trailer};

    fn filled(spare: &Arc<SpareMemory>, entries: u64) -> EntryTree {
        let tree = EntryTree::in_memory_of(spare);
        for number in 1..=entries {
            let value = vec![number as u8; number as usize % 300];
            tree.insert(&number.to_be_bytes(), Trailer::new(number, Kind::Put), &value);
        }
        tree
    }

    fn bytes(spare: &SpareMemory) -> u64 {
        spare.kept.lock().bytes
    }

    #[test]
    fn a_tree_in_the_memory_of_another_one_has_its_own_entries_and_nothing_else() {
        let spare = SpareMemory::new(u64::MAX);
        drop(filled(&spare, 1_000));
        assert!(bytes(&spare) > 0);
        let tree = filled(&spare, 10);
        assert_eq!(bytes(&spare), 0, "the tree has taken it");
        let mut keys = Vec::new();
        let visit = &mut |key: &[u8], value: &[u8]| {
            let number = u64::from_be_bytes(*key.first_chunk().unwrap());
            assert_eq!(value, vec![number as u8; number as usize % 300]);
            keys.push(number);
            Ok(())
        };
        tree.for_each(visit).unwrap();
        assert_eq!(keys, (1..=10).collect::<Vec<_>>());
        assert_eq!(tree.bytes(), filled(&Arc::default(), 10).bytes(), "as in new memory");
    }

    #[test]
    fn the_memory_of_the_largest_tree_within_the_limit_is_kept() {
        let one = filled(&Arc::default(), 100);
        let spare = SpareMemory::new(one.bytes());
        drop(filled(&spare, 1_000));
        assert_eq!(bytes(&spare), 0, "too large");
        let (two, three) = (filled(&spare, 100), filled(&spare, 10));
        drop(two);
        drop(three);
        assert_eq!(bytes(&spare), one.bytes(), "the larger one of two");
    }
}
