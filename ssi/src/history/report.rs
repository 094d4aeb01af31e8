//! The result of a check.

use std::collections::BTreeMap;
use std::fmt;

use super::anomaly::{Anomaly, AnomalyKind, TimeOrder};
use super::level::IsolationLevel;

/// The anomalies of one name that a report explains; the others are counted.
const EXPLAINED: usize = 10;

/// Which isolation levels a history kept, and the anomalies that broke the others.
///
/// Its `Display` is a table of levels and the story of each explained anomaly.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// The transactions of the history.
    pub transactions: usize,
    /// The committed ones, and those of unknown outcome that were seen.
    pub installed: usize,
    /// The edges of the dependency graph.
    pub dependencies: usize,
    /// The keys whose versions have no known order. If there are any, a level that holds is not proved to.
    pub unordered_keys: usize,
    /// Up to ten anomalies of each name, with their proof.
    pub anomalies: Vec<Anomaly>,
    /// How often each anomaly was found. Of cycles that share a transaction in a component of the graph, one counts.
    pub counts: BTreeMap<(AnomalyKind, Option<TimeOrder>), u64>,
}

impl Report {
    /// Whether the history has no anomaly that `level` forbids.
    pub fn holds(&self, level: IsolationLevel) -> bool {
        !self.counts.keys().any(|&(kind, order)| level.forbids(kind, order))
    }

    /// Whether a level that holds is proved: the order of the versions of each key is known.
    pub fn is_proof(&self) -> bool {
        self.unordered_keys == 0
    }

    /// The levels that the history kept.
    pub fn levels(&self) -> Vec<IsolationLevel> {
        IsolationLevel::ALL.into_iter().filter(|&level| self.holds(level)).collect()
    }

    /// How often an anomaly of this kind was found, with or without an order of time.
    pub fn count(&self, kind: AnomalyKind) -> u64 {
        let of_kind = self.counts.iter().filter(|((found, _), _)| *found == kind);
        of_kind.map(|(_, count)| count).sum()
    }

    /// Whether the next anomaly of this name is worth its explanation.
    pub(super) fn explains(&self, kind: AnomalyKind, order: Option<TimeOrder>) -> bool {
        let same = |anomaly: &&Anomaly| (anomaly.kind, anomaly.order) == (kind, order);
        self.anomalies.iter().filter(same).count() < EXPLAINED
    }

    /// Counts an anomaly, and keeps it if few of its name are there.
    pub(super) fn add(&mut self, anomaly: Anomaly) {
        if self.anomalies.contains(&anomaly) {
            return;
        }
        self.add_unexplained(anomaly.kind, anomaly.order);
        if self.explains(anomaly.kind, anomaly.order) {
            self.anomalies.push(anomaly);
        }
    }

    /// Counts an anomaly.
    pub(super) fn add_unexplained(&mut self, kind: AnomalyKind, order: Option<TimeOrder>) {
        *self.counts.entry((kind, order)).or_default() += 1;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (installed, all) = (self.installed, self.transactions);
        writeln!(
            f,
            "{installed} of {all} transactions committed, {} dependencies",
            self.dependencies
        )?;
        for level in IsolationLevel::ALL {
            let broken: Vec<String> = self
                .counts
                .iter()
                .filter(|((kind, order), _)| level.forbids(*kind, *order))
                .map(|((kind, order), count)| match order {
                    None => format!("{count} x {kind}"),
                    Some(order) => format!("{count} x {kind} ({order})"),
                })
                .collect();
            match (broken.is_empty(), self.is_proof()) {
                (true, true) => writeln!(f, "{level:<26} holds")?,
                (true, false) => writeln!(f, "{level:<26} no anomaly found")?,
                (false, _) => writeln!(f, "{level:<26} broken: {}", broken.join(", "))?,
            }
        }
        if !self.is_proof() {
            let keys = self.unordered_keys;
            writeln!(f, "The order of the versions of {keys} keys is not known.")?;
        }
        self.anomalies.iter().try_for_each(|anomaly| writeln!(f, "\n{anomaly}"))
    }
}
