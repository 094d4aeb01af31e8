//! A walk over the entries of one block.

use std::ops::Range;

use super::builder::ADAPTIVE_GROUP;
use super::entry::GroupReader;
use super::key_buffer::KeyBuffer;
use super::layout::Block;
use super::passed_group::{PassedGroup, SHARES_TOO_MUCH};
use crate::damage::{Checked, Damage};

/// Stands on one entry of a block. It owns its key and borrows nothing, so it can be kept beside the block.
///
/// Every call gets the same block. A step forward reads the bytes that follow the entry. A step backward inside a group needs
/// all entries of the group up to its target, because each of them shares bytes with the one before. So the first such step
/// decodes them all and keeps their places.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlockCursor {
    index: usize,
    /// Its number in its group, from 0.
    in_group: usize,
    /// The stem of the entry, then its suffix.
    key: KeyBuffer,
    stem_len: usize,
    /// Where the value is in the block. The entry ends with it.
    value: Range<usize>,
    /// Where the group of the entry ends in the block.
    group_end: usize,
    /// The entries that were passed on the way back.
    passed: PassedGroup,
}

impl BlockCursor {
    /// The index of the entry.
    #[inline]
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// The key of the entry.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.key.bytes()
    }

    /// Where the value of the entry is in the block.
    #[inline]
    pub(crate) fn value(&self) -> Range<usize> {
        self.value.clone()
    }

    /// Moves to entry `index` of a block that the cursor may not have been in.
    pub(crate) fn set(&mut self, block: &Block<'_>, index: usize) -> Checked<()> {
        assert!(index < block.count(), "an entry of the block");
        self.passed.clear();
        self.key.set(0, block.prefix());
        self.read_from_restart(*block, index)
    }

    /// Moves to the next entry, which the block has.
    #[inline]
    pub(crate) fn next(&mut self, block: &Block<'_>) -> Checked<()> {
        let index = self.index + 1;
        debug_assert!(index < block.count(), "the block has another entry");
        if block.interval() == 1 {
            return self.read_single(block, index);
        }
        if self.in_group + 1 == block.interval() {
            let (group, _) = block.place(index);
            return self.read_restart(*block, group, index);
        }
        self.read_follower(block, index)
    }

    /// Moves to the entry before, which the block has.
    #[inline]
    pub(crate) fn prev(&mut self, block: &Block<'_>) -> Checked<()> {
        debug_assert!(self.index > 0, "the block has an entry before");
        let index = self.index - 1;
        if block.interval() == 1 {
            return self.read_single(block, index);
        }
        self.prev_in_group(block, index)
    }

    /// Moves to entry `index`, the one before, in a block with groups.
    fn prev_in_group(&mut self, block: &Block<'_>, index: usize) -> Checked<()> {
        if self.in_group == 1 {
            let (group, _) = block.place(index);
            return self.read_restart(*block, group, index);
        }
        if block.interval() > usize::from(ADAPTIVE_GROUP) {
            // The places of so many entries may take too much memory.
            return self.read_from_restart(*block, index);
        }
        if !self.passed.has(index) {
            let (group, _) = block.place(index);
            self.passed.decode(*block, group, index)?;
        }
        (self.stem_len, self.value) = self.passed.show(block, index, &mut self.key);
        self.group_end = self.passed.end();
        // Before a restart point comes the last entry of a group, and no group before another one is short.
        self.in_group = self.in_group.checked_sub(1).unwrap_or(block.interval() - 1);
        self.arrive(block, index);
        Ok(())
    }

    /// Reads entry `index`, and first those of its group that come before it. The key begins with the prefix of the block.
    fn read_from_restart(&mut self, block: Block<'_>, index: usize) -> Checked<()> {
        let (group, in_group) = block.place(index);
        self.read_restart(block, group, index - in_group)?;
        for index in index - in_group + 1..=index {
            self.read_follower(&block, index)?;
        }
        Ok(())
    }

    /// Reads entry `index`, which is a group of its own. Does the same as `read_restart`, and is short enough to be inlined
    /// into a step.
    #[expect(
        clippy::inline_always,
        reason = "a call costs a third of a step: it needs the block in memory"
    )]
    #[inline(always)]
    fn read_single(&mut self, block: &Block<'_>, index: usize) -> Checked<()> {
        let extent = block.extent(index)?;
        let rest = block.behind(extent.start);
        let (prefix_len, head_width) = (block.prefix().len(), block.head_width());
        match rest.first() {
            Some(&stem_len) if stem_len < 0x80 => {
                let stem_len = usize::from(stem_len);
                let tail_len = stem_len.saturating_sub(head_width);
                let value_at = extent.start + 1 + tail_len;
                if value_at <= extent.end {
                    self.key.set_word(prefix_len, block.head_word(index));
                    let tail_at = prefix_len + stem_len - tail_len;
                    self.key.set_short(tail_at, &rest[1..][..tail_len], &rest[1..]);
                    self.stem_len = prefix_len + stem_len;
                    (self.group_end, self.value) = (extent.end, value_at..extent.end);
                    self.arrive(block, index);
                    return Ok(());
                }
            }
            _ => {}
        }
        // A long stem, or damage.
        self.read_restart(*block, index, index)
    }

    /// Reads entry `index`, the restart point of `group`. The key begins with the prefix of the block.
    fn read_restart(&mut self, block: Block<'_>, group: usize, index: usize) -> Checked<()> {
        debug_assert_eq!(group * block.interval(), index, "the first entry of the group");
        let prefix_len = block.prefix().len();
        debug_assert!(self.key.begins_with(block.prefix()), "the prefix of the block is in place");
        let mut reader = GroupReader::new(&block, group)?;
        let restart = reader.restart(block.head_width())?;
        self.in_group = 0;
        self.group_end = reader.end();
        self.key.set_word(prefix_len, block.head_word(group));
        let head_len = restart.stem_len.min(block.head_width());
        self.key.set_short(prefix_len + head_len, restart.tail, block.behind(restart.tail_at));
        self.stem_len = prefix_len + head_len + restart.tail.len();
        self.value = restart.value;
        self.arrive(&block, index);
        Ok(())
    }

    /// Reads entry `index`, which shares its stem with the entry under the cursor.
    #[inline]
    fn read_follower(&mut self, block: &Block<'_>, index: usize) -> Checked<()> {
        debug_assert_eq!(index, self.index + 1, "the next entry");
        let in_group = self.in_group + 1;
        debug_assert!(in_group < block.interval(), "the group has another entry");
        let remaining = (block.interval() - in_group).min(block.count() - index);
        let mut reader = GroupReader::resume(block, self.value.end..self.group_end, remaining)?;
        let follower = reader.follower()?;
        let shared = block.prefix().len().saturating_add(follower.shared);
        if shared > self.stem_len {
            return Err(Damage::new(self.value.end, SHARES_TOO_MUCH));
        }
        self.key.set_short(shared, follower.rest, block.behind(follower.rest_at));
        self.stem_len = shared + follower.rest.len();
        self.in_group = in_group;
        self.value = follower.value;
        self.arrive(block, index);
        Ok(())
    }

    /// The stem of entry `index` is in place.
    #[expect(
        clippy::inline_always,
        reason = "a step of a cursor is short, and calls are a third of it"
    )]
    #[inline(always)]
    fn arrive(&mut self, block: &Block<'_>, index: usize) {
        debug_assert!(block.entries_at() <= self.value.start, "a value lies among the entries");
        debug_assert!(self.value.end <= self.group_end, "an entry lies in its group");
        debug_assert_eq!(block.place(index).1, self.in_group, "the place in the group");
        self.index = index;
        if block.suffix_len() == 0 {
            self.key.end(self.stem_len);
            return;
        }
        self.key.set(self.stem_len, block.shared_suffix());
        self.key.set(self.stem_len + block.shared_suffix().len(), block.suffix_rest(index));
    }
}
