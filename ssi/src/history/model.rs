//! A recorded history in memory: flat tables, about 16 bytes an operation.

use std::fmt;
use std::ops::Range;

use super::text_table::TextTable;

/// A key of a history, by its number in the table of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct KeyId(pub(super) u32);

/// A value of a history, by its number in the table of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ValueId(pub(super) u32);

/// The "value" of a key that has none. Reading it is reading that the key is absent, writing it is deleting the key.
pub(super) const ABSENT: ValueId = ValueId(0);

/// The end of a transaction, as its client saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The store acknowledged the commit.
    Committed,
    /// The store refused the commit, or the client rolled back: no write of the transaction may be visible.
    Aborted,
    /// The client does not know, because the process or the connection died: the writes are there, whole, or not there.
    Unknown,
}

/// A key or a value: an integer or a text. The integer `5` and the text `"5"` are the same key, and two different values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// An integer.
    Integer(i64),
    /// A text.
    Text(String),
}

/// One operation of a recorded transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A read of one key. The value is `None` if the key was absent.
    Read(Scalar, Option<Scalar>),
    /// A write of one key. The value is `None` if the transaction deleted the key.
    Write(Scalar, Option<Scalar>),
    /// A read of a key whose value is a list that transactions append to.
    ReadList(Scalar, Vec<Scalar>),
    /// An append of one element to the list of a key.
    Append(Scalar, Scalar),
    /// A read of all keys from the first bound (included) to the second (excluded), with every entry that was found. Keys have
    /// the byte order of their texts. A bound that is `None` is open.
    Scan(Option<String>, Option<String>, Vec<(Scalar, Scalar)>),
}

/// The transactions of a store as their clients saw them: [`check`](super::check) takes it.
///
/// [`HistoryBuilder`](super::HistoryBuilder) records one, [`read`](super::read) reads one from a file.
pub struct History {
    pub(super) keys: TextTable,
    /// Values in canonical JSON. Number 0 is [`ABSENT`].
    pub(super) values: TextTable,
    pub(super) transactions: Vec<RecordedTransaction>,
    pub(super) operations: Vec<RecordedOperation>,
    /// The elements of all lists that were read.
    pub(super) elements: Vec<ValueId>,
    /// The entries of all scans.
    pub(super) entries: Vec<(KeyId, ValueId)>,
    /// The bounds of all scans.
    pub(super) ranges: Vec<ScanBounds>,
}

/// The bounds of a scan: the first is included, the second is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScanBounds {
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct RecordedTransaction {
    /// The name of the transaction in reports.
    pub(super) number: u64,
    pub(super) session: u64,
    pub(super) outcome: Outcome,
    pub(super) read_only: bool,
    /// The newest commit that the transaction sees, as the store claims.
    pub(super) snapshot: Option<u64>,
    /// The place of the transaction in the order of all commits, as the store claims.
    pub(super) commit: Option<u64>,
    /// The event of its first call. Events are numbered from 1.
    pub(super) begin_event: u64,
    /// The event of its end.
    pub(super) end_event: u64,
    /// Its part of [`History::operations`].
    pub(super) operations: Range<usize>,
}

/// An [`Operation`] with numbers instead of texts.
#[derive(Clone, Copy, Debug)]
pub(super) enum RecordedOperation {
    Read {
        key: KeyId,
        value: ValueId,
    },
    Write {
        key: KeyId,
        value: ValueId,
    },
    /// `len` elements of [`History::elements`] from `first`.
    ReadList {
        key: KeyId,
        first: u32,
        len: u32,
    },
    Append {
        key: KeyId,
        value: ValueId,
    },
    /// `len` entries of [`History::entries`] from `first`; `bounds` is an index of [`History::ranges`].
    Scan {
        bounds: u32,
        first: u32,
        len: u32,
    },
}

impl History {
    pub(super) fn new() -> Self {
        let mut values = TextTable::new();
        let absent = values.intern("null");
        assert_eq!(absent, Some(ABSENT.0), "the first value of the table stands for absence");
        Self {
            keys: TextTable::new(),
            values,
            transactions: Vec::new(),
            operations: Vec::new(),
            elements: Vec::new(),
            entries: Vec::new(),
            ranges: Vec::new(),
        }
    }

    /// The number of transactions, whatever their outcome.
    pub fn transaction_count(&self) -> usize {
        self.transactions.len()
    }

    /// The number of operations of all transactions.
    pub fn operation_count(&self) -> usize {
        self.operations.len()
    }

    /// The number of transactions with this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.transactions.iter().filter(|transaction| transaction.outcome == outcome).count()
    }

    pub(super) fn operations_of(&self, transaction: usize) -> &[RecordedOperation] {
        &self.operations[self.transactions[transaction].operations.clone()]
    }

    pub(super) fn list(&self, first: u32, len: u32) -> &[ValueId] {
        &self.elements[first as usize..][..len as usize]
    }

    pub(super) fn scan_entries(&self, first: u32, len: u32) -> &[(KeyId, ValueId)] {
        &self.entries[first as usize..][..len as usize]
    }

    pub(super) fn key_text(&self, key: KeyId) -> &str {
        self.keys.get(key.0)
    }

    pub(super) fn value_text(&self, value: ValueId) -> &str {
        self.values.get(value.0)
    }
}

/// The counts only: a history can have millions of operations.
impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History")
            .field("transactions", &self.transactions.len())
            .field("operations", &self.operations.len())
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

impl ScanBounds {
    /// Whether the key with this text lies between the bounds.
    pub(super) fn contains(&self, key: &str) -> bool {
        self.from.as_deref().is_none_or(|from| from <= key)
            && self.to.as_deref().is_none_or(|to| key < to)
    }
}

/// As an interval: `["a", "c")`, `(.., "c")`.
impl fmt::Display for ScanBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.from, &self.to) {
            (None, None) => f.write_str("(..)"),
            (Some(from), None) => write!(f, "[{from:?}, ..)"),
            (None, Some(to)) => write!(f, "(.., {to:?})"),
            (Some(from), Some(to)) => write!(f, "[{from:?}, {to:?})"),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(integer) => integer.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<i64> for Scalar {
    fn from(integer: i64) -> Self {
        Self::Integer(integer)
    }
}

impl From<&str> for Scalar {
    fn from(text: &str) -> Self {
        Self::Text(text.to_string())
    }
}
