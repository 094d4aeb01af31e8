//! Nodes of the tree: which words they are made of, and how one more key is added.
//!
//! A node is an array of [`NODE_WORDS`] words with room for [`SLOTS`] keys:
//!
//! | words | content |
//! |---|---|
//! | 1 | order: which slots are used, in the order of their keys ([`Order`]) |
//! | 1 | leaf: the next leaf and the previous one; inner node: its first child |
//! | 1 | bounds: the entries whose keys bound the range of the node; 0: no bound |
//! | 1 | level, 0 for a leaf; *skip*: so many bytes of all keys of the range are the same |
//! | `SLOTS` | heads: the 8 bytes of each key behind `skip`, as a number, zeros behind the end of the key |
//! | `SLOTS` | leaf: the entry; inner node: the entry whose key separates two children, and the child behind it |
//!
//! A slot is written once, before a store of the order makes it part of the node. A child and the links of a leaf are replaced.

use durable::sync::atomic::{AtomicU64, Ordering};

use super::chunks::CACHE_LINE_WORDS;

/// Keys of a node. Few under shuttle, so that a handful of inserts splits nodes.
pub(super) const SLOTS: usize = if cfg!(shuttle) { 3 } else { 14 };

/// Words of a node: four cache lines.
pub(super) const NODE_WORDS: usize = HEADS + 2 * SLOTS;

const ORDER: usize = 0;
const LINKS: usize = 1;
const BOUNDS: usize = 2;
const SHAPE: usize = 3;
const HEADS: usize = 4;
const CHILDREN: usize = HEADS + SLOTS;

/// The slots of a node in the order of their keys, in one word: 4 bits for the slot of each rank, the least rank in the
/// lowest bits, and the number of slots in the upper 4 bits. Slots are used one after the other. (The permutation of Mao,
/// Kohler and Morris, Cache Craftiness for Fast Multicore Key-Value Storage, 2012, 4.6.2.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order(u64);

const COUNT_AT: u32 = 60;
const ASCENDING: u64 = 0x00dc_ba98_7654_3210;

impl Order {
    /// The first `count` slots, as they lie.
    #[inline]
    fn ascending(count: usize) -> Self {
        debug_assert!(count <= SLOTS, "a node has so many slots");
        Self((count as u64) << COUNT_AT | ASCENDING & ((1 << (4 * count)) - 1))
    }

    /// How many keys there are.
    #[inline]
    pub(super) fn count(self) -> usize {
        (self.0 >> COUNT_AT) as usize
    }

    /// The slot of the key with `rank` lesser ones.
    #[inline]
    pub(super) fn slot(self, rank: usize) -> usize {
        debug_assert!(rank < self.count(), "there is a key of the rank");
        (self.0 >> (4 * rank)) as usize & 15
    }

    /// With the next slot at `rank`.
    #[inline]
    fn with_next_at(self, rank: usize) -> Self {
        let count = self.count();
        debug_assert!(
            rank <= count && count < SLOTS,
            "there is room, and the rank is next to others"
        );
        let slots = self.0 & ((1 << COUNT_AT) - 1);
        let below = (1 << (4 * rank)) - 1;
        let slots = slots & below | (count as u64) << (4 * rank) | (slots & !below) << 4;
        let order = Self((count as u64 + 1) << COUNT_AT | slots);
        debug_assert_eq!(order.slot(rank), count, "the new slot has the rank");
        order
    }
}

/// What is written into a slot: the head of its key and its content.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    pub(super) head: u64,
    /// An entry: that of a leaf, or the separator in front of `child`.
    pub(super) entry: u32,
    /// 0 in a leaf.
    pub(super) child: u32,
}

/// What a node keeps besides its keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) level: u32,
    pub(super) skip: usize,
    /// No key of the range is less than that of this entry; 0: no bound.
    pub(super) low: u32,
    /// Every key of the range is less than that of this entry; 0: no bound.
    pub(super) high: u32,
}

/// A node in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'n>(pub(super) &'n [AtomicU64; NODE_WORDS]);

