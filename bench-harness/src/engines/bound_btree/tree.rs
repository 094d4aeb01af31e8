//! The tree: nodes that writers change in place, and copy where a cursor still reads them.

use std::sync::Arc;

use kv::Direction;

use super::inline_key::{InlineKey, SoughtKey};
use super::leaf::Leaf;

/// A node with more children than this is split.
const MOST_CHILDREN: usize = 128;
/// Levels above the leaves. A tree of eight levels with half of its children has 4,000 billion leaves.
const MOST_LEVELS: usize = 8;

/// The child that a path takes at each level, from the root on. Those after the last level mean nothing.
pub(super) type Path = [usize; MOST_LEVELS];

/// A node and everything below it. A clone is a frozen view.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Leaf(Arc<Leaf>),
    Inner(Arc<Inner>),
}

/// A node above the leaves.
#[derive(Clone, Debug)]
pub(super) struct Inner {
    /// For each child but the first, a key that is greater than those before it and not greater than its own.
    separators: Vec<InlineKey>,
    children: Vec<Node>,
}

/// The second half of a node that was split, and the key that separates it from the first.
type Split = Option<(InlineKey, Node)>;

impl Default for Node {
    fn default() -> Self {
        Self::Leaf(Arc::default())
    }
}

impl Node {
    /// The value of `key`.
    pub(super) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let sought = SoughtKey::new(key);
        let mut node = self;
        loop {
            match node {
                Self::Leaf(leaf) => return leaf.get(key),
                Self::Inner(inner) => node = &inner.children[inner.child_of(&sought)],
            }
        }
    }

    /// Puts an entry into the tree of this root, and returns whether its key is new.
    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> bool {
        let (is_new, split) = self.put_below(&SoughtKey::new(key), value);
        if let Some((separator, right)) = split {
            let children = vec![std::mem::take(self), right];
            *self = Self::Inner(Arc::new(Inner { separators: vec![separator], children }));
        }
        is_new
    }

    fn put_below(&mut self, key: &SoughtKey<'_>, value: &[u8]) -> (bool, Split) {
        match self {
            Self::Leaf(leaf) => {
                let leaf = Arc::make_mut(leaf);
                let is_new = leaf.put(key.bytes, value);
                let right = leaf.split_if_full();
                let split = right.map(|right| (InlineKey::new(right.key(0)), right));
                (is_new, split.map(|(key, right)| (key, Self::Leaf(Arc::new(right)))))
            }
            Self::Inner(inner) => {
                let inner = Arc::make_mut(inner);
                let at = inner.child_of(key);
                let (is_new, split) = inner.children[at].put_below(key, value);
                if let Some((separator, right)) = split {
                    inner.separators.insert(at, separator);
                    inner.children.insert(at + 1, right);
                }
                (is_new, inner.split_if_full())
            }
        }
    }

    /// Removes an entry and returns whether it was there. A leaf without entries stays.
    pub(super) fn remove(&mut self, key: &SoughtKey<'_>) -> bool {
        match self {
            Self::Leaf(leaf) => Arc::make_mut(leaf).remove(key.bytes),
            Self::Inner(inner) => {
                let inner = Arc::make_mut(inner);
                let at = inner.child_of(key);
                inner.children[at].remove(key)
            }
        }
    }

    /// The leaf that has `key` if any has; `path` leads to it.
    pub(super) fn leaf_of(&self, key: &[u8], path: &mut Path) -> &Arc<Leaf> {
        let sought = SoughtKey::new(key);
        self.descend(path, |inner| inner.child_of(&sought))
    }

    /// The leaf at which a scan in `direction` begins; `path` leads to it.
    pub(super) fn edge(&self, direction: Direction, path: &mut [usize]) -> &Arc<Leaf> {
        self.descend(path, |inner| match direction {
            Direction::Forward => 0,
            Direction::Backward => inner.children.len() - 1,
        })
    }

    fn descend(&self, path: &mut [usize], choose: impl Fn(&Inner) -> usize) -> &Arc<Leaf> {
        let mut node = self;
        let mut steps = path.iter_mut();
        loop {
            match node {
                Self::Leaf(leaf) => return leaf,
                Self::Inner(inner) => {
                    let step = steps.next().expect("a tree has at most eight levels");
                    *step = choose(inner);
                    node = &inner.children[*step];
                }
            }
        }
    }

    /// The leaf after the one that `path` leads to, in `direction`; then `path` leads there.
    pub(super) fn neighbour(&self, direction: Direction, path: &mut [usize]) -> Option<&Arc<Leaf>> {
        let Self::Inner(inner) = self else { return None };
        let (at, below) = path.split_first_mut().expect("a tree has at most eight levels");
        if let Some(leaf) = inner.children[*at].neighbour(direction, below) {
            return Some(leaf);
        }
        *at = match direction {
            Direction::Forward => Some(*at + 1).filter(|at| *at < inner.children.len()),
            Direction::Backward => at.checked_sub(1),
        }?;
        Some(inner.children[*at].edge(direction, below))
    }
}

impl Inner {
    fn child_of(&self, key: &SoughtKey<'_>) -> usize {
        self.separators.partition_point(|separator| key.is_from(separator))
    }

    fn split_if_full(&mut self) -> Split {
        assert_eq!(self.separators.len() + 1, self.children.len());
        if self.children.len() <= MOST_CHILDREN {
            return None;
        }
        let middle = self.children.len() / 2;
        let children = self.children.split_off(middle);
        let separators = self.separators.split_off(middle);
        let separator = self.separators.pop()?;
        assert_eq!(self.separators.len() + 1, self.children.len(), "a child more than separators");
        assert_eq!(separators.len() + 1, children.len(), "a child more than separators");
        Some((separator, Node::Inner(Arc::new(Self { separators, children }))))
    }
}
