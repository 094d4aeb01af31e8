//! The entries of a group that a walk backward has decoded.

use std::ops::Range;

use super::entry::GroupReader;
use super::key_buffer::KeyBuffer;
use super::layout::Block;
use crate::damage::{Checked, Damage};

/// The damage of an entry that takes more bytes from the stem before than that stem has.
pub(super) const SHARES_TOO_MUCH: &str = "an entry shares more than there is";

/// Where the first entries of one group are. An entry depends on those before it, so a walk backward decodes a group once.
/// Then each step puts a stem together: it keeps the bytes that the stem shares with the next one, which is in the key, and
/// copies the others.
#[derive(Clone, Debug, Default)]
pub(super) struct PassedGroup {
    /// The index of the restart point.
    first: usize,
    /// Where the group ends in the block.
    end: usize,
    /// The stem of the restart point, without the prefix of the block.
    first_stem: Vec<u8>,
    /// The entries from the restart point on.
    entries: Vec<Passed>,
}

/// An entry.
#[derive(Clone, Debug)]
struct Passed {
    /// How many bytes behind the prefix it shares with the stem before. 0 for the restart point.
    shared: usize,
    /// Where the bytes of the stem that follow are in the block. Empty for the restart point.
    rest: Range<usize>,
    /// Where the value is in the block.
    value: Range<usize>,
}

impl PassedGroup {
    /// Forgets all entries.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Where the group ends in the block.
    #[inline]
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Whether entry `index` was decoded.
    #[inline]
    pub(super) fn has(&self, index: usize) -> bool {
        self.entry(index).is_some()
    }

    #[inline]
    fn entry(&self, index: usize) -> Option<&Passed> {
        self.entries.get(index.checked_sub(self.first)?)
    }

    /// Decodes the entries of `group` up to entry `index`, in place of those before.
    pub(super) fn decode(&mut self, block: Block<'_>, group: usize, index: usize) -> Checked<()> {
        self.clear();
        self.first = group * block.interval();
        debug_assert!(self.first < index, "a follower of the group");
        let mut reader = GroupReader::new(&block, group)?;
        self.end = reader.end();
        let restart = reader.restart(block.head_width())?;
        let head = &block.head(group)[..restart.stem_len.min(block.head_width())];
        self.first_stem.clear();
        self.first_stem.extend_from_slice(head);
        self.first_stem.extend_from_slice(restart.tail);
        let mut stem_len = self.first_stem.len();
        let mut value_end = restart.value.end;
        self.entries.push(Passed { shared: 0, rest: 0..0, value: restart.value });
        for _ in self.first..index {
            let follower = reader.follower()?;
            if follower.shared > stem_len {
                // The list ends here, so nothing is put together from this entry.
                return Err(Damage::new(value_end, SHARES_TOO_MUCH));
            }
            stem_len = follower.shared + follower.rest.len();
            value_end = follower.value.end;
            let rest = follower.rest_at..follower.rest_at + follower.rest.len();
            self.entries.push(Passed { shared: follower.shared, rest, value: follower.value });
        }
        debug_assert!(self.has(index) && !self.has(index + 1), "up to the entry");
        Ok(())
    }

    /// Puts the stem of entry `index` into `key`, which has the prefix of the block and the stem of the next entry. Returns where
    /// the stem ends in `key`, and where the value is in the block.
    #[inline]
    pub(super) fn show(
        &self,
        block: &Block<'_>,
        index: usize,
        key: &mut KeyBuffer,
    ) -> (usize, Range<usize>) {
        let at = index - self.first;
        debug_assert!(at > 0, "a follower of the group");
        let prefix_len = block.prefix().len();
        // So many bytes of this stem are in `key`, because the next one begins with them. None of them are relied on if the next
        // entry was not decoded.
        let kept = self.entries.get(at + 1).map_or(0, |next| next.shared);
        // An entry that shares more than the kept bytes needs the stem before it. The base needs the kept bytes alone, and all
        // stems from the base up to the next one begin with those.
        let mut base = at;
        while self.entries[base].shared > kept {
            base -= 1;
        }
        let mut end = prefix_len + kept;
        if base == 0 {
            key.set(prefix_len, &self.first_stem);
            end = prefix_len + self.first_stem.len();
            base = 1;
        }
        for passed in &self.entries[base..=at] {
            let start = prefix_len + passed.shared;
            debug_assert!(start <= end, "no byte of a stem is left out");
            let rest = block.behind(passed.rest.start);
            key.set_short(start, &rest[..passed.rest.len()], rest);
            end = start + passed.rest.len();
        }
        (end, self.entries[at].value.clone())
    }
}
