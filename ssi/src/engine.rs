//! The engine: begins transactions, and runs them again after a conflict.

use std::fmt;
use std::sync::Arc;

use kv::{Error, Result, Stats, TransactionOptions, Transactional};
use mvcc::{Mvcc, Options, VersionedStore};

use crate::certify::Certifier;
use crate::conflicts::Conflicts;
use crate::transaction::Transaction;

/// Strictly serializable transactions over a store of versions: snapshots of [`mvcc`], and a [`Certifier`] that decides at each
/// commit. See the [crate].
pub struct Ssi {
    snapshots: Mvcc,
    conflicts: Arc<Conflicts>,
    options: Options,
}

impl Ssi {
    /// Transactions over `store`, which belongs to the engine from now on. `certifier` decides which may commit:
    /// [`SerializableSnapshot`](crate::certify::SerializableSnapshot) unless there is a reason for another.
    pub fn new(
        store: impl VersionedStore + 'static,
        certifier: impl Certifier + 'static,
        options: Options,
    ) -> Self {
        let options = options.first_committer_wins(!certifier.allows_concurrent_writes());
        let snapshots = Mvcc::new(store, options.clone());
        Self { snapshots, conflicts: Arc::new(Conflicts::new(certifier)), options }
    }

    /// Begins a transaction. It lives as long as it likes, also after [`Transactional::close`].
    ///
    /// With [`TransactionOptions::deferrable`] the call waits until the snapshot is safe: until every transaction has ended that may
    /// write and that began before it. The transaction then costs nothing and never loses. A thread that holds a transaction
    /// that may write must not wait so, because it would wait for itself.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a transaction that reads the past, unless the certifier spares readers: a past state is part of
    /// a serial order only if it was safe. As [`Mvcc::begin`].
    pub fn begin(&self, options: TransactionOptions) -> Result<Transaction> {
        let spares_readers = self.conflicts.certifier().spares_readers();
        if options.as_of.is_some() && !spares_readers {
            return Err(Error::Unsupported("reading the past under this certifier"));
        }
        let is_read_only = options.read_only || options.deferrable || options.as_of.is_some();
        if is_read_only && spares_readers {
            return Ok(Transaction::untracked(self.snapshots.begin(options)?));
        }
        if options.deferrable { self.begin_safe(options) } else { self.begin_tracked(options) }
    }

    /// Runs `body` in a transaction and commits it. If the transaction loses, runs it again after a pause, as
    /// [`Options::retry`] says. An error of `body` rolls the transaction back; a conflict is tried again.
    ///
    /// ```
    /// use kv::{Transaction as _, TransactionOptions};
    /// use ssi::{Ssi, certify::SerializableSnapshot};
    /// # use mvcc::{MemoryStore, Options};
    /// let engine = Ssi::new(MemoryStore::new(), SerializableSnapshot, Options::new());
    /// let visits = engine.run(TransactionOptions::default(), |transaction| {
    ///     let visits = transaction.get(b"visits")?.map_or(0, |value| value[0]) + 1;
    ///     transaction.put(b"visits", &[visits])?;
    ///     Ok(visits)
    /// })?;
    /// assert_eq!(visits, 1);
    /// # Ok::<_, kv::Error>(())
    /// ```
    ///
    /// # Errors
    /// That of `body`; that of the last commit.
    pub fn run<T>(
        &self,
        options: TransactionOptions,
        mut body: impl FnMut(&mut Transaction) -> Result<T>,
    ) -> Result<T> {
        let Options { retry, clock, entropy, .. } = &self.options;
        retry.run(clock.as_ref(), entropy.as_ref(), |_| {
            let mut transaction = self.begin(options)?;
            let result = body(&mut transaction)?;
            transaction.commit()?;
            Ok(result)
        })
    }

    /// Announces the transaction, pins its snapshot, and registers it: see [`Conflicts`].
    fn begin_tracked(&self, options: TransactionOptions) -> Result<Transaction> {
        let announced = Conflicts::announce(&self.conflicts);
        let inner = self.snapshots.begin(options)?;
        Ok(Transaction::tracked(inner, announced, options.read_only))
    }

    /// Takes snapshots until one is safe.
    fn begin_safe(&self, options: TransactionOptions) -> Result<Transaction> {
        loop {
            // The announcement keeps the commits that the snapshot may miss until it is watched.
            let announced = Conflicts::announce(&self.conflicts);
            let inner = self.snapshots.begin(options)?;
            if announced.wait_until_safe(inner.snapshot().0) {
                return Ok(Transaction::untracked(inner));
            }
        }
    }
}

impl Transactional for Ssi {
    fn begin(&self, options: TransactionOptions) -> Result<Box<dyn kv::Transaction>> {
        Ok(Box::new(Self::begin(self, options)?))
    }

    fn sync(&self) -> Result<()> {
        self.snapshots.sync()
    }

    fn close(&self) -> Result<()> {
        self.snapshots.close()
    }

    /// The numbers of [`Mvcc`] and of the store, and those of the certifier.
    fn stats(&self) -> Stats {
        self.conflicts.add_to(self.snapshots.stats())
    }
}

impl fmt::Debug for Ssi {
    /// A summary, without keys and values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ssi")
            .field("certifier", &self.conflicts.certifier().name())
            .field("snapshots", &self.snapshots)
            .finish_non_exhaustive()
    }
}
