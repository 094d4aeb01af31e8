//! A cycle of dependencies and the name of its anomaly.

use super::anomaly::{AnomalyKind, TimeOrder};
use super::kinds::{DependencyKind, Kinds};
use super::model::KeyId;

/// One dependency of a cycle, between transactions by their index in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CycleEdge {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) kind: DependencyKind,
    pub(super) key: Option<KeyId>,
}

impl CycleEdge {
    pub(super) fn new(from: u32, to: u32, kind: DependencyKind, key: Option<KeyId>) -> Self {
        Self { from, to, kind, key }
    }

    fn is_anti(self) -> bool {
        Kinds::READ_WRITE.contains(self.kind)
    }
}

/// Whether each edge begins where the one before it ends.
pub(super) fn is_closed(edges: &[CycleEdge]) -> bool {
    let next = edges.iter().cycle().skip(1);
    edges.len() > 1 && edges.iter().zip(next).all(|(edge, next)| edge.to == next.from)
}

/// The most specific name of the anomaly that a cycle is (Adya 1999, chapters 3 and 4), and the time order that it needs.
pub(super) fn classify(edges: &[CycleEdge]) -> (AnomalyKind, Option<TimeOrder>) {
    assert!(is_closed(edges), "a cycle comes back to its first transaction");
    let has = |kind: DependencyKind| edges.iter().any(|edge| edge.kind == kind);
    let order = if has(DependencyKind::RealTime) {
        Some(TimeOrder::RealTime)
    } else {
        has(DependencyKind::Session).then_some(TimeOrder::Session)
    };
    let anti = edges.iter().filter(|edge| edge.is_anti()).count();
    let reads = edges.iter().any(|edge| Kinds::WRITE_READ.contains(edge.kind));
    let kind = match anti {
        0 if reads => AnomalyKind::G1c,
        0 => AnomalyKind::G0,
        1 if is_lost_update(edges) => AnomalyKind::LostUpdate,
        1 => AnomalyKind::GSingle,
        2 if is_mutual_update(edges) => AnomalyKind::LostUpdate,
        _ if !has_adjacent_anti_dependencies(edges) && is_long_fork(edges) => AnomalyKind::LongFork,
        _ if !has_adjacent_anti_dependencies(edges) => AnomalyKind::GNonadjacent,
        _ if has(DependencyKind::PredicateReadWrite) => AnomalyKind::G2,
        _ => AnomalyKind::G2Item,
    };
    (kind, order)
}

fn has_adjacent_anti_dependencies(edges: &[CycleEdge]) -> bool {
    let next = edges.iter().cycle().skip(1);
    edges.iter().zip(next).any(|(edge, next)| edge.is_anti() && next.is_anti())
}

/// A read of a key, another transaction's write of it, and the reader's own write over that one.
fn is_lost_update(edges: &[CycleEdge]) -> bool {
    let Some(read) = edges.iter().find(|edge| edge.is_anti()) else { return false };
    let overwrites =
        |edge: &CycleEdge| edge.kind == DependencyKind::WriteWrite && edge.key == read.key;
    edges.iter().all(|edge| edge == read || overwrites(edge))
}

/// Two transactions read and wrote the same key, and neither saw the write of the other.
fn is_mutual_update(edges: &[CycleEdge]) -> bool {
    edges.len() == 2 && edges.iter().all(|edge| edge.is_anti() && edge.key == edges[0].key)
}

/// Two readers see two writes in opposite orders: write, read, write, read.
fn is_long_fork(edges: &[CycleEdge]) -> bool {
    edges.len() == 4
        && edges.iter().filter(|edge| edge.is_anti()).count() == 2
        && edges.iter().filter(|edge| Kinds::WRITE_READ.contains(edge.kind)).count() == 2
}

#[cfg(test)]
mod tests {
    use DependencyKind::{PredicateReadWrite, ReadWrite, RealTime, Session, WriteRead, WriteWrite};

    use super::*;

    fn name(kinds: &[DependencyKind]) -> (AnomalyKind, Option<TimeOrder>) {
        let edge = |(from, &kind): (usize, &DependencyKind)| {
            CycleEdge::new(
                from as u32,
                ((from + 1) % kinds.len()) as u32,
                kind,
                Some(KeyId(from as u32)),
            )
        };
        classify(&kinds.iter().enumerate().map(edge).collect::<Vec<_>>())
    }

    #[test]
    fn a_cycle_has_the_most_specific_name() {
        let cases: [(&[DependencyKind], AnomalyKind); 9] = [
            (&[WriteWrite, WriteWrite], AnomalyKind::G0),
            (&[WriteWrite, WriteRead], AnomalyKind::G1c),
            (&[WriteWrite, ReadWrite], AnomalyKind::GSingle),
            (&[WriteRead, PredicateReadWrite], AnomalyKind::GSingle),
            (&[ReadWrite, WriteRead, ReadWrite, WriteRead], AnomalyKind::LongFork),
            (&[ReadWrite, WriteWrite, ReadWrite, WriteRead], AnomalyKind::GNonadjacent),
            (&[ReadWrite, ReadWrite], AnomalyKind::G2Item),
            (&[ReadWrite, WriteRead, ReadWrite], AnomalyKind::G2Item),
            (&[ReadWrite, PredicateReadWrite, WriteRead], AnomalyKind::G2),
        ];
        for (kinds, expected) in cases {
            assert_eq!(name(kinds), (expected, None), "{kinds:?}");
        }
    }

    #[test]
    fn a_cycle_names_the_time_order_that_it_needs() {
        assert_eq!(name(&[ReadWrite, RealTime]), (AnomalyKind::GSingle, Some(TimeOrder::RealTime)));
        assert_eq!(name(&[WriteRead, Session]), (AnomalyKind::G1c, Some(TimeOrder::Session)));
    }

    #[test]
    fn a_lost_update_stays_on_one_key() {
        let edge = |from, to, kind, key| CycleEdge::new(from, to, kind, Some(KeyId(key)));
        let lost = [edge(0, 1, ReadWrite, 7), edge(1, 0, WriteWrite, 7)];
        assert_eq!(classify(&lost), (AnomalyKind::LostUpdate, None));
        let skewed = [edge(0, 1, ReadWrite, 7), edge(1, 0, WriteWrite, 8)];
        assert_eq!(classify(&skewed), (AnomalyKind::GSingle, None));
    }
}
