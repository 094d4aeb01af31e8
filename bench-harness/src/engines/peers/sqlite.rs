//! `peer:sqlite`: SQLite with a write-ahead log, one table of keys and values.
//!
//! Whether commits sync is a property of the connection that writes: `FULL` in a run of the class `Sync`, else `NORMAL`,
//! which syncs at checkpoints only and survives the process. One connection writes, behind a lock; reads borrow one from
//! a pool, and a cursor keeps its own, with a read transaction that freezes its view.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kv::{
    Capabilities, Cursor, Direction, Durability, Error, KeyRange, Kv, Op, Result, SequenceNumber,
    Stats, WriteBatch,
};
use parking_lot::Mutex;
use rusqlite::{Connection, params, params_from_iter};

use super::copied::Copied;
use super::shell::{Shell, failure};
use super::view_cursor::{Part, View, ViewCursor};
use super::{EngineConfig, Registration, mebibytes};

pub(super) const REGISTRATION: Registration = Registration {
    name: "peer:sqlite",
    about: "SQLite: B-tree with a write-ahead log",
    version: "rusqlite 0.41.1, SQLite 3.54.1",
    classes: &[Durability::Buffered, Durability::Sync],
    open: |directory, config| Ok(Box::new(Sqlite::open(directory, config)?)),
    settings: |config| {
        let (writer, reader) = caches(config);
        format!(
            "WAL, synchronous={}, pages of 4 KiB, WITHOUT ROWID, cache of the writer {} and of each reader {}, mmap \
             on, a checkpoint every {CHECKPOINT_PAGES} pages, prepared statements",
            synchronous(config.durability),
            mebibytes(writer),
            mebibytes(reader),
        )
    },
};

/// Pages of the log that make a commit run a checkpoint.
const CHECKPOINT_PAGES: u32 = 4_000;
/// The most of the file that is mapped: SQLite's own limit is below it.
const MAPPED_BYTES: u64 = 64 << 30;
/// The longest value and the longest row: SQLite's limit.
const LONGEST_ROW: usize = 1_000_000_000;
/// Statements that a connection keeps prepared; a cursor has a few for each kind of bounds.
const PREPARED: usize = 32;
/// How long a connection waits for another one's lock.
const BUSY_MS: u32 = 10_000;

const GET: &str = "SELECT v FROM entries WHERE k = ?1";
const PUT: &str = "INSERT OR REPLACE INTO entries (k, v) VALUES (?1, ?2)";
const DELETE: &str = "DELETE FROM entries WHERE k = ?1";

struct Sqlite {
    shell: Shell,
    writer: Mutex<Connection>,
    readers: Arc<Readers>,
}

/// Connections for reading, given back when they are not used.
struct Readers {
    path: PathBuf,
    cache_bytes: u64,
    idle: Mutex<Vec<Connection>>,
}

/// Half for the connection that writes; the readers mostly read from the mapping.
fn caches(config: EngineConfig) -> (u64, u64) {
    (config.memory_budget_bytes / 2, config.memory_budget_bytes / 8)
}

fn synchronous(durability: Durability) -> &'static str {
    if durability == Durability::Sync { "FULL" } else { "NORMAL" }
}

impl Readers {
    fn take(&self) -> rusqlite::Result<Connection> {
        let idle = self.idle.lock().pop();
        idle.map_or_else(|| connect(&self.path, self.cache_bytes), Ok)
    }

    fn give_back(&self, connection: Connection) {
        self.idle.lock().push(connection);
    }
}

fn connect(path: &Path, cache_bytes: u64) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path.join("entries.sqlite"))?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    connection.execute_batch(&format!(
        "PRAGMA busy_timeout = {BUSY_MS}; PRAGMA journal_mode = WAL; PRAGMA cache_size = -{}; \
         PRAGMA mmap_size = {MAPPED_BYTES}; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};",
        cache_bytes >> 10,
    ))?;
    Ok(connection)
}

impl Sqlite {
    fn open(directory: &Path, config: EngineConfig) -> Result<Self> {
        let durability = config.durability.max(Durability::Buffered);
        let shell = Shell::new(directory, durability).with_longest_value(LONGEST_ROW - (1 << 17));
        let (writer_bytes, cache_bytes) = caches(config);
        let writer = connect(directory, writer_bytes).map_err(shell.failed("open"))?;
        let set_up = format!(
            "PRAGMA synchronous = {}; \
             CREATE TABLE IF NOT EXISTS entries (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID;",
            synchronous(config.durability),
        );
        writer.execute_batch(&set_up).map_err(shell.failed("open"))?;
        let readers = Readers { path: directory.into(), cache_bytes, idle: Mutex::default() };
        Ok(Self { shell, writer: Mutex::new(writer), readers: Arc::new(readers) })
    }

