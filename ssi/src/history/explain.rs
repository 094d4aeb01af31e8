//! From numbers to names: the values and ranges behind a dependency.

use super::anomaly::{Anomaly, BadRead, Dependency, Evidence, TransactionRef};
use super::cycle::{CycleEdge, classify};
use super::kinds::DependencyKind;
use super::model::{History, KeyId, RecordedOperation, ValueId};
use super::observation::{Observation, Observer};
use super::read_fault::ReadFault;

/// The anomaly that a cycle is.
pub(super) fn explain_cycle(history: &History, edges: &[CycleEdge]) -> Anomaly {
    let (kind, order) = classify(edges);
    let edges = edges.iter().map(|edge| explain_edge(history, edge)).collect();
    Anomaly::new(kind, order, Evidence::Cycle(edges))
}

/// The anomaly that a read is.
pub(super) fn explain_fault(history: &History, fault: &ReadFault) -> Anomaly {
    let read = BadRead {
        reader: transaction(history, fault.reader),
        key: history.key_text(fault.key).to_string(),
        value: history.value_text(fault.value).to_string(),
        other: fault.other.map(|other| transaction(history, other)),
        expected: fault.expected.map(|value| history.value_text(value).to_string()),
    };
    Anomaly::new(fault.kind, None, Evidence::Read(read))
}

fn transaction(history: &History, index: u32) -> TransactionRef {
    let recorded = &history.transactions[index as usize];
    TransactionRef {
        number: recorded.number,
        session: recorded.session,
        begin_event: recorded.begin_event,
        end_event: recorded.end_event,
    }
}

fn explain_edge(history: &History, edge: &CycleEdge) -> Dependency {
    let text = |value: Option<ValueId>| value.map(|value| history.value_text(value).to_string());
    let written = |index| edge.key.and_then(|key| last_write(history, index, key));
    let read = |index| edge.key.and_then(|key| first_read(history, index, key));
    let missed = |index| edge.key.and_then(|key| scan_without(history, index, key));
    let (from_value, to_value, range) = match edge.kind {
        DependencyKind::WriteWrite => (written(edge.from), written(edge.to), None),
        DependencyKind::WriteRead => (written(edge.from), written(edge.from), None),
        DependencyKind::ReadWrite => (read(edge.from), written(edge.to), None),
        DependencyKind::PredicateWriteRead => (written(edge.from), None, missed(edge.to)),
        DependencyKind::PredicateReadWrite => (None, written(edge.to), missed(edge.from)),
        DependencyKind::Session | DependencyKind::RealTime => (None, None, None),
    };
    Dependency {
        from: transaction(history, edge.from),
        to: transaction(history, edge.to),
        kind: edge.kind,
        key: edge.key.map(|key| history.key_text(key).to_string()),
        from_value: text(from_value),
        to_value: text(to_value),
        range,
    }
}

fn last_write(history: &History, index: u32, key: KeyId) -> Option<ValueId> {
    history.operations_of(index as usize).iter().rev().find_map(|operation| match *operation {
        RecordedOperation::Write { key: written, value }
        | RecordedOperation::Append { key: written, value }
            if written == key =>
        {
            Some(value)
        }
        _ => None,
    })
}

fn first_read(history: &History, index: u32, key: KeyId) -> Option<ValueId> {
    let mut first = None;
    Observer::default().replay(history, index as usize, &mut |observation| {
        if let Observation::Value { key: read, value } = observation
            && read == key
        {
            first = first.or(Some(value));
        }
    });
    first
}

/// The range of the first scan that covers `key` and did not find it.
fn scan_without(history: &History, index: u32, key: KeyId) -> Option<String> {
    history.operations_of(index as usize).iter().find_map(|operation| match *operation {
        RecordedOperation::Scan { bounds, first, len } => {
            let bounds = &history.ranges[bounds as usize];
            let found = history.scan_entries(first, len).iter().any(|&(found, _)| found == key);
            (bounds.contains(history.key_text(key)) && !found).then(|| bounds.to_string())
        }
        _ => None,
    })
}
