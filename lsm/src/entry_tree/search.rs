//! The way from the root to a leaf.

use super::entry::Probe;
use super::node::{Node, Order};
use super::{EntryTree, Place};

impl EntryTree {
    /// The place of the first entry that is not less than `probe`, in the leaf whose range has `probe`; or behind the last
    /// entry there. Calls `visit` with each inner node on the way and the rank of the child.
    #[inline]
    pub(super) fn search(&self, probe: &Probe<'_>, mut visit: impl FnMut(u32, usize)) -> Place {
        let mut id = self.root();
        loop {
            let node = self.node(id);
            let order = node.order();
            let rank = self.rank(node, order, probe);
            if node.level() == 0 {
                return Place { leaf: id, order, rank };
            }
            // Otherwise a child was split meanwhile. That happens at most once for each slot of the node.
            if let Some(child) = node.child(order, rank) {
                visit(id, rank);
                id = child;
            }
        }
    }

    /// The leaf at an end of the tree. `rank` picks the child.
    pub(super) fn edge(&self, rank: impl Fn(Order) -> usize) -> u32 {
        let mut id = self.root();
        loop {
            let node = self.node(id);
            if node.level() == 0 {
                return id;
            }
            let order = node.order();
            id = node.child(order, rank(order)).unwrap_or(id);
        }
    }

    /// How many keys of `node` are less than `probe`.
    #[inline]
    fn rank(&self, node: Node<'_>, order: Order, probe: &Probe<'_>) -> usize {
        node.touch();
        let head = probe.head(node.skip());
        let rank = node.heads_below(order, head);
        if rank == order.count() || node.head(order, rank) != head {
            return rank;
        }
        self.rank_among_equals(node, order, rank, probe)
    }

    /// The same when the key at `rank` is the first one with the head of `probe`.
    fn rank_among_equals(
        &self,
        node: Node<'_>,
        order: Order,
        rank: usize,
        probe: &Probe<'_>,
    ) -> usize {
        // The newest version of a key is the first one, and the most wanted one.
        let is_less = |rank| self.entry_at(node, order, rank).compare(probe).is_lt();
        if !is_less(rank) {
            return rank;
        }
        let (mut from, mut to) = (rank + 1, node.heads_up_to(order, node.head(order, rank)));
        while from < to {
            let middle = from.midpoint(to);
            if is_less(middle) { from = middle + 1 } else { to = middle }
        }
        from
    }
}