impl Node<'_> {
    /// Makes the words a node. Nobody reads them yet.
    pub(super) fn write(self, shape: Shape, links: u64, slots: &[Slot]) {
        debug_assert!(u32::try_from(shape.skip).is_ok(), "no key is longer");
        self.0[LINKS].store(links, Ordering::Relaxed);
        self.0[BOUNDS].store(pack(shape.low, shape.high), Ordering::Relaxed);
        self.0[SHAPE].store(pack(shape.level, shape.skip as u32), Ordering::Relaxed);
        for (at, slot) in slots.iter().enumerate() {
            self.write_slot(at, *slot);
        }
        self.0[ORDER].store(Order::ascending(slots.len()).0, Ordering::Release);
    }

    /// Adds a key as the one with `rank` lesser ones. There is room.
    #[inline]
    pub(super) fn insert(self, rank: usize, slot: Slot) {
        let order = self.order();
        self.write_slot(order.count(), slot);
        self.0[ORDER].store(order.with_next_at(rank).0, Ordering::Release);
    }

    #[inline]
    fn write_slot(self, at: usize, slot: Slot) {
        self.0[HEADS + at].store(slot.head, Ordering::Relaxed);
        self.0[CHILDREN + at].store(pack(slot.entry, slot.child), Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn order(self) -> Order {
        Order(self.0[ORDER].load(Ordering::Acquire))
    }

    #[inline]
    pub(super) fn is_full(self) -> bool {
        self.order().count() == SLOTS
    }

    #[inline]
    pub(super) fn level(self) -> u32 {
        unpack(self.0[SHAPE].load(Ordering::Relaxed)).0
    }

    #[inline]
    pub(super) fn skip(self) -> usize {
        unpack(self.0[SHAPE].load(Ordering::Relaxed)).1 as usize
    }

    pub(super) fn shape(self) -> Shape {
        let (level, skip) = unpack(self.0[SHAPE].load(Ordering::Relaxed));
        let (low, high) = unpack(self.0[BOUNDS].load(Ordering::Relaxed));
        Shape { level, skip: skip as usize, low, high }
    }

    /// How many of the keys in `order` have a head below `head`.
    #[inline]
    pub(super) fn heads_below(self, order: Order, head: u64) -> usize {
        self.partition_point(order, |other| other < head)
    }

    /// How many of the keys in `order` have a head up to `head`.
    pub(super) fn heads_up_to(self, order: Order, head: u64) -> usize {
        self.partition_point(order, |other| other <= head)
    }

    /// A search by halves that has no branch to mispredict.
    #[inline]
    fn partition_point(self, order: Order, is_before: impl Fn(u64) -> bool) -> usize {
        let (mut from, mut len) = (0, order.count());
        while len > 0 {
            let half = len.div_ceil(2);
            from += if is_before(self.head(order, from + half - 1)) { half } else { 0 };
            len -= half;
        }
        from
    }

    /// Asks for all cache lines of the node, so that a search does not wait for one after the other.
    #[inline]
    pub(super) fn touch(self) {
        for line in self.0.chunks(CACHE_LINE_WORDS) {
            let _: u64 = line[0].load(Ordering::Relaxed);
        }
    }

    #[inline]
    pub(super) fn head(self, order: Order, rank: usize) -> u64 {
        self.0[HEADS + order.slot(rank)].load(Ordering::Relaxed)
    }

    /// The entry of a leaf, or the separator of an inner node, at `rank`.
    #[inline]
    pub(super) fn entry(self, order: Order, rank: usize) -> u32 {
        unpack(self.0[CHILDREN + order.slot(rank)].load(Ordering::Acquire)).0
    }

    pub(super) fn slot(self, order: Order, rank: usize) -> Slot {
        let (entry, child) = unpack(self.0[CHILDREN + order.slot(rank)].load(Ordering::Acquire));
        Slot { head: self.head(order, rank), entry, child }
    }

    /// The child of an inner node behind `rank` of the separators in `order`. `None`: there are more separators now, and the
    /// rank may be another one.
    ///
    /// When a child is split, the separator of its halves is added first, and then the lesser half takes the place of the
    /// child. A reader with the order of before must not go there: it may search for a key of the greater half.
    #[inline]
    pub(super) fn child(self, order: Order, rank: usize) -> Option<u32> {
        let at = rank.checked_sub(1).map_or(LINKS, |before| CHILDREN + order.slot(before));
        let (_, child) = unpack(self.0[at].load(Ordering::Acquire));
        (self.order() == order).then_some(child)
    }

    /// Replaces the child of an inner node behind `rank` separators.
    pub(super) fn set_child(self, rank: usize, child: u32) {
        let order = self.order();
        let at = rank.checked_sub(1).map_or(LINKS, |before| CHILDREN + order.slot(before));
        let (entry, _) = unpack(self.0[at].load(Ordering::Relaxed));
        self.0[at].store(pack(entry, child), Ordering::Release);
    }

    /// The leaf behind this one, and the one before it. 0: none.
    #[inline]
    pub(super) fn neighbours(self) -> (u32, u32) {
        unpack(self.0[LINKS].load(Ordering::Acquire))
    }

    pub(super) fn set_next(self, next: u32) {
        let (_, previous) = self.neighbours();
        self.0[LINKS].store(pack(next, previous), Ordering::Release);
    }

    pub(super) fn set_previous(self, previous: u32) {
        let (next, _) = self.neighbours();
        self.0[LINKS].store(pack(next, previous), Ordering::Release);
    }
}

/// Two halves as a word.
#[inline]
pub(super) fn pack(upper: u32, lower: u32) -> u64 {
    u64::from(upper) << 32 | u64::from(lower)
}

#[inline]
fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_the_list_of_slots_that_inserts_at_ranks_make() {
        for seed in 0..500_usize {
            let (mut order, mut list) = (Order::ascending(0), Vec::new());
            for next in 0..SLOTS {
                let rank = (seed * 7919 + next * next * 31) % (next + 1);
                order = order.with_next_at(rank);
                list.insert(rank, next);
                let slots: Vec<usize> = (0..order.count()).map(|rank| order.slot(rank)).collect();
                assert_eq!(slots, list);
            }
        }
        let ascending = Order::ascending(SLOTS);
        assert!((0..SLOTS).all(|rank| ascending.slot(rank) == rank));
    }
}
