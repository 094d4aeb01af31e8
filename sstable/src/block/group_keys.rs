//! The entries of a group that a walk backward has decoded.

use std::ops::Range;

/// Some entries of a group that follow each other.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupKeys {
    /// The index of the first of them.
    first: usize,
    /// Where the group ends in the block.
    group_end: usize,
    /// The stems, one behind the other.
    stems: Vec<u8>,
    entries: Vec<Passed>,
}

/// An entry.
#[derive(Clone, Debug)]
struct Passed {
    /// Where its stem ends among the stems.
    stem_end: usize,
    /// Where its value is in the block.
    value: Range<usize>,
}

impl GroupKeys {
    /// Forgets all entries.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.stems.clear();
        self.entries.clear();
    }

    /// Forgets all entries, for those of a group that ends at `group_end` of the block.
    pub(super) fn begin(&mut self, group_end: usize) {
        self.clear();
        self.group_end = group_end;
    }

    #[inline]
    pub(super) fn group_end(&self) -> usize {
        self.group_end
    }

    /// Adds entry `index`, which follows the one that was added before.
    #[inline]
    pub(super) fn push(&mut self, index: usize, stem: &[u8], value: &Range<usize>) {
        if self.entries.is_empty() {
            self.first = index;
        }
        assert_eq!(index, self.first + self.entries.len(), "the entries follow each other");
        self.stems.extend_from_slice(stem);
        self.entries.push(Passed { stem_end: self.stems.len(), value: value.clone() });
    }

    /// The stem of entry `index`, and where its value is in the block. `None`: it was not added.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<(&[u8], Range<usize>)> {
        let at = index.checked_sub(self.first)?;
        let passed = self.entries.get(at)?;
        let start = at.checked_sub(1).map_or(0, |before| self.entries[before].stem_end);
        debug_assert!(start <= passed.stem_end, "the stems follow each other");
        Some((&self.stems[start..passed.stem_end], passed.value.clone()))
    }
}
