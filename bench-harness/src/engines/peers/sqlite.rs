//! `peer:sqlite`: SQLite with a write-ahead log, one table of keys and values.
//!
//! Whether commits sync is a property of the connection that writes: `FULL` in a run of the class `Sync`, else `NORMAL`,
//! which syncs at checkpoints only and survives the process. One connection writes, behind a lock. Reads borrow one from
//! a pool ([`readers`]). A cursor keeps its own, with a read transaction that freezes its view ([`view`]).
//!
//! - The layout of the table follows the size of values ([`Layout`]): at 1 KiB a table with row ids loads 5 times as fast,
//!   answers gets 2.4 times as fast and takes 0.3 of the space; at 100 B one without them makes puts 2.3 times as fast.
//! - A put updates the row that is there. To replace it, as `INSERT OR REPLACE` does, costs twice as much with row ids.
//! - A thread keeps its read transaction while nothing is written ([`super::thread_views`]): else each get takes and gives back a
//!   file lock. Gets are 2.3 times as fast with one thread and 4.6 times with two.
//! - Pages stay at 4 KiB, the default: pages of 8 and 16 KiB load faster and make single puts slower (0.86 and 0.65).
//! - Syncs are `fdatasync`, as they are elsewhere; SQLite's default is `fsync`. `.cargo/config.toml` says so to its build.

mod readers;
mod view;

use std::path::Path;
use std::sync::Arc;

use kv::{
    Capabilities, Cursor, Durability, KeyRange, Kv, Op, Result, SequenceNumber, Stats, WriteBatch,
};
use parking_lot::Mutex;
use rusqlite::{Connection, params};

use self::readers::{CHECKPOINT_PAGES, Reader, Readers, connect};
use self::view::SqliteView;
use super::adapter_state::AdapterState;
use super::thread_views::{ThreadViews, ViewLifetime};
use super::view_cursor::ViewCursor;
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
            "WAL, synchronous={}, {}, {}, upserts, cache of the writer {} and of each reader {}, {}, a checkpoint \
             every {CHECKPOINT_PAGES} pages, prepared statements, a thread keeps its read transaction until a write",
            synchronous(config.durability),
            sync_call(),
            Layout::of(config).name(),
            mebibytes(writer),
            mebibytes(reader),
            if maps(config) { "mmap on" } else { "mmap off (memory is limited)" },
        )
    },
};

/// The longest value and the longest row: SQLite's limit.
const LONGEST_ROW: usize = 1_000_000_000;
/// The longest value that is kept in the index: a twentieth of a page, which is SQLite's advice.
const LONGEST_IN_INDEX: u64 = 200;

const PUT: &str = "INSERT INTO entries (k, v) VALUES (?1, ?2) \
                   ON CONFLICT (k) DO UPDATE SET v = excluded.v";
const DELETE: &str = "DELETE FROM entries WHERE k = ?1";

struct Sqlite {
    state: AdapterState,
    writer: Mutex<Connection>,
    readers: Arc<Readers>,
    views: ThreadViews<Reader>,
}

/// Half for the connection that writes; the readers mostly read from the mapping.
fn caches(config: EngineConfig) -> (u64, u64) {
    (config.memory_budget_bytes / 2, config.memory_budget_bytes / 8)
}

/// Whether the file is mapped. SQLite gives its mapping no advice, so a page that left memory comes back with the read-ahead
/// of the disk: under a limit, 276 GB were read for a store of 0.3 GB on a disk with 8 MiB.
fn maps(config: EngineConfig) -> bool {
    config.limit_memory_bytes.is_none()
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

impl Sqlite {
    fn open(directory: &Path, config: EngineConfig) -> Result<Self> {
        let durability = config.durability.max(Durability::Buffered);
        let state =
            AdapterState::new(directory, durability).with_longest_value(LONGEST_ROW - (1 << 17));
        let (writer_bytes, cache_bytes) = caches(config);
        let writer =
            connect(directory, writer_bytes, maps(config)).map_err(state.failed("open"))?;
        let set_up = format!(
            "PRAGMA synchronous = {}; \
             CREATE TABLE IF NOT EXISTS entries (k BLOB NOT NULL PRIMARY KEY, v BLOB NOT NULL) {};",
            synchronous(config.durability),
            Layout::of(config).clause(),
        );
        writer.execute_batch(&set_up).map_err(state.failed("open"))?;
        let readers = Readers::new(directory, cache_bytes, maps(config));
        Ok(Self { state, writer: Mutex::new(writer), readers, views: ThreadViews::new() })
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
        self.views.invalidate();
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

impl Kv for Sqlite {
    fn get_with(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.state.check_open()?;
        let begin = |lasts| match lasts {
            ViewLifetime::OneRead => self.readers.borrow(),
            ViewLifetime::UntilWrite => self.readers.borrow()?.in_transaction(),
        };
        let answer = self.views.read(begin, |reader| reader.get(key, found));
        answer.map_err(self.state.failed("read"))
    }

    fn write(&self, batch: &WriteBatch, _: Durability) -> Result<SequenceNumber> {
        self.state.write(batch, || self.apply(batch))
    }

    fn scan(&self, range: KeyRange) -> Result<Box<dyn Cursor>> {
        self.state.check_open()?;
        let reader = self.readers.borrow().and_then(Reader::in_transaction);
        let view = reader.and_then(SqliteView::new).map_err(self.state.failed("read"))?;
        Ok(Box::new(ViewCursor::new(view, range)?))
    }

    fn sync(&self) -> Result<()> {
        self.state.sync(|| self.checkpoint())
    }

    fn close(&self) -> Result<()> {
        self.state.close(|| self.checkpoint())
    }

    fn capabilities(&self) -> Capabilities {
        self.state.capabilities()
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }
}
