//! The sources that a walk merges.

use std::ops::Bound;
use std::sync::Arc;

use kv::{Cursor, KeyRange, Result};
use sstable::RunCursor;

use crate::internal_key::{LAYOUT, Trailer, encoded};
use crate::memtable::MemtableCursor;
use crate::table_file::TableRun;
use crate::version::SuperVersion;

/// A walk over the internal keys of one memtable or one run.
#[derive(Debug)]
pub(crate) enum Source {
    Memtable(MemtableCursor),
    Run(Box<RunCursor<TableRun>>),
}

/// The sources of `view`, the newest first, each inside `range`.
///
/// # Errors
/// As [`RunCursor::new`].
pub(crate) fn sources_of(view: &SuperVersion, range: &KeyRange) -> Result<Vec<Source>> {
    let (start, end) = internal_bounds(range);
    let bounds = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
    let memtables = view.memtables().filter(|memtable| !memtable.is_empty());
    let memtable = |memtable| Source::Memtable(MemtableCursor::new(Arc::clone(memtable), bounds));
    let mut sources: Vec<Source> = memtables.map(memtable).collect();
    for run in &view.version.runs {
        let cursor = RunCursor::new(run.clone(), LAYOUT, bounds)?;
        sources.push(Source::Run(Box::new(cursor)));
    }
    Ok(sources)
}

/// The bounds of all versions of the keys in `range`.
fn internal_bounds(range: &KeyRange) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let start = match range.start() {
        Bound::Included(user) => Bound::Included(encoded(user, Trailer::NEWEST)),
        Bound::Excluded(user) => Bound::Excluded(encoded(user, Trailer::OLDEST)),
        Bound::Unbounded => Bound::Unbounded,
    };
    let end = match range.end() {
        Bound::Included(user) => Bound::Included(encoded(user, Trailer::OLDEST)),
        Bound::Excluded(user) => Bound::Excluded(encoded(user, Trailer::NEWEST)),
        Bound::Unbounded => Bound::Unbounded,
    };
    (start, end)
}

impl Cursor for Source {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        match self {
            Self::Memtable(cursor) => cursor.seek_ge(key),
            Self::Run(cursor) => cursor.seek_ge(key),
        }
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        match self {
            Self::Memtable(cursor) => cursor.seek_lt(key),
            Self::Run(cursor) => cursor.seek_lt(key),
        }
    }

    #[inline]
    fn next(&mut self) -> Result<bool> {
        match self {
            Self::Memtable(cursor) => cursor.next(),
            Self::Run(cursor) => cursor.next(),
        }
    }

    #[inline]
    fn prev(&mut self) -> Result<bool> {
        match self {
            Self::Memtable(cursor) => cursor.prev(),
            Self::Run(cursor) => cursor.prev(),
        }
    }

    #[inline]
    fn key(&self) -> &[u8] {
        match self {
            Self::Memtable(cursor) => cursor.key(),
            Self::Run(cursor) => cursor.key(),
        }
    }

    #[inline]
    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        match self {
            Self::Memtable(cursor) => cursor.entry(),
            Self::Run(cursor) => cursor.entry(),
        }
    }
}
