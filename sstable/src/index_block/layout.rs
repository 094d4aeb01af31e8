//! Where the parts of an index block are.
//!
//! | offset | width | field |
//! |---|---|---|
//! | 0 | 1 | width of a head: 1, 2, 4 or 8 |
//! | 1 | 1 | width of the end of a rest: 2 or 4 |
//! | 2 | 2 | length of the prefix |
//! | 4 | 4 | number of separators |
//! | 8 | 8 | offset in the file of the first block that it leads to |
//! | 16 | | the prefix that all stems share |
//! | | | fences: the head of every 16th separator |
//! | | | a head for each separator |
//! | | | an end for each block, 4 bytes: where its trailer ends, counted from the first block |
//! | | | an end for each rest, counted from the first rest |
//! | | | the rest of each separator |

use std::ops::Range;

use durable::coding::split_varint;
use durable::prefetch_lines;

use crate::damage::{Checked, Damage};
use crate::handle::BlockHandle;
use crate::heads::{HeadWidth, Heads};
use crate::stored_block::TRAILER_LEN;

/// Bytes of the header of an index block.
pub(super) const HEADER_LEN: usize = 16;

/// So many heads have one fence.
pub(super) const HEADS_PER_FENCE: usize = 16;

/// Where the parts of one index block are, all of them inside the block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexBlockLayout {
    len: u32,
    count: u32,
    fences_at: u32,
    heads_at: u32,
    block_ends_at: u32,
    rest_ends_at: u32,
    rests_at: u32,
    suffix_len: u8,
    head_width: HeadWidth,
    has_wide_ends: bool,
    /// Where the first block is in the file that the index block leads to.
    base: u64,
}

/// An index block that can be searched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexBlock<'b> {
    bytes: &'b [u8],
    at: IndexBlockLayout,
}

/// A separator without the prefix of the block and without its head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest<'b> {
    /// The length of the stem without the prefix.
    pub(super) stem_len: usize,
    /// The bytes of the stem behind the head.
    pub(super) tail: &'b [u8],
    /// The suffix; empty if all of its bytes are zero.
    pub(super) suffix: &'b [u8],
}

impl IndexBlockLayout {
    /// The layout of the index block `bytes`, whose separators have suffixes of `suffix_len` bytes.
    #[inline]
    pub(crate) fn parse(bytes: &[u8], suffix_len: usize) -> Checked<Self> {
        debug_assert!(u8::try_from(suffix_len).is_ok(), "a footer states the length in a byte");
        let header = bytes.first_chunk::<HEADER_LEN>();
        let header = header.ok_or(Damage::new(0, "an index block shorter than its header"))?;
        let &[head, end, p0, p1, n0, n1, n2, n3, ref base @ ..] = header;
        let head_width = HeadWidth::from_code(head);
        let head_width = head_width.ok_or(Damage::new(0, "an unknown width of heads"))?;
        if !(end == 2 || end == 4) {
            return Err(Damage::new(1, "an unknown width of ends"));
        }
        let count = u32::from_le_bytes([n0, n1, n2, n3]);
        let heads = |count: u32| u64::from(count) * head_width.bytes() as u64;
        let fences_at = HEADER_LEN as u64 + u64::from(u16::from_le_bytes([p0, p1]));
        let heads_at = fences_at + heads(count.div_ceil(HEADS_PER_FENCE as u32));
        let block_ends_at = heads_at + heads(count);
        let rest_ends_at = block_ends_at + u64::from(count) * 4;
        let rests_at = rest_ends_at + u64::from(count) * u64::from(end);
        if rests_at > bytes.len() as u64 || bytes.len() > u32::MAX as usize {
            return Err(Damage::new(4, "more separators than there is room for"));
        }
        let layout = Self {
            len: bytes.len() as u32,
            count,
            fences_at: fences_at as u32,
            heads_at: heads_at as u32,
            block_ends_at: block_ends_at as u32,
            rest_ends_at: rest_ends_at as u32,
            rests_at: rests_at as u32,
            suffix_len: suffix_len as u8,
            head_width,
            has_wide_ends: end == 4,
            base: u64::from_le_bytes(*base),
        };
        let block = layout.block(bytes);
        if block.rest_end(count as usize) != bytes.len() - layout.rests_at as usize {
            return Err(Damage::new(layout.rest_ends_at as usize, "the last rest ends elsewhere"));
        }
        Ok(layout)
    }

    /// The index block `bytes` that this is the layout of.
    ///
    /// # Panics
    /// When `bytes` has another length than the block that was parsed.
    #[inline]
    pub(crate) fn block(self, bytes: &[u8]) -> IndexBlock<'_> {
        assert_eq!(bytes.len(), self.len as usize, "the bytes are those that were parsed");
        IndexBlock { bytes, at: self }
    }

    /// How many blocks the index block leads to.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }
}

impl<'b> IndexBlock<'b> {
    /// The index block `bytes`, whose separators have suffixes of `suffix_len` bytes.
    #[inline]
    pub(crate) fn parse(bytes: &'b [u8], suffix_len: usize) -> Checked<Self> {
        IndexBlockLayout::parse(bytes, suffix_len).map(|layout| layout.block(bytes))
    }

