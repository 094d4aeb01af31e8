//! One transaction.
//!
//! # The life of a transaction
//!
//! 1. **Begin.** If the transaction may write, it registers with the recent commits and gets their watermark. Then it pins its
//!    snapshot and registers as a reader. This order matters: see `recent_commits`.
//! 2. **Reads** ask the write set first and the pin second.
//! 3. **Writes and marks** go to the write set.
//! 4. **Commit.** Without writes and marks, nothing is left to do. Otherwise the store enters its commit section and calls
//!    [`Transaction::validate`] with the number that the transaction will get:
//!    a. if a key has a newer version than the snapshot, another transaction was first: a conflict;
//!    b. if the pin was revoked meanwhile, the answers of (a) may be wrong: `SnapshotTooOld`;
//!    c. if a concurrent transaction has marked a key: a conflict;
//!    d. if the caller's check refuses it: that error;
//!    e. otherwise the commit enters the recent commits, and the store writes the batch.
//! 5. **End.** The ticket ends, the history window moves, and the pin is released.

use std::fmt;
use std::sync::Arc;

use kv::{
    Access, Bytes, Conflict, ConflictEdge, ConflictKind, Cursor, Error, KeyRange, Operation,
    Result, Savepoint, SequenceNumber, TransactionOptions,
};

use crate::components::Components;
use crate::merged_cursor::MergedCursor;
use crate::readers::{OpenReader, RegisteredReader};
use crate::recent_commits::{BegunWriter, Candidate, EnteredCommit, MarkConflict};
use crate::store::Pin;
use crate::write_set::{Pending, WriteSet};

/// The check of a transaction that asks to commit.
pub type CommitCheck<'c> = &'c mut dyn FnMut(&Attempt<'_>) -> Result<()>;

/// A running transaction. Dropping it is rolling it back. Its reads and writes are the methods of [`kv::Transaction`].
pub struct Transaction {
    id: u64,
    options: TransactionOptions,
    writes: WriteSet,
    is_ended: bool,
    /// `None`: the transaction is read-only.
    writer: Option<BegunWriter>,
    reader: RegisteredReader,
    parts: Arc<Components>,
}

/// A transaction that asks to commit, as the check of [`Transaction::commit_checked`] sees it.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'t> {
    sequence: Option<SequenceNumber>,
    writes: &'t WriteSet,
}

impl<'t> Attempt<'t> {
    /// The number that the transaction will get. `None`: it has marks only, and takes no number.
    pub fn sequence(&self) -> Option<SequenceNumber> {
        self.sequence
    }

    /// The keys that it writes or marks, in order.
    pub fn writes(&self) -> impl Iterator<Item = (&'t Bytes, Operation)> + use<'t> {
        self.writes.keys().map(|(key, pending)| (key, pending.operation()))
    }
}

impl Transaction {
    pub(crate) fn begin(
        parts: &Arc<Components>,
        options: TransactionOptions,
        label: Option<&str>,
    ) -> Result<Self> {
        parts.check_open()?;
        // Snapshots never conflict, so a deferrable transaction has nothing to wait for.
        let is_read_only = options.read_only || options.deferrable || options.as_of.is_some();
        let writer = (!is_read_only).then(|| parts.recent.begin());
        let pin = match options.as_of {
            None => parts.store.pin_newest()?,
            Some(sequence) => parts.store.pin_at(sequence)?,
        };
        debug_assert!(options.as_of.is_none_or(|sequence| pin.sequence() == sequence));
        let id = parts.next_transaction();
        let reader = parts.readers.register(OpenReader {
            transaction: id,
            label: label.map(Arc::from),
            begun_at: parts.clock.elapsed(),
            is_read_only,
            pin,
        });
        parts.counters.count_begin();
        let (writes, parts) = (WriteSet::new(parts.max_transaction_bytes), Arc::clone(parts));
        Ok(Self { id, options, writes, is_ended: false, writer, reader, parts })
    }

    /// The number of the snapshot: the transaction sees the commits up to this one.
    pub fn snapshot(&self) -> SequenceNumber {
        self.pin().sequence()
    }

    /// As [`kv::Transaction::commit`].
    ///
    /// # Errors
    /// As there, and [`Error::SnapshotTooOld`] if the transaction has written and was ended by force.
    pub fn commit(self) -> Result<SequenceNumber> {
        self.commit_checked(&mut |_| Ok(()))
    }

    /// As [`kv::Transaction::commit`], if `check` agrees. It runs inside the commit section of the store, after all checks of
    /// snapshot isolation have passed. After it only a failure that poisons the store is possible. It is not called for a
    /// transaction without writes and marks.
    ///
    /// # Errors
    /// That of `check`, and those of [`Transaction::commit`].
    pub fn commit_checked(mut self, check: CommitCheck<'_>) -> Result<SequenceNumber> {
        self.is_ended = true;
        let has_written = self.has_changes();
        // A transaction that wrote nothing has read one state, so its place is that of its snapshot.
        let committed = if has_written { self.write_out(check) } else { Ok(self.snapshot()) };
        self.parts.counters.count_commit(&committed, has_written);
        if let (Ok(sequence), true) = (&committed, has_written) {
            self.parts.move_history(*sequence);
            self.parts.enforce_limits();
        }
        committed
    }

    /// Whether it has written or marked a key so far.
    pub fn has_changes(&self) -> bool {
        !self.writes.is_empty()
    }

    /// As [`kv::Transaction::rollback`].
    pub fn rollback(self) {
        drop(self);
    }

    fn pin(&self) -> &Arc<dyn Pin> {
        self.reader.pin()
    }

