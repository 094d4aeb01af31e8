//! Splitting a node that is full: the writer's only way to change the shape of the tree.
//!
//! 1. Two new nodes get the keys of the old one and the key that is added. Nobody reads them yet. Two leaves get the old
//!    leaf's neighbours as links, and each other.
//! 2. The neighbours of an old leaf get links to the new ones.
//! 3. The parent gets the key that separates the two nodes, with the second one as its child, and then the first one in place
//!    of the old node. A parent that is full is split in the same way, with both changes made in its halves. The root gets a
//!    parent.
//!
//! No entry is added meanwhile, so each intermediate state leads to all entries: between the two changes of step 3 the old
//! node still has the keys of both. A reader must not combine the state before with the one behind them ([`Node::child`]).

use durable::sync::atomic::Ordering;

use super::chunks::words;
use super::node::{NODE_WORDS, Node, Order, SLOTS, Shape, Slot, pack};
use super::{EntryTree, Path, Place};

/// Heads that share so many bytes are worth being taken from behind them.
const SKIPPED_TOGETHER: usize = 4;

/// The keys of a full node and one more, in order.
type Slots = [Slot; SLOTS + 1];

/// What a split hands to the parent.
#[derive(Clone, Copy, Debug)]
struct Halves {
    left: u32,
    right: u32,
    /// The entry that separates them.
    separator: u32,
}

impl EntryTree {
    /// Adds `slot` to a full leaf at `place`. `path` leads there.
    #[cold]
    pub(super) fn split(&self, place: Place, slot: Slot, path: &Path) {
        let mut old = place.leaf;
        let mut halves = self.split_leaf(place.leaf, place.rank, slot);
        for (parent, rank) in path.upwards() {
            let node = self.node(parent);
            if !node.is_full() {
                node.insert(rank, self.separator(node, halves));
                node.set_child(rank, halves.left);
                return;
            }
            halves = self.split_inner(node, rank, halves);
            old = parent;
        }
        debug_assert_eq!(old, self.root(), "the way began at the root");
        self.grow(halves, self.node(old).level() + 1);
    }

    fn split_leaf(&self, leaf: u32, rank: usize, slot: Slot) -> Halves {
        let node = self.node(leaf);
        let slots = with(node, node.order(), rank, slot);
        let (next, previous) = node.neighbours();
        // Keys that come in order leave full leaves behind.
        let at = if next == 0 && rank == SLOTS { SLOTS } else { slots.len() / 2 };
        let (low, high) = slots.split_at(at);
        let separator = high[0].entry;
        let shape = node.shape();
        let left = self.new_node(Shape { high: separator, ..shape }, pack(0, previous), low);
        let right = self.new_node(Shape { low: separator, ..shape }, pack(next, left), high);
        self.node(left).set_next(right);
        if previous != 0 {
            self.node(previous).set_next(left);
        }
        if next == 0 {
            self.last_leaf.store(u64::from(right), Ordering::Relaxed);
        } else {
            self.node(next).set_previous(right);
        }
        Halves { left, right, separator }
    }

    /// Splits an inner node whose child at `rank` was split into `child`.
    fn split_inner(&self, node: Node<'_>, rank: usize, child: Halves) -> Halves {
        let order = node.order();
        let mut slots = with(node, order, rank, self.separator(node, child));
        let mut first = node.child(order, 0).expect("only the writer adds separators");
        // The left half of the child takes the place of the old child.
        match rank.checked_sub(1) {
            None => first = child.left,
            Some(before) => slots[before].child = child.left,
        }
        let shape = node.shape();
        let at = if shape.high == 0 && rank == SLOTS { SLOTS - 1 } else { slots.len() / 2 };
        // The separator in the middle goes up, and its child becomes the first one of the right half.
        let (low, high) = (&slots[..at], &slots[at + 1..]);
        let Slot { entry: separator, child: middle, .. } = slots[at];
        let left = self.new_node(Shape { high: separator, ..shape }, pack(0, first), low);
        let right = self.new_node(Shape { low: separator, ..shape }, pack(0, middle), high);
        Halves { left, right, separator }
    }

    /// Makes a root over `halves`.
    fn grow(&self, halves: Halves, level: u32) {
        let shape = Shape { level, skip: 0, low: 0, high: 0 };
        let head = self.entries.get(halves.separator).head(0);
        let slot = Slot { head, entry: halves.separator, child: halves.right };
        let root = self.new_node(shape, pack(0, halves.left), &[slot]);
        self.root.store(u64::from(root), Ordering::Release);
    }

    fn separator(&self, node: Node<'_>, halves: Halves) -> Slot {
        let head = self.entries.get(halves.separator).head(node.skip());
        Slot { head, entry: halves.separator, child: halves.right }
    }

    /// A node with `slots`, whose heads are those behind the skip of `shape`. It skips more if that is worth it.
    pub(super) fn new_node(&self, shape: Shape, links: u64, slots: &[Slot]) -> u32 {
        let id = self.nodes.take(NODE_WORDS, words);
        self.count_bytes(size_of::<[u64; NODE_WORDS]>() as u64);
        let skip = self.skip(shape, slots);
        if skip == shape.skip {
            self.node(id).write(shape, links, slots);
            return id;
        }
        let mut moved = [Slot::default(); SLOTS];
        for (moved, slot) in moved.iter_mut().zip(slots) {
            *moved = Slot { head: self.entries.get(slot.entry).head(skip), ..*slot };
        }
        self.node(id).write(Shape { skip, ..shape }, links, &moved[..slots.len()]);
        id
    }

    /// How many bytes a node skips: all that its bounds share, or as many as `shape` says if these are nearly as many.
    fn skip(&self, shape: Shape, slots: &[Slot]) -> usize {
        let (Some(first), Some(last)) = (slots.first(), slots.last()) else { return shape.skip };
        // What the bounds share all keys share.
        let heads_share = (first.head ^ last.head).leading_zeros() as usize / 8;
        if heads_share < SKIPPED_TOGETHER || shape.low == 0 || shape.high == 0 {
            return shape.skip;
        }
        let shared = self.entries.get(shape.low).shared_bytes(&self.entries.get(shape.high));
        debug_assert!(shared >= shape.skip, "the bounds of a half lie in those of the whole");
        if shared - shape.skip < SKIPPED_TOGETHER { shape.skip } else { shared }
    }
}

/// The slots of a full node in order, with `slot` at `rank`.
fn with(node: Node<'_>, order: Order, rank: usize, slot: Slot) -> Slots {
    debug_assert_eq!(order.count(), SLOTS, "a node that is split is full");
    let mut slots = [slot; SLOTS + 1];
    for at in 0..SLOTS {
        slots[at + usize::from(at >= rank)] = node.slot(order, at);
    }
    slots
}
