//! Where the parts of a block are.
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 1 | width of a head: 1, 2, 4 or 8 |
//! | 1 | 1 | width of an end: 2 or 4 |
//! | 2 | 2 | length of the prefix |
//! | 4 | 4 | number of entries |
//! | 8 | 2 | restart interval: entries of a group, at least 1 |
//! | 10 | 1 | how many leading bytes all suffixes share |
//! | 11 | 1 | zero |
//! | 12 | | the prefix that all stems share |
//! | | | the leading bytes that all suffixes share |
//! | | | a head for each group |
//! | | | an end for each group: where it ends, counted from the first entry |
//! | | | the rest of the suffix of each entry |
//! | | | the entries, group by group |

use std::ops::Range;

use super::heads::{HeadWidth, Heads};
use crate::damage::{Checked, Damage};

/// Bytes of the header of a block.
pub(super) const HEADER_LEN: usize = 12;

/// Where the parts of one block are, all of them inside the block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockLayout {
    head_width: HeadWidth,
    end_width: usize,
    count: usize,
    interval: usize,
    suffix_len: usize,
    shared_suffix_at: usize,
    heads_at: usize,
    ends_at: usize,
    suffixes_at: usize,
    entries_at: usize,
    len: usize,
}

/// A block that can be searched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'b> {
    /// The prefix of all stems.
    pub(super) prefix: &'b [u8],
    /// The leading bytes of all suffixes.
    pub(super) shared_suffix: &'b [u8],
    pub(super) heads: Heads<'b>,
    ends: &'b [u8],
    has_wide_ends: bool,
    /// The rest of each suffix.
    suffixes: &'b [u8],
    suffix_rest_len: usize,
    /// The entries, group by group.
    pub(super) entries: &'b [u8],
    /// Where they begin in the block.
    pub(super) entries_at: usize,
    pub(super) head_width: usize,
    pub(super) interval: usize,
    pub(super) count: usize,
}

impl BlockLayout {
    /// The layout of the block `bytes`, whose keys have suffixes of `suffix_len` bytes.
    #[inline]
    pub(crate) fn parse(bytes: &[u8], suffix_len: usize) -> Checked<Self> {
        let Some(&[head, end, p0, p1, n0, n1, n2, n3, i0, i1, shared, zero]) = bytes.first_chunk()
        else {
            return Err(Damage::new(0, "a block shorter than its header"));
        };
        let head_width = HeadWidth::from_code(head);
        let head_width = head_width.ok_or(Damage::new(0, "an unknown width of heads"))?;
        if !(end == 2 || end == 4) || zero != 0 {
            return Err(Damage::new(1, "an unknown width of ends"));
        }
        let count = u32::from_le_bytes([n0, n1, n2, n3]) as usize;
        let interval = usize::from(u16::from_le_bytes([i0, i1]));
        if interval == 0 || usize::from(shared) > suffix_len {
            return Err(Damage::new(8, "groups without entries, or too long a suffix"));
        }
        let groups = if interval == 1 { count } else { count.div_ceil(interval) };
        let shared_suffix_at = HEADER_LEN + usize::from(u16::from_le_bytes([p0, p1]));
        let heads_at = shared_suffix_at + usize::from(shared);
        let ends_at = heads_at + groups * head_width.bytes();
        let suffixes_at = ends_at + groups * usize::from(end);
        let entries_at = suffixes_at + count * (suffix_len - usize::from(shared));
        let layout = Self {
            head_width,
            end_width: usize::from(end),
            count,
            interval,
            suffix_len,
            shared_suffix_at,
            heads_at,
            ends_at,
            suffixes_at,
            entries_at,
            len: bytes.len(),
        };
        layout.check_lengths(bytes)?;
        Ok(layout)
    }

    /// The parts lie in the block, and the last group ends where the block does.
    #[inline]
    fn check_lengths(&self, bytes: &[u8]) -> Checked<()> {
        if self.entries_at > bytes.len() {
            return Err(Damage::new(4, "more entries than there is room for"));
        }
        let block = self.block(bytes);
        if block.end_of(block.groups()) != block.entries.len() {
            return Err(Damage::new(self.ends_at, "the last group ends elsewhere"));
        }
        Ok(())
    }

    /// The block `bytes` that this is the layout of.
    ///
    /// # Panics
    /// When `bytes` has another length than the block that was parsed.
    #[inline]
    pub(crate) fn block<'b>(&self, bytes: &'b [u8]) -> Block<'b> {
        assert_eq!(bytes.len(), self.len, "the bytes are those that were parsed");
        let shared_suffix = &bytes[self.shared_suffix_at..self.heads_at];
        Block {
            prefix: &bytes[HEADER_LEN..self.shared_suffix_at],
            shared_suffix,
            heads: Heads::new(self.head_width, &bytes[self.heads_at..self.ends_at]),
            ends: &bytes[self.ends_at..self.suffixes_at],
            has_wide_ends: self.end_width == 4,
            suffixes: &bytes[self.suffixes_at..self.entries_at],
            suffix_rest_len: self.suffix_len - shared_suffix.len(),
            entries: &bytes[self.entries_at..],
            entries_at: self.entries_at,
            head_width: self.head_width.bytes(),
            interval: self.interval,
            count: self.count,
        }
    }

    /// How many entries the block has.
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

impl<'b> Block<'b> {
    /// The block `bytes`, whose keys have suffixes of `suffix_len` bytes.
    #[inline]
    pub(crate) fn parse(bytes: &'b [u8], suffix_len: usize) -> Checked<Self> {
        BlockLayout::parse(bytes, suffix_len).map(|layout| layout.block(bytes))
    }

    /// How many entries it has.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// How many groups it has.
    #[inline]
    pub(super) fn groups(&self) -> usize {
        self.ends.len() / if self.has_wide_ends { 4 } else { 2 }
    }

    /// Where the first `groups` groups end, counted from the first entry.
    #[inline]
    pub(super) fn end_of(&self, groups: usize) -> usize {
        let Some(last) = groups.checked_sub(1) else { return 0 };
        if self.has_wide_ends {
            u32::from_le_bytes(self.ends.as_chunks().0[last]) as usize
        } else {
            usize::from(u16::from_le_bytes(self.ends.as_chunks().0[last]))
        }
    }

    /// Where the entries of `group` are, counted from the first entry.
    #[inline]
    pub(super) fn extent(&self, group: usize) -> Checked<Range<usize>> {
        let extent = self.end_of(group)..self.end_of(group + 1);
        if extent.start > extent.end || extent.end > self.entries.len() {
            return Err(Damage::new(self.entries_at, "a group ends before it begins"));
        }
        Ok(extent)
    }

    /// The bytes of the suffix of entry `index` that follow the shared ones.
    #[inline]
    pub(super) fn suffix_rest(&self, index: usize) -> &'b [u8] {
        debug_assert!(index < self.count, "an entry of the block");
        let start = index * self.suffix_rest_len;
        &self.suffixes[start..start + self.suffix_rest_len]
    }
}
