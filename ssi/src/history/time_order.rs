//! Edges of time: sessions and real time.

use super::graph::GraphBuilder;
use super::kinds::DependencyKind;
use super::model::{History, Outcome};

/// Adds an edge from each transaction to the next one of its session.
pub(super) fn add_sessions(history: &History, installed: &[bool], graph: &mut GraphBuilder) {
    let mut order: Vec<u32> = counted(history, installed).collect();
    let place = |&index: &u32| {
        let transaction = &history.transactions[index as usize];
        (transaction.session, transaction.begin_event)
    };
    order.sort_unstable_by_key(place);
    for pair in order.windows(2) {
        let [from, to] = [pair[0], pair[1]].map(|index| &history.transactions[index as usize]);
        // A transaction with an unknown outcome can take effect after the next one of its session.
        if from.session == to.session && from.outcome == Outcome::Committed {
            assert!(from.end_event < to.begin_event, "a session runs one transaction at a time");
            graph.edge(pair[0], pair[1], DependencyKind::Session, None);
        }
    }
}

/// Adds a path from each transaction to each one that began after its end.
///
/// One auxiliary node stands for each moment at which a transaction began after another one had ended; the moments form a
/// chain.
pub(super) fn add_real_time(history: &History, installed: &[bool], graph: &mut GraphBuilder) {
    let mut events: Vec<(u64, u32, bool)> = Vec::new();
    for index in counted(history, installed) {
        let transaction = &history.transactions[index as usize];
        events.push((transaction.begin_event, index, true));
        if transaction.outcome == Outcome::Committed {
            events.push((transaction.end_event, index, false));
        }
    }
    events.sort_unstable();
    let mut ended: Vec<u32> = Vec::new();
    let mut moment: Option<u32> = None;
    for (_, transaction, begins) in events {
        if !begins {
            ended.push(transaction);
            continue;
        }
        if !ended.is_empty() {
            let next = graph.auxiliary_nodes(1);
            for before in ended.drain(..).chain(moment) {
                graph.edge(before, next, DependencyKind::RealTime, None);
            }
            moment = Some(next);
        }
        if let Some(moment) = moment {
            graph.edge(moment, transaction, DependencyKind::RealTime, None);
        }
    }
}

/// The transactions that the graph is about.
fn counted(history: &History, installed: &[bool]) -> impl Iterator<Item = u32> {
    assert_eq!(installed.len(), history.transactions.len(), "one flag for each transaction");
    (0..installed.len() as u32).filter(|&index| installed[index as usize])
}
