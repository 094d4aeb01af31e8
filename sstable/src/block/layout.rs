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

use crate::damage::{Checked, Damage};
use crate::heads::{HeadWidth, Heads, padded};

/// Bytes of the header of a block.
pub(super) const HEADER_LEN: usize = 12;

/// The fields of a header, each of them possible by itself.
#[derive(Clone, Copy, Debug)]
struct Header {
    head_width: HeadWidth,
    /// 2 or 4.
    end_width: u8,
    prefix_len: u16,
    count: u32,
    /// At least 1.
    interval: u16,
    /// How many leading bytes all suffixes share, at most as many as a suffix has.
    shared_suffix_len: u8,
}

/// Where the parts of one block are, all of them inside the block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockLayout {
    len: u32,
    count: u32,
    shared_suffix_at: u32,
    heads_at: u32,
    ends_at: u32,
    suffixes_at: u32,
    entries_at: u32,
    interval: u16,
    /// How many bytes of a suffix are in the column of suffixes.
    suffix_rest_len: u8,
    head_width: HeadWidth,
    has_wide_ends: bool,
}

/// A block that can be searched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'b> {
    bytes: &'b [u8],
    at: BlockLayout,
}

impl Header {
    /// The header of the block `bytes`, whose keys have suffixes of `suffix_len` bytes.
    #[inline]
    fn read(bytes: &[u8], suffix_len: usize) -> Checked<Self> {
        let Some(&[head, end, p0, p1, n0, n1, n2, n3, i0, i1, shared, zero]) = bytes.first_chunk()
        else {
            return Err(Damage::new(0, "a block shorter than its header"));
        };
        let head_width = HeadWidth::from_code(head);
        let head_width = head_width.ok_or(Damage::new(0, "an unknown width of heads"))?;
        if !(end == 2 || end == 4) || zero != 0 {
            return Err(Damage::new(1, "an unknown width of ends"));
        }
        let interval = u16::from_le_bytes([i0, i1]);
        if interval == 0 || usize::from(shared) > suffix_len {
            return Err(Damage::new(8, "groups without entries, or too long a suffix"));
        }
        Ok(Self {
            head_width,
            end_width: end,
            prefix_len: u16::from_le_bytes([p0, p1]),
            count: u32::from_le_bytes([n0, n1, n2, n3]),
            interval,
            shared_suffix_len: shared,
        })
    }

    /// How many groups the entries form.
    #[inline]
    fn groups(&self) -> u64 {
        debug_assert!(self.interval > 0, "a group has entries");
        // Most blocks have groups of one entry, which need no division.
        let is_single = self.interval == 1;
        u64::from(if is_single { self.count } else { self.count.div_ceil(self.interval.into()) })
    }
}

impl BlockLayout {
    /// The layout of the block `bytes`, whose keys have suffixes of `suffix_len` bytes.
    #[expect(
        clippy::inline_always,
        reason = "in registers; copied in memory, the fields wait for all instructions before"
    )]
    #[inline(always)]
    pub(crate) fn parse(bytes: &[u8], suffix_len: usize) -> Checked<Self> {
        let header = Header::read(bytes, suffix_len)?;
        let (count, groups) = (header.count, header.groups());
        let suffix_rest_len = suffix_len as u8 - header.shared_suffix_len;
        let shared_suffix_at = HEADER_LEN as u32 + u32::from(header.prefix_len);
        let heads_at = shared_suffix_at + u32::from(header.shared_suffix_len);
        let ends_at = u64::from(heads_at) + groups * header.head_width.bytes() as u64;
        let suffixes_at = ends_at + groups * u64::from(header.end_width);
        let entries_at = suffixes_at + u64::from(count) * u64::from(suffix_rest_len);
        if entries_at > bytes.len() as u64 || bytes.len() > u32::MAX as usize {
            return Err(Damage::new(4, "more entries than there is room for"));
        }
        let layout = Self {
            len: bytes.len() as u32,
            count,
            shared_suffix_at,
            heads_at,
            ends_at: ends_at as u32,
            suffixes_at: suffixes_at as u32,
            entries_at: entries_at as u32,
            interval: header.interval,
            suffix_rest_len,
            head_width: header.head_width,
            has_wide_ends: header.end_width == 4,
        };
        debug_assert!(
            shared_suffix_at <= heads_at && u64::from(heads_at) <= ends_at,
            "parts in order"
        );
        debug_assert!(ends_at <= suffixes_at && suffixes_at <= entries_at, "parts in order");
        let block = layout.block(bytes);
        if block.end_of(groups as usize) != bytes.len() - layout.entries_at as usize {
            return Err(Damage::new(layout.ends_at as usize, "the last group ends elsewhere"));
        }
        Ok(layout)
    }

    /// The block `bytes` that this is the layout of.
    ///
    /// # Panics
    /// When `bytes` has another length than the block that was parsed.
    #[inline]
    pub(crate) fn block(self, bytes: &[u8]) -> Block<'_> {
        assert_eq!(bytes.len(), self.len as usize, "the bytes are those that were parsed");
        Block { bytes, at: self }
    }

    /// How many entries the block has.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }
}

