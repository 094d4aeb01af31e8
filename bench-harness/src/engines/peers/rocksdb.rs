//! `peer:rocksdb`: RocksDB, an LSM tree in C++, built from the source that its crate brings.
//!
//! Every write is handed to the operating system before it is acknowledged; `Sync` adds a sync, shared by those who
//! wait for one. Its iterator freezes its view, goes both ways and lends its entries, so the cursor is the iterator.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kv::{
    Capabilities, Cursor, CursorPosition, Direction, Durability, KeyRange, Kv, Op, Result,
    SequenceNumber, Stats, StepFrom, Unit,
};
use rocksdb::{BlockBasedOptions, Cache, DB, DBCompressionType, DBRawIterator, Options};
use rocksdb::{ReadOptions, WriteBatch, WriteOptions};

use self::walk::Walk;
use super::adapter_state::{AdapterState, failure};
use super::{BudgetSplit, EngineConfig, Registration};

pub(super) const REGISTRATION: Registration = Registration {
    name: "peer:rocksdb",
    about: "RocksDB: LSM tree in C++",
    version: "rocksdb 0.25.0, RocksDB 11.8.1",
    classes: &[Durability::Buffered, Durability::Sync],
    open: |directory, config| Ok(Box::new(Rocksdb::open(directory, config)?)),
    settings: |config| {
        let memory = BudgetSplit::of(config).describe("memtable");
        format!(
            "{memory}, Bloom filters of 10 bits, no compression, increase_parallelism({THREADS})"
        )
    },
};

/// Threads in the background: one for each core of a small machine.
const THREADS: i32 = 2;

struct Rocksdb {
    state: AdapterState,
    path: PathBuf,
    database: Arc<DB>,
}

impl Rocksdb {
    fn open(directory: &Path, config: EngineConfig) -> Result<Self> {
        let state = AdapterState::new(directory, Durability::Sync);
        let memory = BudgetSplit::of(config);
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&Cache::new_lru_cache(memory.cache_bytes as usize));
        table.set_bloom_filter(10.0, false);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.increase_parallelism(THREADS);
        options.set_write_buffer_size(memory.write_bytes as usize);
        options.set_compression_type(DBCompressionType::None);
        options.set_block_based_table_factory(&table);
        let database = DB::open(&options, directory).map_err(state.failed("open"))?;
        Ok(Self { state, path: directory.into(), database: Arc::new(database) })
    }

    fn apply(&self, batch: &kv::WriteBatch, durability: Durability) -> Outcome<()> {
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Sync);
        let mut ops = batch.ops();
        match (ops.next(), ops.next()) {
            (Some(Op::Delete { key }), None) => self.database.delete_opt(key, &options),
            (Some(op), None) => self.database.put_opt(op.key(), op.value(), &options),
            _ => self.database.write_opt(own_batch(batch), &options),
        }
    }
}

type Outcome<T> = std::result::Result<T, rocksdb::Error>;

fn own_batch(batch: &kv::WriteBatch) -> WriteBatch {
    let mut own = WriteBatch::default();
    for op in batch.ops() {
        match op {
            Op::Delete { key } => own.delete(key),
            _ => own.put(op.key(), op.value()),
        }
    }
    own
}

impl Kv for Rocksdb {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.state.check_open()?;
        let value = self.database.get_pinned(key).map_err(self.state.failed("read"))?;
        value.as_deref().inspect(|value| found(value));
        Ok(value.is_some())
    }

    fn write(&self, batch: &kv::WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        self.state.write(batch, || self.apply(batch, durability))
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        self.state.check_open()?;
        range.check()?;
        let walk = Walk::new(Arc::clone(&self.database), |database| {
            database.raw_iterator_opt(within(&range))
        });
        let (position, is_empty) = (CursorPosition::Fresh, range.is_empty());
        Ok(Box::new(RocksdbCursor { walk, position, is_empty, path: self.path.clone() }))
    }

    fn sync(&self) -> Result<()> {
        self.state.sync(|| self.database.flush_wal(true))
    }

    fn close(&self) -> Result<()> {
        self.state.close(|| self.database.flush_wal(true))
    }

    fn capabilities(&self) -> Capabilities {
        self.state.capabilities()
    }

    fn stats(&self) -> Stats {
        let newest = self.database.latest_sequence_number();
        Stats::default().with("newest_sequence_number", Unit::Count, newest)
    }
}

