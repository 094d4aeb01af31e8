//! Transactions: what `mvcc` and `ssi` add to the contract.

use crate::{Cursor, Durability, KeyRange, Result, SequenceNumber, Value};

/// An engine with transactions.
pub trait Transactional: Send + Sync {
    /// Begins a transaction on the newest committed state, or on the one that `options` name.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) for an option that the engine lacks;
    /// [`Error::SnapshotTooOld`](crate::Error::SnapshotTooOld) for a past outside the retained window.
    fn begin(&self, options: TransactionOptions) -> Result<Box<dyn Transaction>>;
}

/// How a transaction behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TransactionOptions {
    /// Promises to write nothing: a `put` or `delete` is refused with [`Error::ReadOnly`](crate::Error::ReadOnly).
    pub read_only: bool,
    /// With `read_only`: wait for a moment at which the transaction can never be part of a conflict.
    pub deferrable: bool,
    /// Read the state after this write instead of the newest; implies `read_only`.
    pub as_of: Option<SequenceNumber>,
    /// What an acknowledged commit survives.
    pub durability: Durability,
}

/// A running transaction. Dropping it is rolling it back.
pub trait Transaction: Send {
    /// The value of `key`: the transaction's own write, else what its snapshot holds.
    ///
    /// # Errors
    /// What reading may meet.
    fn get(&mut self, key: &[u8]) -> Result<Option<Value>>;

    /// A cursor over `range` in the snapshot, with the transaction's own writes so far merged in, both ways.
    ///
    /// # Errors
    /// As [`Kv::scan`](crate::Kv::scan).
    fn scan(&mut self, range: KeyRange) -> Result<Box<dyn Cursor + '_>>;

    /// Sets `key` to `value` in this transaction.
    ///
    /// # Errors
    /// `InvalidArgument` for a key or value over its limit; `ReadOnly`.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()>;

    /// Removes `key` in this transaction.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    fn delete(&mut self, key: &[u8]) -> Result<()>;

    /// Makes all writes visible at once, and returns the place of the transaction in the order of commits.
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::Error::Conflict): nothing was written, run the transaction again. Otherwise as
    /// [`Kv::write`](crate::Kv::write).
    fn commit(self: Box<Self>) -> Result<SequenceNumber>;

    /// Forgets all writes.
    fn rollback(self: Box<Self>);
}
