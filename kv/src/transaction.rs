//! Transactions. The crates `mvcc` and `ssi` implement them.

use crate::{Cursor, Durability, Error, KeyRange, Result, SequenceNumber, Stats, Value};

/// An engine with transactions.
///
/// Every call may come from any thread at any time. Dropping a handle without [`Transactional::close`] neither flushes
/// nor blocks.
pub trait Transactional: Send + Sync {
    /// Begins a transaction on the newest committed state, or on the one that `options` name.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) for an option that the engine lacks;
    /// [`Error::SnapshotTooOld`](crate::Error::SnapshotTooOld) for a past outside the retained window;
    /// [`Error::Closed`](crate::Error::Closed).
    fn begin(&self, options: TransactionOptions) -> Result<Box<dyn Transaction>>;

    /// Makes every commit acknowledged so far durable, as if each had been made with [`Durability::Sync`].
    ///
    /// # Errors
    /// As [`Kv::sync`](crate::Kv::sync).
    fn sync(&self) -> Result<()>;

    /// Refuses further calls, makes everything durable and marks the store as cleanly closed. A transaction that is still
    /// open goes on reading, and its commit fails with [`Error::Closed`](crate::Error::Closed). Closing again does
    /// nothing.
    ///
    /// # Errors
    /// As [`Kv::close`](crate::Kv::close).
    fn close(&self) -> Result<()>;

    /// The engine's counters as they are now: commits, conflicts by rule, transactions in flight. They are there after
    /// [`Transactional::close`], too.
    fn stats(&self) -> Stats;
}

/// How a transaction behaves.
///
/// ```
/// use kv::{Durability, TransactionOptions};
/// let report = TransactionOptions::default().read_only();
/// let transfer = TransactionOptions::default().durability(Durability::Sync);
/// assert!(report.read_only && !transfer.read_only);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TransactionOptions {
    /// The transaction promises to write nothing: a `put` or `delete` is refused with
    /// [`Error::ReadOnly`](crate::Error::ReadOnly). Default: no.
    pub read_only: bool,
    /// With `read_only`: wait for a moment at which the transaction can never be part of a conflict. Default: no.
    pub deferrable: bool,
    /// Read the state after this write instead of the newest; implies `read_only`. Default: the newest.
    pub as_of: Option<SequenceNumber>,
    /// The failure that an acknowledged commit survives. Default: [`Durability::Buffered`].
    pub durability: Durability,
}

impl TransactionOptions {
    /// The transaction writes nothing.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { read_only: true, ..self }
    }

    /// The transaction writes nothing, and waits until it can never be part of a conflict.
    #[must_use]
    pub fn deferrable(self) -> Self {
        Self { read_only: true, deferrable: true, ..self }
    }

    /// The transaction writes nothing, and reads the state after write `sequence`.
    #[must_use]
    pub fn as_of(self, sequence: SequenceNumber) -> Self {
        Self { read_only: true, as_of: Some(sequence), ..self }
    }

    /// Commits with this durability.
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }
}

/// A running transaction. Dropping it is rolling it back.
///
/// Reads take `&self`, so a get may come while a scan is open:
///
/// ```
/// # use kv::{KeyRange, Transaction};
/// fn sum_of_targets(transaction: &dyn Transaction) -> kv::Result<usize> {
///     let mut pointers = transaction.scan(KeyRange::prefix(b"pointer/"))?;
///     let mut bytes = 0;
///     while pointers.next()? {
///         let target = transaction.get(pointers.value()?)?;
///         bytes += target.map_or(0, |target| target.len());
///     }
///     Ok(bytes)
/// }
/// ```
///
/// A write needs the transaction for itself, so no scan can be open while it changes:
///
/// ```compile_fail,E0502
/// # use kv::{KeyRange, Transaction};
/// fn write_under_a_scan(transaction: &mut dyn Transaction) -> kv::Result<()> {
///     let mut cursor = transaction.scan(KeyRange::all())?;
///     transaction.put(b"k", b"v")?;
///     cursor.next().map(drop)
/// }
/// ```
pub trait Transaction: Send {
    /// The number by which a [`Conflict`](crate::Conflict) names this transaction: at least 1, and different for all
    /// transactions of one handle.
    fn id(&self) -> u64;

