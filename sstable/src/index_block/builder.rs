//! Building an index block.

use durable::coding::{put_u16, put_u32, put_u64, put_varint};

use super::layout::{HEADER_LEN, HEADS_PER_FENCE, IndexBlock};
use crate::handle::BlockHandle;
use crate::heads::HeadWidth;
use crate::key_layout::{KeyLayout, SplitKey, common_prefix_len};
use crate::stored_block::TRAILER_LEN;

/// What a separator takes besides its bytes, about: the end of a block and of a rest, a length, a part of a fence.
const SEPARATOR_OVERHEAD: usize = 8;

/// Collects separators, and the blocks that they lead to, which lie side by side.
#[derive(Debug)]
pub(crate) struct IndexBlockBuilder {
    layout: KeyLayout,
    /// Where the first block is in the file.
    base: u64,
    /// The separators, one behind the other. A suffix of zeros is left out.
    keys: Vec<u8>,
    entries: Vec<Ends>,
}

/// Where a separator and its block end.
#[derive(Clone, Copy, Debug)]
struct Ends {
    /// Where the stem ends among the keys.
    stem: usize,
    /// Where the suffix ends among the keys.
    key: usize,
    /// Where the trailer of the block ends, counted from the first block.
    block: u32,
}

impl IndexBlockBuilder {
    pub(crate) fn new(layout: KeyLayout) -> Self {
        Self { layout, base: 0, keys: Vec::new(), entries: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many bytes the block would have, about, with one more separator of `more` bytes.
    pub(crate) fn estimated_len_with(&self, more: usize) -> usize {
        let separators = self.entries.len() + 1;
        HEADER_LEN + self.keys.len() + more + separators * SEPARATOR_OVERHEAD
    }

    /// Whether the block at `handle` is near enough to the first one to be described beside it.
    pub(crate) fn reaches(&self, handle: BlockHandle) -> bool {
        self.is_empty() || u32::try_from(end_of(handle) - self.base).is_ok()
    }

    /// Adds a separator, which is greater than the one before, and leads to the block at `handle`.
    ///
    /// # Panics
    /// When the block does not lie right behind the one before, or is out of reach.
    pub(crate) fn add(&mut self, separator: &[u8], handle: BlockHandle) {
        let before = self.entries.last().map(|entry| self.base + u64::from(entry.block));
        assert!(before.is_none_or(|end| end == handle.offset), "the blocks lie side by side");
        if self.is_empty() {
            self.base = handle.offset;
        }
        let block = u32::try_from(end_of(handle) - self.base).expect("a block in reach");
        let split = self.layout.split(separator).expect("a separator has a suffix");
        self.keys.extend_from_slice(split.stem);
        let stem = self.keys.len();
        if split.suffix.iter().any(|byte| *byte != 0) {
            self.keys.extend_from_slice(split.suffix);
        }
        self.entries.push(Ends { stem, key: self.keys.len(), block });
    }

    fn stem(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.entries[before].key);
        &self.keys[start..self.entries[index].stem]
    }

    /// The suffix; empty if it is zero.
    fn suffix(&self, index: usize) -> &[u8] {
        let Ends { stem, key, .. } = self.entries[index];
        &self.keys[stem..key]
    }

    /// Appends the block to `out`, and starts over.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        let start = out.len();
        let count = self.entries.len();
        let prefix_len = match count {
            0 => 0,
            // Stems ascend, so the bytes that the first and the last one share are in all of them.
            _ => common_prefix_len(self.stem(0), self.stem(count - 1)),
        };
        let head_width = self.head_width(prefix_len);
        let (rests, rest_ends) = self.rests(prefix_len, head_width);
        let end_width = if rests.len() > usize::from(u16::MAX) { 4 } else { 2 };
        out.extend([head_width.bytes() as u8, end_width]);
        put_u16(out, u16::try_from(prefix_len).expect("a stem is no longer than a key"));
        put_u32(out, u32::try_from(count).expect("each separator has a block of the file"));
        put_u64(out, self.base);
        assert_eq!(out.len() - start, HEADER_LEN, "the header has a fixed length");
        if count > 0 {
            out.extend_from_slice(&self.stem(0)[..prefix_len]);
        }
        let fences = (0..count).step_by(HEADS_PER_FENCE);
        fences.for_each(|index| head_width.push_head(&self.stem(index)[prefix_len..], out));
        (0..count).for_each(|index| head_width.push_head(&self.stem(index)[prefix_len..], out));
        self.entries.iter().for_each(|entry| put_u32(out, entry.block));
        for end in rest_ends {
            out.extend_from_slice(&(end as u32).to_le_bytes()[..usize::from(end_width)]);
        }
        out.extend_from_slice(&rests);
        debug_assert!(self.reads_back(&out[start..]), "an index block reads back");
        self.keys.clear();
        self.entries.clear();
        self.base = 0;
    }

    /// The narrowest heads that hold nearly all stems whole. A key that is sought has such a head if it is the separator, and
    /// hardly ever otherwise. If the heads told the separators apart and no more, every other key could have the head of one.
    fn head_width(&self, prefix_len: usize) -> HeadWidth {
        let stems = (0..self.entries.len()).map(|index| self.stem(index));
        HeadWidth::for_stems(self.entries.len(), stems.map(|stem| stem.len() - prefix_len))
    }

    /// The rests of all separators, and where each of them ends.
    fn rests(&self, prefix_len: usize, head_width: HeadWidth) -> (Vec<u8>, Vec<usize>) {
        let mut rests = Vec::new();
        let ends = (0..self.entries.len()).map(|index| {
            let stem = &self.stem(index)[prefix_len..];
            put_varint(&mut rests, stem.len() as u64);
            rests.extend_from_slice(stem.get(head_width.bytes()..).unwrap_or(&[]));
            rests.extend_from_slice(self.suffix(index));
            rests.len()
        });
        let ends = ends.collect();
        assert!(u32::try_from(rests.len()).is_ok(), "an index block stays below 4 GiB");
        (rests, ends)
    }

    fn reads_back(&self, bytes: &[u8]) -> bool {
        let Ok(block) = IndexBlock::parse(bytes, self.layout.suffix_len()) else { return false };
        let Some(last) = self.entries.len().checked_sub(1) else { return block.count() == 0 };
        let zeros = vec![0; self.layout.suffix_len()];
        let suffix = if self.suffix(last).is_empty() { &zeros } else { self.suffix(last) };
        let found = block.floor(&SplitKey { stem: self.stem(last), suffix });
        let end = block.handle(last).map(end_of);
        found == Ok(Some(last)) && end == Ok(self.base + u64::from(self.entries[last].block))
    }
}

/// Where the trailer of the block at `handle` ends in the file.
fn end_of(handle: BlockHandle) -> u64 {
    handle.offset + u64::from(handle.len) + TRAILER_LEN as u64
}
