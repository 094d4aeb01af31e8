//! The options of an open store.

use std::sync::Arc;

use durable::Env;
use sstable::{BuildOptions, ReadOptions};

use crate::compaction::StrategyOptions;
use crate::events::EventListener;
use crate::steps::Steps;

/// How an open store behaves. None of it is stored: any choice opens any store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Disk, clock, threads and randomness. Default: the real ones, with two background threads.
    pub env: Env,
    /// Create the store when there is none. Default: yes.
    pub create: bool,
    /// When the active memtable has grown to this many bytes, it is sealed and the next one begins. A batch that is larger
    /// gets a memtable of its own. The memory of one memtable that is gone is kept for the next. At least 256, at most 16
    /// GiB. Default: 64 MiB.
    pub memtable_bytes: u64,
    /// So many sealed memtables may wait to be flushed. A writer that wants to seal another one flushes the oldest itself.
    /// At least 1. Default: 4.
    pub max_sealed_memtables: usize,
    /// How large a segment of the write-ahead log is, in bytes. A batch that is larger gets a segment of its own. At least 1
    /// KiB, at most 1 GiB. Default: 16 MiB.
    pub log_segment_bytes: u64,
    /// How long a table is before the next one of its run begins, in bytes. Default: 64 MiB.
    pub table_bytes: u64,
    /// How tables are compacted. A store takes up any strategy without being rewritten. Default: leveled.
    ///
    /// The strategy has sizes of its own: `file_bytes` should be `table_bytes`.
    pub strategy: StrategyOptions,
    /// So many parts of compactions are merged in the background at the same time. 0: nothing is compacted unless the
    /// caller asks for it, and writers never wait for it. Default: 2.
    pub compaction_threads: usize,
    /// Writers are slowed as the estimate of the bytes that compactions have to write approaches this limit, and wait at it.
    /// Default: 64 GiB.
    pub max_debt_bytes: u64,
    /// So many tables are kept open at most, each with a descriptor, a mapping and the top of its index, about 16 KiB for a table
    /// of 64 MiB. Besides, each look-up may have one for itself, and each walk two of each run. At least 1. Default: 512, half
    /// of the descriptors that most systems give a process.
    ///
    /// A [`Reader`](crate::Reader) keeps all tables open: the writer beside it may remove them.
    pub open_tables: usize,
    /// How tables are built. The key layout is always that of the engine.
    pub table: BuildOptions,
    /// How tables are read. Default: mapped.
    pub read: ReadOptions,
    /// Hears of flushes, compactions and stalls. Default: nobody.
    pub listener: Option<Arc<dyn EventListener>>,
    /// Runs the named steps of the protocols.
    pub(crate) steps: Steps,
}

impl Options {
    /// The smallest `memtable_bytes`.
    pub const MIN_MEMTABLE_BYTES: u64 = 256;

    /// The largest `memtable_bytes`: a memtable addresses its entries with 32 bits.
    pub const MAX_MEMTABLE_BYTES: u64 = 16 << 30;

    /// The smallest `log_segment_bytes`.
    pub const MIN_LOG_SEGMENT_BYTES: u64 = 1 << 10;

    /// The largest `log_segment_bytes`.
    pub const MAX_LOG_SEGMENT_BYTES: u64 = 1 << 30;

    /// The defaults, in the real world.
    pub fn new() -> Self {
        Self::in_env(Env::os(2))
    }

    /// The defaults, in `env`.
    pub fn in_env(env: Env) -> Self {
        Self {
            env,
            create: true,
            memtable_bytes: 64 << 20,
            max_sealed_memtables: 4,
            log_segment_bytes: 16 << 20,
            table_bytes: 64 << 20,
            strategy: StrategyOptions::default(),
            compaction_threads: 2,
            max_debt_bytes: 64 << 30,
            open_tables: 512,
            table: BuildOptions::default(),
            read: ReadOptions::default(),
            listener: None,
            steps: Steps::default(),
        }
    }

    /// With `create`.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// With `memtable_bytes`, brought into its range.
    pub fn memtable_bytes(mut self, bytes: u64) -> Self {
        let range = Self::MIN_MEMTABLE_BYTES..=Self::MAX_MEMTABLE_BYTES;
        self.memtable_bytes = bytes.clamp(*range.start(), *range.end());
        self
    }

    /// With `max_sealed_memtables`, at least 1.
    pub fn max_sealed_memtables(mut self, memtables: usize) -> Self {
        self.max_sealed_memtables = memtables.max(1);
        self
    }

    /// With `log_segment_bytes`, brought into its range.
    pub fn log_segment_bytes(mut self, bytes: u64) -> Self {
        let range = Self::MIN_LOG_SEGMENT_BYTES..=Self::MAX_LOG_SEGMENT_BYTES;
        self.log_segment_bytes = bytes.clamp(*range.start(), *range.end());
        self
    }

    /// With `table_bytes`.
    pub fn table_bytes(mut self, bytes: u64) -> Self {
        self.table_bytes = bytes;
        self
    }

    /// With `strategy`.
    pub fn strategy(mut self, strategy: StrategyOptions) -> Self {
        self.strategy = strategy;
        self
    }

    /// With `compaction_threads`.
    pub fn compaction_threads(mut self, threads: usize) -> Self {
        self.compaction_threads = threads;
        self
    }

    /// With `max_debt_bytes`.
    pub fn max_debt_bytes(mut self, bytes: u64) -> Self {
        self.max_debt_bytes = bytes;
        self
    }

    /// With `open_tables`, at least 1.
    pub fn open_tables(mut self, tables: usize) -> Self {
        self.open_tables = tables.max(1);
        self
    }

    /// With `table`.
    pub fn table(mut self, table: BuildOptions) -> Self {
        self.table = table;
        self
    }

    /// With `read`.
    pub fn read(mut self, read: ReadOptions) -> Self {
        self.read = read;
        self
    }

    /// With `listener`.
    pub fn listener(mut self, listener: Arc<dyn EventListener>) -> Self {
        self.listener = Some(listener);
        self
    }

    /// With all values brought into their ranges.
    pub(crate) fn clamped(self) -> Self {
        let (memtable, sealed) = (self.memtable_bytes, self.max_sealed_memtables);
        let (segment, tables) = (self.log_segment_bytes, self.open_tables);
        let memory = self.memtable_bytes(memtable).max_sealed_memtables(sealed);
        memory.log_segment_bytes(segment).open_tables(tables)
    }
}

#[cfg(feature = "planted")]
impl Options {
    /// With a hook that decides the fate of each protocol step: for tests that plant mistakes.
    #[doc(hidden)]
    pub fn hook(mut self, hook: crate::planted::Hook) -> Self {
        self.steps = Steps::with_hook(hook);
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}
