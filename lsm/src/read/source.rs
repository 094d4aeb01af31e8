//! The sources that a walk merges: one for each memtable and each run.

use std::ops::Bound;
use std::sync::Arc;

use kv::{Cursor, KeyRange, Result};
use sstable::RunCursor;

use super::cover::{Cover, Ranges};
use super::covered::CoveredCursor;
use crate::entry_tree::EntryCursor;
use crate::internal_key::{LAYOUT, Trailer, encoded};
use crate::steps::Steps;
use crate::table_file::TableRun;
use crate::version::SuperVersion;

/// A walk over the internal keys of one memtable or one run.
pub(crate) enum Source {
    Memtable(EntryCursor),
    Run(Box<RunCursor<TableRun>>),
    /// One of these, without the entries that range tombstones cover.
    Covered(Box<dyn Cursor>),
}

/// The sources of a view, the newest first.
pub(crate) struct Sources {
    /// The cursors, fresh, each inside the bounds of the walk.
    pub(crate) cursors: Vec<Source>,
    /// The range tombstones of each.
    pub(crate) ranges: Vec<Option<Ranges>>,
}

impl Sources {
    /// The memtables and runs of `view`, with entries in `range`.
    ///
    /// # Errors
    /// As [`RunCursor::new`].
    pub(crate) fn of(view: &SuperVersion, range: &KeyRange) -> Result<Self> {
        let (start, end) = internal_bounds(range);
        let bounds = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
        let (mut cursors, mut ranges) = (Vec::new(), Vec::new());
        for memtable in view.memtables().filter(|memtable| !memtable.is_empty()) {
            cursors.push(Source::Memtable(memtable.cursor(bounds)));
            ranges.push(memtable.ranges().map(Ranges::Memtable));
        }
        for run in &view.version.runs {
            let cursor = RunCursor::new(run.clone(), LAYOUT, bounds)?;
            cursors.push(Source::Run(Box::new(cursor)));
            let has_ranges = !run.tables_with_ranges().is_empty();
            ranges.push(has_ranges.then(|| Ranges::Run(run.clone())));
        }
        Ok(Self { cursors, ranges })
    }

    /// The cursors, without the entries that a reader at `sequence` finds covered by range tombstones.
    pub(super) fn uncovered(self, sequence: u64, steps: &Steps) -> Vec<Source> {
        if self.ranges.iter().all(Option::is_none) {
            return self.cursors;
        }
        let newest_first: Arc<[Option<Ranges>]> = self.ranges.into();
        let uncovered = |(number, source)| match Cover::of(&newest_first, number, sequence) {
            None => source,
            Some(cover) => {
                let cursor = CoveredCursor::new(source, cover, steps.clone());
                Source::Covered(Box::new(cursor))
            }
        };
        self.cursors.into_iter().enumerate().map(uncovered).collect()
    }
}

/// The bounds of all versions of the keys in `range`.
pub(super) fn internal_bounds(range: &KeyRange) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let start = match range.start() {
        Bound::Included(user) => Bound::Included(encoded(user, Trailer::NEWEST)),
        Bound::Excluded(user) => Bound::Excluded(encoded(user, Trailer::OLDEST)),
        Bound::Unbounded => Bound::Unbounded,
    };
    let end = match range.end() {
        Bound::Included(user) => Bound::Included(encoded(user, Trailer::OLDEST)),
        // No key lies between a key and itself. The end is not before the start.
        Bound::Excluded(user) if range.start() == Bound::Excluded(user) => start.clone(),
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
            Self::Covered(cursor) => cursor.seek_ge(key),
        }
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        match self {
            Self::Memtable(cursor) => cursor.seek_lt(key),
            Self::Run(cursor) => cursor.seek_lt(key),
            Self::Covered(cursor) => cursor.seek_lt(key),
        }
    }

    #[inline]
    fn next(&mut self) -> Result<bool> {
        match self {
            Self::Memtable(cursor) => cursor.next(),
            Self::Run(cursor) => cursor.next(),
            Self::Covered(cursor) => cursor.next(),
        }
    }

    #[inline]
    fn prev(&mut self) -> Result<bool> {
        match self {
            Self::Memtable(cursor) => cursor.prev(),
            Self::Run(cursor) => cursor.prev(),
            Self::Covered(cursor) => cursor.prev(),
        }
    }

    #[inline]
    fn key(&self) -> &[u8] {
        match self {
            Self::Memtable(cursor) => cursor.key(),
            Self::Run(cursor) => cursor.key(),
            Self::Covered(cursor) => cursor.key(),
        }
    }

    #[inline]
    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        match self {
            Self::Memtable(cursor) => cursor.entry(),
            Self::Run(cursor) => cursor.entry(),
            Self::Covered(cursor) => cursor.entry(),
        }
    }
}
