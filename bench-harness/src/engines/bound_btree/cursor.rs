//! The cursor: it lends entries from the leaves of a frozen tree and copies none.

use std::ops::{Bound, Range};
use std::sync::Arc;

use kv::{Cursor, CursorPosition, Direction, KeyRange, Result, StepFrom};

use super::leaf::Leaf;
use super::tree::{Node, Path};

/// A walk over the entries of a range.
pub(super) struct TreeCursor {
    root: Node,
    range: KeyRange,
    /// An index of the leaf.
    position: CursorPosition<usize>,
    leaf: Arc<Leaf>,
    /// Leads to the leaf.
    path: Path,
    /// The entries of the leaf that lie in the range. They are found once for each leaf, so a step compares no keys.
    within: Range<usize>,
}

impl TreeCursor {
    /// A fresh cursor over the entries of `root` in `range`.
    pub(super) fn new(root: Node, range: KeyRange) -> Self {
        let (position, leaf) = (CursorPosition::Fresh, Arc::default());
        Self { root, range, position, leaf, path: Path::default(), within: 0..0 }
    }

    fn enter(&mut self, leaf: Arc<Leaf>) {
        self.within = leaf.first_within(self.range.start())..leaf.end_within(self.range.end());
        self.leaf = leaf;
    }

    /// Moves to the entry nearest to the begin of a walk in `direction` in the leaf, from the gap before the entry `gap` on;
    /// on to another leaf where there is none.
    fn land_from(&mut self, gap: usize, direction: Direction) -> bool {
        let found = match direction {
            Direction::Forward => Some(gap.max(self.within.start)),
            Direction::Backward => gap.min(self.within.end).checked_sub(1),
        };
        match found.filter(|at| self.within.contains(at)) {
            Some(at) => self.position.land(Some(at), direction),
            None => self.walk_on(direction),
        }
    }

    /// Moves to the nearest entry of another leaf.
    fn walk_on(&mut self, direction: Direction) -> bool {
        loop {
            let is_past_range = match direction {
                Direction::Forward => self.within.end < self.leaf.len(),
                Direction::Backward => self.within.start > 0,
            };
            if is_past_range {
                return self.position.land(None, direction);
            }
            let Some(next) = self.root.neighbour(direction, &mut self.path) else {
                return self.position.land(None, direction);
            };
            self.enter(Arc::clone(next));
            // A leaf may be empty, or lie outside of the range.
            if !self.within.is_empty() {
                let at = match direction {
                    Direction::Forward => self.within.start,
                    Direction::Backward => self.within.end - 1,
                };
                return self.position.land(Some(at), direction);
            }
        }
    }

    #[inline]
    fn step(&mut self, direction: Direction) -> bool {
        match self.position.step(direction) {
            None => false,
            Some(StepFrom::Entry(&at)) => {
                let next = match direction {
                    Direction::Forward => Some(at + 1).filter(|at| *at < self.within.end),
                    Direction::Backward => at.checked_sub(1).filter(|at| *at >= self.within.start),
                };
                match next {
                    Some(_) => self.position.land(next, direction),
                    None => self.walk_on(direction),
                }
            }
            Some(StepFrom::Edge) => {
                let bound = match direction {
                    Direction::Forward => self.range.start(),
                    Direction::Backward => self.range.end(),
                };
                let (leaf, gap) = search(&self.root, bound, direction, &mut self.path);
                self.enter(leaf);
                self.land_from(gap, direction)
            }
        }
    }
}

/// The leaf in which a walk in `direction` from `bound` begins, and the entry behind the gap that it begins in.
fn search(
    root: &Node,
    bound: Bound<&[u8]>,
    direction: Direction,
    path: &mut Path,
) -> (Arc<Leaf>, usize) {
    let leaf = match bound {
        Bound::Unbounded => root.edge(direction, path),
        Bound::Included(key) | Bound::Excluded(key) => root.leaf_of(key, path),
    };
    let gap = match direction {
        Direction::Forward => leaf.first_within(bound),
        Direction::Backward => leaf.end_within(bound),
    };
    (Arc::clone(leaf), gap)
}

impl Cursor for TreeCursor {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        let (bound, direction) = (self.range.start_from(key), Direction::Forward);
        let (leaf, gap) = search(&self.root, bound, direction, &mut self.path);
        self.enter(leaf);
        Ok(self.land_from(gap, direction))
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        let (bound, direction) = (self.range.end_before(key), Direction::Backward);
        let (leaf, gap) = search(&self.root, bound, direction, &mut self.path);
        self.enter(leaf);
        Ok(self.land_from(gap, direction))
    }

    fn next(&mut self) -> Result<bool> {
        Ok(self.step(Direction::Forward))
    }

    fn prev(&mut self) -> Result<bool> {
        Ok(self.step(Direction::Backward))
    }

    fn key(&self) -> &[u8] {
        self.leaf.key(*self.position.entry())
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        Ok(self.leaf.entry(*self.position.entry()))
    }
}
