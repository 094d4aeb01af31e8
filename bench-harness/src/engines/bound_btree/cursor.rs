//! The cursor: it lends entries from the leaves of a frozen tree and copies none.

use std::ops::Bound;
use std::sync::Arc;

use kv::{Cursor, CursorPosition, Direction, KeyRange, Result, StepFrom};

use super::leaf::Leaf;
use super::tree::{Node, Path};

/// A cursor over the entries of a range.
pub(super) struct TreeCursor {
    root: Node,
    range: KeyRange,
    /// An index of the leaf.
    position: CursorPosition<usize>,
    leaf: Arc<Leaf>,
    /// Leads to the leaf.
    path: Path,
    /// The first entry of the leaf within the range, and the one after the last, once a step has asked for them. They are
    /// found once for each leaf, so a step compares no keys.
    start: Option<usize>,
    end: Option<usize>,
}

impl TreeCursor {
    /// A fresh cursor over the entries of `root` in `range`.
    pub(super) fn new(root: Node, range: KeyRange) -> Self {
        let (position, leaf) = (CursorPosition::Fresh, Arc::default());
        Self { root, range, position, leaf, path: Path::default(), start: None, end: None }
    }

    fn enter(&mut self, leaf: Arc<Leaf>) {
        (self.leaf, self.start, self.end) = (leaf, None, None);
    }

    fn start(&mut self) -> usize {
        *self.start.get_or_insert_with(|| self.leaf.first_within(self.range.start()))
    }

    fn end(&mut self) -> usize {
        *self.end.get_or_insert_with(|| self.leaf.end_within(self.range.end()))
    }

    /// The entry beside the gap before the entry `gap`, in `direction`. `None`: the leaf has none in the range. A step comes
    /// from within the range, so only the bound that it goes towards is asked for.
    fn beside(&mut self, gap: usize, direction: Direction) -> Option<usize> {
        match direction {
            Direction::Forward => Some(gap).filter(|at| *at < self.end()),
            Direction::Backward => gap.checked_sub(1).filter(|at| *at >= self.start()),
        }
    }

    /// Moves to the nearest entry in `direction` from the gap before the entry `gap` on.
    fn land_from(&mut self, gap: usize, direction: Direction) -> bool {
        let mut found = self.beside(gap, direction);
        while found.is_none() {
            let is_past_range = match direction {
                Direction::Forward => self.end() < self.leaf.len(),
                Direction::Backward => self.start() > 0,
            };
            if is_past_range {
                break;
            }
            let Some(next) = self.root.neighbour(direction, &mut self.path) else { break };
            let next = Arc::clone(next);
            let gap = match direction {
                Direction::Forward => 0,
                Direction::Backward => next.len(),
            };
            self.enter(next);
            // A leaf may be empty, or lie outside of the range.
            found = self.beside(gap, direction);
        }
        debug_assert!(found.is_none_or(|at| at < self.leaf.len()), "an entry is in its leaf");
        self.position.land(found, direction)
    }

    #[inline]
    fn step(&mut self, direction: Direction) -> bool {
        match self.position.step(direction) {
            None => false,
            Some(StepFrom::Entry(&at)) => {
                let gap = match direction {
                    Direction::Forward => at + 1,
                    Direction::Backward => at,
                };
                match self.beside(gap, direction) {
                    Some(next) => self.position.land(Some(next), direction),
                    None => self.land_from(gap, direction),
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

/// The leaf in which a scan in `direction` from `bound` begins, and the entry after the gap that it begins in.
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
