//! Building a block.
//!
//! Entries are collected as they are. When the block is finished, everything about it is known, so the builder picks the
//! restart interval and the width of the heads by counting.

use durable::coding::{put_u16, put_u32, put_varint};

use super::layout::{Block, HEADER_LEN};
use crate::heads::HeadWidth;
use crate::key_layout::{KeyLayout, SplitKey, common_prefix_len};

/// How many entries share a restart point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Restarts {
    /// Every entry is a restart point, unless groups of [`ADAPTIVE_GROUP`] make the block smaller by a tenth. Keys that
    /// share long prefixes get small blocks, all others get the fastest search.
    #[default]
    Adaptive,
    /// Groups of this many entries, at least 1. A step backward inside a group of more than [`ADAPTIVE_GROUP`] reads the
    /// group from its restart point.
    Every(u16),
}

/// The entries of a group where [`Restarts::Adaptive`] makes groups.
pub const ADAPTIVE_GROUP: u16 = 16;

/// What an entry takes besides its key and value, about: an end, and the lengths.
const ENTRY_OVERHEAD: usize = 4;

/// Collects the entries of a block.
#[derive(Debug)]
pub(crate) struct BlockBuilder {
    layout: KeyLayout,
    restarts: Restarts,
    /// The keys, one behind the other.
    keys: Vec<u8>,
    /// The values, one behind the other.
    values: Vec<u8>,
    entries: Vec<EntryEnd>,
    /// How many bytes the stem of each entry has in common with the stem before. Filled when the block is finished.
    shared: Vec<usize>,
    /// The encoded entries. Filled when the block is finished.
    encoded: Vec<u8>,
    /// Where each group ends in `encoded`.
    ends: Vec<usize>,
}

/// Where an entry ends among the keys and among the values.
#[derive(Clone, Copy, Debug, Default)]
struct EntryEnd {
    key: usize,
    value: usize,
}

/// How a block is encoded.
#[derive(Clone, Copy, Debug)]
struct Plan {
    prefix_len: usize,
    shared_suffix_len: usize,
    interval: usize,
    head_width: HeadWidth,
}

impl BlockBuilder {
    pub(crate) fn new(layout: KeyLayout, restarts: Restarts) -> Self {
        assert!(restarts != Restarts::Every(0), "a group has entries");
        Self {
            layout,
            restarts,
            keys: Vec::new(),
            values: Vec::new(),
            entries: Vec::new(),
            shared: Vec::new(),
            encoded: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Adds an entry, whose key is greater than the one before.
    #[inline]
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) {
        debug_assert!(key.len() >= self.layout.suffix_len(), "a key has a suffix");
        self.keys.extend_from_slice(key);
        self.values.extend_from_slice(value);
        self.entries.push(EntryEnd { key: self.keys.len(), value: self.values.len() });
        debug_assert!(
            self.entries.len() < 2
                || self.key(self.entries.len() - 2) < self.key(self.entries.len() - 1),
            "keys ascend"
        );
    }

    /// How many bytes the finished block will have, about.
    #[inline]
    pub(crate) fn estimated_len(&self) -> usize {
        self.keys.len() + self.values.len() + self.entries.len() * ENTRY_OVERHEAD + HEADER_LEN
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// Appends the block to `out`, and starts over.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        let start = out.len();
        self.count_shared();
        let plan = self.plan();
        self.encode_entries(plan);
        self.encode_arrays(plan, out);
        out.append(&mut self.encoded);
        debug_assert!(self.reads_back(&out[start..]), "a block reads back");
        self.keys.clear();
        self.values.clear();
        self.entries.clear();
    }

    fn reads_back(&self, bytes: &[u8]) -> bool {
        let block = Block::parse(bytes, self.layout.suffix_len());
        let last = self.entries.len().wrapping_sub(1);
        block.is_ok_and(|block| {
            self.is_empty()
                || block
                    .search(self.key(last))
                    .is_ok_and(|found| found.is_equal && found.index == last)
        })
    }

    fn start_of(&self, index: usize) -> EntryEnd {
        index.checked_sub(1).map_or(EntryEnd::default(), |before| self.entries[before])
    }

    fn key(&self, index: usize) -> SplitKey<'_> {
        let key = &self.keys[self.start_of(index).key..self.entries[index].key];
        let (stem, suffix) = key.split_at(key.len() - self.layout.suffix_len());
        SplitKey { stem, suffix }
    }

    fn stem_len(&self, index: usize) -> usize {
        self.entries[index].key - self.start_of(index).key - self.layout.suffix_len()
    }

    fn count_shared(&mut self) {
        let mut shared = std::mem::take(&mut self.shared);
        shared.clear();
        let mut before = &[][..];
        let mut start = 0;
        for entry in &self.entries {
            let stem = &self.keys[start..entry.key - self.layout.suffix_len()];
            shared.push(common_prefix_len(before, stem));
            (before, start) = (stem, entry.key);
        }
        debug_assert_eq!(shared.len(), self.count(), "a number for each entry");
        self.shared = shared;
    }

