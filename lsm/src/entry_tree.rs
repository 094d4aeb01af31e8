//! Entries in the order of their internal keys, in a B+-tree in memory. One thread adds entries, and any number of threads
//! read meanwhile without waiting.
//!
//! The bytes of entries (`entry`) and the nodes (`node`) are words in arrays that grow (`chunks`). All memory is given up at
//! once, and serves the next tree (`spare`).
//!
//! **Nothing moves.** An entry, and the slot of a node that names it, is written once. Then a release store of the node's
//! order makes it part of the tree. A node that is full is replaced by two new ones (`split`). The old node
//! stays as it is, for readers that are in it, until the memtable is freed.
//!
//! **What a reader finds.** A reader takes the order of a node with an acquire load and keeps it while it is in the node. So
//! it sees the keys of one moment. It goes on to a child, to the next leaf or to the previous one. That node is part of the
//! tree, or it was when the present node was replaced. Both are moments after the reader began. The order of the node did not
//! change until the child was read, so the range of the child has the key that the reader searches for. The range of the next leaf begins where this one ends, and
//! that of the previous leaf ends where this one begins. So a reader finds every entry that was added before it began, in
//! order and once. An entry that is added meanwhile is found, or not. No reader waits: it reads a node again only when one of
//! its children was split in between.
//!
//! **Ranges.** The keys of a node lie between its bounds, and the bounds of a node never change. So all keys that come to a
//! node begin with the bytes that its bounds share. A node compares the 8 bytes behind them (its *heads*), which are in the
//! node itself. Only keys with equal heads are compared as a whole: versions of one key, and keys that share more bytes than
//! their bounds do. (Graefe, Modern B-Tree Techniques, 2011, 4.4: fence keys, prefix truncation.)

mod chunks;
mod cursor;
mod entry;
mod node;
mod search;
pub(crate) mod spare;
mod split;

use std::sync::Arc;

use durable::sync::atomic::{AtomicU64, Ordering};

use kv::Result;

use crate::internal_key::Trailer;
use chunks::Chunks;
pub(crate) use cursor::EntryCursor;
pub(crate) use entry::Entry;
use entry::{Entries, Probe};
use node::{Node, Order, Slot};
use spare::SpareMemory;

/// Called with an internal key and its value.
pub(crate) type Visit<'v> = &'v mut dyn FnMut(&[u8], &[u8]) -> Result<()>;

/// More levels than a tree of 2^32 words can have.
const MAX_LEVELS: usize = 40;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct EntryTree {
    entries: Entries,
    nodes: Chunks<AtomicU64>,
    root: AtomicU64,
    /// The last leaf. Only the writer uses it.
    last_leaf: AtomicU64,
    /// The memory that entries and nodes take, in bytes. Only the writer changes it.
    bytes: AtomicU64,
    /// How many entries there are. Only the writer changes it.
    len: AtomicU64,
    /// Gets the memory of entries and nodes when the tree is gone.
    spare: Arc<SpareMemory>,
}

/// An entry in its leaf: the leaf, the order in which a reader sees it, and the rank of the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    leaf: u32,
    order: Order,
    rank: usize,
}

/// The way from the root to a leaf: nodes, and at which of their ranks it goes on.
#[derive(Debug)]
struct Path {
    steps: [(u32, usize); MAX_LEVELS],
    len: usize,
}

impl Default for EntryTree {
    /// A tree in new memory, which is freed when it is gone.
    fn default() -> Self {
        Self::in_memory_of(&Arc::default())
    }
}

impl EntryTree {
    /// Adds an entry. No entry has the same key and trailer. One thread at a time.
    pub(crate) fn insert(&self, user: &[u8], trailer: Trailer, value: &[u8]) {
        let key = Probe { user, trailer };
        let (entry, bytes) = self.entries.write(key, value);
        self.count_bytes(bytes);
        if !self.append(&key, entry) {
            self.add(&key, entry);
        }
        self.len.store(self.len() + 1, Ordering::Relaxed);
    }

    fn add(&self, key: &Probe<'_>, entry: u32) {
        let mut path = Path { steps: [(0, 0); MAX_LEVELS], len: 0 };
        let place = self.search(key, |node, rank| path.push(node, rank));
        self.check_neighbours(place, key);
        let node = self.node(place.leaf);
        let slot = Slot { head: key.head(node.skip()), entry, child: 0 };
        if node.is_full() {
            self.split(place, slot, &path);
        } else {
            node.insert(place.rank, slot);
        }
    }

    /// Adds an entry behind all others if the last leaf has room: keys that come in order need no search.
    #[inline]
    fn append(&self, key: &Probe<'_>, entry: u32) -> bool {
        let last = self.node(self.last_leaf.load(Ordering::Relaxed) as u32);
        let order = last.order();
        let count = order.count();
        let is_behind = |last: Entry<'_>| last.compare(key).is_lt();
        if count == 0 || last.is_full() || !is_behind(self.entry_at(last, order, count - 1)) {
            return false;
        }
        last.insert(count, Slot { head: key.head(last.skip()), entry, child: 0 });
        true
    }

