//! `peer:fjall`: an LSM tree in Rust.
//!
//! A single write goes around its batches, which are slower. Every write is handed to the operating system before it is
//! acknowledged; `Sync` adds a sync of the journal, without group commit. Empty keys are refused: it knows none.

use std::path::Path;

use fjall::config::{BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{
    CompressionType, Database, Iter, Keyspace, KeyspaceCreateOptions, PersistMode, Readable,
    Snapshot,
};
use kv::{
    Capabilities, Cursor, Direction, Durability, KeyRange, Kv, Op, Result, SequenceNumber, Stats,
    Unit, WriteBatch,
};

use super::adapter_state::{AdapterState, failure};
use super::copied::Copied;
use super::view_cursor::{StretchRequest, View, ViewCursor};
use super::{BudgetSplit, EngineConfig, Registration};

pub(super) const REGISTRATION: Registration = Registration {
    name: "peer:fjall",
    about: "LSM tree in Rust",
    version: "3.1.13",
    classes: &[Durability::Buffered, Durability::Sync],
    open: |directory, config| Ok(Box::new(Fjall::open(directory, config)?)),
    settings: |config| {
        let memory = BudgetSplit::of(config).describe("memtable");
        format!(
            "{memory}, Bloom filters of 10 bits on all levels, no compression, {WORKERS} workers"
        )
    },
};

/// Background threads: one for each core of a small machine.
const WORKERS: usize = 2;

struct Fjall {
    state: AdapterState,
    keyspace: Keyspace,
    database: Database,
}

impl Fjall {
    fn open(directory: &Path, config: EngineConfig) -> Result<Self> {
        let state = AdapterState::new(directory, Durability::Sync).without_empty_keys();
        let memory = BudgetSplit::of(config);
        let database = Database::builder(directory)
            .cache_size(memory.cache_bytes)
            .journal_compression(CompressionType::None)
            .worker_threads(WORKERS)
            .open()
            .map_err(state.failed("open"))?;
        let bloom = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(10.0));
        let options = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(memory.write_bytes)
                .filter_policy(FilterPolicy::all(bloom))
                .data_block_compression_policy(CompressionPolicy::disabled())
        };
        let keyspace = database.keyspace("entries", options).map_err(state.failed("open"))?;
        Ok(Self { state, keyspace, database })
    }

    fn write_one(&self, op: Op<'_>, durability: Durability) -> fjall::Result<()> {
        match op {
            Op::Delete { key } => self.keyspace.remove(key)?,
            _ => self.keyspace.insert(op.key(), op.value())?,
        }
        if durability == Durability::Sync {
            self.database.persist(PersistMode::SyncData)
        } else {
            Ok(())
        }
    }

    fn write_batch(&self, batch: &WriteBatch, durability: Durability) -> fjall::Result<()> {
        let mode = match durability {
            Durability::Sync => PersistMode::SyncData,
            _ => PersistMode::Buffer,
        };
        let mut own = self.database.batch().durability(Some(mode));
        for op in batch.ops() {
            match op {
                Op::Delete { key } => own.remove(&self.keyspace, key),
                _ => own.insert(&self.keyspace, op.key(), op.value()),
            }
        }
        own.commit()
    }
}

impl Kv for Fjall {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.state.check_open()?;
        if !self.state.can_hold(key) {
            return Ok(false);
        }
        let value = self.keyspace.get(key).map_err(self.state.failed("read"))?;
        value.as_deref().inspect(|value| found(value));
        Ok(value.is_some())
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        self.state.write(batch, || {
            let mut ops = batch.ops();
            match (ops.next(), ops.next()) {
                (Some(only), None) => self.write_one(only, durability),
                _ => self.write_batch(batch, durability),
            }
        })
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        self.state.check_open()?;
        let snapshot = self.database.snapshot();
        let view = FjallView { snapshot, keyspace: self.keyspace.clone(), walk: None };
        Ok(Box::new(ViewCursor::new(view, range)?))
    }

    fn sync(&self) -> Result<()> {
        self.state.sync(|| self.database.persist(PersistMode::SyncAll))
    }

    fn close(&self) -> Result<()> {
        self.state.close(|| self.database.persist(PersistMode::SyncAll))
    }

    fn capabilities(&self) -> Capabilities {
        self.state.capabilities()
    }

    fn stats(&self) -> Stats {
        let compactions = self.database.compactions_completed() as u64;
        Stats::default().with("compactions", Unit::Count, compactions)
    }
}

struct FjallView {
    snapshot: Snapshot,
    keyspace: Keyspace,
    walk: Option<Iter>,
}

impl View for FjallView {
    const KEEPS_ITERATOR: bool = true;

    fn copy(&mut self, request: StretchRequest<'_>, into: &mut Copied) -> Result<()> {
        let Self { snapshot, keyspace, walk } = self;
        if !request.is_continuation {
            *walk = None;
        }
        let range = || snapshot.range::<&[u8], _>(&*keyspace, (request.start, request.end));
        let walk = walk.get_or_insert_with(range);
        for _ in 0..request.wanted {
            let entry = match request.direction {
                Direction::Forward => walk.next(),
                Direction::Backward => walk.next_back(),
            };
            let Some(entry) = entry else { break };
            let entry = entry.into_inner();
            let (key, value) = entry.map_err(|error| failure("read", keyspace.path(), &error))?;
            into.push(&key, &value);
        }
        Ok(())
    }
}