    fn plan(&self) -> Plan {
        let Some(last) = self.count().checked_sub(1) else {
            let head_width = HeadWidth::One;
            return Plan { prefix_len: 0, shared_suffix_len: 0, interval: 1, head_width };
        };
        // Stems ascend, so the bytes that the first and the last one share are in all of them. The format has 16 bits.
        let prefix_len = common_prefix_len(self.key(0).stem, self.key(last).stem);
        let prefix_len = prefix_len.min(u16::MAX.into());
        let interval = self.interval(prefix_len);
        Plan {
            prefix_len,
            shared_suffix_len: self.shared_suffix_len(),
            interval,
            head_width: self.head_width(prefix_len, interval),
        }
    }

    /// How many bytes all suffixes begin with.
    fn shared_suffix_len(&self) -> usize {
        if self.layout.suffix_len() == 0 {
            return 0;
        }
        let first = self.key(0).suffix;
        let shared =
            (0..self.count()).map(|index| common_prefix_len(first, self.key(index).suffix));
        shared.min().unwrap_or(0)
    }

    fn interval(&self, prefix_len: usize) -> usize {
        match self.restarts {
            Restarts::Every(interval) => usize::from(interval),
            Restarts::Adaptive => {
                let group = usize::from(ADAPTIVE_GROUP);
                let followers = self.shared.chunks(group).flat_map(|group| &group[1..]);
                let saved: usize = followers.map(|shared| shared - prefix_len).sum();
                if saved * 10 > self.estimated_len() { group } else { 1 }
            }
        }
    }

    /// The narrowest heads that tell nearly all restart points apart, versions of one stem left aside.
    fn head_width(&self, prefix_len: usize, interval: usize) -> HeadWidth {
        let needed = (interval..self.count()).step_by(interval).filter_map(|at| {
            // What two restart points share, all entries between them share too. The byte behind it tells them apart.
            let shared = *self.shared[at + 1 - interval..=at].iter().min()?;
            let is_same = shared == self.stem_len(at) && shared == self.stem_len(at - interval);
            (!is_same).then_some(shared - prefix_len + 1)
        });
        HeadWidth::for_stems(self.count().div_ceil(interval), needed)
    }

    fn encode_entries(&mut self, plan: Plan) {
        let mut out = std::mem::take(&mut self.encoded);
        let mut ends = std::mem::take(&mut self.ends);
        debug_assert!(out.is_empty(), "the entries of the block before are gone");
        ends.clear();
        for first in (0..self.count()).step_by(plan.interval) {
            let last = (first + plan.interval).min(self.count()) - 1;
            for index in first..=last {
                let stem = self.encode_stem_lens(index, index == first, plan, &mut out);
                let value = &self.values[self.start_of(index).value..self.entries[index].value];
                if index < last {
                    put_varint(&mut out, value.len() as u64);
                }
                out.extend_from_slice(stem);
                out.extend_from_slice(value);
            }
            ends.push(out.len());
        }
        debug_assert_eq!(ends.len(), self.count().div_ceil(plan.interval), "an end for each group");
        self.encoded = out;
        self.ends = ends;
    }

    /// Appends the lengths that describe the stem of an entry. Returns the bytes of the stem that the entry stores.
    fn encode_stem_lens(
        &self,
        index: usize,
        is_restart: bool,
        plan: Plan,
        out: &mut Vec<u8>,
    ) -> &[u8] {
        let stem = &self.key(index).stem[plan.prefix_len..];
        if is_restart {
            put_varint(out, stem.len() as u64);
            return stem.get(plan.head_width.bytes()..).unwrap_or(&[]);
        }
        let shared = self.shared[index] - plan.prefix_len;
        debug_assert!(shared <= stem.len(), "the shared bytes are a part of the stem");
        put_varint(out, shared as u64);
        put_varint(out, (stem.len() - shared) as u64);
        &stem[shared..]
    }

    fn encode_arrays(&self, plan: Plan, out: &mut Vec<u8>) {
        let end_width = if self.encoded.len() > usize::from(u16::MAX) { 4 } else { 2 };
        assert!(u32::try_from(self.encoded.len()).is_ok(), "the table limits its blocks");
        let start = out.len();
        out.extend([plan.head_width.bytes() as u8, end_width]);
        put_u16(out, plan.prefix_len as u16);
        put_u32(out, self.count() as u32);
        put_u16(out, plan.interval as u16);
        out.extend([plan.shared_suffix_len as u8, 0]);
        assert_eq!(out.len() - start, HEADER_LEN, "the header has a fixed length");
        if !self.is_empty() {
            let first = self.key(0);
            out.extend_from_slice(&first.stem[..plan.prefix_len]);
            out.extend_from_slice(&first.suffix[..plan.shared_suffix_len]);
        }
        for index in (0..self.count()).step_by(plan.interval) {
            let stem = &self.key(index).stem[plan.prefix_len..];
            plan.head_width.push_head(stem, out);
        }
        for &end in &self.ends {
            out.extend_from_slice(&(end as u32).to_le_bytes()[..usize::from(end_width)]);
        }
        if plan.shared_suffix_len < self.layout.suffix_len() {
            for index in 0..self.count() {
                out.extend_from_slice(&self.key(index).suffix[plan.shared_suffix_len..]);
            }
        }
    }
}