    /// The first version of `user` from `newest` on.
    #[inline]
    pub(crate) fn find(&self, user: &[u8], newest: Trailer) -> Option<Entry<'_>> {
        let place = self.first_from(&Probe { user, trailer: newest })?;
        Some(self.entry(place)).filter(|entry| entry.is_of(user))
    }

    /// Calls `visit` with the internal key and the value of each entry, in order, until it fails.
    ///
    /// # Errors
    /// Those of `visit`.
    pub(crate) fn for_each(&self, visit: Visit<'_>) -> Result<()> {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        let mut place = self.first();
        while let Some(here) = place {
            let entry = self.entry(here);
            entry.copy_key(&mut key);
            visit(&key, entry.value(&mut value))?;
            place = self.next(here);
        }
        Ok(())
    }

    /// How many entries there are.
    #[inline]
    pub(crate) fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    /// The first entry whose key is not less than `probe`.
    #[inline]
    fn first_from(&self, probe: &Probe<'_>) -> Option<Place> {
        self.at_or_behind(self.search(probe, |_, _| ()))
    }

    /// The last entry whose key is less than `probe`.
    fn last_before(&self, probe: &Probe<'_>) -> Option<Place> {
        self.before(self.search(probe, |_, _| ()))
    }

    /// The first entry.
    fn first(&self) -> Option<Place> {
        let leaf = self.edge(|_| 0);
        self.at_or_behind(Place { leaf, order: self.node(leaf).order(), rank: 0 })
    }

    /// The last entry.
    fn last(&self) -> Option<Place> {
        let leaf = self.edge(Order::count);
        let order = self.node(leaf).order();
        self.before(Place { leaf, order, rank: order.count() })
    }

    /// The entry behind the one at `place`.
    #[inline]
    fn next(&self, place: Place) -> Option<Place> {
        let next = self.at_or_behind(Place { rank: place.rank + 1, ..place })?;
        self.walk_on(place, next);
        Some(next)
    }

    /// The entry in front of the one at `place`.
    #[inline]
    fn previous(&self, place: Place) -> Option<Place> {
        let previous = self.before(place)?;
        self.walk_on(place, previous);
        Some(previous)
    }

    /// Asks for all entries of a leaf that a walk enters. They are anywhere in memory, and so the walk waits once for a leaf
    /// and not once for an entry.
    #[inline]
    fn walk_on(&self, from: Place, to: Place) {
        if to.leaf != from.leaf {
            let node = self.node(to.leaf);
            (0..to.order.count()).for_each(|rank| self.entry_at(node, to.order, rank).touch());
        }
    }

    /// `place`, or the first one of the next leaf if `place` is behind the last one of its leaf.
    #[inline]
    fn at_or_behind(&self, place: Place) -> Option<Place> {
        if place.rank < place.order.count() {
            return Some(place);
        }
        let (leaf, _) = self.node(place.leaf).neighbours();
        self.enter(leaf).map(|order| Place { leaf, order, rank: 0 })
    }

    #[inline]
    fn before(&self, place: Place) -> Option<Place> {
        if let Some(rank) = place.rank.checked_sub(1) {
            return Some(Place { rank, ..place });
        }
        let (_, leaf) = self.node(place.leaf).neighbours();
        self.enter(leaf).map(|order| Place { leaf, order, rank: order.count() - 1 })
    }

    /// The order of the leaf that a link leads to. `None`: it leads nowhere.
    fn enter(&self, leaf: u32) -> Option<Order> {
        if leaf == 0 {
            return None;
        }
        let order = self.node(leaf).order();
        debug_assert!(order.count() > 0, "a leaf with neighbours has entries");
        Some(order)
    }

    /// The entry at `place`.
    #[inline]
    fn entry(&self, place: Place) -> Entry<'_> {
        self.entry_at(self.node(place.leaf), place.order, place.rank)
    }

    /// The memory that entries and nodes take, in bytes.
    #[inline]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    #[inline]
    fn count_bytes(&self, more: u64) {
        self.bytes.store(self.bytes() + more, Ordering::Relaxed);
    }

    #[inline]
    fn entry_at(&self, node: Node<'_>, order: Order, rank: usize) -> Entry<'_> {
        self.entries.get(node.entry(order, rank))
    }

    #[inline]
    fn root(&self) -> u32 {
        self.root.load(Ordering::Acquire) as u32
    }

    #[inline]
    fn node(&self, id: u32) -> Node<'_> {
        debug_assert!(id > 0, "there is such a node");
        Node(self.nodes.from(id).first_chunk().expect("the words of a node lie in one chunk"))
    }

    /// In debug builds: an entry with `key` belongs to `place`, and the tree has none yet.
    fn check_neighbours(&self, place: Place, key: &Probe<'_>) {
        let compare = |rank| self.entry(Place { rank, ..place }).compare(key);
        debug_assert!(place.rank == 0 || compare(place.rank - 1).is_lt(), "behind lesser keys");
        let is_last = place.rank == place.order.count();
        debug_assert!(is_last || compare(place.rank).is_gt(), "before greater keys");
    }
}

impl Path {
    #[inline]
    fn push(&mut self, node: u32, rank: usize) {
        assert!(self.len < MAX_LEVELS, "a tree has fewer levels");
        self.steps[self.len] = (node, rank);
        self.len += 1;
    }

    /// From the parent of the leaf to the root.
    fn upwards(&self) -> impl Iterator<Item = (u32, usize)> {
        self.steps[..self.len].iter().rev().copied()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests;
