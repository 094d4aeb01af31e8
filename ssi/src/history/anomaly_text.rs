//! Anomalies and dependencies in words.

use std::fmt;

use super::anomaly::{
    Anomaly, AnomalyKind, BadRead, Dependency, Evidence, TimeOrder, TransactionRef,
};
use super::kinds::DependencyKind;

impl DependencyKind {
    /// The field's abbreviation.
    pub(super) fn short(self) -> &'static str {
        match self {
            Self::WriteWrite => "ww",
            Self::WriteRead => "wr",
            Self::ReadWrite => "rw",
            Self::PredicateWriteRead => "predicate wr",
            Self::PredicateReadWrite => "predicate rw",
            Self::Session => "session",
            Self::RealTime => "real time",
        }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), self.kind.meaning())?;
        match &self.evidence {
            Evidence::Cycle(edges) => edges.iter().try_for_each(|edge| write!(f, "\n  {edge}")),
            Evidence::Read(read) => write!(f, "\n  {read}"),
        }
    }
}

impl AnomalyKind {
    /// One clause for people who do not know the name.
    fn meaning(self) -> &'static str {
        match self {
            Self::G0 => "transactions overwrote each other in a cycle",
            Self::G1a => "a committed transaction read a value that was not committed",
            Self::G1b => "a transaction read a value that its writer overwrote",
            Self::G1c => {
                "each transaction saw or overwrote writes of the one before it, in a cycle"
            }
            Self::Internal => "a transaction did not read its own last write",
            Self::UnwrittenRead => "a transaction read a value that nobody wrote",
            Self::IncompatibleOrder => "two reads show one list in different orders",
            Self::LostUpdate => "a transaction overwrote an update that it had not seen",
            Self::GSingle => {
                "a transaction saw a part of another one and missed a part (read skew)"
            }
            Self::LongFork => "two transactions saw two writes in opposite orders",
            Self::GNonadjacent => "transactions saw writes in different orders",
            Self::G2Item => "each transaction missed a write of the next one (write skew)",
            Self::G2 => {
                "each transaction missed a write of the next one, one in a scan (write skew)"
            }
        }
    }
}

impl fmt::Display for AnomalyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::G0 => "G0",
            Self::G1a => "G1a",
            Self::G1b => "G1b",
            Self::G1c => "G1c",
            Self::Internal => "internal",
            Self::UnwrittenRead => "unwritten read",
            Self::IncompatibleOrder => "incompatible order",
            Self::LostUpdate => "lost update",
            Self::GSingle => "G-single",
            Self::LongFork => "long fork",
            Self::GNonadjacent => "G-nonadjacent",
            Self::G2Item => "G2-item",
            Self::G2 => "G2",
        })
    }
}

impl fmt::Display for TimeOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Session => "session order",
            Self::RealTime => "real time",
        })
    }
}

impl fmt::Display for TransactionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "transaction {}", self.number)
    }
}

/// A write of a value, or a delete.
struct ShownWrite<'w>(&'w str, Option<&'w str>);

impl fmt::Display for ShownWrite<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(key, Some("null")) => write!(f, "deleted {key:?}"),
            Self(key, Some(value)) => write!(f, "wrote {key:?} = {value}"),
            Self(key, None) => write!(f, "wrote {key:?}"),
        }
    }
}

/// A read of a value, or of none.
struct ShownRead<'r>(&'r str, Option<&'r str>);

impl fmt::Display for ShownRead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(key, Some("null")) => write!(f, "read no {key:?}"),
            Self(key, Some(value)) => write!(f, "read {key:?} = {value}"),
            Self(key, None) => write!(f, "read {key:?}"),
        }
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, .. } = self;
        let key = self.key.as_deref().unwrap_or_default();
        let range = self.range.as_deref().unwrap_or("a range");
        let (first, second) = (self.from_value.as_deref(), self.to_value.as_deref());
        match self.kind {
            DependencyKind::WriteWrite => {
                write!(
                    f,
                    "{from} {} before {to} {}",
                    ShownWrite(key, first),
                    ShownWrite(key, second)
                )
            }
            DependencyKind::WriteRead => {
                write!(f, "{from} {}, and {to} read it", ShownWrite(key, first))
            }
            DependencyKind::ReadWrite => {
                write!(
                    f,
                    "{from} {} before {to} {}",
                    ShownRead(key, first),
                    ShownWrite(key, second)
                )
            }
            DependencyKind::PredicateWriteRead => {
                write!(f, "{from} deleted {key:?} before {to} scanned {range} without it")
            }
            DependencyKind::PredicateReadWrite => {
                let write = ShownWrite(key, second);
                write!(f, "{from} scanned {range} without {key:?} before {to} {write}")
            }
            DependencyKind::Session => {
                write!(f, "{from} came before {to} in session {}", from.session)
            }
            DependencyKind::RealTime => {
                let (end, begin) = (from.end_event, to.begin_event);
                write!(f, "{from} ended (event {end}) before {to} began (event {begin})")
            }
        }
    }
}

impl fmt::Display for BadRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.reader, ShownRead(&self.key, Some(&self.value)))?;
        match (self.other, &self.expected) {
            (_, Some(expected)) => write!(f, " after it had written {expected}"),
            (Some(other), None) => write!(f, "; compare {other}"),
            (None, None) => Ok(()),
        }
    }
}
