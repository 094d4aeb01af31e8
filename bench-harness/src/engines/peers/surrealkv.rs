//! `peer:surrealkv`: an LSM tree in Rust with asynchronous commits.
//!
//! A write is a transaction that only writes; its commit is awaited on the thread that called. Two writes to one key at
//! the same time may conflict: then the contract's `Stalled` asks to try again. Empty keys are refused: it knows none.
//!
//! - Where commits do not sync, the runtime has no threads of its own: a commit runs on the thread that waits for it, and
//!   wakes no other one. Puts are 9 times as fast, a mix with reads on two threads 2.6 times. In exchange, memtables are flushed
//!   by the thread whose write fills them: batches of 100 reach 0.76 of their speed, loads in batches of 10,000 reach 0.56.
//! - Where commits sync, the runtime has two threads, and the log is preallocated, so that a sync finds the size of the file
//!   unchanged. Puts are 1.5 times as fast with one thread and with eight. Without threads eight writers are slower by a fifth.
//! - Blocks stay at 64 KiB, the default: with 4 KiB gets reach 0.77 of the speed, and 16 KiB makes no difference.

use std::ops::Bound;
use std::path::{Path, PathBuf};

use kv::{
    Capabilities, Cursor, Direction, Durability, Error, KeyRange, Kv, Op, Result, SequenceNumber,
    Stats, WriteBatch,
};
use surrealkv::{LSMIterator, Mode, Options, ReadOptions, Transaction, Tree, TreeBuilder};
use tokio::runtime::{Builder, Runtime};

use super::adapter_state::{AdapterState, failure};
use super::copied::Copied;
use super::view_cursor::{StretchRequest, View, ViewCursor};
use super::{BudgetSplit, EngineConfig, Registration};

pub(super) const REGISTRATION: Registration = Registration {
    name: "peer:surrealkv",
    about: "LSM tree in Rust, asynchronous commits",
    version: "1.2.0",
    classes: &[Durability::Buffered, Durability::Sync],
    open: |directory, config| Ok(Box::new(Surrealkv::open(directory, config)?)),
    settings: |config| {
        let memory = BudgetSplit::of(config).describe("memtable");
        let runtime = match config.durability {
            Durability::Sync => format!("preallocated log, tokio with {WORKERS} workers"),
            _ => {
                "tokio without workers: commits and flushes run on the thread that writes (single puts 9 times as \
                 fast as with workers, batches of 100 three quarters as fast)"
                    .into()
            }
        };
        format!("{memory}, Bloom filters of 10 bits, no compression, {runtime}")
    },
};

/// Threads of the runtime where commits sync.
const WORKERS: usize = 2;

struct Surrealkv {
    state: AdapterState,
    path: PathBuf,
    tree: Tree,
    runtime: Runtime,
}

impl Surrealkv {
    fn open(directory: &Path, config: EngineConfig) -> Result<Self> {
        let state = AdapterState::new(directory, Durability::Sync).without_empty_keys();
        let syncs = config.durability == Durability::Sync;
        let runtime = start_runtime(syncs).map_err(state.failed("start"))?;
        let memory = BudgetSplit::of(config);
        let tree = {
            let _context = runtime.enter();
            TreeBuilder::with_options(Options::new().with_wal_preallocation(syncs))
                .with_path(directory.to_path_buf())
                .with_max_memtable_size(memory.write_bytes as usize)
                .with_block_cache_capacity(memory.cache_bytes)
                .without_compression()
                .build()
                .map_err(state.failed("open"))?
        };
        Ok(Self { state, path: directory.into(), tree, runtime })
    }

    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> surrealkv::Result<bool> {
        let value = self.tree.begin_with_mode(Mode::ReadOnly)?.get(key)?;
        value.as_deref().inspect(|value| found(value));
        Ok(value.is_some())
    }