    fn apply(&self, batch: &WriteBatch) -> rusqlite::Result<()> {
        let mut writer = self.writer.lock();
        let mut ops = batch.ops();
        if let (Some(only), None) = (ops.next(), ops.next()) {
            return execute(&writer, only);
        }
        let transaction = writer.transaction()?;
        batch.ops().try_for_each(|op| execute(&transaction, op))?;
        transaction.commit()
    }

    /// Syncs the log, and copies it into the database.
    fn checkpoint(&self) -> rusqlite::Result<()> {
        self.writer.lock().query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()))
    }
}

fn execute(connection: &Connection, op: Op<'_>) -> rusqlite::Result<()> {
    match op {
        Op::Delete { key } => connection.prepare_cached(DELETE)?.execute(params![key]).map(drop),
        _ => connection.prepare_cached(PUT)?.execute(params![op.key(), op.value()]).map(drop),
    }
}

fn get(
    connection: &Connection,
    key: &[u8],
    found: &mut dyn FnMut(&[u8]),
) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(GET)?;
    let mut rows = statement.query(params![key])?;
    let Some(row) = rows.next()? else { return Ok(false) };
    found(row.get_ref(0)?.as_blob()?);
    Ok(true)
}

impl Kv for Sqlite {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.shell.check_open()?;
        let reader = self.readers.take().map_err(self.shell.failed("open"))?;
        let answer = get(&reader, key, found).map_err(self.shell.failed("read"));
        self.readers.give_back(reader);
        answer
    }

    fn write(&self, batch: &WriteBatch, _: Durability) -> Result<SequenceNumber> {
        self.shell.write(batch, || self.apply(batch))
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        self.shell.check_open()?;
        let connection = self.readers.take().map_err(self.shell.failed("open"))?;
        let view = SqliteView { connection: Some(connection), readers: Arc::clone(&self.readers) };
        view.freeze().map_err(self.shell.failed("read"))?;
        Ok(Box::new(ViewCursor::new(view, range)?))
    }

    fn sync(&self) -> Result<()> {
        self.shell.sync(|| self.checkpoint())
    }

    fn close(&self) -> Result<()> {
        self.shell.close(|| self.checkpoint())
    }

    fn capabilities(&self) -> Capabilities {
        self.shell.capabilities()
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }
}

/// A read transaction on a connection of its own.
struct SqliteView {
    connection: Option<Connection>,
    readers: Arc<Readers>,
}

impl SqliteView {
    /// Begins the transaction and reads once: only that freezes the view.
    fn freeze(&self) -> rusqlite::Result<()> {
        let Some(connection) = &self.connection else { return Ok(()) };
        connection.prepare_cached("BEGIN")?.execute([])?;
        let mut statement = connection.prepare_cached("SELECT 1 FROM entries LIMIT 1")?;
        statement.query([])?.next().map(drop)
    }

    fn try_copy(&self, part: Part<'_>, into: &mut Copied) -> rusqlite::Result<()> {
        let Some(connection) = &self.connection else { return Ok(()) };
        let mut statement = connection.prepare_cached(&query(part))?;
        let keys = [key_of(part.start), key_of(part.end)];
        let mut rows = statement.query(params_from_iter(keys.into_iter().flatten()))?;
        while let Some(row) = rows.next()? {
            into.push(row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?);
        }
        Ok(())
    }
}

fn key_of(bound: Bound<&[u8]>) -> Option<&[u8]> {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => Some(key),
        Bound::Unbounded => None,
    }
}

fn query(part: Part<'_>) -> String {
    let start = match part.start {
        Bound::Included(_) => "k >= ?",
        Bound::Excluded(_) => "k > ?",
        Bound::Unbounded => "TRUE",
    };
    let end = match part.end {
        Bound::Included(_) => "k <= ?",
        Bound::Excluded(_) => "k < ?",
        Bound::Unbounded => "TRUE",
    };
    let order = match part.direction {
        Direction::Forward => "ASC",
        Direction::Backward => "DESC",
    };
    let wanted = part.wanted;
    format!("SELECT k, v FROM entries WHERE {start} AND {end} ORDER BY k {order} LIMIT {wanted}")
}

impl View for SqliteView {
    const KEEPS_ITS_PLACE: bool = false;

    fn copy(&mut self, part: Part<'_>, into: &mut Copied) -> Result<()> {
        let path = &self.readers.path;
        self.try_copy(part, into).map_err(|error| -> Error { failure("read", path, &error) })
    }
}

impl Drop for SqliteView {
    fn drop(&mut self) {
        // A connection whose transaction cannot be ended is not given back.
        if let Some(connection) = self.connection.take()
            && connection.execute_batch("COMMIT").is_ok()
        {
            self.readers.give_back(connection);
        }
    }
}
