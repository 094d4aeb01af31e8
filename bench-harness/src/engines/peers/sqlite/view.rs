//! A frozen view of SQLite's table, read by a query for each stretch of a cursor.

use std::ops::Bound;

use kv::{Direction, Error, Result};
use rusqlite::params_from_iter;

use super::super::adapter_state::failure;
use super::super::copied::Copied;
use super::super::view_cursor::{StretchRequest, View};
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

    fn try_copy(&self, request: StretchRequest<'_>, into: &mut Copied) -> rusqlite::Result<()> {
        let mut statement = self.reader.connection()?.prepare_cached(&query(request))?;
        let keys = [key_of(request.start), key_of(request.end)];
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

fn query(request: StretchRequest<'_>) -> String {
    let start = match request.start {
        Bound::Included(_) => "k >= ?",
        Bound::Excluded(_) => "k > ?",
        Bound::Unbounded => "TRUE",
    };
    let end = match request.end {
        Bound::Included(_) => "k <= ?",
        Bound::Excluded(_) => "k < ?",
        Bound::Unbounded => "TRUE",
    };
    let order = match request.direction {
        Direction::Forward => "ASC",
        Direction::Backward => "DESC",
    };
    let wanted = request.wanted;
    format!("SELECT k, v FROM entries WHERE {start} AND {end} ORDER BY k {order} LIMIT {wanted}")
}

impl View for SqliteView {
    const KEEPS_ITERATOR: bool = false;

    fn copy(&mut self, request: StretchRequest<'_>, into: &mut Copied) -> Result<()> {
        let path = self.reader.readers().path();
        self.try_copy(request, into).map_err(|error| -> Error { failure("read", path, &error) })
    }
}
