//! A walk over the entries of one block.

use std::ops::Range;

use super::entry::GroupReader;
use super::layout::Block;
use crate::damage::{Checked, Damage};

/// Stands on one entry of a block. It owns its key and borrows nothing, so it can be kept beside the block.
///
/// Every call gets the same block. An entry is decoded from its restart point; a step forward goes on from there.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlockCursor {
    index: usize,
    /// The stem of the entry, then its suffix.
    key: Vec<u8>,
    stem_len: usize,
    /// Where the value is in the block. The entry ends with it.
    value: Range<usize>,
}

impl BlockCursor {
    /// The index of the entry.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// The key of the entry.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Where the value of the entry is in the block.
    #[inline]
    pub(crate) fn value(&self) -> Range<usize> {
        self.value.clone()
    }

    /// Moves to entry `index` of a block that the cursor may not have been in.
    pub(crate) fn set(&mut self, block: &Block<'_>, index: usize) -> Checked<()> {
        assert!(index < block.count(), "an entry of the block");
        self.key.clear();
        self.key.extend_from_slice(block.prefix());
        self.read_from_restart(block, index)
    }

    /// Moves to the next entry, which the block has.
    #[inline]
    pub(crate) fn next(&mut self, block: &Block<'_>) -> Checked<()> {
        let index = self.index + 1;
        let (group, behind) = block.place(index);
        if behind == 0 {
            return self.read_from_restart(block, index);
        }
        let mut reader = GroupReader::resume(block, group, self.value.end, behind)?;
        self.key.truncate(self.stem_len);
        self.read_follower(block, &mut reader)?;
        self.arrive(block, index);
        Ok(())
    }

    /// Moves to the entry before, which the block has.
    #[inline]
    pub(crate) fn prev(&mut self, block: &Block<'_>) -> Checked<()> {
        self.read_from_restart(block, self.index - 1)
    }

    /// Reads entry `index`, and first those of its group that come before it. The key begins with the prefix of the block.
    #[inline]
    fn read_from_restart(&mut self, block: &Block<'_>, index: usize) -> Checked<()> {
        let (group, behind) = block.place(index);
        let mut reader = GroupReader::new(block, group)?;
        self.key.truncate(block.prefix().len());
        self.read_restart(block, group, &mut reader)?;
        for _ in 0..behind {
            self.read_follower(block, &mut reader)?;
        }
        self.arrive(block, index);
        Ok(())
    }

    /// Appends the stem of the restart point of `group` to the prefix of the block.
    #[inline]
    fn read_restart(
        &mut self,
        block: &Block<'_>,
        group: usize,
        reader: &mut GroupReader<'_>,
    ) -> Checked<()> {
        debug_assert_eq!(self.key, block.prefix(), "the prefix of the block is in place");
        let restart = reader.restart(block.head_width())?;
        let head = block.head(group);
        self.key.extend_from_slice(&head[..restart.stem_len.min(head.len())]);
        self.key.extend_from_slice(restart.tail);
        self.set_value(block, restart.value);
        Ok(())
    }

    fn read_follower(&mut self, block: &Block<'_>, reader: &mut GroupReader<'_>) -> Checked<()> {
        let follower = reader.follower()?;
        let stem_len = block.prefix().len().saturating_add(follower.shared);
        if stem_len > self.key.len() {
            return Err(Damage::new(self.value.end, "an entry shares more than there is"));
        }
        self.key.truncate(stem_len);
        self.key.extend_from_slice(follower.rest);
        self.set_value(block, follower.value);
        Ok(())
    }

    #[inline]
    fn set_value(&mut self, block: &Block<'_>, value: Range<usize>) {
        debug_assert!(block.entries_at() <= value.start, "a value lies among the entries");
        self.value = value;
    }

    /// The stem of entry `index` is in place.
    #[inline]
    fn arrive(&mut self, block: &Block<'_>, index: usize) {
        self.index = index;
        self.stem_len = self.key.len();
        block.push_suffix(index, &mut self.key);
    }
}
