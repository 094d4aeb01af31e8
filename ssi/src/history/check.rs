//! The check of a history: tables, graph, components, cycles.

use kv::Result;

use super::anomaly::AnomalyKind;
use super::components::Components;
use super::cycle::{CycleEdge, classify};
use super::cycle_search::{CycleSearch, CycleShape};
use super::dependencies::{Dependencies, Tables};
use super::explain::{explain_cycle, explain_fault};
use super::graph::Graph;
use super::installed::installed;
use super::kinds::Kinds;
use super::level::IsolationLevel;
use super::list_reads::list_faults;
use super::model::History;
use super::placement::Placement;
use super::report::Report;
use super::time_order;
use super::version_order;
use super::versions::VersionTable;
use super::view::View;
use super::write_index::WriteIndex;

/// Dependencies of a read on a committed write, and of writes on each other.
const FLOW: Kinds = Kinds::WRITE_WRITE.and(Kinds::WRITE_READ);
/// All dependencies that operations show.
const OPERATIONS: Kinds = FLOW.and(Kinds::READ_WRITE);
/// All dependencies.
const ALL: Kinds = OPERATIONS.and(Kinds::TIME);

const ANY_CYCLE: CycleShape = CycleShape { first: ALL, middle: ALL, last: ALL };

/// Judges a history by every isolation level.
///
/// The time is about linear in the size of the history: one sort of its writes and one of its reads, and one pass over the
/// dependency graph for each level. The search for the shortest cycle of a large component ends after some million steps;
/// which levels hold does not depend on it.
///
/// # Errors
/// `InvalidArgument` for a history that contradicts itself: a key that transactions both write and append to, two
/// transactions with the same commit number for one key, or the same element in one list. Also for more than 2^32
/// dependencies.
pub fn check(history: &History) -> Result<Report> {
    let writes = WriteIndex::new(history);
    let installed = installed(history, &writes);
    let placement = Placement::new(history, &writes)?;
    let mut versions = VersionTable::new(history, &writes, &installed, &placement)?;
    let successors = version_order::successors(history, &writes, &versions, &placement);
    versions.set_successors(successors);
    let tables = Tables { history, writes: &writes, installed: &installed, versions: &versions };
    let mut dependencies = Dependencies::new(tables);
    time_order::add_sessions(history, &installed, &mut dependencies.graph);
    time_order::add_real_time(history, &installed, &mut dependencies.graph);

    let mut report = Report {
        transactions: history.transactions.len(),
        installed: installed.iter().filter(|installed| **installed).count(),
        unordered_keys: versions.unordered_count(),
        ..Report::default()
    };
    let list_faults = list_faults(history, &writes, &installed);
    for fault in dependencies.faults.iter().chain(&list_faults) {
        if report.explains(fault.kind, None) {
            report.add(explain_fault(history, fault));
        } else {
            report.add_unexplained(fault.kind, None);
        }
    }
    for cycle in &dependencies.lost_updates {
        if report.explains(AnomalyKind::LostUpdate, None) {
            report.add(explain_cycle(history, cycle));
        } else {
            report.add_unexplained(AnomalyKind::LostUpdate, None);
        }
    }
    let graph = dependencies.graph.finish()?;
    report.dependencies = graph.edge_count();
    let reported = vec![false; history.transactions.len()];
    Judge { history, graph: &graph, report: &mut report, reported }.judge();
    Ok(report)
}

/// Finds the cycles of the dependency graph.
struct Judge<'h, 'r> {
    history: &'h History,
    graph: &'h Graph,
    report: &'r mut Report,
    /// For each transaction, whether it lies in a component that a cycle was reported of.
    reported: Vec<bool>,
}