    fn write(&mut self, key: &[u8], pending: Pending) -> Result<()> {
        if self.writer.is_none() {
            return Err(Error::ReadOnly);
        }
        let value = if let Pending::Put(value) = &pending { &value[..] } else { &[] };
        self.parts.store.capabilities().check_entry(key, value)?;
        self.writes.set(key, pending)
    }

    /// Commits the writes and marks.
    fn write_out(&self, check: CommitCheck<'_>) -> Result<SequenceNumber> {
        self.parts.check_open()?;
        let batch = self.writes.to_batch();
        let mut entered = None;
        let committed =
            self.parts.store.commit_with(&batch, self.options.durability, &mut |sequence| {
                entered = Some(self.validate((!batch.is_empty()).then_some(sequence), check)?);
                Ok(())
            });
        if let Ok(number) = &committed {
            assert!(entered.is_some(), "no commit without validation");
            assert!(batch.is_empty() || *number > self.snapshot(), "it comes after its snapshot");
        }
        // The commit is visible now, or was never made.
        drop(entered);
        committed
    }

    /// Step 4 of the [life of a transaction](self). Runs inside the commit section of the store.
    fn validate(
        &self,
        sequence: Option<SequenceNumber>,
        check: CommitCheck<'_>,
    ) -> Result<EnteredCommit> {
        let snapshot = self.snapshot();
        let is_checked = |pending: &Pending| {
            self.parts.first_committer_wins || pending.operation() == Operation::Mark
        };
        for (key, pending) in self.writes.keys().filter(|(_, pending)| is_checked(pending)) {
            if let Some(newest) = self.parts.store.newest_version(key, snapshot)? {
                debug_assert!(newest.sequence > snapshot, "the store was asked for newer ones");
                let other = self.parts.recent.transaction_of(newest.sequence);
                let operation =
                    if newest.is_tombstone { Operation::Delete } else { Operation::Put };
                let first = Access::new(other, operation, key.clone());
                return Err(self.lost(Some((first, key, pending.operation()))));
            }
        }
        // After the look-ups: they were exact if the pin still held the snapshot afterwards.
        if self.pin().is_revoked() {
            return Err(Error::SnapshotTooOld);
        }
        let writer = self.writer.as_ref().expect("a read-only transaction writes nothing");
        let candidate = Candidate {
            transaction: self.id,
            watermark: writer.watermark(),
            snapshot,
            sequence,
            writes: &self.writes,
        };
        self.parts.recent.check(&candidate).map_err(|conflict| self.lost_to_mark(conflict))?;
        check(&Attempt { sequence, writes: &self.writes })?;
        // Nobody has entered since the look: this thread is in the commit section.
        self.parts.recent.enter(candidate).map_err(|conflict| self.lost_to_mark(conflict))
    }

    fn lost_to_mark(&self, conflict: MarkConflict) -> Error {
        match conflict {
            MarkConflict::Known(key, other) => {
                let pending = self.writes.keys().find(|(own, _)| **own == key);
                let (own, pending) = pending.expect("the conflict is on an own key");
                let first = Access::new(other, Operation::Mark, key);
                self.lost(Some((first, own, pending.operation())))
            }
            MarkConflict::Forgotten => self.lost(None),
        }
    }

    /// The conflict with an access of another transaction to one of the keys. `None`: the table of marks has overflowed.
    fn lost(&self, first: Option<(Access, &Bytes, Operation)>) -> Error {
        let conflict = Conflict::new(ConflictKind::Write, self.id);
        let conflict = match first {
            Some((first, key, operation)) => {
                let own = Access::new(self.id, operation, key.clone());
                conflict.with_edge(ConflictEdge::new(first, own))
            }
            None => conflict,
        };
        Error::Conflict(Box::new(conflict))
    }

    fn check_savepoint(&self, savepoint: Savepoint) -> Result<u64> {
        if savepoint.transaction() != self.id {
            let message = "the savepoint belongs to another transaction";
            return Err(Error::InvalidArgument(message.into()));
        }
        Ok(savepoint.number())
    }
}

impl kv::Transaction for Transaction {
    fn id(&self) -> u64 {
        self.id
    }

    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        match self.writes.get(key) {
            Some(Pending::Put(value)) => {
                found(value);
                Ok(true)
            }
            Some(_) => Ok(false),
            None => self.pin().get_with(key, found),
        }
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor + '_>> {
        let stored = Arc::clone(self.pin()).scan_at(range.clone(), None)?;
        if self.writes.writes() == 0 {
            return Ok(stored);
        }
        Ok(Box::new(MergedCursor::new(stored, &self.writes, range)))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.write(key, Pending::Put(Bytes::copy_from_slice(value)))
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.write(key, Pending::Delete)
    }

    /// The mark leaves nothing in the store: it costs no write.
    fn mark(&mut self, key: &[u8]) -> Result<()> {
        self.write(key, Pending::Mark)
    }

    fn savepoint(&mut self) -> Result<Savepoint> {
        Ok(Savepoint::new(self.id, self.writes.set_savepoint()))
    }

    fn rollback_to(&mut self, savepoint: Savepoint) -> Result<()> {
        let number = self.check_savepoint(savepoint)?;
        self.writes.rollback_to(number)
    }

    fn release(&mut self, savepoint: Savepoint) -> Result<()> {
        let number = self.check_savepoint(savepoint)?;
        self.writes.release(number)
    }

    fn commit(self: Box<Self>) -> Result<SequenceNumber> {
        Self::commit(*self)
    }

    fn rollback(self: Box<Self>) {}
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.is_ended {
            self.parts.counters.count_rollback();
        }
    }
}

impl fmt::Debug for Transaction {
    /// A summary, without keys and values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("id", &self.id)
            .field("snapshot", &self.snapshot())
            .field("writes", &self.writes.writes())
            .finish_non_exhaustive()
    }
}
