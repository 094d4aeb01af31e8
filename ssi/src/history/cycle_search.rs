//! Short cycles inside a component.

use std::collections::VecDeque;

use super::components::Components;
use super::cycle::{CycleEdge, is_closed};
use super::kinds::{Kinds, Label};
use super::view::View;

/// The edges that a search of one component looks at before it is content with the shortest cycle so far.
const EDGES_PER_SEARCH: u64 = 2_000_000;

/// The kinds of dependencies that a cycle may consist of.
#[derive(Clone, Copy, Debug)]
pub(super) struct CycleShape {
    /// The dependency out of the first transaction.
    pub(super) first: Kinds,
    /// The others.
    pub(super) middle: Kinds,
    /// The dependency into the first transaction.
    pub(super) last: Kinds,
}

/// Breadth-first search for short cycles, with the memory for one view.
#[derive(Debug)]
pub(super) struct CycleSearch<'g> {
    view: View<'g>,
    /// For each state, the search that reached it last.
    seen: Vec<u32>,
    /// The state and the label that a search came from.
    parent: Vec<(u32, Option<Label>)>,
    /// The number of transactions between the start and each state.
    distance: Vec<u32>,
    searches: u32,
    edges: u64,
}

impl<'g> CycleSearch<'g> {
    pub(super) fn new(view: View<'g>) -> Self {
        let states = view.state_count() as usize;
        let (seen, parent, distance) = (vec![0; states], vec![(0, None); states], vec![0; states]);
        Self { view, seen, parent, distance, searches: 0, edges: 0 }
    }

    /// A cycle of this shape inside a component, in which each dependency begins where the one before it ends.
    ///
    /// It is the one with the fewest transactions, unless the component is so large that the search ends before. `None` if the
    /// component has no such cycle, or none was found before the search ended.
    pub(super) fn shortest(
        &mut self,
        components: &Components,
        component: usize,
        shape: CycleShape,
    ) -> Option<Vec<CycleEdge>> {
        self.edges = 0;
        let mut best: Option<Vec<CycleEdge>> = None;
        for &start in &components.members()[component] {
            if !self.view.is_transaction(start) || !self.view.takes_any_kind(start) {
                continue;
            }
            let limit = best.as_ref().map_or(u32::MAX, |cycle| cycle.len() as u32);
            let inside = |state| components.contains(component, state);
            if let Some(end) = self.search(start, shape, limit, &inside) {
                best = Some(self.cycle(start, end));
            }
            let shortest_possible = best.as_ref().is_some_and(|cycle| cycle.len() == 2);
            if shortest_possible || self.edges > EDGES_PER_SEARCH {
                break;
            }
        }
        best
    }

    /// The state and the label of the last edge of a cycle of fewer than `limit` transactions through `start`.
    fn search(
        &mut self,
        start: u32,
        shape: CycleShape,
        limit: u32,
        inside: &dyn Fn(u32) -> bool,
    ) -> Option<(u32, Label)> {
        self.searches += 1;
        self.seen[start as usize] = self.searches;
        self.distance[start as usize] = 0;
        // States in the order of their distance: a step to an auxiliary node adds nothing, so it goes to the front.
        let mut queue = VecDeque::from([start]);
        while let Some(state) = queue.pop_front() {
            let distance = self.distance[state as usize];
            if distance + 1 >= limit {
                return None;
            }
            let mut cursor = self.view.first_edge(state);
            while let Some((next, label)) = self.view.next_edge(state, &mut cursor) {
                self.edges += 1;
                if next == start {
                    if shape.last.contains(label.kind()) && (state != start) {
                        return Some((state, label));
                    }
                    continue;
                }
                // An auxiliary node continues the dependency that led to it.
                let allowed = !self.view.is_transaction(state)
                    || if state == start { shape.first } else { shape.middle }
                        .contains(label.kind());
                if !allowed || !inside(next) || self.seen[next as usize] == self.searches {
                    continue;
                }
                self.seen[next as usize] = self.searches;
                self.parent[next as usize] = (state, Some(label));
                if self.view.is_transaction(next) {
                    self.distance[next as usize] = distance + 1;
                    queue.push_back(next);
                } else {
                    self.distance[next as usize] = distance;
                    queue.push_front(next);
                }
            }
        }
        None
    }

    /// The cycle of the last search, without its auxiliary nodes.
    fn cycle(&self, start: u32, (last, closing): (u32, Label)) -> Vec<CycleEdge> {
        let mut steps = vec![(start, closing)];
        let mut state = last;
        while state != start {
            let (before, label) = self.parent[state as usize];
            steps.extend(label.map(|label| (state, label)));
            state = before;
        }
        steps.reverse();
        let mut edges = Vec::new();
        let (mut from, mut first): (u32, Option<Label>) = (self.view.node(start), None);
        for (state, label) in steps {
            let label_out = *first.get_or_insert(label);
            if self.view.is_transaction(state) {
                let to = self.view.node(state);
                let key = label.key().or(label_out.key());
                edges.push(CycleEdge::new(from, to, label_out.kind(), key));
                (from, first) = (to, None);
            }
        }
        assert!(is_closed(&edges), "the search ends where it began");
        edges
    }
}