    /// Calls `found` with the value of `key` and returns `true`, or returns `false` without calling it. The value is the
    /// transaction's own write, else the one in its snapshot.
    ///
    /// # Errors
    /// As [`Kv::get_with`](crate::Kv::get_with).
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// The value of `key`, owned.
    ///
    /// # Errors
    /// As [`Transaction::get_with`].
    fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        let mut value = None;
        self.get_with(key, &mut |bytes| value = Some(Value::copy_from_slice(bytes)))?;
        Ok(value)
    }

    /// A cursor over `range` in the snapshot, with the transaction's own writes so far merged in, both ways.
    ///
    /// # Errors
    /// As [`Kv::scan`](crate::Kv::scan).
    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor + '_>>;

    /// Sets `key` to `value` in this transaction.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a key or value over its limit;
    /// [`Error::ReadOnly`](crate::Error::ReadOnly).
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()>;

    /// Removes `key` in this transaction.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    fn delete(&mut self, key: &[u8]) -> Result<()>;

    /// Makes `key` count as written for conflicts, although its value stays. A transaction that relies on a value it has
    /// read marks the key: then it conflicts with each concurrent transaction that writes or marks the key. SQL databases
    /// call this `SELECT ... FOR UPDATE`.
    ///
    /// # Errors
    /// As [`Transaction::put`]; [`Error::Unsupported`](crate::Error::Unsupported) for an engine without marks.
    fn mark(&mut self, key: &[u8]) -> Result<()> {
        let _ = key;
        Err(Error::Unsupported("conflict marks"))
    }

    /// A moment to which [`Transaction::rollback_to`] can return.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) for an engine without savepoints.
    fn savepoint(&mut self) -> Result<Savepoint> {
        Err(Error::Unsupported("savepoints"))
    }

    /// Undoes all writes and marks since `savepoint` was set, and forgets the savepoints that were set after it. The
    /// savepoint itself stays. Reads are not undone: a serializable transaction goes on depending on them.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a savepoint of another transaction or one that was
    /// forgotten; [`Error::Unsupported`](crate::Error::Unsupported).
    fn rollback_to(&mut self, savepoint: Savepoint) -> Result<()> {
        let _ = savepoint;
        Err(Error::Unsupported("savepoints"))
    }

    /// Forgets `savepoint` and those that were set after it. The writes since then stay.
    ///
    /// # Errors
    /// As [`Transaction::rollback_to`].
    fn release(&mut self, savepoint: Savepoint) -> Result<()> {
        let _ = savepoint;
        Err(Error::Unsupported("savepoints"))
    }

    /// Makes all writes visible at once, and returns the place of the transaction in the order of commits.
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::Error::Conflict): nothing was written, run the transaction again. Otherwise as
    /// [`Kv::write`](crate::Kv::write).
    fn commit(self: Box<Self>) -> Result<SequenceNumber>;

    /// Forgets all writes.
    fn rollback(self: Box<Self>);
}

/// A moment of one transaction. See [`Transaction::savepoint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Savepoint {
    transaction: u64,
    number: u64,
}

impl Savepoint {
    /// Savepoint `number` of the transaction with this id. For engines, which give each savepoint of a transaction
    /// another number.
    pub fn new(transaction: u64, number: u64) -> Self {
        Self { transaction, number }
    }

    /// The id of the transaction that it belongs to.
    pub fn transaction(&self) -> u64 {
        self.transaction
    }

    /// Its number within the transaction.
    pub fn number(&self) -> u64 {
        self.number
    }
}
