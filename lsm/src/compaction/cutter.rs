//! Where one output file ends and the next begins.

use super::file::{File, Key};
use super::parts::Part;
use super::plan::Plan;
use super::run::{Level, Run};
use super::tree::Tree;

/// Divides the entries of an output run into files.
///
/// A file should have the target length and end where a file of the next level ends: then its own compaction overlaps fewer
/// bytes. So a file ends at the edge of a file below that is closest to the target, at half the target at the earliest. It
/// also ends before it overlaps more of the next level than the limit, and at twice the target at the latest; without files
/// below it, at the target.
#[derive(Clone, Debug)]
pub struct OutputCutter<K> {
    /// First keys of the files of the next level, with the bytes of the file before each.
    edges: Vec<(K, u64)>,
    /// The next edge.
    next: usize,
    target: u64,
    max_overlap: u64,
    /// The bytes of the current output file.
    bytes: u64,
    /// Its bytes at the last edge.
    bytes_at_edge: u64,
    /// The bytes below that it overlaps up to the last edge.
    overlap: u64,
}

impl<K: Key> OutputCutter<K> {
    /// A cutter for the outputs of `plan`, with the lengths in bytes.
    ///
    /// # Panics
    /// A length is 0.
    pub fn new(plan: &Plan<K>, tree: &Tree<K>, target: u64, max_overlap: u64) -> Self {
        assert!(target > 0 && max_overlap > 0, "files have entries");
        let below = tree.levels().get(plan.output.level + 1).and_then(newest_files);
        let below = below.unwrap_or_default();
        let edges = below.windows(2).map(|pair| (pair[1].smallest.clone(), pair[0].bytes));
        let inside = |(key, _): &(K, u64)| plan.smallest <= *key && *key <= plan.largest;
        let edges: Vec<(K, u64)> = edges.filter(inside).collect();
        debug_assert!(
            edges.is_sorted_by(|a, b| a.0 < b.0),
            "files below are in the order of their keys"
        );
        Self { edges, next: 0, target, max_overlap, bytes: 0, bytes_at_edge: 0, overlap: 0 }
    }

    /// The cutter for one part of the plan.
    pub fn for_part(mut self, part: &Part<K>) -> Self {
        debug_assert_eq!(self.bytes, 0, "nothing is merged yet");
        self.edges.retain(|(key, _)| part.contains(key));
        self
    }

    /// Whether the entry with this key begins a new file. Keys rise.
    pub fn cuts_before(&mut self, key: &K) -> bool {
        debug_assert!(self.bytes >= self.bytes_at_edge, "bytes are counted up");
        let mut cuts = self.bytes >= self.limit();
        while self.edges.get(self.next).is_some_and(|(edge, _)| edge <= key) {
            let step = self.bytes - self.bytes_at_edge;
            self.overlap = self.overlap.saturating_add(self.edges[self.next].1);
            self.next += 1;
            self.bytes_at_edge = self.bytes;
            // The next edge is about as far as this one was from the last.
            let is_closest = self.bytes.saturating_add(step / 2) >= self.target;
            cuts |= self.bytes >= self.target / 2 && is_closest;
            cuts |= self.bytes > 0 && self.overlap >= self.max_overlap;
        }
        if cuts {
            (self.bytes, self.bytes_at_edge, self.overlap) = (0, 0, 0);
        }
        cuts
    }

    /// The next key at which a file of the next level begins: a caller that knows no single entries must not go past it
    /// in one step.
    pub fn next_edge(&self) -> Option<&K> {
        self.edges.get(self.next).map(|(key, _)| key)
    }

    /// Counts an entry of so many bytes to the current file.
    pub fn add(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn limit(&self) -> u64 {
        debug_assert!(self.next <= self.edges.len(), "each edge is passed once");
        let is_past_edges = self.next == self.edges.len();
        if is_past_edges { self.target } else { self.target.saturating_mul(2) }
    }
}

/// The files of the newest run of `level`.
fn newest_files<K: Key>(level: &Level<K>) -> Option<&[File<K>]> {
    level.runs().first().map(Run::files)
}