    fn apply(&self, batch: &WriteBatch, durability: Durability) -> surrealkv::Result<()> {
        let promise = match durability {
            Durability::Sync => surrealkv::Durability::Immediate,
            _ => surrealkv::Durability::Eventual,
        };
        let mut transaction = self.tree.begin_with_mode(Mode::WriteOnly)?;
        transaction.set_durability(promise);
        for op in batch.ops() {
            match op {
                Op::Delete { key } => transaction.delete(key)?,
                _ => transaction.set(op.key(), op.value())?,
            }
        }
        self.runtime.block_on(transaction.commit())
    }
}

/// The runtime for the commits: without threads of its own unless commits sync.
fn start_runtime(syncs: bool) -> std::io::Result<Runtime> {
    let mut builder =
        if syncs { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    builder.worker_threads(WORKERS).enable_all().build()
}

impl Kv for Surrealkv {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.state.check_open()?;
        if !self.state.can_hold(key) {
            return Ok(false);
        }
        self.get(key, found).map_err(self.state.failed("read"))
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        if !self.state.check_batch(batch)? {
            return Ok(self.state.newest());
        }
        match self.apply(batch, durability) {
            Ok(()) => Ok(self.state.acknowledge()),
            Err(surrealkv::Error::TransactionWriteConflict) => {
                Err(Error::Stalled { signal: "a write to the same key" })
            }
            Err(error) => Err(failure("write", &self.path, &error)),
        }
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        self.state.check_open()?;
        let transaction = self.tree.begin_with_mode(Mode::ReadOnly);
        let transaction = transaction.map_err(self.state.failed("read"))?;
        let view = SurrealkvView { transaction, path: self.path.clone() };
        Ok(Box::new(ViewCursor::new(view, range)?))
    }

    fn sync(&self) -> Result<()> {
        self.state.sync(|| self.tree.flush_wal(true))
    }

    fn close(&self) -> Result<()> {
        self.state.close(|| self.runtime.block_on(self.tree.close()))
    }

    fn capabilities(&self) -> Capabilities {
        self.state.capabilities()
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }
}

struct SurrealkvView {
    transaction: Transaction,
    path: PathBuf,
}

impl SurrealkvView {
    fn try_copy(&self, request: StretchRequest<'_>, into: &mut Copied) -> surrealkv::Result<()> {
        let mut options = ReadOptions::new();
        options.set_iterate_lower_bound(from_start(request.start));
        options.set_iterate_upper_bound(to_end(request.end));
        let mut entries = self.transaction.range_with_options(&options)?;
        let mut is_there = match request.direction {
            Direction::Forward => entries.seek_first()?,
            Direction::Backward => entries.seek_last()?,
        };
        for _ in 0..request.wanted {
            if !is_there {
                break;
            }
            into.push(entries.key().user_key(), &entries.value_ref()?);
            is_there = match request.direction {
                Direction::Forward => entries.next()?,
                Direction::Backward => entries.prev()?,
            };
        }
        Ok(())
    }
}

/// A lower bound as the first key that belongs.
fn from_start(bound: Bound<&[u8]>) -> Option<Vec<u8>> {
    match bound {
        Bound::Included(key) => Some(key.to_vec()),
        Bound::Excluded(key) => Some([key, &[0]].concat()),
        Bound::Unbounded => None,
    }
}

/// An upper bound as the first key that no longer belongs.
fn to_end(bound: Bound<&[u8]>) -> Option<Vec<u8>> {
    match bound {
        Bound::Included(key) => Some([key, &[0]].concat()),
        Bound::Excluded(key) => Some(key.to_vec()),
        Bound::Unbounded => None,
    }
}

impl View for SurrealkvView {
    const KEEPS_ITERATOR: bool = false;

    fn copy(&mut self, request: StretchRequest<'_>, into: &mut Copied) -> Result<()> {
        self.try_copy(request, into)
            .map_err(|error| -> Error { failure("read", &self.path, &error) })
    }
}
