//! `peer:sled`: a B-tree over a log in Rust.
//!
//! An acknowledged write may still be in the memory of the process, for up to half a second; the only stronger promise
//! is a flush. On Linux a flush ends in `sync_file_range`. That call neither empties the cache of the disk nor makes the size
//! of the file durable. So the adapter syncs the file itself after each flush. No promise between the two
//! is faster than a sync, so the class `Buffered` is not registered. A run that asks for it gets unflushed writes, the class
//! `None`, and the engine is not ranked.
//!
//! Scans are not frozen: they see writes that happen meanwhile.

use std::fs::File;
use std::path::{Path, PathBuf};

use kv::{
    Capabilities, Cursor, Direction, Durability, KeyRange, Kv, Op, Result, SequenceNumber, Stats,
    WriteBatch,
};
use sled::{Batch, Config, Db, Iter, Tree};

use super::adapter_state::{AdapterState, failure};
use super::copied::Copied;
use super::view_cursor::{StretchRequest, View, ViewCursor};
use super::{EngineConfig, Registration, mebibytes};

pub(super) const REGISTRATION: Registration = Registration {
    name: "peer:sled",
    about: "B-tree over a log in Rust; buffered writes are lost with the process, no frozen scans",
    version: "0.34.7",
    classes: &[Durability::None, Durability::Sync],
    open: |directory, config| Ok(Box::new(Sled::open(directory, config)?)),
    settings: |config| {
        let cache = mebibytes(config.memory_budget_bytes);
        format!(
            "cache {cache}, a flush every {FLUSH_EVERY_MS} ms, no compression; sync is a flush and an fdatasync"
        )
    },
};

/// Its default: how long an acknowledged write may stay in memory.
const FLUSH_EVERY_MS: u64 = 500;

struct Sled {
    state: AdapterState,
    path: PathBuf,
    database: Db,
    /// Its file once more, to sync it.
    file: File,
}

impl Sled {
    fn open(directory: &Path, config: EngineConfig) -> Result<Self> {
        let state = AdapterState::new(directory, Durability::Sync);
        let database = Config::default()
            .path(directory)
            .cache_capacity(config.memory_budget_bytes)
            .flush_every_ms(Some(FLUSH_EVERY_MS))
            .open()
            .map_err(state.failed("open"))?;
        let file = File::open(directory.join("db")).map_err(state.failed("open"))?;
        Ok(Self { state, path: directory.into(), database, file })
    }

    fn apply(&self, batch: &WriteBatch, durability: Durability) -> sled::Result<()> {
        let mut ops = batch.ops();
        match (ops.next(), ops.next()) {
            (Some(Op::Delete { key }), None) => drop(self.database.remove(key)?),
            (Some(op), None) => drop(self.database.insert(op.key(), op.value())?),
            _ => self.database.apply_batch(own_batch(batch))?,
        }
        if durability > Durability::None { self.flush() } else { Ok(()) }
    }

    fn flush(&self) -> sled::Result<()> {
        self.database.flush()?;
        Ok(self.file.sync_data()?)
    }
}

fn own_batch(batch: &WriteBatch) -> Batch {
    let mut own = Batch::default();
    for op in batch.ops() {
        match op {
            Op::Delete { key } => own.remove(key),
            _ => own.insert(op.key(), op.value()),
        }
    }
    own
}

impl Kv for Sled {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.state.check_open()?;
        let value = self.database.get(key).map_err(self.state.failed("read"))?;
        value.as_deref().inspect(|value| found(value));
        Ok(value.is_some())
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<SequenceNumber> {
        self.state.write(batch, || self.apply(batch, durability))
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        self.state.check_open()?;
        let tree = Tree::clone(&self.database);
        let view = SledView { tree, walk: None, path: self.path.clone() };
        Ok(Box::new(ViewCursor::new(view, range)?))
    }

    fn sync(&self) -> Result<()> {
        self.state.sync(|| self.flush())
    }

    fn close(&self) -> Result<()> {
        self.state.close(|| self.flush())
    }

    fn capabilities(&self) -> Capabilities {
        self.state.capabilities()
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }
}

struct SledView {
    tree: Tree,
    walk: Option<Iter>,
    path: PathBuf,
}

impl View for SledView {
    const KEEPS_ITERATOR: bool = true;

    fn copy(&mut self, request: StretchRequest<'_>, into: &mut Copied) -> Result<()> {
        let Self { tree, walk, path } = self;
        if !request.is_continuation {
            *walk = None;
        }
        let range = || tree.range::<&[u8], _>((request.start, request.end));
        let walk = walk.get_or_insert_with(range);
        for _ in 0..request.wanted {
            let entry = match request.direction {
                Direction::Forward => walk.next(),
                Direction::Backward => walk.next_back(),
            };
            let Some(entry) = entry else { break };
            let (key, value) = entry.map_err(|error| failure("read", path, &error))?;
            into.push(&key, &value);
        }
        Ok(())
    }
}