impl Judge<'_, '_> {
    fn judge(&mut self) {
        let strict = View::any(self.graph, ALL);
        let strict_components = Components::new(&strict);
        // Every other view is a part of this one: without a cycle here there is none.
        if strict_components.is_empty() {
            return;
        }
        let only = |kinds| CycleShape { first: kinds, middle: kinds, last: kinds };
        self.operations(View::any(self.graph, Kinds::WRITE_WRITE), only(Kinds::WRITE_WRITE));
        let informed = CycleShape { first: Kinds::WRITE_READ, ..only(FLOW) };
        self.operations(View::any(self.graph, FLOW), informed);
        let single = CycleShape { first: Kinds::READ_WRITE, ..only(FLOW) };
        let snapshot = self.operations(View::separated(self.graph, OPERATIONS), single);
        let pivot = CycleShape { middle: OPERATIONS, ..only(Kinds::READ_WRITE) };
        let serial = self.operations(View::any(self.graph, OPERATIONS), pivot);

        let strong = View::separated(self.graph, ALL);
        let strong_components = Components::new(&strong);
        self.time(strong, &strong_components, &|state| snapshot.is_cyclic(state));
        let reported = |node: u32| {
            let states = [2 * node, 2 * node + 1];
            serial.is_cyclic(node) || states.iter().any(|&state| strong_components.is_cyclic(state))
        };
        self.time(strict, &strict_components, &reported);
        self.check_consistency(&snapshot, &serial);
    }

    /// Reports a cycle of `shape` of each component of `view`, which has no edges of time. Returns the components.
    fn operations(&mut self, view: View<'_>, shape: CycleShape) -> Components {
        let components = Components::new(&view);
        if components.is_empty() {
            return components;
        }
        let mut search = CycleSearch::new(view);
        for (component, members) in components.members().iter().enumerate() {
            let found = search.shortest(&components, component, shape);
            // Another cycle of the component breaks the level. It need not be reported if a lower level is broken here.
            let transactions = members.iter().filter(|&&state| view.is_transaction(state));
            let transactions: Vec<usize> =
                transactions.map(|&state| view.node(state) as usize).collect();
            let known = transactions.iter().any(|&transaction| self.reported[transaction]);
            let found = found.or_else(|| {
                if known { None } else { search.shortest(&components, component, ANY_CYCLE) }
            });
            assert!(known || found.is_some(), "every component has a cycle");
            for transaction in transactions {
                self.reported[transaction] = true;
            }
            if let Some(cycle) = found {
                self.report_cycle(&cycle);
            }
        }
        components
    }

    /// Reports a cycle of each component of `view` without a state that is `reported`: its cycles need an order of time.
    fn time(&mut self, view: View<'_>, components: &Components, reported: &dyn Fn(u32) -> bool) {
        if components.is_empty() {
            return;
        }
        let mut search = CycleSearch::new(view);
        for (component, members) in components.members().iter().enumerate() {
            if !members.iter().any(|&state| reported(state)) {
                let cycle = search.shortest(components, component, ANY_CYCLE);
                assert!(cycle.is_some(), "every component has a cycle");
                if let Some(cycle) = cycle {
                    self.report_cycle(&cycle);
                }
            }
        }
    }

    fn report_cycle(&mut self, cycle: &[CycleEdge]) {
        let (kind, order) = classify(cycle);
        let lost_updates_are_known = self.report.count(AnomalyKind::LostUpdate) > 0;
        if kind == AnomalyKind::LostUpdate && order.is_none() && lost_updates_are_known {
            return;
        }
        if self.report.explains(kind, order) {
            self.report.add(explain_cycle(self.history, cycle));
        } else {
            self.report.add_unexplained(kind, order);
        }
    }

    /// The levels that hold are those without a component, whatever the search has named the cycles.
    fn check_consistency(&self, snapshot: &Components, serial: &Components) {
        let holds = |level| self.report.holds(level);
        let broken = !snapshot.is_empty();
        assert!(!broken || !holds(IsolationLevel::SnapshotIsolation), "a cycle is reported");
        let broken = !serial.is_empty();
        assert!(!broken || !holds(IsolationLevel::Serializable), "a cycle is reported");
        assert!(!holds(IsolationLevel::StrictSerializable), "a cycle is reported");
    }
}
