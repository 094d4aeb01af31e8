//! The real entries of a file, and the facts that follow from them.

use lsm::compaction::{Expiry, File, FileId, RangeTombstone, Reclaimable, is_dense_block};

/// The bytes of a tombstone.
pub(crate) const TOMBSTONE_BYTES: u64 = 20;
/// The entries of a block.
const BLOCK_ENTRIES: usize = 4;

/// One entry; entries order by key, the newest of a key first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: u64,
    pub(crate) sequence: u64,
    pub(crate) is_tombstone: bool,
    pub(crate) expires: Option<u64>,
    pub(crate) bytes: u64,
}

impl Entry {
    pub(crate) fn tombstone(key: u64, sequence: u64) -> Self {
        Self { key, sequence, is_tombstone: true, expires: None, bytes: TOMBSTONE_BYTES }
    }

    /// Whether a reader with this time sees no value.
    pub(crate) fn is_dead(&self, now: u64) -> bool {
        self.is_tombstone || self.expires.is_some_and(|moment| moment <= now)
    }

    /// The entry as a tombstone if it has expired for every reader.
    pub(crate) fn expire(self, expiry_horizon: u64) -> Self {
        let is_dead = self.is_dead(expiry_horizon);
        if is_dead { Self::tombstone(self.key, self.sequence) } else { self }
    }
}

/// The entries and range tombstones of a file, or of all outputs of a compaction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) entries: Vec<Entry>,
    pub(crate) ranges: Vec<RangeTombstone<u64>>,
}

impl Content {
    /// The entry that a read of `key` at `sequence` finds; a range tombstone counts as an entry of each of its keys.
    pub(crate) fn find(&self, key: u64, sequence: u64) -> Option<Entry> {
        let start = self.entries.partition_point(|entry| entry.key < key);
        let of_key = self.entries[start..].iter().take_while(|entry| entry.key == key);
        let entry = of_key.copied().find(|entry| entry.sequence <= sequence);
        let ranges = self.ranges.iter().filter(|range| range.contains(&key, &key));
        let seen = ranges.map(|range| range.sequence).filter(|newest| *newest <= sequence);
        let deleted = seen.max().map(|newest| Entry::tombstone(key, newest));
        entry.into_iter().chain(deleted).max_by_key(|entry| entry.sequence)
    }

    /// The content as parts that begin at `starts`, which rise; empty parts are left out.
    pub(crate) fn divide(&self, starts: impl Iterator<Item = u64> + Clone) -> Vec<Self> {
        let ends = starts.clone().skip(1).map(|start| start - 1).chain([u64::MAX]);
        let parts = starts.zip(ends).map(|(from, to)| self.part(from, to));
        parts.filter(|part| !part.entries.is_empty() || !part.ranges.is_empty()).collect()
    }

    fn part(&self, from: u64, to: u64) -> Self {
        let inside = |entry: &&Entry| (from..=to).contains(&entry.key);
        let clip = |range: &RangeTombstone<u64>| {
            let (smallest, largest) = (range.smallest.max(from), range.largest.min(to));
            let sequence = range.sequence;
            (smallest <= largest).then_some(RangeTombstone { smallest, largest, sequence })
        };
        Self {
            entries: self.entries.iter().filter(inside).copied().collect(),
            ranges: self.ranges.iter().filter_map(clip).collect(),
        }
    }

    /// The metadata of a file with this content.
    pub(crate) fn file(&self, id: FileId, created: u64) -> File<u64> {
        let Self { entries, ranges } = self;
        let firsts = entries.first().map(|entry| entry.key).into_iter();
        let lasts = entries.last().map(|entry| entry.key).into_iter();
        let sequences = entries.iter().map(|entry| entry.sequence);
        let dead = entries.iter().filter(|entry| entry.is_tombstone).count();
        let range_bytes = ranges.len() as u64 * TOMBSTONE_BYTES;
        File {
            id,
            bytes: entries.iter().map(|entry| entry.bytes).sum::<u64>() + range_bytes,
            smallest: firsts.chain(ranges.iter().map(|range| range.smallest)).min().unwrap(),
            largest: lasts.chain(ranges.iter().map(|range| range.largest)).max().unwrap(),
            entries: (entries.len() + ranges.len()) as u64,
            tombstones: (dead + ranges.len()) as u64,
            newest: sequences.chain(ranges.iter().map(|range| range.sequence)).max().unwrap(),
            created,
            reclaimable: self.reclaimable(),
        }
    }

    fn reclaimable(&self) -> Reclaimable<u64> {
        let is_same_key = |pair: &&[Entry]| pair[0].key == pair[1].key;
        let expiring = self.entries.iter().filter(|entry| !entry.is_tombstone);
        let moments = expiring.filter_map(|entry| entry.expires);
        let earliest = moments.clone().min();
        let expiry = earliest.map(|earliest| Expiry {
            entries: moments.clone().count() as u64,
            earliest,
            latest: moments.clone().max().unwrap(),
        });
        Reclaimable {
            dense_bytes: self.entries.chunks(BLOCK_ENTRIES).map(dense_bytes).sum(),
            hidden: self.entries.windows(2).filter(is_same_key).count() as u64,
            expiry,
            range_tombstones: self.ranges.clone(),
        }
    }
}

/// The bytes of the block, if it is dense.
fn dense_bytes(block: &[Entry]) -> u64 {
    let bytes = |entries: &[&Entry]| entries.iter().map(|entry| entry.bytes).sum::<u64>();
    let tombstones: Vec<&Entry> = block.iter().filter(|entry| entry.is_tombstone).collect();
    let all = bytes(&block.iter().collect::<Vec<_>>());
    if is_dense_block(tombstones.len() as u64, bytes(&tombstones), all) { all } else { 0 }
}
