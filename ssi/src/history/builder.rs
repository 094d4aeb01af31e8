//! Recording a history: transactions are added as their clients see them begin and end.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use kv::{Error, Result};

use super::model::{
    ABSENT, History, KeyId, Operation, Outcome, RecordedOperation, RecordedTransaction, Scalar,
    ScanBounds, ValueId,
};
use super::text_table::MAX_TEXTS;

/// A transaction that ended, as [`HistoryBuilder::complete`] takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completion {
    /// The end of the transaction. Reads count only if it is committed.
    pub outcome: Outcome,
    /// The operations in the order of their calls.
    pub operations: Vec<Operation>,
    /// The name of the transaction in reports. Default: the number of transactions that ended before it.
    pub number: Option<u64>,
    /// The newest commit that the transaction saw. It resolves a read of a value that several transactions wrote.
    pub snapshot: Option<u64>,
    /// The place of the transaction in the order of all commits. It decides the order of the versions of a key.
    pub commit: Option<u64>,
    /// Whether the transaction was declared read-only.
    pub read_only: bool,
}

impl Completion {
    /// A transaction with these operations and nothing else.
    pub fn new(outcome: Outcome, operations: Vec<Operation>) -> Self {
        Self { outcome, operations, number: None, snapshot: None, commit: None, read_only: false }
    }

    /// Names the transaction.
    #[must_use]
    pub fn number(self, number: u64) -> Self {
        Self { number: Some(number), ..self }
    }

    /// States the newest commit that the transaction saw.
    #[must_use]
    pub fn snapshot(self, snapshot: u64) -> Self {
        Self { snapshot: Some(snapshot), ..self }
    }

    /// States the place of the transaction in the order of all commits, from 1.
    #[must_use]
    pub fn commit(self, commit: u64) -> Self {
        Self { commit: Some(commit), ..self }
    }

    /// The transaction was declared read-only.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { read_only: true, ..self }
    }
}

/// Records a history, event by event. The order of the calls is the real-time order of the events.
///
/// ```
/// use ssi::history::{Completion, HistoryBuilder, IsolationLevel, Operation, Outcome, check};
/// let mut builder = HistoryBuilder::new();
/// builder.invoke(0)?;
/// builder.invoke(1)?;
/// let read = |key: &str| Operation::Read(key.into(), None);
/// let write = |key: &str| Operation::Write(key.into(), Some(1.into()));
/// let skewed = vec![read("x"), write("y")];
/// builder.complete(0, Completion::new(Outcome::Committed, skewed).commit(1))?;
/// let skewed = vec![read("y"), write("x")];
/// builder.complete(1, Completion::new(Outcome::Committed, skewed).commit(2))?;
/// let report = check(&builder.finish())?;
/// assert!(report.holds(IsolationLevel::SnapshotIsolation));
/// assert!(!report.holds(IsolationLevel::Serializable));
/// # Ok::<_, kv::Error>(())
/// ```
#[derive(Debug)]
pub struct HistoryBuilder {
    history: History,
    /// The transaction in flight of each session.
    in_flight: HashMap<u64, InFlight, RandomState>,
    /// The number of events so far.
    events: u64,
}

#[derive(Debug)]
struct InFlight {
    begin_event: u64,
    /// The operations that the client announced: they count if the session never reports its end.
    announced: Vec<Operation>,
}

impl Default for HistoryBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl HistoryBuilder {
    /// An empty history.
    pub fn new() -> Self {
        Self { history: History::new(), in_flight: HashMap::default(), events: 0 }
    }

    /// A client calls its store: the next transaction of `session` begins.
    ///
    /// # Errors
    /// `InvalidArgument` if the session has a transaction in flight.
    pub fn invoke(&mut self, session: u64) -> Result<()> {
        self.invoke_with(session, Vec::new())
    }

    /// As [`HistoryBuilder::invoke`], with the writes that the transaction is going to make. They count as attempted if the
    /// completion names no operation or never comes.
    ///
    /// # Errors
    /// As [`HistoryBuilder::invoke`].
    pub fn invoke_with(&mut self, session: u64, announced: Vec<Operation>) -> Result<()> {
        if self.in_flight.contains_key(&session) {
            return invalid(format!(
                "session {session} begins a transaction before its last one ended"
            ));
        }
        self.events += 1;
        self.in_flight.insert(session, InFlight { begin_event: self.events, announced });
        Ok(())
    }

    /// The transaction in flight of `session` has ended.
    ///
    /// # Errors
    /// `InvalidArgument` if the session has no transaction in flight. Also if a scan names an entry outside its bounds, or one
    /// twice; and if the history has more than 2^28 different keys or values.
    pub fn complete(&mut self, session: u64, completion: Completion) -> Result<()> {
        let Some(in_flight) = self.in_flight.remove(&session) else {
            return invalid(format!("session {session} ends a transaction that did not begin"));
        };
        self.events += 1;
        let completion = match completion {
            ended if ended.operations.is_empty() && ended.outcome != Outcome::Committed => {
                Completion { operations: in_flight.announced, ..ended }
            }
            ended => ended,
        };
        self.add(session, &completion, in_flight.begin_event, self.events)
    }

