//! One transaction: a transaction of [`mvcc`], whose reads the tracker knows.

use std::fmt;

use kv::{Cursor, KeyRange, Operation, Result, Savepoint, SequenceNumber};
use mvcc::Attempt;

use crate::conflicts::{Announced, Tracked};
use crate::tracked_cursor::TrackedCursor;

/// A running transaction. Dropping it is rolling it back. Its reads and writes are the methods of [`kv::Transaction`].
pub struct Transaction {
    inner: mvcc::Transaction,
    /// `None`: the transaction can never be part of a conflict.
    tracked: Option<Tracked>,
}

impl Transaction {
    /// A transaction that was announced before `inner` took its snapshot.
    pub(crate) fn tracked(inner: mvcc::Transaction, announced: Announced, read_only: bool) -> Self {
        let id = kv::Transaction::id(&inner);
        let tracked = announced.begin(id, inner.snapshot().0, read_only);
        Self { inner, tracked: Some(tracked) }
    }

    /// A transaction that writes nothing and whose snapshot is safe.
    pub(crate) fn untracked(inner: mvcc::Transaction) -> Self {
        Self { inner, tracked: None }
    }

    /// The number of the snapshot: the transaction sees the commits up to this one.
    pub fn snapshot(&self) -> SequenceNumber {
        self.inner.snapshot()
    }

    /// Whether the transaction can never be part of a conflict: it was begun as deferrable, or the certifier spares readers.
    pub fn is_safe(&self) -> bool {
        self.tracked.is_none()
    }

    /// As [`kv::Transaction::commit`].
    ///
    /// # Errors
    /// As there.
    pub fn commit(self) -> Result<SequenceNumber> {
        let Self { inner, tracked } = self;
        let Some(mut tracked) = tracked else { return inner.commit() };
        if !inner.has_changes() {
            tracked.judge_reader()?;
            return inner.commit();
        }
        let mut written = None;
        let sequence = inner.commit_checked(&mut |attempt| {
            written = attempt.sequence();
            judge(&mut tracked, attempt)
        })?;
        if let Some(written) = written {
            debug_assert_eq!(written, sequence, "the number is the one that was judged");
            tracked.publish(written);
        }
        Ok(sequence)
    }

    /// As [`kv::Transaction::rollback`].
    pub fn rollback(self) {
        drop(self);
    }
}

/// Marks are left out: the store of snapshots finds their conflicts, and they change nothing that somebody could read.
fn judge(tracked: &mut Tracked, attempt: &Attempt<'_>) -> Result<()> {
    let Some(sequence) = attempt.sequence() else { return tracked.judge_reader() };
    let writes = attempt.writes().filter(|(_, operation)| *operation != Operation::Mark);
    tracked.judge(writes.map(|(key, operation)| (key.clone(), operation)).collect(), sequence)
}

impl kv::Transaction for Transaction {
    fn id(&self) -> u64 {
        self.inner.id()
    }

    /// An own write counts as read, too.
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        if let Some(tracked) = &self.tracked {
            tracked.reads().add_key(key);
        }
        self.inner.get_with(key, found)
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor + '_>> {
        let cursor = self.inner.scan(range.clone())?;
        Ok(match &self.tracked {
            Some(tracked) => Box::new(TrackedCursor::new(cursor, range, tracked.reads())),
            None => cursor,
        })
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.inner.put(key, value)
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.inner.delete(key)
    }

    fn mark(&mut self, key: &[u8]) -> Result<()> {
        self.inner.mark(key)
    }

    fn savepoint(&mut self) -> Result<Savepoint> {
        self.inner.savepoint()
    }

    fn rollback_to(&mut self, savepoint: Savepoint) -> Result<()> {
        self.inner.rollback_to(savepoint)
    }

    fn release(&mut self, savepoint: Savepoint) -> Result<()> {
        self.inner.release(savepoint)
    }

    fn commit(self: Box<Self>) -> Result<SequenceNumber> {
        Self::commit(*self)
    }

    fn rollback(self: Box<Self>) {}
}

impl fmt::Debug for Transaction {
    /// A summary, without keys and values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("inner", &self.inner)
            .field("is_safe", &self.is_safe())
            .finish_non_exhaustive()
    }
}
