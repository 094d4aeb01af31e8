//! The strongly connected components of a view: every cycle lies inside one of them.

use super::view::View;

/// The component of a state that lies on no cycle.
const NO_COMPONENT: u32 = u32::MAX;

/// A state that the search has not reached.
const UNSEEN: u32 = u32::MAX;

/// The components with more than one state.
#[derive(Debug)]
pub(super) struct Components {
    of: Vec<u32>,
    members: Vec<Vec<u32>>,
}

impl Components {
    /// Tarjan 1972, with an explicit stack: one pass over all edges.
    pub(super) fn new(view: &View<'_>) -> Self {
        let states = view.state_count() as usize;
        let mut search = Search {
            view,
            order: vec![UNSEEN; states],
            low: vec![0; states],
            visited: 0,
            open: Vec::new(),
            found: Self { of: vec![NO_COMPONENT; states], members: Vec::new() },
        };
        for state in 0..states as u32 {
            if search.order[state as usize] == UNSEEN {
                search.visit_from(state);
            }
        }
        assert!(search.open.is_empty(), "every state belongs to a component");
        search.found
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The states of each component.
    pub(super) fn members(&self) -> &[Vec<u32>] {
        &self.members
    }

    /// Whether `state` lies in this component.
    pub(super) fn contains(&self, component: usize, state: u32) -> bool {
        self.of[state as usize] == component as u32
    }

    /// Whether `state` lies on a cycle.
    pub(super) fn is_cyclic(&self, state: u32) -> bool {
        self.of[state as usize] != NO_COMPONENT
    }
}

struct Search<'v, 'g> {
    view: &'v View<'g>,
    /// When the search reached each state.
    order: Vec<u32>,
    /// The earliest state in `open` that each state reaches; `UNSEEN` once its component is closed.
    low: Vec<u32>,
    visited: u32,
    /// The states whose component is not known yet.
    open: Vec<u32>,
    found: Components,
}

impl Search<'_, '_> {
    fn visit_from(&mut self, root: u32) {
        let mut path = vec![(root, self.enter(root))];
        while let Some((state, cursor)) = path.last_mut() {
            let state = *state;
            match self.view.next_edge(state, cursor) {
                Some((next, _)) if self.order[next as usize] == UNSEEN => {
                    let first = self.enter(next);
                    path.push((next, first));
                }
                // The next state is open, or its component is closed: then its `low` is `UNSEEN`, the largest number.
                Some((next, _)) => self.reach(state, next),
                None => {
                    path.pop();
                    if self.low[state as usize] == self.order[state as usize] {
                        self.close(state);
                    }
                    if let Some(&(before, _)) = path.last() {
                        self.reach(before, state);
                    }
                }
            }
        }
    }

    /// Opens `state` and returns the number of its first edge.
    fn enter(&mut self, state: u32) -> u32 {
        debug_assert_eq!(self.order[state as usize], UNSEEN, "each state is entered once");
        self.order[state as usize] = self.visited;
        self.low[state as usize] = self.visited;
        self.visited += 1;
        self.open.push(state);
        self.view.first_edge(state)
    }

    /// `state` reaches all that `next` reaches.
    fn reach(&mut self, state: u32, next: u32) {
        let low = self.low[next as usize];
        self.low[state as usize] = self.low[state as usize].min(low);
    }

    /// The states opened since `root` are a component.
    fn close(&mut self, root: u32) {
        let from = self.open.iter().rposition(|&state| state == root);
        let members = self.open.split_off(from.unwrap_or_default());
        assert_eq!(members.first(), Some(&root), "a root is open until its component closes");
        for &member in &members {
            self.low[member as usize] = UNSEEN;
        }
        if members.len() > 1 {
            let component = self.found.members.len() as u32;
            for &member in &members {
                self.found.of[member as usize] = component;
            }
            self.found.members.push(members);
        }
    }
}
