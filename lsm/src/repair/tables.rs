//! Steps 3 and 4: the tables.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::File;
use durable::store_dir::StoreDir;
use kv::{Cursor, Error, MAX_KEY_LEN, Result};
use sstable::{ReadMode, ReadOptions, SalvageCursor, SalvageHints, Table, TableId};

use super::loss::{Loss, Losses, Lost};
use super::sources::SourceTable;
use crate::expiring;
use crate::files::TABLE;
use crate::internal_key::{self, Kind, LAYOUT};
use crate::range_tombstones::{self, Fragments};
use crate::table_file::read_fragments;

/// The range tombstones of `table`. Those that cannot be read are a loss, unless the manifest says that there are none.
///
/// # Errors
/// `Io`.
pub(super) fn ranges(dir: &StoreDir, table: &SourceTable, losses: &Losses) -> Result<Fragments> {
    let stated = table.facts.as_ref().map(|facts| &facts.ranges);
    if stated == Some(&None) {
        return Ok(Fragments::default());
    }
    let path = dir.file(&TABLE.name(table.id));
    let file = dir.fs().open(&path)?;
    let error = match read_ranges(&file, table, &path) {
        Err(error @ Error::Io { .. }) => return Err(error),
        Err(error) => error,
        Ok(fragments) => return Ok(fragments),
    };
    let hull = stated.and_then(|ranges| ranges.as_ref()).map(|ranges| ranges.hull.clone());
    let keys = hull.map_or((None, None), |hull| (Some(hull.start), hull.end));
    let loss = Loss::of(Lost::RangeTombstones, &error, &path, file.len()?);
    losses.add(Loss { keys, ..loss });
    Ok(Fragments::default())
}

fn read_ranges(file: &Arc<dyn File>, table: &SourceTable, path: &Path) -> Result<Fragments> {
    let read = ReadOptions { mode: ReadMode::Positional, ..ReadOptions::default() };
    let opened = Table::open(Arc::clone(file), &read)?;
    if is_foreign(&opened, table) {
        return Err(Error::corruption(path, 0, FOREIGN));
    }
    if let Some(facts) = &table.facts {
        return read_fragments(&opened, facts, path);
    }
    let block = opened.named_block(range_tombstones::BLOCK_NAME)?;
    block.map_or(Ok(Fragments::default()), |block| range_tombstones::decode(&block, path))
}

const FOREIGN: &str = "another table than the one that the manifest names";

/// Whether the manifest names another table than `opened`.
fn is_foreign(opened: &Table, table: &SourceTable) -> bool {
    table.facts.as_ref().is_some_and(|facts| opened.id() != TableId(facts.table_id))
}

/// A walk over the entries that can be read of a run, forward only, table by table. What cannot be read is a loss, known when the
/// walk has left the table.
pub(super) struct RunCursor {
    dir: StoreDir,
    losses: Losses,
    /// The tables behind the present one.
    rest: VecDeque<SourceTable>,
    present: Option<OpenTable>,
    /// The last internal key of the tables before the present one.
    last_before: Option<Vec<u8>>,
}

struct OpenTable {
    path: PathBuf,
    cursor: SalvageCursor,
    /// Entries that no store writes.
    unknown: u64,
}

impl RunCursor {
    /// A cursor over the tables `run` in `dir`, in their order.
    pub(super) fn new(dir: &StoreDir, run: &[SourceTable], losses: &Losses) -> Self {
        Self {
            dir: dir.clone(),
            losses: losses.clone(),
            rest: run.iter().cloned().collect(),
            present: None,
            last_before: None,
        }
    }

    /// Opens `table`, unless it is another one than the manifest names.
    ///
    /// # Errors
    /// `Io`.
    fn open(&self, table: &SourceTable) -> Result<Option<OpenTable>> {
        let path = self.dir.file(&TABLE.name(table.id));
        let file = self.dir.fs().open(&path)?;
        let read = ReadOptions { mode: ReadMode::Positional, ..ReadOptions::default() };
        match Table::open(Arc::clone(&file), &read) {
            Err(error @ Error::Io { .. }) => return Err(error),
            Ok(opened) if is_foreign(&opened, table) => {
                self.losses.add(Loss::new(Lost::ForeignFile, &path, 0..file.len()?, FOREIGN));
                return Ok(None);
            }
            Ok(_) | Err(_) => {}
        }
        let facts = table.facts.as_ref();
        let hints = SalvageHints {
            id: facts.map(|facts| TableId(facts.table_id)),
            key_layout: LAYOUT,
            entries: facts.map(|facts| facts.entries),
        };
        let cursor = SalvageCursor::open(&file, hints)?;
        Ok(Some(OpenTable { path, cursor, unknown: 0 }))
    }

    /// The present table is at its end: its losses are known.
    fn leave(&mut self, table: &OpenTable) {
        let user = |key: &Option<Vec<u8>>| {
            key.as_deref().and_then(internal_key::split).map(|(user, _)| user.to_vec())
        };
        for skipped in table.cursor.skipped() {
            let keys = (user(&skipped.after), user(&skipped.before));
            let what = skipped.what.clone();
            let loss = Loss::new(Lost::Entries, &table.path, skipped.bytes.clone(), what);
            self.losses.add(Loss { keys, ..loss });
        }
        if table.unknown > 0 {
            let what = format!("{} entries that no store writes", table.unknown);
            self.losses.add(Loss::new(Lost::Entries, &table.path, 0..0, what));
        }
        if let Some(last) = table.cursor.last_key() {
            self.last_before = Some(last.to_vec());
        }
    }

    fn present(&self) -> &OpenTable {
        self.present.as_ref().expect("the cursor is on an entry")
    }
}

impl OpenTable {
    /// Moves to the next entry that a store writes, behind `last_before`.
    fn next(&mut self, last_before: Option<&[u8]>) -> Result<bool> {
        while self.cursor.next()? {
            let (key, value) = self.cursor.entry()?;
            let is_behind = last_before.is_none_or(|last| LAYOUT.compare(last, key).is_lt());
            if is_behind && is_known(key, value) {
                return Ok(true);
            }
            self.unknown += 1;
        }
        Ok(false)
    }
}

/// Whether the entry means something. Its block is right, so somebody has written it.
fn is_known(key: &[u8], value: &[u8]) -> bool {
    let Some((user, trailer)) = internal_key::split(key) else { return false };
    let has_end = || expiring::split(value).is_some();
    let is_kind = trailer.kind().is_some_and(|kind| kind != Kind::Expiring || has_end());
    is_kind && trailer.sequence() > 0 && user.len() <= MAX_KEY_LEN
}

const FORWARD_ONLY: Error = Error::Unsupported("a repair goes forward only");

impl Cursor for RunCursor {
    fn seek_ge(&mut self, _: &[u8]) -> Result<bool> {
        Err(FORWARD_ONLY)
    }

    fn seek_lt(&mut self, _: &[u8]) -> Result<bool> {
        Err(FORWARD_ONLY)
    }

    fn next(&mut self) -> Result<bool> {
        loop {
            if let Some(mut table) = self.present.take() {
                if table.next(self.last_before.as_deref())? {
                    self.present = Some(table);
                    return Ok(true);
                }
                self.leave(&table);
            }
            let Some(table) = self.rest.pop_front() else { return Ok(false) };
            self.present = self.open(&table)?;
        }
    }

    fn prev(&mut self) -> Result<bool> {
        Err(FORWARD_ONLY)
    }

    fn key(&self) -> &[u8] {
        self.present().cursor.key()
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        self.present.as_mut().expect("the cursor is on an entry").cursor.entry()
    }
}