    /// The history. Transactions that are still in flight count as [`Outcome::Unknown`].
    pub fn finish(mut self) -> History {
        let mut open: Vec<(u64, InFlight)> = self.in_flight.drain().collect();
        open.sort_by_key(|(_, in_flight)| in_flight.begin_event);
        for (session, in_flight) in open {
            self.events += 1;
            let completion = Completion::new(Outcome::Unknown, in_flight.announced);
            // Announced operations that do not fit do not count: nobody can have read a value that is not in the table.
            drop(self.add(session, &completion, in_flight.begin_event, self.events));
        }
        self.history
    }

    fn add(&mut self, session: u64, ended: &Completion, begin: u64, end: u64) -> Result<()> {
        assert!(begin < end, "a transaction begins before it ends");
        let first = self.history.operations.len();
        for operation in &ended.operations {
            if let Err(error) = self.add_operation(operation) {
                self.history.operations.truncate(first);
                return Err(error);
            }
        }
        let transactions = &mut self.history.transactions;
        if transactions.len() >= MAX_TEXTS {
            return invalid("a history has at most 2^28 transactions".to_string());
        }
        transactions.push(RecordedTransaction {
            number: ended.number.unwrap_or(transactions.len() as u64),
            session,
            outcome: ended.outcome,
            read_only: ended.read_only,
            snapshot: ended.snapshot,
            commit: ended.commit,
            begin_event: begin,
            end_event: end,
            operations: first..self.history.operations.len(),
        });
        Ok(())
    }

    fn add_operation(&mut self, operation: &Operation) -> Result<()> {
        let recorded = match operation {
            Operation::Read(key, value) => RecordedOperation::Read {
                key: self.key(key)?,
                value: self.optional(value.as_ref())?,
            },
            Operation::Write(key, value) => RecordedOperation::Write {
                key: self.key(key)?,
                value: self.optional(value.as_ref())?,
            },
            Operation::Append(key, element) => {
                RecordedOperation::Append { key: self.key(key)?, value: self.value(element)? }
            }
            Operation::ReadList(key, elements) => {
                let key = self.key(key)?;
                let first = index(self.history.elements.len())?;
                for element in elements {
                    let element = self.value(element)?;
                    self.history.elements.push(element);
                }
                RecordedOperation::ReadList { key, first, len: index(elements.len())? }
            }
            Operation::Scan(from, to, entries) => {
                self.scan(ScanBounds { from: from.clone(), to: to.clone() }, entries)?
            }
        };
        self.history.operations.push(recorded);
        Ok(())
    }

    /// Scans with the bounds of the scan before share them, which saves most of the memory of a workload of scans.
    fn scan(
        &mut self,
        bounds: ScanBounds,
        entries: &[(Scalar, Scalar)],
    ) -> Result<RecordedOperation> {
        let first = index(self.history.entries.len())?;
        let mut keys: Vec<KeyId> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let (key, value) = (self.key(key)?, self.value(value)?);
            if !bounds.contains(self.history.key_text(key)) {
                let key = self.history.key_text(key);
                return invalid(format!("the scan of {bounds} found {key:?}, which lies outside"));
            }
            keys.push(key);
            self.history.entries.push((key, value));
        }
        keys.sort_unstable();
        if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
            let key = self.history.key_text(twice[0]);
            return invalid(format!("the scan of {bounds} found {key:?} twice"));
        }
        if self.history.ranges.last() != Some(&bounds) {
            self.history.ranges.push(bounds);
        }
        let bounds = index(self.history.ranges.len() - 1)?;
        Ok(RecordedOperation::Scan { bounds, first, len: index(entries.len())? })
    }

    fn key(&mut self, key: &Scalar) -> Result<KeyId> {
        let number = match key {
            Scalar::Integer(integer) => self.history.keys.intern(&integer.to_string()),
            Scalar::Text(text) => self.history.keys.intern(text),
        };
        number.map(KeyId).map_or_else(|| invalid("more than 2^28 keys".to_string()), Ok)
    }

    fn optional(&mut self, value: Option<&Scalar>) -> Result<ValueId> {
        value.map_or(Ok(ABSENT), |value| self.value(value))
    }

    fn value(&mut self, value: &Scalar) -> Result<ValueId> {
        let number = match value {
            Scalar::Integer(integer) => self.history.values.intern(&integer.to_string()),
            Scalar::Text(text) => {
                self.history.values.intern(&serde_json::Value::from(text.as_str()).to_string())
            }
        };
        debug_assert_ne!(number, Some(ABSENT.0), "no value looks like the absence of one");
        number.map(ValueId).map_or_else(|| invalid("more than 2^28 values".to_string()), Ok)
    }
}

fn index(index: usize) -> Result<u32> {
    u32::try_from(index)
        .or_else(|_| invalid("more than 2^32 entries of scans or lists".to_string()))
}

fn invalid<T>(what: String) -> Result<T> {
    Err(Error::InvalidArgument(what))
}
