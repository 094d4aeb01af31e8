//! An anomaly as a value, as sentences and as a graph.

use super::kinds::DependencyKind;

/// The name of an anomaly (Adya 1999; Berenson et al. 1995; the names of Elle where those have none).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AnomalyKind {
    /// Dirty write: transactions overwrote each other in a cycle.
    G0,
    /// Aborted read: a committed transaction read a value of one that did not commit.
    G1a,
    /// Intermediate read: a transaction read a value that its writer overwrote before it committed.
    G1b,
    /// Circular information flow: a cycle of writes and of reads of those writes.
    G1c,
    /// A transaction did not read its own write, or read one that it made later.
    Internal,
    /// A transaction read a value that nobody wrote.
    UnwrittenRead,
    /// Two reads of a list show its elements in different orders.
    IncompatibleOrder,
    /// A transaction overwrote an update that it had not read, after it had read an older version (P4).
    LostUpdate,
    /// Read skew: a cycle with one anti-dependency.
    GSingle,
    /// Two transactions see two independent writes in opposite orders.
    LongFork,
    /// A cycle with several anti-dependencies, no two in a row.
    GNonadjacent,
    /// Write skew: a cycle with two anti-dependencies in a row, none of them of a scan.
    G2Item,
    /// Write skew with a phantom: the same, with an anti-dependency of a scan.
    G2,
}

/// An order of time that a cycle contradicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TimeOrder {
    /// The order of the transactions of a session.
    Session,
    /// A transaction ended before another one began.
    RealTime,
}

/// A transaction in a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionRef {
    /// Its name, as the history states it.
    pub number: u64,
    /// The session that ran it.
    pub session: u64,
    /// The event at which it began. Events are numbered from 1.
    pub begin_event: u64,
    /// The event at which it ended.
    pub end_event: u64,
}

/// One dependency of a cycle: `from` comes before `to` in any serial order.
///
/// Its `Display` is a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dependency {
    /// The transaction that comes first.
    pub from: TransactionRef,
    /// The transaction that comes after it.
    pub to: TransactionRef,
    /// The reason.
    pub kind: DependencyKind,
    /// The key that both touched. None for an order of time.
    pub key: Option<String>,
    /// The value that `from` read or wrote, in JSON; `null` for none.
    pub from_value: Option<String>,
    /// The value that `to` read or wrote, in JSON; `null` for none.
    pub to_value: Option<String>,
    /// The range that one of them scanned.
    pub range: Option<String>,
}

/// A read that no order of the transactions explains.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadRead {
    /// The transaction that read.
    pub reader: TransactionRef,
    /// The key.
    pub key: String,
    /// The value that it read, in JSON; `null` for none.
    pub value: String,
    /// The transaction that wrote the value, or whose read of the same list disagrees.
    pub other: Option<TransactionRef>,
    /// The value that the reader itself had written before, in JSON.
    pub expected: Option<String>,
}

/// The transactions and operations that show an anomaly.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evidence {
    /// Dependencies that lead from a transaction back to itself: each begins where the one before it ends.
    Cycle(Vec<Dependency>),
    /// A single read.
    Read(BadRead),
}

/// An anomaly of a history.
///
/// Its `Display` is a headline and a line for each dependency; [`Anomaly::dot`] is the same as a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Anomaly {
    /// The name.
    pub kind: AnomalyKind,
    /// The order of time without which there is no anomaly.
    pub order: Option<TimeOrder>,
    /// The proof.
    pub evidence: Evidence,
}

impl Anomaly {
    pub(super) fn new(kind: AnomalyKind, order: Option<TimeOrder>, evidence: Evidence) -> Self {
        if let Evidence::Cycle(edges) = &evidence {
            assert!(edges.len() > 1, "a cycle has two transactions at least");
        }
        Self { kind, order, evidence }
    }

    /// The transactions that take part, each once.
    pub fn transactions(&self) -> Vec<TransactionRef> {
        let mut all: Vec<TransactionRef> = Vec::new();
        let mut add = |transaction: TransactionRef| {
            if !all.contains(&transaction) {
                all.push(transaction);
            }
        };
        match &self.evidence {
            Evidence::Cycle(edges) => edges.iter().for_each(|edge| add(edge.from)),
            Evidence::Read(read) => {
                add(read.reader);
                read.other.into_iter().for_each(add);
            }
        }
        all
    }

    /// The anomaly as a graph for `dot`: a node for each transaction, an edge for each dependency.
    pub fn dot(&self) -> String {
        let mut lines = vec!["digraph anomaly {".to_string()];
        lines.push(format!("  label = {};", quoted(&self.name())));
        for TransactionRef { number, session, .. } in self.transactions() {
            let label = quoted(&format!("transaction {number}\nsession {session}"));
            lines.push(format!("  t{number} [label = {label}];"));
        }
        match &self.evidence {
            Evidence::Cycle(edges) => {
                for edge in edges {
                    let label = [Some(edge.kind.short()), edge.key.as_deref()];
                    let label = label.into_iter().flatten().collect::<Vec<_>>().join(" ");
                    let (from, to) = (edge.from.number, edge.to.number);
                    lines.push(format!("  t{from} -> t{to} [label = {}];", quoted(&label)));
                }
            }
            Evidence::Read(read) => {
                if let Some(other) = read.other {
                    let label = quoted(&format!("{} = {}", read.key, read.value));
                    let (from, to) = (other.number, read.reader.number);
                    lines.push(format!("  t{from} -> t{to} [label = {label}];"));
                }
            }
        }
        lines.push("}\n".to_string());
        lines.join("\n")
    }

    /// The name, with the order of time.
    pub(super) fn name(&self) -> String {
        match self.order {
            None => self.kind.to_string(),
            Some(order) => format!("{} ({order})", self.kind),
        }
    }
}

/// A text in quotation marks, for `dot`.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}
