//! Anti-dependencies of scans: a scan comes before each write of a key that it did not find.
//!
//! A scan of a wide range may miss as many keys as the history has. So the keys, in byte order, are the leaves of a binary
//! tree of auxiliary nodes. A scan has edges to the few nodes that cover the keys between two that it found. Each node has
//! edges to its children, and each leaf has an edge to the first writer of its key.

use super::graph::GraphBuilder;
use super::kinds::DependencyKind;
use super::model::{History, KeyId, ScanBounds};
use super::versions::VersionTable;

const KIND: DependencyKind = DependencyKind::PredicateReadWrite;

/// The tree over all keys of a history.
#[derive(Debug)]
pub(super) struct ScanIndex {
    /// All keys in byte order.
    keys: Vec<KeyId>,
    /// The place of each key in `keys`.
    ranks: Vec<u32>,
    /// The ranks of keys that were deleted at some time: whether a scan missed them before or after that is to be found out.
    deleted: Vec<u32>,
    /// The auxiliary node of the root, as if nodes were counted from 1.
    base: u32,
    /// The number of leaves, a power of two.
    leaves: u32,
}

impl ScanIndex {
    pub(super) fn new(
        history: &History,
        versions: &VersionTable,
        graph: &mut GraphBuilder,
    ) -> Self {
        let count = history.keys.len() as u32;
        let mut keys: Vec<KeyId> = (0..count).map(KeyId).collect();
        keys.sort_unstable_by_key(|&key| history.key_text(key));
        let mut ranks = vec![0; keys.len()];
        let leaves = count.next_power_of_two();
        let base = graph.auxiliary_nodes(2 * leaves);
        let mut index = Self { keys, ranks: Vec::new(), deleted: Vec::new(), base, leaves };
        for node in 1..leaves {
            graph.edge(base + node, base + 2 * node, KIND, None);
            graph.edge(base + node, base + 2 * node + 1, KIND, None);
        }
        for (rank, &key) in (0..).zip(&index.keys) {
            ranks[key.0 as usize] = rank;
            if versions.of_key(key).any(|version| versions.is_tombstone(version)) {
                index.deleted.push(rank);
                continue;
            }
            versions.each_successor(key, versions.initial(key), &mut |version| {
                if let Some(writer) = versions.writer(version) {
                    graph.edge(base + leaves + rank, writer, KIND, Some(key));
                }
            });
        }
        index.ranks = ranks;
        index
    }

    /// Adds the edges of a scan that found the keys `found`, for keys that were never deleted.
    ///
    /// Returns the other keys of the range that the scan did not find: those that were deleted at some time, and those of
    /// `written`, which the reader itself writes. The caller resolves them one by one.
    pub(super) fn add_gap(
        &self,
        history: &History,
        reader: u32,
        bounds: &ScanBounds,
        (found, written): (&[KeyId], &[KeyId]),
        graph: &mut GraphBuilder,
    ) -> Vec<KeyId> {
        let bound = |bound: &Option<String>, open: usize| {
            bound.as_deref().map_or(open, |bound| {
                self.keys.partition_point(|&key| history.key_text(key) < bound)
            }) as u32
        };
        let (start, end) = (bound(&bounds.from, 0), bound(&bounds.to, self.keys.len()));
        if start >= end {
            return Vec::new();
        }
        let rank = |key: &KeyId| self.ranks[key.0 as usize];
        let deleted = self.deleted.partition_point(|&rank| rank < start);
        let deleted = self.deleted[deleted..].iter().copied().take_while(|&rank| rank < end);
        let written = written.iter().map(rank).filter(|rank| (start..end).contains(rank));
        let mut single: Vec<u32> = deleted.chain(written).collect();
        let mut found: Vec<u32> = found.iter().map(rank).collect();
        found.sort_unstable();
        single.sort_unstable();
        single.dedup();
        single.retain(|rank| found.binary_search(rank).is_err());
        found.extend(&single);
        found.sort_unstable();
        let mut gap_start = start;
        for rank in found.into_iter().chain([end]) {
            assert!((gap_start..=end).contains(&rank), "a scan finds keys of its range, each once");
            self.cover(reader, gap_start, rank, graph);
            gap_start = rank + 1;
        }
        single.into_iter().map(|rank| self.keys[rank as usize]).collect()
    }

    /// Adds edges to the nodes that together cover the leaves from `start` to `end`.
    fn cover(&self, reader: u32, start: u32, end: u32, graph: &mut GraphBuilder) {
        let (mut left, mut right) = (start + self.leaves, end + self.leaves);
        while left < right {
            if left % 2 == 1 {
                graph.edge(reader, self.base + left, KIND, None);
                left += 1;
            }
            if right % 2 == 1 {
                right -= 1;
                graph.edge(reader, self.base + right, KIND, None);
            }
            (left, right) = (left / 2, right / 2);
        }
    }
}