    /// How many blocks it leads to, each with a separator.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.at.count()
    }

    /// The prefix of all stems.
    #[inline]
    pub(super) fn prefix(&self) -> &'b [u8] {
        &self.bytes[HEADER_LEN..self.at.fences_at as usize]
    }

    #[inline]
    pub(super) fn suffix_len(&self) -> usize {
        usize::from(self.at.suffix_len)
    }

    #[inline]
    pub(super) fn fences(&self) -> Heads<'b> {
        let fences = &self.bytes[self.at.fences_at as usize..self.at.heads_at as usize];
        Heads::new(self.at.head_width, fences)
    }

    #[inline]
    pub(super) fn heads(&self) -> Heads<'b> {
        Heads::new(self.at.head_width, self.head_bytes())
    }

    #[inline]
    fn head_bytes(&self) -> &'b [u8] {
        &self.bytes[self.at.heads_at as usize..self.at.block_ends_at as usize]
    }

    /// The head of separator `index`.
    #[inline]
    pub(super) fn head(&self, index: usize) -> &'b [u8] {
        debug_assert!(index < self.count(), "a separator of the block");
        let width = self.at.head_width.bytes();
        &self.head_bytes()[index * width..][..width]
    }

    /// The fence in front of the heads from `HEADS_PER_FENCE * group` on.
    pub(super) fn fence(&self, group: usize) -> &'b [u8] {
        debug_assert!(group * HEADS_PER_FENCE < self.count(), "a group of heads");
        let width = self.at.head_width.bytes();
        &self.bytes[self.at.fences_at as usize + group * width..][..width]
    }

    /// Where the first `blocks` blocks end, counted from the first of them.
    #[inline]
    fn block_end(&self, blocks: usize) -> u32 {
        debug_assert!(blocks <= self.count(), "blocks that this one leads to");
        let Some(last) = blocks.checked_sub(1) else { return 0 };
        let ends = &self.bytes[self.at.block_ends_at as usize..self.at.rest_ends_at as usize];
        u32::from_le_bytes(ends.as_chunks().0[last])
    }

    /// Has the processor load the ends of the blocks from number `index` on, as many as have one fence.
    #[inline]
    pub(super) fn prefetch_ends(&self, index: usize) {
        let start = self.at.block_ends_at as usize + index * 4;
        let end = start + HEADS_PER_FENCE * 4;
        debug_assert!(index <= self.count(), "a block that this one leads to, or the end");
        if let Some(ends) = self.bytes.get(start.saturating_sub(4)..end.min(self.bytes.len())) {
            prefetch_lines(ends);
        }
    }

    /// Where block `index` is that this one leads to.
    #[inline]
    pub(crate) fn handle(&self, index: usize) -> Checked<BlockHandle> {
        assert!(index < self.count(), "a block that this one leads to");
        let (start, end) = (self.block_end(index), self.block_end(index + 1));
        let len = end.checked_sub(start).and_then(|len| len.checked_sub(TRAILER_LEN as u32));
        let place = self.at.block_ends_at as usize + index * 4;
        let len = len.ok_or(Damage::new(place, "a block that ends before its trailer"))?;
        // A forged base leads out of the file, and reading the block reports that.
        Ok(BlockHandle { offset: self.at.base.saturating_add(start.into()), len })
    }

    /// Where the first `rests` rests end, counted from the first of them.
    #[inline]
    fn rest_end(&self, rests: usize) -> usize {
        let Some(last) = rests.checked_sub(1) else { return 0 };
        let ends = &self.bytes[self.at.rest_ends_at as usize..self.at.rests_at as usize];
        if self.at.has_wide_ends {
            u32::from_le_bytes(ends.as_chunks().0[last]) as usize
        } else {
            usize::from(u16::from_le_bytes(ends.as_chunks().0[last]))
        }
    }

    /// Where the rest of separator `index` is in the block.
    fn rest_extent(&self, index: usize) -> Range<usize> {
        debug_assert!(index < self.count(), "a separator of the block");
        let rests_at = self.at.rests_at as usize;
        rests_at + self.rest_end(index)..rests_at + self.rest_end(index + 1)
    }

    /// The rest of separator `index`.
    pub(super) fn rest(&self, index: usize) -> Checked<Rest<'b>> {
        let extent = self.rest_extent(index);
        let start = extent.start;
        let damage = |what| Damage::new(start.min(self.bytes.len()), what);
        let bytes = self.bytes.get(extent);
        let bytes = bytes.ok_or_else(|| damage("a rest that ends before it begins"))?;
        let (stem_len, bytes) = split_varint(bytes).map_err(damage)?;
        let stem_len = stem_len as usize;
        let tail_len = stem_len.saturating_sub(self.at.head_width.bytes());
        let split = bytes.split_at_checked(tail_len);
        let (tail, suffix) = split.ok_or_else(|| damage("a stem longer than its separator"))?;
        if !suffix.is_empty() && suffix.len() != self.suffix_len() {
            return Err(damage("a suffix of another length"));
        }
        Ok(Rest { stem_len, tail, suffix })
    }
}
