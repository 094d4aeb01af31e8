//! `peer:redb`: a copy-on-write B-tree in Rust.
//!
//! It knows two promises: `Immediate`, which syncs, and `None`, which is lost with the process. There is nothing that
//! survives the process and does not sync, so the class `Buffered` is not registered. A run that asks for it gets `None`,
//! and the engine is not ranked.
//!
//! A thread keeps its open table while nothing is written ([`super::thread_views`]): to begin a transaction and to open the table is
//! a third of a get. Gets are 1.3 times as fast with one thread and 1.5 times with two. The engine has no other settings but
//! its cache: the page size is fixed.

use std::path::{Path, PathBuf};

use kv::{
    Capabilities, Cursor, Direction, Durability, KeyRange, Kv, Op, Result, SequenceNumber, Stats,
    WriteBatch,
};
use redb::{
    Builder, Database, Range, ReadOnlyTable, ReadableDatabase, TableDefinition, TableError,
};

use super::adapter_state::{AdapterState, failure};
use super::copied::Copied;
use super::thread_views::ThreadViews;
use super::view_cursor::{StretchRequest, View, ViewCursor};
use super::{EngineConfig, Registration, mebibytes};

pub(super) const REGISTRATION: Registration = Registration {
    name: "peer:redb",
    about: "copy-on-write B-tree in Rust; buffered writes are lost with the process",
    version: "4.4.0",
    classes: &[Durability::None, Durability::Sync],
    open: |directory, config| Ok(Box::new(Redb::open(directory, config)?)),
    settings: |config| {
        let promise = if config.durability == Durability::None { "None" } else { "Immediate" };
        let cache = mebibytes(config.memory_budget_bytes);
        format!("cache {cache}, Durability::{promise}, a thread keeps its table open until a write")
    },
};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");

struct Redb {
    state: AdapterState,
    path: PathBuf,
    database: Database,
    views: ThreadViews<Table>,
}

impl Redb {
    fn open(directory: &Path, config: EngineConfig) -> Result<Self> {
        let state = AdapterState::new(directory, Durability::Sync);
        let database = Builder::new()
            .set_cache_size(config.memory_budget_bytes as usize)
            .create(directory.join("entries.redb"))
            .map_err(state.failed("open"))?;
        let engine = Self { state, path: directory.into(), database, views: ThreadViews::new() };
        engine.apply(&WriteBatch::new(), Durability::Sync).map_err(engine.state.failed("open"))?;
        Ok(engine)
    }

    fn table(&self) -> Outcome<Table> {
        Ok(self.database.begin_read()?.open_table(TABLE)?)
    }

    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Outcome<bool> {
        let begin = |_| self.table();
        self.views.read(begin, |table| {
            let value = table.get(key)?;
            value.as_ref().inspect(|value| found(value.value()));
            Ok(value.is_some())
        })
    }

    fn apply(&self, batch: &WriteBatch, durability: Durability) -> Outcome<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(match durability {
            Durability::None => redb::Durability::None,
            _ => redb::Durability::Immediate,
        })?;
        write_all(&transaction, batch)?;
        transaction.commit()?;
        self.views.invalidate();
        Ok(())
    }
}

type Outcome<T> = std::result::Result<T, redb::Error>;
type Table = ReadOnlyTable<&'static [u8], &'static [u8]>;

fn write_all(transaction: &redb::WriteTransaction, batch: &WriteBatch) -> Outcome<()> {
    let mut table = transaction.open_table(TABLE).map_err(|error: TableError| error)?;
    for op in batch.ops() {
        match op {
            Op::Delete { key } => drop(table.remove(key)?),
            _ => drop(table.insert(op.key(), op.value())?),
        }
    }
    Ok(())
}

impl Kv for Redb {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.state.check_open()?;
        self.get(key, found).map_err(self.state.failed("read"))
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        self.state.write(batch, || self.apply(batch, durability))
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        self.state.check_open()?;
        let table = self.table().map_err(self.state.failed("read"))?;
        let view = RedbView { table, walk: None, path: self.path.clone() };
        Ok(Box::new(ViewCursor::new(view, range)?))
    }

    /// A commit that syncs carries all before it.
    fn sync(&self) -> Result<()> {
        self.state.sync(|| self.apply(&WriteBatch::new(), Durability::Sync))
    }

    fn close(&self) -> Result<()> {
        self.state.close(|| self.apply(&WriteBatch::new(), Durability::Sync))
    }

    fn capabilities(&self) -> Capabilities {
        self.state.capabilities()
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }
}

struct RedbView {
    table: Table,
    walk: Option<Range<'static, &'static [u8], &'static [u8]>>,
    path: PathBuf,
}

impl RedbView {
    fn try_copy(&mut self, request: StretchRequest<'_>, into: &mut Copied) -> Outcome<()> {
        if !request.is_continuation || self.walk.is_none() {
            self.walk = Some(self.table.range::<&[u8]>((request.start, request.end))?);
        }
        let Some(walk) = &mut self.walk else { return Ok(()) };
        for _ in 0..request.wanted {
            let entry = match request.direction {
                Direction::Forward => walk.next(),
                Direction::Backward => walk.next_back(),
            };
            let Some(entry) = entry else { break };
            let (key, value) = entry?;
            into.push(key.value(), value.value());
        }
        Ok(())
    }
}

impl View for RedbView {
    const KEEPS_ITERATOR: bool = true;

    fn copy(&mut self, request: StretchRequest<'_>, into: &mut Copied) -> Result<()> {
        self.try_copy(request, into).map_err(|error| failure("read", &self.path, &error))
    }
}
