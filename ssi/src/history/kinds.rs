//! Kinds of dependencies, and the label of an edge of the graph.

use super::model::KeyId;

/// The kind of a dependency: why a transaction comes before another one in any serial order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DependencyKind {
    /// Both wrote a key, in this order (ww).
    WriteWrite,
    /// The second one read a version that the first one wrote (wr).
    WriteRead,
    /// The first one read a version of a key, and the second one wrote the next version (rw, an anti-dependency).
    ReadWrite,
    /// The second one scanned a range and missed a key because the first one had deleted it.
    PredicateWriteRead,
    /// The first one scanned a range without a key, and the second one wrote the key (a predicate anti-dependency).
    PredicateReadWrite,
    /// Both are of one session, in this order.
    Session,
    /// The first one ended before the second one began.
    RealTime,
}

const ALL_KINDS: [DependencyKind; 7] = [
    DependencyKind::WriteWrite,
    DependencyKind::WriteRead,
    DependencyKind::ReadWrite,
    DependencyKind::PredicateWriteRead,
    DependencyKind::PredicateReadWrite,
    DependencyKind::Session,
    DependencyKind::RealTime,
];

/// A set of kinds of dependencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    pub(super) const WRITE_WRITE: Self = Self(1 << DependencyKind::WriteWrite as u8);
    pub(super) const WRITE_READ: Self =
        Self(1 << DependencyKind::WriteRead as u8 | 1 << DependencyKind::PredicateWriteRead as u8);
    pub(super) const READ_WRITE: Self =
        Self(1 << DependencyKind::ReadWrite as u8 | 1 << DependencyKind::PredicateReadWrite as u8);
    pub(super) const TIME: Self =
        Self(1 << DependencyKind::Session as u8 | 1 << DependencyKind::RealTime as u8);

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn contains(self, kind: DependencyKind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }
}

/// The kind and the key of an edge, in 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label(u32);

const KEY_BITS: u32 = 29;
const NO_KEY: u32 = (1 << KEY_BITS) - 1;

impl Label {
    pub(super) fn new(kind: DependencyKind, key: Option<KeyId>) -> Self {
        let key = key.map_or(NO_KEY, |key| {
            assert!(key.0 < NO_KEY, "a history has fewer keys");
            key.0
        });
        let label = Self((kind as u32) << KEY_BITS | key);
        debug_assert_eq!(label.kind(), kind, "a label keeps its kind");
        label
    }

    pub(super) fn kind(self) -> DependencyKind {
        ALL_KINDS[(self.0 >> KEY_BITS) as usize]
    }

    pub(super) fn key(self) -> Option<KeyId> {
        let key = self.0 & NO_KEY;
        (key != NO_KEY).then_some(KeyId(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_keeps_its_kind_and_its_key() {
        for kind in ALL_KINDS {
            for key in [None, Some(KeyId(0)), Some(KeyId(NO_KEY - 1))] {
                let label = Label::new(kind, key);
                assert_eq!((label.kind(), label.key()), (kind, key));
            }
        }
    }
}
