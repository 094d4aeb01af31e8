//! The dependency graph: transactions, auxiliary nodes, and labelled edges in one flat array.
//!
//! Node `n` below the number of transactions is a transaction. The others are *auxiliary*: a path from a transaction through
//! auxiliary nodes to a transaction stands for one dependency. They keep the graph linear in the size of the history where many
//! transactions depend on many others: real-time order, the readers and the next writers of a version, and scans.

use kv::{Error, Result};

use super::kinds::{DependencyKind, Label};
use super::model::KeyId;

/// Collects edges.
#[derive(Debug)]
pub(super) struct GraphBuilder {
    transactions: u32,
    nodes: u32,
    edges: Vec<(u32, u32, Label)>,
}

impl GraphBuilder {
    pub(super) fn new(transactions: u32) -> Self {
        Self { transactions, nodes: transactions, edges: Vec::new() }
    }

    /// Adds `count` auxiliary nodes and returns the first.
    pub(super) fn auxiliary_nodes(&mut self, count: u32) -> u32 {
        let first = self.nodes;
        self.nodes += count;
        first
    }

    /// `from` comes before `to`.
    pub(super) fn edge(&mut self, from: u32, to: u32, kind: DependencyKind, key: Option<KeyId>) {
        assert!(from < self.nodes && to < self.nodes, "an edge joins nodes of the graph");
        assert_ne!(from, to, "no transaction depends on itself");
        self.edges.push((from, to, Label::new(kind, key)));
    }

    /// Sorts the edges by their first node.
    ///
    /// # Errors
    /// `InvalidArgument` if the graph has more than 2^32 edges.
    pub(super) fn finish(self) -> Result<Graph> {
        if u32::try_from(self.edges.len()).is_err() || self.nodes > u32::MAX / 2 {
            return Err(Error::InvalidArgument(
                "the history has too many dependencies".to_string(),
            ));
        }
        let mut offsets = vec![0_u32; self.nodes as usize + 1];
        for &(from, _, _) in &self.edges {
            offsets[from as usize + 1] += 1;
        }
        for node in 0..self.nodes as usize {
            offsets[node + 1] += offsets[node];
        }
        let mut next = offsets.clone();
        let nothing = Label::new(DependencyKind::WriteWrite, None);
        let mut edges = vec![(0_u32, nothing); self.edges.len()];
        for (from, to, label) in self.edges {
            let slot = &mut next[from as usize];
            edges[*slot as usize] = (to, label);
            *slot += 1;
        }
        debug_assert_eq!(offsets.last().copied(), Some(edges.len() as u32), "each edge has a slot");
        Ok(Graph { transactions: self.transactions, offsets, edges })
    }
}

/// The edges of each node.
#[derive(Debug)]
pub(super) struct Graph {
    transactions: u32,
    offsets: Vec<u32>,
    edges: Vec<(u32, Label)>,
}

impl Graph {
    pub(super) fn node_count(&self) -> u32 {
        self.offsets.len() as u32 - 1
    }

    pub(super) fn edge_count(&self) -> usize {
        self.edges.len()
    }

    pub(super) fn is_transaction(&self, node: u32) -> bool {
        node < self.transactions
    }

    /// The numbers of the edges of `node`.
    pub(super) fn edges_of(&self, node: u32) -> std::ops::Range<u32> {
        self.offsets[node as usize]..self.offsets[node as usize + 1]
    }

    /// The node at the end of an edge, and its label.
    pub(super) fn edge(&self, number: u32) -> (u32, Label) {
        self.edges[number as usize]
    }
}