impl<'b> Block<'b> {
    /// The block `bytes`, whose keys have suffixes of `suffix_len` bytes.
    #[expect(
        clippy::inline_always,
        reason = "in registers; copied in memory, the fields wait for all instructions before"
    )]
    #[inline(always)]
    pub(crate) fn parse(bytes: &'b [u8], suffix_len: usize) -> Checked<Self> {
        BlockLayout::parse(bytes, suffix_len).map(|layout| layout.block(bytes))
    }

    /// How many entries it has.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.at.count as usize
    }

    /// How many entries a group has, but for the last one.
    #[inline]
    pub(super) fn interval(&self) -> usize {
        usize::from(self.at.interval)
    }

    /// The prefix of all stems.
    #[inline]
    pub(super) fn prefix(&self) -> &'b [u8] {
        &self.bytes[HEADER_LEN..self.at.shared_suffix_at as usize]
    }

    /// The leading bytes of all suffixes.
    #[inline]
    pub(super) fn shared_suffix(&self) -> &'b [u8] {
        &self.bytes[self.at.shared_suffix_at as usize..self.at.heads_at as usize]
    }

    /// How many bytes a suffix has.
    #[inline]
    pub(super) fn suffix_len(&self) -> usize {
        usize::from(self.at.suffix_rest_len)
            + (self.at.heads_at - self.at.shared_suffix_at) as usize
    }

    /// The bytes of the suffix of entry `index` that follow the shared ones.
    #[inline]
    pub(super) fn suffix_rest(&self, index: usize) -> &'b [u8] {
        debug_assert!(index < self.count(), "an entry of the block");
        let len = usize::from(self.at.suffix_rest_len);
        let start = self.at.suffixes_at as usize + index * len;
        &self.bytes[start..start + len]
    }

    #[inline]
    pub(super) fn heads(&self) -> Heads<'b> {
        let heads = &self.bytes[self.at.heads_at as usize..self.at.ends_at as usize];
        Heads::new(self.at.head_width, heads)
    }

    #[inline]
    pub(super) fn head_width(&self) -> usize {
        self.at.head_width.bytes()
    }

    /// The head of the restart point of `group`.
    #[inline]
    pub(super) fn head(&self, group: usize) -> &'b [u8] {
        debug_assert!(group * self.interval() < self.count(), "a group of the block");
        let start = self.at.heads_at as usize + group * self.head_width();
        &self.bytes[start..start + self.head_width()]
    }

    /// The head of the restart point of `group`, and whatever follows it.
    #[inline]
    pub(super) fn head_word(&self, group: usize) -> [u8; 8] {
        debug_assert!(group * self.interval() < self.count(), "a group of the block");
        let start = self.at.heads_at as usize + group * self.head_width();
        match self.bytes[start..].first_chunk() {
            Some(word) => *word,
            None => padded(self.head(group)),
        }
    }

    /// The block from `at` to its end.
    #[inline]
    pub(super) fn behind(&self, at: usize) -> &'b [u8] {
        debug_assert!(at <= self.bytes.len(), "a place in the block");
        &self.bytes[at..]
    }

    /// Asks the processor to load the bytes of `range`, if the block has them.
    #[inline]
    pub(crate) fn prefetch(&self, range: Range<usize>) {
        if let Some(bytes) = self.bytes.get(range) {
            durable::prefetch_lines(bytes);
        }
    }

    /// Where the first entry begins in the block.
    #[inline]
    pub(super) fn entries_at(&self) -> usize {
        self.at.entries_at as usize
    }

    /// The bytes of a range of the block.
    #[inline]
    pub(super) fn slice(&self, range: Range<usize>) -> Option<&'b [u8]> {
        self.bytes.get(range)
    }

    /// Where the first `groups` groups end, counted from the first entry.
    #[inline]
    fn end_of(&self, groups: usize) -> usize {
        let Some(last) = groups.checked_sub(1) else { return 0 };
        let ends = &self.bytes[self.at.ends_at as usize..];
        if self.at.has_wide_ends {
            u32::from_le_bytes(ends.as_chunks().0[last]) as usize
        } else {
            usize::from(u16::from_le_bytes(ends.as_chunks().0[last]))
        }
    }

    /// Where the entries of `group` are in the block.
    #[expect(
        clippy::inline_always,
        reason = "a step of a cursor is short, and calls are a third of it"
    )]
    #[inline(always)]
    pub(super) fn extent(&self, group: usize) -> Checked<Range<usize>> {
        debug_assert!(group * self.interval() < self.count(), "a group of the block");
        let entries_at = self.entries_at();
        let extent = entries_at + self.end_of(group)..entries_at + self.end_of(group + 1);
        if extent.start > extent.end || extent.end > self.bytes.len() {
            return Err(Damage::new(self.at.ends_at as usize, "a group ends before it begins"));
        }
        Ok(extent)
    }
}
