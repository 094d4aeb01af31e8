//! Searching an index block.

use std::cmp::Ordering;

use super::layout::{HEADS_PER_FENCE, IndexBlock};
use crate::damage::Checked;
use crate::heads::{Heads, lower_bound, padded};
use crate::key_layout::{SplitKey, behind_prefix};

/// A key whose stem begins with the prefix of the block.
#[derive(Clone, Copy, Debug)]
struct Sought<'k> {
    /// The stem without the prefix.
    rest: &'k [u8],
    /// The whole key. Its suffix is read where heads are equal, which is seldom.
    key: &'k SplitKey<'k>,
}

impl IndexBlock<'_> {
    /// The last separator that is not greater than `key`. `None`: all of them are greater, or there is none.
    ///
    /// The answer is right if the separators ascend and the fences are those of the heads. In a block of somebody who forged
    /// it, the answer is any index of the block.
    #[inline]
    pub(crate) fn floor(&self, key: &SplitKey<'_>) -> Checked<Option<usize>> {
        let Some(rest) = behind_prefix(key.stem, self.prefix()) else {
            // All stems begin with the prefix, so all of them are on one side of a stem that does not.
            let is_before = key.stem < self.prefix();
            return Ok(if is_before { None } else { self.count().checked_sub(1) });
        };
        let sought = Sought { rest, key };
        let count = match (self.fences(), self.heads()) {
            (Heads::One(fences), Heads::One(heads)) => self.count_up_to(fences, heads, sought)?,
            (Heads::Two(fences), Heads::Two(heads)) => self.count_up_to(fences, heads, sought)?,
            (Heads::Four(fences), Heads::Four(heads)) => self.count_up_to(fences, heads, sought)?,
            (Heads::Eight(fences), Heads::Eight(heads)) => {
                self.count_up_to(fences, heads, sought)?
            }
            _ => unreachable!("fences and heads have one width"),
        };
        debug_assert!(count <= self.count(), "separators of the block");
        Ok(count.checked_sub(1))
    }

    /// How many separators are not greater than the key.
    #[inline]
    fn count_up_to<const W: usize>(
        &self,
        fences: &[[u8; W]],
        heads: &[[u8; W]],
        sought: Sought<'_>,
    ) -> Checked<usize> {
        let head = padded(sought.rest);
        let group = lower_bound(fences, &head).saturating_sub(1);
        // The heads of the group are compared while the ends of its blocks are on their way.
        self.prefetch_ends(group * HEADS_PER_FENCE);
        let less = count_less(group, heads, &head);
        if heads.get(less) != Some(&head) {
            return Ok(less);
        }
        self.count_tied(heads, less, &head, sought)
    }

    /// How many separators are not greater than the key, whose head they have from separator `low` on.
    fn count_tied<const W: usize>(
        &self,
        heads: &[[u8; W]],
        mut low: usize,
        head: &[u8; W],
        sought: Sought<'_>,
    ) -> Checked<usize> {
        let mut high = low + heads[low..].partition_point(|other| other <= head);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.compare::<W>(middle, sought)? == Ordering::Greater {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(low)
    }

    /// Compares separator `index` with a key that has the same head.
    ///
    /// If both stems fill the head, their tails decide. If one of them ends inside the head, the other one has zeros in
    /// its place, so it is the longer one and the greater one.
    fn compare<const W: usize>(&self, index: usize, sought: Sought<'_>) -> Checked<Ordering> {
        debug_assert_eq!(
            sought.key.suffix.len(),
            self.suffix_len(),
            "all suffixes have one length"
        );
        let rest = self.rest(index)?;
        let stems = rest.stem_len.min(W).cmp(&sought.rest.len().min(W));
        let stems = stems.then_with(|| rest.tail.cmp(sought.rest.get(W..).unwrap_or(&[])));
        Ok(stems.then_with(|| {
            let is_zero = rest.suffix.is_empty() && sought.key.suffix.iter().all(|byte| *byte == 0);
            // The empty suffix stands for zeros, and is less than every suffix that is not zero.
            if is_zero { Ordering::Equal } else { rest.suffix.cmp(sought.key.suffix) }
        }))
    }

    /// Writes separator `index` over `out`.
    pub(crate) fn separator(&self, index: usize, out: &mut Vec<u8>) -> Checked<()> {
        let rest = self.rest(index)?;
        let head = self.head(index);
        out.clear();
        out.extend_from_slice(self.prefix());
        out.extend_from_slice(&head[..rest.stem_len.min(head.len())]);
        out.extend_from_slice(rest.tail);
        out.extend_from_slice(rest.suffix);
        if rest.suffix.is_empty() {
            out.resize(out.len() + self.suffix_len(), 0);
        }
        debug_assert_eq!(out.len(), self.prefix().len() + rest.stem_len + self.suffix_len());
        Ok(())
    }

    /// Whether each fence is the head that it stands for.
    pub(crate) fn has_right_fences(&self) -> bool {
        let groups = self.count().div_ceil(HEADS_PER_FENCE);
        (0..groups).all(|group| self.fence(group) == self.head(group * HEADS_PER_FENCE))
    }
}

/// How many of the ascending `heads` are less than `sought`. The last fence that is less is that of `group`; the first one, if
/// there is none.
#[inline]
fn count_less<const W: usize>(group: usize, heads: &[[u8; W]], sought: &[u8; W]) -> usize {
    // The head of the next fence is not less, so the place is among the heads of this fence, or right behind them.
    let start = heads.len().min(group * HEADS_PER_FENCE);
    let end = heads.len().min(start + HEADS_PER_FENCE);
    start + lower_bound(&heads[start..end], sought)
}