/// The bounds of a walk: from a key that belongs to one that no longer does.
fn within(range: &KeyRange) -> ReadOptions {
    let successor = |key: &[u8]| [key, &[0]].concat();
    let mut options = ReadOptions::default();
    match range.start() {
        Bound::Included(key) => options.set_iterate_lower_bound(key),
        Bound::Excluded(key) => options.set_iterate_lower_bound(successor(key)),
        Bound::Unbounded => {}
    }
    match range.end() {
        Bound::Included(key) => options.set_iterate_upper_bound(successor(key)),
        Bound::Excluded(key) => options.set_iterate_upper_bound(key),
        Bound::Unbounded => {}
    }
    options
}

mod walk {
    #![expect(clippy::mem_forget, reason = "self_cell guards what it builds that way")]

    use std::sync::Arc;

    use rocksdb::{DB, DBRawIterator};

    self_cell::self_cell! {
        /// An iterator with the database that it walks.
        pub(super) struct Walk {
            owner: Arc<DB>,
            #[covariant]
            dependent: DBRawIterator,
        }
    }
}

struct RocksdbCursor {
    walk: Walk,
    position: CursorPosition<()>,
    /// No key can lie in the range; the iterator does not know.
    is_empty: bool,
    path: PathBuf,
}

/// A move of the iterator.
#[derive(Clone, Copy)]
enum Step<'k> {
    First,
    Last,
    Next,
    Prev,
    Ge(&'k [u8]),
    Lt(&'k [u8]),
}

fn take(step: Step<'_>, iterator: &mut DBRawIterator<'_>) {
    match step {
        Step::First => iterator.seek_to_first(),
        Step::Last => iterator.seek_to_last(),
        Step::Next => iterator.next(),
        Step::Prev => iterator.prev(),
        Step::Ge(key) => iterator.seek(key),
        Step::Lt(key) => {
            iterator.seek_for_prev(key);
            if iterator.key() == Some(key) {
                iterator.prev();
            }
        }
    }
}

impl RocksdbCursor {
    /// Moves the iterator.
    fn go(&mut self, step: Step<'_>, direction: Direction) -> Result<bool> {
        if self.is_empty {
            return Ok(self.position.land(None, direction));
        }
        let is_on_entry = self.walk.with_dependent_mut(|_, iterator| {
            take(step, iterator);
            if iterator.valid() { Ok(true) } else { iterator.status().map(|()| false) }
        });
        let is_on_entry = is_on_entry.map_err(|error| failure("read", &self.path, &error))?;
        Ok(self.position.land(is_on_entry.then_some(()), direction))
    }

    fn step(&mut self, edge: Step<'_>, next: Step<'_>, direction: Direction) -> Result<bool> {
        match self.position.step(direction) {
            None => Ok(false),
            Some(StepFrom::Edge) => self.go(edge, direction),
            Some(StepFrom::Entry(())) => self.go(next, direction),
        }
    }
}

impl Cursor for RocksdbCursor {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        self.go(Step::Ge(key), Direction::Forward)
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        self.go(Step::Lt(key), Direction::Backward)
    }

    fn next(&mut self) -> Result<bool> {
        self.step(Step::First, Step::Next, Direction::Forward)
    }

    fn prev(&mut self) -> Result<bool> {
        self.step(Step::Last, Step::Prev, Direction::Backward)
    }

    fn key(&self) -> &[u8] {
        self.walk.borrow_dependent().key().expect("the cursor stands on an entry")
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        let item = self.walk.borrow_dependent().item();
        Ok(item.expect("the cursor stands on an entry"))
    }
}
