//! Why a transaction lost against another one, as plain data.

use std::fmt;

use crate::{Bytes, KeyRange};

/// Why a transaction could not commit.
///
/// Its `Display` is a story of at most three lines: the rule and the loser, then the dependencies.
///
/// ```
/// use kv::{Access, Conflict, ConflictEdge, ConflictKind, Cycle, KeyRange, Operation};
/// let scanned = Access::new(7, Operation::Scan, KeyRange::prefix(b"room 1/"));
/// let booked = Access::new(9, Operation::Put, b"room 1/monday");
/// let read = Access::new(5, Operation::Get, b"room 2/monday");
/// let wrote = Access::new(7, Operation::Put, b"room 2/monday");
/// let conflict = Conflict::new(ConflictKind::DangerousStructure, 7)
///     .with_pivot(7)
///     .with_edge(ConflictEdge::new(read, wrote))
///     .with_edge(ConflictEdge::new(scanned, booked))
///     .with_cycle(Cycle::Real);
/// assert_eq!(conflict.to_string().lines().collect::<Vec<_>>(), [
///     "conflict: transaction 7 lost, no serial order is certain (pivot 7, the cycle is real); run it again",
///     r#"transaction 5 got "room 2/monday" before transaction 7 put "room 2/monday""#,
///     r#"transaction 7 scanned ["room 1/", "room 10") before transaction 9 put "room 1/monday""#,
/// ]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// The rule that was broken.
    pub kind: ConflictKind,
    /// The transaction that lost.
    pub loser: u64,
    /// The transaction that has a dependency on either side, where the rule knows one.
    pub pivot: Option<u64>,
    /// The dependencies that made the transaction lose: the one into the pivot and the one out of it, or a single one.
    pub edges: Vec<ConflictEdge>,
    /// Whether the dependencies close a cycle.
    pub cycle: Cycle,
}

/// The rule that a losing transaction broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConflictKind {
    /// Another transaction committed a write to a key that this transaction writes (snapshot isolation).
    Write,
    /// Another transaction committed a write to an entry that this transaction read (read-set validation).
    Read,
    /// The transaction is part of a dangerous structure (serializable snapshot isolation).
    DangerousStructure,
}

/// Whether the dependencies of a [`Conflict`] close a cycle, so that no serial order exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Cycle {
    /// Nobody has looked.
    #[default]
    Unchecked,
    /// A cycle exists: no serial order allows this transaction.
    Real,
    /// No cycle exists: the rule was stricter than it had to be.
    Absent,
}

/// One dependency between two transactions of a [`Conflict`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConflictEdge {
    /// The access of the transaction that comes first in any serial order.
    pub from: Access,
    /// The access of the transaction that comes after it.
    pub to: Access,
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Access {
    /// The transaction, as [`Transaction::id`](crate::Transaction::id) names it. 0: a writer that the engine does not
    /// know any more.
    pub transaction: u64,
    /// The kind of operation.
    pub operation: Operation,
    /// The key or the range that it did it to.
    pub target: Target,
}

/// A kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// A read of one key.
    Get,
    /// A read of a range.
    Scan,
    /// A write of one key.
    Put,
    /// A delete of one key.
    Delete,
    /// A mark on one key, which counts as a write of it.
    Mark,
}

/// The object of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// One key.
    Key(Bytes),
    /// The part of a range that was really read.
    Range(KeyRange),
}

impl Conflict {
    /// A conflict without details.
    pub fn new(kind: ConflictKind, loser: u64) -> Self {
        Self { kind, loser, pivot: None, edges: Vec::new(), cycle: Cycle::Unchecked }
    }

    /// Names the pivot.
    #[must_use]
    pub fn with_pivot(mut self, transaction: u64) -> Self {
        self.pivot = Some(transaction);
        self
    }

    /// Adds a dependency.
    #[must_use]
    pub fn with_edge(mut self, edge: ConflictEdge) -> Self {
        self.edges.push(edge);
        self
    }

    /// Says whether the dependencies close a cycle.
    #[must_use]
    pub fn with_cycle(mut self, cycle: Cycle) -> Self {
        self.cycle = cycle;
        self
    }

    /// The transactions that took part and are known, the loser first, each once.
    pub fn transactions(&self) -> Vec<u64> {
        let mut transactions = vec![self.loser];
        let ends = self.edges.iter().flat_map(|edge| [edge.from.transaction, edge.to.transaction]);
        for transaction in self.pivot.into_iter().chain(ends) {
            if transaction != 0 && !transactions.contains(&transaction) {
                transactions.push(transaction);
            }
        }
        transactions
    }
}

