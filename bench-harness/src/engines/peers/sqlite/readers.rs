//! The connections of SQLite: how each is set up, and a pool of those that read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, params};

/// Pages of the log that make a commit run a checkpoint.
pub(super) const CHECKPOINT_PAGES: u32 = 4_000;
/// The most of the file that is mapped: SQLite's own limit is below it.
const MAPPED_BYTES: u64 = 64 << 30;
/// Statements that a connection keeps prepared; a cursor has a few for each kind of bounds.
const PREPARED: usize = 32;
/// How long a connection waits for another one's lock.
const BUSY_MS: u32 = 10_000;

const GET: &str = "SELECT v FROM entries WHERE k = ?1";
const BEGIN: &str = "BEGIN";
const COMMIT: &str = "COMMIT";

/// Connections for reading, given back when they are not used.
pub(super) struct Readers {
    path: PathBuf,
    cache_bytes: u64,
    maps: bool,
    idle: Mutex<Vec<Connection>>,
}

/// Opens a connection to the database in the directory `path`, which may not exist yet.
pub(super) fn connect(path: &Path, cache_bytes: u64, maps: bool) -> rusqlite::Result<Connection> {
    let mapped_bytes = if maps { MAPPED_BYTES } else { 0 };
    let connection = Connection::open(path.join("entries.sqlite"))?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    connection.execute_batch(&format!(
        "PRAGMA busy_timeout = {BUSY_MS}; PRAGMA journal_mode = WAL; PRAGMA cache_size = -{}; \
         PRAGMA mmap_size = {mapped_bytes}; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};",
        cache_bytes >> 10,
    ))?;
    Ok(connection)
}

impl Readers {
    /// Connections to the database in the directory `path`, each with a cache of `cache_bytes`, which map it or not.
    pub(super) fn new(path: &Path, cache_bytes: u64, maps: bool) -> Arc<Self> {
        Arc::new(Self { path: path.into(), cache_bytes, maps, idle: Mutex::default() })
    }

    /// The directory of the database.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// An idle connection, or a new one.
    pub(super) fn borrow(self: &Arc<Self>) -> rusqlite::Result<Reader> {
        let idle = self.idle.lock().pop();
        let connection =
            idle.map_or_else(|| connect(&self.path, self.cache_bytes, self.maps), Ok)?;
        Ok(Reader { connection: Some(connection), readers: Arc::clone(self) })
    }
}

/// A borrowed connection, maybe in a read transaction.
pub(super) struct Reader {
    /// There until the reader is dropped.
    connection: Option<Connection>,
    readers: Arc<Readers>,
}

impl Reader {
    /// The same with a read transaction, whose first read freezes its view.
    pub(super) fn in_transaction(self) -> rusqlite::Result<Self> {
        self.connection()?.prepare_cached(BEGIN)?.execute([])?;
        Ok(self)
    }

    /// The connections that this one is given back to.
    pub(super) fn readers(&self) -> &Readers {
        &self.readers
    }

    /// Calls `found` with the value of `key`, if there is one.
    pub(super) fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> rusqlite::Result<bool> {
        let mut statement = self.connection()?.prepare_cached(GET)?;
        let mut rows = statement.query(params![key])?;
        let Some(row) = rows.next()? else { return Ok(false) };
        found(row.get_ref(0)?.as_blob()?);
        Ok(true)
    }

    /// The connection itself.
    pub(super) fn connection(&self) -> rusqlite::Result<&Connection> {
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
