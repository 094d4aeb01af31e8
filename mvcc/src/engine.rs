//! The engine: composes the components and begins transactions.

use std::fmt;
use std::sync::Arc;

use kv::{Result, Stats, TransactionOptions, Transactional};

use crate::components::Components;
use crate::options::Options;
use crate::stats::MvccStats;
use crate::store::VersionedStore;
use crate::transaction::Transaction;

/// Transactions with snapshot isolation over a store of versions. See the [crate] for the rules.
pub struct Mvcc {
    parts: Arc<Components>,
}

impl Mvcc {
    /// Transactions over `store`, which belongs to the engine from now on: all writes go through transactions. Pass an
    /// [`Arc`] to keep a handle for the upkeep of the store.
    pub fn new(store: impl VersionedStore + 'static, options: Options) -> Self {
        let parts = Components::new(Box::new(store), options);
        Self { parts: Arc::new(parts) }
    }

    /// Begins a transaction. It lives as long as it likes, also after [`Transactional::close`].
    ///
    /// # Errors
    /// [`Error::SnapshotTooOld`](kv::Error::SnapshotTooOld) for a past outside the history window;
    /// [`Error::InvalidArgument`](kv::Error::InvalidArgument) for a future one; [`Error::Closed`](kv::Error::Closed).
    pub fn begin(&self, options: TransactionOptions) -> Result<Transaction> {
        self.begin_as(options, None)
    }

    /// Begins a transaction that the statistics name by `label`.
    ///
    /// # Errors
    /// As [`Mvcc::begin`].
    pub fn begin_labelled(&self, options: TransactionOptions, label: &str) -> Result<Transaction> {
        self.begin_as(options, Some(label))
    }

    /// Runs `body` in a transaction and commits it. If the transaction loses, runs it again after a pause, as
    /// [`Options::retry`] says. An error of `body` rolls the transaction back; a conflict is tried again.
    ///
    /// ```
    /// use kv::{Transaction as _, TransactionOptions};
    /// # use mvcc::{MemoryStore, Mvcc, Options};
    /// let engine = Mvcc::new(MemoryStore::new(), Options::new());
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
        let parts = &self.parts;
        parts.retry.run(parts.clock.as_ref(), parts.entropy.as_ref(), |attempt| {
            if attempt > 1 {
                parts.counters.count_retry();
            }
            let mut transaction = self.begin(options)?;
            let result = body(&mut transaction)?;
            transaction.commit()?;
            Ok(result)
        })
    }

    /// The numbers of the engine, with the oldest reader.
    pub fn statistics(&self) -> MvccStats {
        MvccStats::of(&self.parts)
    }

    fn begin_as(&self, options: TransactionOptions, label: Option<&str>) -> Result<Transaction> {
        self.parts.enforce_limits();
        Transaction::begin(&self.parts, options, label)
    }
}

impl Transactional for Mvcc {
    fn begin(&self, options: TransactionOptions) -> Result<Box<dyn kv::Transaction>> {
        Ok(Box::new(self.begin_as(options, None)?))
    }

    fn sync(&self) -> Result<()> {
        self.parts.check_open()?;
        self.parts.store.sync()
    }

    fn close(&self) -> Result<()> {
        self.parts.mark_closed();
        self.parts.store.close()
    }

    /// The numbers of the engine, followed by those of the store.
    fn stats(&self) -> Stats {
        let mut stats = Stats::from(self.statistics());
        stats.metrics.extend(self.parts.store.stats().metrics);
        stats
    }
}

impl fmt::Debug for Mvcc {
    /// A summary, without keys and values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mvcc")
            .field("is_closed", &self.parts.check_open().is_err())
            .field("in_flight", &self.parts.readers.count())
            .finish_non_exhaustive()
    }
}
