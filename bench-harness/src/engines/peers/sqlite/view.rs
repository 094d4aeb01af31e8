//! A frozen view of SQLite's table, read by a query for each stretch of a cursor.

use std::ops::Bound;

use kv::{Direction, Error, Result};
use rusqlite::params_from_iter;

use super::super::copied::Copied;
use super::super::shell::failure;
use super::super::view_cursor::{Part, View};
use super::readers::Reader;

/// A read transaction on a connection of its own.
pub(super) struct SqliteView {
    reader: Reader,
}

impl SqliteView {
    /// The view of a reader in a transaction. Reads once: only that freezes the view.
    pub(super) fn new(reader: Reader) -> rusqlite::Result<Self> {
        let view = Self { reader };
        view.freeze()?;
        Ok(view)
    }

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
        let path = self.reader.readers().path();
        self.try_copy(part, into).map_err(|error| -> Error { failure("read", path, &error) })
    }
}
