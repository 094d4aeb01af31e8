//! `peer:sqlite`: SQLite with a write-ahead log, one table of keys and values.
//!
//! Whether commits sync is a property of the connection that writes: `FULL` in a run of the class `Sync`, else `NORMAL`,
//! which syncs at checkpoints only and survives the process. One connection writes, behind a lock; reads borrow one from
//! a pool, and a cursor keeps its own, with a read transaction that freezes its view.
//!
//! - The layout of the table follows the size of values ([`Layout`]): at 1 KiB a table with row ids loads 5 times as fast,
//!   answers gets 2.4 times as fast and takes 0.3 of the space; at 100 B one without them makes puts 2.3 times as fast.
//! - A put updates the row that is there. To replace it, as `INSERT OR REPLACE` does, costs twice as much with row ids.
//! - A thread keeps its read transaction while nothing is written ([`super::kept`]): else each get takes and gives back a
//!   file lock. Gets are 2.3 times as fast with one thread and 4.6 times with two.
//! - Pages stay at 4 KiB, the default: pages of 8 and 16 KiB load faster and make single puts slower (0.86 and 0.65).
//! - Syncs are `fdatasync`, as they are elsewhere; SQLite's default is `fsync`. `.cargo/config.toml` says so to its build.

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
use super::kept::{KeptViews, Lasts};
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
            "WAL, synchronous={}, {}, {}, upserts, cache of the writer {} and of each reader {}, mmap on, a checkpoint \
             every {CHECKPOINT_PAGES} pages, prepared statements, a thread keeps its read transaction until a write",
            synchronous(config.durability),
            sync_call(),
            Layout::of(config).name(),
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
/// The longest value that is kept in the index: a twentieth of a page, which is SQLite's advice.
const LONGEST_IN_INDEX: u64 = 200;
/// Statements that a connection keeps prepared; a cursor has a few for each kind of bounds.
const PREPARED: usize = 32;
/// How long a connection waits for another one's lock.
const BUSY_MS: u32 = 10_000;

const GET: &str = "SELECT v FROM entries WHERE k = ?1";
const PUT: &str = "INSERT INTO entries (k, v) VALUES (?1, ?2) \
                   ON CONFLICT (k) DO UPDATE SET v = excluded.v";
const BEGIN: &str = "BEGIN";
const COMMIT: &str = "COMMIT";
const DELETE: &str = "DELETE FROM entries WHERE k = ?1";

struct Sqlite {
    shell: Shell,
    writer: Mutex<Connection>,
    readers: Arc<Readers>,
    views: KeptViews<Reader>,
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

/// The shape of the table.
#[derive(Clone, Copy, Debug)]
enum Layout {
    /// Rows in a tree by number, and an index from keys to numbers.
    RowIds,
    /// Rows in the index itself.
    WithoutRowIds,
}

impl Layout {
    /// The layout for values of the size that the run writes: rows in the index where they are small.
    fn of(config: EngineConfig) -> Self {
        if config.value_bytes > LONGEST_IN_INDEX { Self::RowIds } else { Self::WithoutRowIds }
    }

    fn name(self) -> &'static str {
        match self {
            Self::RowIds => "row ids and an index",
            Self::WithoutRowIds => "WITHOUT ROWID",
        }
    }

    fn clause(self) -> &'static str {
        match self {
            Self::RowIds => "",
            Self::WithoutRowIds => "WITHOUT ROWID",
        }
    }
}

/// The call that a sync of this build makes.
fn sync_call() -> &'static str {
    let flags = option_env!("LIBSQLITE3_FLAGS").unwrap_or_default();
    if flags.contains("HAVE_FDATASYNC") { "fdatasync" } else { "fsync" }
}

fn synchronous(durability: Durability) -> &'static str {
    if durability == Durability::Sync { "FULL" } else { "NORMAL" }
}

impl Readers {
    fn borrow(self: &Arc<Self>) -> rusqlite::Result<Reader> {
        let idle = self.idle.lock().pop();
        let connection = idle.map_or_else(|| connect(&self.path, self.cache_bytes), Ok)?;
        Ok(Reader { connection: Some(connection), readers: Arc::clone(self) })
    }
}

/// A borrowed connection, maybe in a read transaction.
struct Reader {
    /// There until the reader is dropped.
    connection: Option<Connection>,
    readers: Arc<Readers>,
}

impl Reader {
    /// The same with a read transaction, whose first read freezes its view.
    fn in_transaction(self) -> rusqlite::Result<Self> {
        self.connection()?.prepare_cached(BEGIN)?.execute([])?;
        Ok(self)
    }

    fn connection(&self) -> rusqlite::Result<&Connection> {
        self.connection.as_ref().ok_or(rusqlite::Error::InvalidQuery)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let commit = || connection.prepare_cached(COMMIT)?.execute([]);
        // A connection whose transaction cannot be ended is not given back.
        if connection.is_autocommit() || commit().is_ok() {
            self.readers.idle.lock().push(connection);
        }
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
             CREATE TABLE IF NOT EXISTS entries (k BLOB NOT NULL PRIMARY KEY, v BLOB NOT NULL) {};",
            synchronous(config.durability),
            Layout::of(config).clause(),
        );
        writer.execute_batch(&set_up).map_err(shell.failed("open"))?;
        let readers = Readers { path: directory.into(), cache_bytes, idle: Mutex::default() };
        Ok(Self {
            shell,
            writer: Mutex::new(writer),
            readers: Arc::new(readers),
            views: KeptViews::new(),
        })
    }

    fn apply(&self, batch: &WriteBatch) -> rusqlite::Result<()> {
        let mut writer = self.writer.lock();
        let mut ops = batch.ops();
        if let (Some(only), None) = (ops.next(), ops.next()) {
            execute(&writer, only)?;
        } else {
            let transaction = writer.transaction()?;
            batch.ops().try_for_each(|op| execute(&transaction, op))?;
            transaction.commit()?;
        }
        self.views.outdate();
        Ok(())
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
        let begin = |lasts| match lasts {
            Lasts::OneRead => self.readers.borrow(),
            Lasts::UntilWrite => self.readers.borrow()?.in_transaction(),
        };
        let answer = self.views.read(begin, |reader| get(reader.connection()?, key, found));
        answer.map_err(self.shell.failed("read"))
    }

    fn write(&self, batch: &WriteBatch, _: Durability) -> Result<SequenceNumber> {
        self.shell.write(batch, || self.apply(batch))
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        self.shell.check_open()?;
        let reader = self.readers.borrow().and_then(Reader::in_transaction);
        let view = SqliteView { reader: reader.map_err(self.shell.failed("read"))? };
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
    reader: Reader,
}

impl SqliteView {
    /// Reads once: only that freezes the view.
    fn freeze(&self) -> rusqlite::Result<()> {
        let connection = self.reader.connection()?;
        let mut statement = connection.prepare_cached("SELECT 1 FROM entries LIMIT 1")?;
        statement.query([])?.next().map(drop)
    }

    fn try_copy(&self, part: Part<'_>, into: &mut Copied) -> rusqlite::Result<()> {
        let mut statement = self.reader.connection()?.prepare_cached(&query(part))?;
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
        let path = &self.reader.readers.path;
        self.try_copy(part, into).map_err(|error| -> Error { failure("read", path, &error) })
    }
}
