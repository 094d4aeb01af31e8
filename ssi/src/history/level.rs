//! Isolation levels and the anomalies that each forbids.

use std::fmt;

use super::anomaly::{AnomalyKind, TimeOrder};

/// An isolation level.
///
/// | level | forbids |
/// |---|---|
/// | [`ReadCommitted`](Self::ReadCommitted) | G0, G1a, G1b, G1c, and reads that no execution explains (Adya's PL-2) |
/// | [`SnapshotIsolation`](Self::SnapshotIsolation) | these, lost updates, and every cycle without two anti-dependencies in a row: G-single, long fork, G-nonadjacent (Cerone and Gotsman 2016) |
/// | [`StrongSnapshotIsolation`](Self::StrongSnapshotIsolation) | the same, with the order of sessions and of real time: a snapshot is never stale |
/// | [`Serializable`](Self::Serializable) | every cycle: the anomalies of snapshot isolation, G2-item, G2 (Adya's PL-3) |
/// | [`StrictSerializable`](Self::StrictSerializable) | every cycle with the order of sessions and of real time |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum IsolationLevel {
    /// Transactions see committed data, perhaps of different moments.
    ReadCommitted,
    /// Each transaction reads one snapshot, and of two that write a key at the same time one fails.
    SnapshotIsolation,
    /// Snapshot isolation in which a snapshot holds every transaction that ended before.
    StrongSnapshotIsolation,
    /// The transactions have the same effect as in some serial order.
    Serializable,
    /// The same, and the serial order is that of real time where transactions do not overlap.
    StrictSerializable,
}

/// The lowest level that forbids an anomaly without time order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    ReadCommitted,
    Snapshot,
    Serial,
}

impl IsolationLevel {
    /// All levels, the weakest first.
    pub const ALL: [Self; 5] = [
        Self::ReadCommitted,
        Self::SnapshotIsolation,
        Self::StrongSnapshotIsolation,
        Self::Serializable,
        Self::StrictSerializable,
    ];

    /// Whether an anomaly of `kind` breaks the level. `order` is the time order that the anomaly contradicts, if any.
    pub fn forbids(self, kind: AnomalyKind, order: Option<TimeOrder>) -> bool {
        let severity = severity(kind);
        match (self, order) {
            (Self::ReadCommitted, None) => severity == Severity::ReadCommitted,
            (Self::SnapshotIsolation, None) | (Self::StrongSnapshotIsolation, _) => {
                severity <= Severity::Snapshot
            }
            (Self::Serializable, None) | (Self::StrictSerializable, _) => true,
            // The other levels know no time.
            (Self::ReadCommitted | Self::SnapshotIsolation | Self::Serializable, Some(_)) => false,
        }
    }
}

fn severity(kind: AnomalyKind) -> Severity {
    match kind {
        AnomalyKind::G0
        | AnomalyKind::G1a
        | AnomalyKind::G1b
        | AnomalyKind::G1c
        | AnomalyKind::Internal
        | AnomalyKind::UnwrittenRead
        | AnomalyKind::IncompatibleOrder => Severity::ReadCommitted,
        AnomalyKind::LostUpdate
        | AnomalyKind::GSingle
        | AnomalyKind::LongFork
        | AnomalyKind::GNonadjacent => Severity::Snapshot,
        AnomalyKind::G2Item | AnomalyKind::G2 => Severity::Serial,
    }
}

impl fmt::Display for IsolationLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ReadCommitted => "read committed",
            Self::SnapshotIsolation => "snapshot isolation",
            Self::StrongSnapshotIsolation => "strong snapshot isolation",
            Self::Serializable => "serializable",
            Self::StrictSerializable => "strict serializable",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_skew_breaks_serializability_only() {
        let broken = |kind, order| {
            IsolationLevel::ALL.map(|level| IsolationLevel::forbids(level, kind, order))
        };
        assert_eq!(broken(AnomalyKind::G2Item, None), [false, false, false, true, true]);
        assert_eq!(broken(AnomalyKind::GSingle, None), [false, true, true, true, true]);
        assert_eq!(broken(AnomalyKind::G1c, None), [true; 5]);
    }

    #[test]
    fn a_contradiction_to_real_time_breaks_the_levels_that_know_time() {
        let broken = |kind| {
            let order = Some(TimeOrder::RealTime);
            IsolationLevel::ALL.map(|level| IsolationLevel::forbids(level, kind, order))
        };
        assert_eq!(broken(AnomalyKind::GSingle), [false, false, true, false, true]);
        assert_eq!(broken(AnomalyKind::G2), [false, false, false, false, true]);
    }
}
