//! Searching a block.

use std::cmp::Ordering;
use std::ops::Range;

use super::entry::{GroupReader, Restart};
use super::layout::Block;
use crate::damage::Checked;
use crate::heads::{Heads, lower_bound, padded};
use crate::key_layout::{SplitKey, behind_prefix, common_prefix_len, is_equal};

/// The first entry that is not less than the key that was sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its index; the number of entries if all of them are less.
    pub(crate) index: usize,
    /// Whether it has the very key.
    pub(crate) is_equal: bool,
}

/// Room for a suffix of any length.
pub(crate) type SuffixBuffer = [u8; u8::MAX as usize];

/// A key without the prefix of the block, which its stem begins with.
#[derive(Clone, Copy, Debug)]
struct Sought<'k> {
    rest: &'k [u8],
    suffix: &'k [u8],
}

/// The answer of the heads of a block.
enum ByHead {
    /// Where the value is, if there is one.
    Decided(Option<Range<usize>>),
    /// Several entries have the head of the key.
    Tied,
}

impl Block<'_> {
    /// Finds the first entry whose key is not less than `key`.
    ///
    /// The answer is right if the keys of the block ascend. In a block of somebody who forged it, it is any index.
    #[inline]
    pub(crate) fn search(&self, key: SplitKey<'_>) -> Checked<Found> {
        let Some(rest) = behind_prefix(key.stem, self.prefix()) else {
            // All stems begin with the prefix, so all of them are on one side of a stem that does not.
            let index = if key.stem < self.prefix() { 0 } else { self.count() };
            return Ok(Found { index, is_equal: false });
        };
        let sought = Sought { rest, suffix: key.suffix };
        let (group, is_equal) = self.search_restarts(sought)?;
        if is_equal || self.interval() == 1 || group == 0 {
            // The entry is a restart point, or comes before all of them.
            return Ok(Found { index: (group * self.interval()).min(self.count()), is_equal });
        }
        debug_assert!((group - 1) * self.interval() < self.count(), "a group of the block");
        // The restart point of the group before is less than the key.
        self.search_group(group - 1, sought)
    }

    /// Where the value of `key` is in the block. `None`: the block does not have the key.
    #[inline]
    pub(crate) fn find(&self, key: &SplitKey<'_>) -> Checked<Option<Range<usize>>> {
        let Some(rest) = behind_prefix(key.stem, self.prefix()) else { return Ok(None) };
        let sought = Sought { rest, suffix: key.suffix };
        if self.interval() == 1 {
            let found = match self.heads() {
                Heads::One(heads) => self.find_by_head(heads, sought)?,
                Heads::Two(heads) => self.find_by_head(heads, sought)?,
                Heads::Four(heads) => self.find_by_head(heads, sought)?,
                Heads::Eight(heads) => self.find_by_head(heads, sought)?,
            };
            if let ByHead::Decided(value) = found {
                return Ok(value);
            }
        }
        let found = self.search(*key)?;
        found.is_equal.then(|| self.value_of(found.index)).transpose()
    }

    /// Finds the key in a block of single entries, if one entry at most has its head.
    #[inline]
    fn find_by_head<const W: usize>(
        &self,
        heads: &[[u8; W]],
        sought: Sought<'_>,
    ) -> Checked<ByHead> {
        debug_assert_eq!(heads.len(), self.count(), "each entry has a head");
        let head = padded(sought.rest);
        let index = lower_bound(heads, &head);
        if heads.get(index) != Some(&head) {
            return Ok(ByHead::Decided(None));
        }
        if heads.get(index + 1) == Some(&head) {
            return Ok(ByHead::Tied);
        }
        let restart = GroupReader::new(self, index)?.restart(W)?;
        // The heads are equal. Stems of one length that end inside the head are equal then, and all others have tails.
        let tail = sought.rest.get(W..).unwrap_or(&[]);
        let is_found = restart.stem_len == sought.rest.len()
            && is_equal(restart.tail, tail)
            && self.has_suffix(index, sought.suffix);
        Ok(ByHead::Decided(is_found.then_some(restart.value)))
    }

    /// The first group whose restart point is not less than the key, and whether it is the key.
    #[inline]
    fn search_restarts(&self, sought: Sought<'_>) -> Checked<(usize, bool)> {
        match self.heads() {
            Heads::One(heads) => self.search_heads(heads, sought),
            Heads::Two(heads) => self.search_heads(heads, sought),
            Heads::Four(heads) => self.search_heads(heads, sought),
            Heads::Eight(heads) => self.search_heads(heads, sought),
        }
    }

    #[inline]
    fn search_heads<const W: usize>(
        &self,
        heads: &[[u8; W]],
        sought: Sought<'_>,
    ) -> Checked<(usize, bool)> {
        let head = padded(sought.rest);
        let mut low = lower_bound(heads, &head);
        if heads.get(low) != Some(&head) {
            return Ok((low, false));
        }
        // The heads of one or more restart points are equal, so the rest of their keys decides.
        let mut high = low + 1;
        if heads.get(high) == Some(&head) {
            high += heads[high..].partition_point(|other| *other <= head);
        }
        while low < high {
            let middle = low + (high - low) / 2;
            match self.compare_restart::<W>(middle, sought)? {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok((middle, true)),
                Ordering::Greater => high = middle,
            }
        }
        Ok((low, false))
    }

    /// Compares the restart point of `group` with a key that has the same head.
    #[inline]
    fn compare_restart<const W: usize>(
        &self,
        group: usize,
        sought: Sought<'_>,
    ) -> Checked<Ordering> {
        let restart = GroupReader::new(self, group)?.restart(W)?;
        Ok(self.compare_with::<W>(&restart, group * self.interval(), sought))
    }

    /// Compares `restart`, which is entry `index`, with a key that has the same head.
    ///
    /// If both stems fill the head, their tails decide. If one of them ends inside the head, the other one has zeros in
    /// its place, so it is the longer one and the greater one.
    #[inline]
    fn compare_with<const W: usize>(
        &self,
        restart: &Restart<'_>,
        index: usize,
        sought: Sought<'_>,
    ) -> Ordering {
        let tail = sought.rest.get(W..).unwrap_or(&[]);
        let stems = restart.stem_len.min(W).cmp(&sought.rest.len().min(W));
        let stems = stems.then_with(|| restart.tail.cmp(tail));
        stems.then_with(|| self.compare_suffix(index, sought.suffix))
    }

    #[inline]
    fn has_suffix(&self, index: usize, suffix: &[u8]) -> bool {
        debug_assert_eq!(suffix.len(), self.suffix_len(), "all suffixes have one length");
        let rest = behind_prefix(suffix, self.shared_suffix());
        rest.is_some_and(|rest| is_equal(rest, self.suffix_rest(index)))
    }

    #[inline]
    fn compare_suffix(&self, index: usize, suffix: &[u8]) -> Ordering {
        debug_assert_eq!(suffix.len(), self.suffix_len(), "all suffixes have one length");
        let (shared, rest) = suffix.split_at(self.shared_suffix().len());
        self.shared_suffix().cmp(shared).then_with(|| self.suffix_rest(index).cmp(rest))
    }

    /// Searches the entries of `group` behind its restart point, which is less than the key.
    ///
    /// It builds no key. `matched` is how many bytes of the sought stem the entry before has, up to the first
    /// difference; and the entry before is less.
    fn search_group(&self, group: usize, sought: Sought<'_>) -> Checked<Found> {
        let mut reader = GroupReader::new(self, group)?;
        let restart = reader.restart(self.head_width())?;
        let mut matched = self.matched_by_restart(group, &restart, sought.rest);
        let mut index = group * self.interval();
        while reader.remaining() > 0 {
            index += 1;
            let follower = reader.follower()?;
            let order = match follower.shared.cmp(&matched) {
                // It has the byte of the entry before that is less than the one that is sought.
                Ordering::Greater => Ordering::Less,
                // It is greater than the entry before at a place where that one still matched.
                Ordering::Less => Ordering::Greater,
                Ordering::Equal => {
                    let sought_rest = sought.rest.get(matched..).unwrap_or(&[]);
                    matched += common_prefix_len(follower.rest, sought_rest);
                    let stems = follower.rest.cmp(sought_rest);
                    stems.then_with(|| self.compare_suffix(index, sought.suffix))
                }
            };
            debug_assert!(index < self.count(), "the group lies in the block");
            if order != Ordering::Less {
                return Ok(Found { index, is_equal: order == Ordering::Equal });
            }
        }
        Ok(Found { index: index + 1, is_equal: false })
    }

    /// How many bytes of `sought` the restart point of `group` has up to the first difference.
    fn matched_by_restart(&self, group: usize, restart: &Restart<'_>, sought: &[u8]) -> usize {
        let head = self.head(group);
        let head = &head[..restart.stem_len.min(head.len())];
        let matched = common_prefix_len(head, sought);
        if matched < self.head_width() {
            return matched;
        }
        matched + common_prefix_len(restart.tail, &sought[matched..])
    }

    /// Where the value of entry `index` is in the block.
    #[inline]
    pub(crate) fn value_of(&self, index: usize) -> Checked<Range<usize>> {
        debug_assert!(index < self.count(), "an entry of the block");
        let (group, in_group) = self.place(index);
        let mut reader = GroupReader::new(self, group)?;
        let mut value = reader.restart(self.head_width())?.value;
        for _ in 0..in_group {
            value = reader.follower()?.value;
        }
        Ok(value)
    }

    /// Whether the stem of entry `index` is `stem`.
    pub(crate) fn has_stem(&self, index: usize, stem: &[u8]) -> Checked<bool> {
        debug_assert!(index < self.count(), "an entry of the block");
        let Some(sought) = behind_prefix(stem, self.prefix()) else { return Ok(false) };
        let (group, in_group) = self.place(index);
        let mut reader = GroupReader::new(self, group)?;
        let restart = reader.restart(self.head_width())?;
        let mut matched = self.matched_by_restart(group, &restart, sought);
        let mut stem_len = restart.stem_len;
        for _ in 0..in_group {
            let follower = reader.follower()?;
            stem_len = follower.shared.saturating_add(follower.rest.len());
            if follower.shared <= matched {
                let sought_rest = &sought[follower.shared..];
                matched = follower.shared + common_prefix_len(follower.rest, sought_rest);
            }
        }
        Ok(matched == sought.len() && stem_len == sought.len())
    }

    /// The suffix of entry `index`, put together in `buffer`.
    #[inline]
    pub(crate) fn suffix<'s>(&self, index: usize, buffer: &'s mut SuffixBuffer) -> &'s [u8] {
        let (shared, rest) = (self.shared_suffix(), self.suffix_rest(index));
        let suffix = &mut buffer[..shared.len() + rest.len()];
        debug_assert_eq!(suffix.len(), self.suffix_len(), "all suffixes have one length");
        suffix[..shared.len()].copy_from_slice(shared);
        suffix[shared.len()..].copy_from_slice(rest);
        suffix
    }

    /// Where a search begins to read entry `index`: the restart point of its group.
    pub(crate) fn start_of(&self, index: usize) -> Checked<usize> {
        debug_assert!(index < self.count(), "an entry of the block");
        let (group, _) = self.place(index);
        self.extent(group).map(|extent| extent.start)
    }

    /// The group of entry `index`, and the number of the entry in it, from 0.
    #[inline]
    pub(super) fn place(&self, index: usize) -> (usize, usize) {
        if self.interval() == 1 {
            return (index, 0);
        }
        debug_assert!(self.interval() > 0, "a group has entries");
        (index / self.interval(), index % self.interval())
    }
}
