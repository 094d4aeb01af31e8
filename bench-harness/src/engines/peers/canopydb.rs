//! `peer:canopydb`: a copy-on-write B-tree in Rust, in memory between checkpoints, with a log.
//!
//! A write is an exclusive transaction: those that run beside each other may conflict and have to be run again. The log
//! is handed to the operating system before a commit returns, and synced where that is asked for.
//!
//! A thread keeps its read transaction while nothing is written ([`super::thread_views`]): gets are 1.1 times as fast with one thread
//! and 1.4 times with two.

use std::path::{Path, PathBuf};

use canopydb::{Database, DbOptions, EnvOptions, ReadTransaction, TreeOptions};
use kv::{
    Capabilities, Cursor, Direction, Durability, Error, KeyRange, Kv, Op, Result, SequenceNumber,
    Stats, WriteBatch,
};

use super::adapter_state::{AdapterState, failure};
use super::copied::Copied;
use super::thread_views::ThreadViews;
use super::view_cursor::{StretchRequest, View, ViewCursor};
use super::{BudgetSplit, EngineConfig, Registration};

pub(super) const REGISTRATION: Registration = Registration {
    name: "peer:canopydb",
    about: "copy-on-write B-tree in Rust, with a log",
    version: "0.2.5",
    classes: &[Durability::Buffered, Durability::Sync],
    open: |directory, config| Ok(Box::new(Canopydb::open(directory, config)?)),
    settings: |config| {
        let memory = BudgetSplit::of(config).describe("checkpoint");
        format!(
            "{memory}, log on, exclusive write transactions, no compression, a thread keeps its read transaction until a write"
        )
    },
};

const TREE: &[u8] = b"entries";

struct Canopydb {
    state: AdapterState,
    path: PathBuf,
    database: Database,
    views: ThreadViews<ReadTransaction>,
}

impl Canopydb {
    fn open(directory: &Path, config: EngineConfig) -> Result<Self> {
        let state = AdapterState::new(directory, Durability::Sync);
        let memory = BudgetSplit::of(config);
        let mut environment = EnvOptions::new(directory);
        environment.page_cache_size = memory.cache_bytes as usize;
        let mut options = DbOptions::new();
        options.checkpoint_target_size = memory.write_bytes as usize;
        options.throttle_memory_limit =
            options.throttle_memory_limit.max(memory.write_bytes as usize);
        options.stall_memory_limit = options.stall_memory_limit.max(options.throttle_memory_limit);
        let database = Database::with_options(environment, options);
        let database = database.map_err(state.failed("open"))?;
        create_tree(&database).map_err(state.failed("open"))?;
        Ok(Self { state, path: directory.into(), database, views: ThreadViews::new() })
    }

    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Outcome<bool> {
        let begin = |_| self.database.begin_read();
        self.views.read(begin, |transaction| {
            let Some(tree) = transaction.get_tree(TREE)? else { return Ok(false) };
            let value = tree.get(key)?;
            value.as_deref().inspect(|value| found(value));
            Ok(value.is_some())
        })
    }

    fn apply(&self, batch: &WriteBatch, durability: Durability) -> Outcome<()> {
        let transaction = self.database.begin_write()?;
        let mut tree = transaction.get_or_create_tree_with(TREE, tree_options())?;
        for op in batch.ops() {
            match op {
                Op::Delete { key } => drop(tree.delete(key)?),
                _ => tree.insert(op.key(), op.value())?,
            }
        }
        drop(tree);
        transaction.commit_with(durability == Durability::Sync)?;
        self.views.invalidate();
        Ok(())
    }
}

type Outcome<T> = std::result::Result<T, canopydb::Error>;

fn tree_options() -> TreeOptions {
    let mut options = TreeOptions::new();
    options.compress_overflow_values = None;
    options
}

fn create_tree(database: &Database) -> Outcome<()> {
    let transaction = database.begin_write()?;
    drop(transaction.get_or_create_tree_with(TREE, tree_options())?);
    transaction.commit_with(true).map(drop)
}

impl Kv for Canopydb {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.state.check_open()?;
        self.get(key, found).map_err(self.state.failed("read"))
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        self.state.write(batch, || self.apply(batch, durability))
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        self.state.check_open()?;
        let transaction = self.database.begin_read().map_err(self.state.failed("read"))?;
        let view = CanopydbView { transaction, path: self.path.clone() };
        Ok(Box::new(ViewCursor::new(view, range)?))
    }

    fn sync(&self) -> Result<()> {
        self.state.sync(|| self.database.sync())
    }

    fn close(&self) -> Result<()> {
        self.state.close(|| self.database.sync())
    }

    fn capabilities(&self) -> Capabilities {
        self.state.capabilities()
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }
}

struct CanopydbView {
    transaction: ReadTransaction,
    path: PathBuf,
}

impl CanopydbView {
    fn try_copy(&self, request: StretchRequest<'_>, into: &mut Copied) -> Outcome<()> {
        let Some(tree) = self.transaction.get_tree(TREE)? else { return Ok(()) };
        let mut entries = tree.range::<&[u8]>((request.start, request.end))?;
        for _ in 0..request.wanted {
            let entry = match request.direction {
                Direction::Forward => entries.next(),
                Direction::Backward => entries.next_back(),
            };
            let Some(entry) = entry else { break };
            let (key, value) = entry?;
            into.push(&key, &value);
        }
        Ok(())
    }
}

impl View for CanopydbView {
    const KEEPS_ITERATOR: bool = false;

    fn copy(&mut self, request: StretchRequest<'_>, into: &mut Copied) -> Result<()> {
        self.try_copy(request, into)
            .map_err(|error| -> Error { failure("read", &self.path, &error) })
    }
}
