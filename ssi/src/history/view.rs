//! Walks over a part of the dependency graph.

use super::graph::Graph;
use super::kinds::{Kinds, Label};

/// A part of the graph to walk: the edges of some kinds, with or without the rule of snapshot isolation.
///
/// With the rule, no two anti-dependencies follow each other. Then a *state* is a node and whether the walk came to it by an
/// anti-dependency; without it, a state is a node. A cycle of states is a cycle that the rule allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'g> {
    graph: &'g Graph,
    kinds: Kinds,
    separated: bool,
}

impl<'g> View<'g> {
    /// Every walk over edges of `kinds`.
    pub(super) fn any(graph: &'g Graph, kinds: Kinds) -> Self {
        Self { graph, kinds, separated: false }
    }

    /// The walks over edges of `kinds` without two anti-dependencies in a row.
    pub(super) fn separated(graph: &'g Graph, kinds: Kinds) -> Self {
        Self { graph, kinds, separated: true }
    }

    pub(super) fn state_count(&self) -> u32 {
        self.graph.node_count() * if self.separated { 2 } else { 1 }
    }

    /// The node of a state.
    pub(super) fn node(&self, state: u32) -> u32 {
        if self.separated { state / 2 } else { state }
    }

    pub(super) fn is_transaction(&self, state: u32) -> bool {
        self.graph.is_transaction(self.node(state))
    }

    /// Whether an anti-dependency may follow.
    pub(super) fn takes_any_kind(&self, state: u32) -> bool {
        !self.separated || state.is_multiple_of(2)
    }

    /// The number of the first edge of a state.
    pub(super) fn first_edge(&self, state: u32) -> u32 {
        self.graph.edges_of(self.node(state)).start
    }

    /// The next edge of `state` from number `cursor` on, which moves behind it: the state at its end, and its label.
    pub(super) fn next_edge(&self, state: u32, cursor: &mut u32) -> Option<(u32, Label)> {
        let node = self.node(state);
        let end = self.graph.edges_of(node).end;
        debug_assert!(*cursor <= end, "a cursor stays with its node");
        while *cursor < end {
            let (to, label) = self.graph.edge(*cursor);
            *cursor += 1;
            let anti = Kinds::READ_WRITE.contains(label.kind());
            // An auxiliary node lies in the middle of an anti-dependency, which goes on.
            let refused = anti && !self.takes_any_kind(state) && self.graph.is_transaction(node);
            if self.kinds.contains(label.kind()) && !refused {
                return Some((if self.separated { to * 2 + u32::from(anti) } else { to }, label));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::GraphBuilder;
    use super::super::kinds::DependencyKind;
    use super::*;

    #[test]
    fn a_separated_walk_takes_no_two_anti_dependencies_in_a_row() {
        let mut builder = GraphBuilder::new(3);
        let middle = builder.auxiliary_nodes(1);
        builder.edge(0, middle, DependencyKind::ReadWrite, None);
        builder.edge(middle, 1, DependencyKind::ReadWrite, None);
        builder.edge(1, 2, DependencyKind::ReadWrite, None);
        builder.edge(1, 0, DependencyKind::WriteRead, None);
        let graph = builder.finish().unwrap();
        let view = View::separated(&graph, Kinds::READ_WRITE.and(Kinds::WRITE_READ));
        let step = |state: u32| {
            let mut cursor = view.first_edge(state);
            std::iter::from_fn(|| view.next_edge(state, &mut cursor))
                .map(|(to, _)| to)
                .collect::<Vec<_>>()
        };
        assert_eq!(step(0), [middle * 2 + 1]);
        assert_eq!(step(middle * 2 + 1), [3], "the same anti-dependency goes on");
        assert_eq!(step(3), [0], "transaction 1 was reached by an anti-dependency");
        assert_eq!(step(2), [5, 0]);
    }
}