impl ConflictEdge {
    /// `from` comes before `to` in any serial order.
    pub fn new(from: Access, to: Access) -> Self {
        Self { from, to }
    }
}

impl Access {
    /// `operation` of `transaction` on a key or a range.
    pub fn new(transaction: u64, operation: Operation, target: impl Into<Target>) -> Self {
        Self { transaction, operation, target: target.into() }
    }
}

impl From<&[u8]> for Target {
    fn from(key: &[u8]) -> Self {
        Self::Key(Bytes::copy_from_slice(key))
    }
}

impl<const LEN: usize> From<&[u8; LEN]> for Target {
    fn from(key: &[u8; LEN]) -> Self {
        Self::from(&key[..])
    }
}

impl From<Bytes> for Target {
    fn from(key: Bytes) -> Self {
        Self::Key(key)
    }
}

impl From<KeyRange> for Target {
    fn from(range: KeyRange) -> Self {
        Self::Range(range)
    }
}

/// The dependencies that fit into the story.
const TOLD_EDGES: usize = 2;

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = match self.kind {
            ConflictKind::Write => "another transaction wrote first",
            ConflictKind::Read => "an entry that it read was overwritten",
            ConflictKind::DangerousStructure => "no serial order is certain",
        };
        write!(f, "conflict: transaction {} lost, {rule}", self.loser)?;
        let pivot = self.pivot.map(|pivot| format!("pivot {pivot}"));
        let cycle = match self.cycle {
            Cycle::Unchecked => None,
            Cycle::Real => Some("the cycle is real".to_string()),
            Cycle::Absent => Some("no cycle exists".to_string()),
        };
        let untold = self.edges.len().saturating_sub(TOLD_EDGES);
        let more = (untold > 0).then(|| format!("{untold} more dependencies"));
        let details: Vec<String> = [pivot, cycle, more].into_iter().flatten().collect();
        if !details.is_empty() {
            write!(f, " ({})", details.join(", "))?;
        }
        f.write_str("; run it again")?;
        self.edges.iter().take(TOLD_EDGES).try_for_each(|edge| write!(f, "\n{edge}"))
    }
}

impl fmt::Display for ConflictEdge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} before {}", self.from, self.to)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.transaction {
            0 => f.write_str("another writer")?,
            transaction => write!(f, "transaction {transaction}")?,
        }
        write!(f, " {} {}", self.operation, self.target)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "got",
            Self::Scan => "scanned",
            Self::Put => "put",
            Self::Delete => "deleted",
            Self::Mark => "marked",
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => crate::key_range::ShownKey(key).fmt(f),
            Self::Range(range) => range.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: u64, to: u64) -> ConflictEdge {
        let read = Access::new(from, Operation::Scan, KeyRange::all());
        ConflictEdge::new(read, Access::new(to, Operation::Delete, b"line\nbreak"))
    }

    #[test]
    fn the_story_has_at_most_three_lines_whatever_the_keys_and_the_edges() {
        let mut conflict = Conflict::new(ConflictKind::Read, 3).with_cycle(Cycle::Absent);
        assert_eq!(
            conflict.to_string(),
            "conflict: transaction 3 lost, an entry that it read was overwritten (no cycle exists); run it again"
        );
        for other in 10..15 {
            conflict = conflict.with_edge(edge(other, 3));
        }
        let story = conflict.to_string();
        assert_eq!(story.lines().count(), 3, "{story}");
        assert!(story.contains("3 more dependencies") && story.contains(r"line\nbreak"), "{story}");
    }

    #[test]
    fn a_long_key_is_cut_in_the_story() {
        let access = Access::new(1, Operation::Get, &vec![b'k'; 65_535][..]);
        assert!(access.to_string().len() < 150, "{access}");
    }

    #[test]
    fn a_writer_that_the_engine_no_longer_knows_has_no_number() {
        let forgotten = Access::new(0, Operation::Put, b"k");
        let edge = ConflictEdge::new(forgotten, Access::new(4, Operation::Mark, b"k"));
        let conflict = Conflict::new(ConflictKind::Write, 4).with_edge(edge);
        assert_eq!(conflict.transactions(), [4]);
        let story = conflict.to_string();
        assert!(
            story.ends_with(r#"another writer put "k" before transaction 4 marked "k""#),
            "{story}"
        );
    }

    #[test]
    fn each_transaction_is_named_once_and_the_loser_first() {
        let conflict = Conflict::new(ConflictKind::DangerousStructure, 2).with_pivot(5);
        let conflict = conflict.with_edge(edge(2, 5)).with_edge(edge(5, 9));
        assert_eq!(conflict.transactions(), [2, 5, 9]);
    }
}
