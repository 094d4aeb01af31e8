//! Tables of the store as readers hold them: opened at the first use, unlinked after the last one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use durable::reclaim::{FileLifetime, FileReclaimer};
use durable::{Fs, seeded_crc32};
use kv::{Error, Result};
use sstable::{ReadOptions, Run, Table};

use crate::boundary::Boundary;
use crate::compaction::RangeTombstone;
use crate::files::TABLE;
use crate::range_tombstones::{self, Fragments};
use crate::state::TableFacts;

/// Gives each table its handle.
#[derive(Clone, Debug)]
pub(crate) struct TableOpener {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    read: ReadOptions,
    reclaimer: Arc<FileReclaimer>,
}

impl TableOpener {
    /// For the tables in the directory `dir` of `fs`, which `reclaimer` unlinks.
    pub(crate) fn new(
        fs: Arc<dyn Fs>,
        dir: &Path,
        read: ReadOptions,
        reclaimer: Arc<FileReclaimer>,
    ) -> Self {
        Self { fs, dir: dir.into(), read, reclaimer }
    }

    /// The handle of table `id`, which the manifest names with `facts`. Opens nothing.
    pub(crate) fn handle(&self, id: u64, facts: TableFacts) -> Arc<TableFile> {
        debug_assert!(facts.is_sound(), "the manifest checks the facts");
        let name = TABLE.name(id);
        let path = self.dir.join(&name);
        let lifetime = self.reclaimer.track([name]);
        let (fs, read) = (Arc::clone(&self.fs), self.read.clone());
        let (opened, ranges) = (OnceLock::new(), OnceLock::new());
        Arc::new(TableFile { id, facts, path, fs, read, opened, ranges, lifetime })
    }
}

/// One table. The file ends with the last reference.
pub(crate) struct TableFile {
    pub(crate) id: u64,
    pub(crate) facts: TableFacts,
    path: PathBuf,
    fs: Arc<dyn Fs>,
    read: ReadOptions,
    opened: OnceLock<Arc<Table>>,
    ranges: OnceLock<TableRanges>,
    lifetime: FileLifetime,
}

/// The range tombstones of a table.
struct TableRanges {
    fragments: Arc<Fragments>,
    spanning: Vec<RangeTombstone<Boundary>>,
}

impl TableFile {
    /// The open table. The first call opens the file and compares it with the manifest.
    ///
    /// # Errors
    /// `Corruption` when it is not the table that the manifest names, or is damaged; `Io`. The next call tries again.
    #[inline]
    pub(crate) fn table(&self) -> Result<&Arc<Table>> {
        if let Some(table) = self.opened.get() {
            return Ok(table);
        }
        let table = open_table(&*self.fs, &self.path, &self.facts, &self.read)?;
        // Another thread may have been faster. Its table is as good.
        Ok(self.opened.get_or_init(|| Arc::new(table)))
    }

    /// The range tombstones. The first call reads them, and compares them with the manifest. `None`: there are none.
    ///
    /// # Errors
    /// As [`TableFile::table`].
    #[inline]
    pub(crate) fn fragments(&self) -> Result<Option<&Arc<Fragments>>> {
        if self.facts.ranges.is_none() {
            return Ok(None);
        }
        if let Some(ranges) = self.ranges.get() {
            return Ok(Some(&ranges.fragments));
        }
        let fragments = read_fragments(self.table()?, &self.facts, &self.path)?;
        let fragments = Arc::new(fragments);
        let spanning = range_tombstones::spanning(&fragments);
        let ranges = TableRanges { fragments, spanning };
        Ok(Some(&self.ranges.get_or_init(|| ranges).fragments))
    }

    /// The widest range tombstones, if they were read already.
    pub(crate) fn spanning(&self) -> &[RangeTombstone<Boundary>] {
        self.ranges.get().map_or(&[], |ranges| &ranges.spanning)
    }

    /// Reads the whole file once, and compares its length and its checksum with the manifest.
    ///
    /// # Errors
    /// `Corruption`, `Io`.
    pub(crate) fn check_sum(&self) -> Result<()> {
        let (mut crc, mut len) = (0, 0);
        self.fs.open(&self.path)?.read_in_pieces(&mut |_, piece| {
            crc = seeded_crc32(crc, piece);
            len += piece.len() as u64;
            Ok(())
        })?;
        if (crc, len) == (self.facts.crc, self.facts.len) {
            return Ok(());
        }
        Err(Error::corruption(&self.path, 0, "the file is not the one that the manifest names"))
    }

    /// The manifest no longer names the table, durably: the file goes with its last reader.
    pub(crate) fn retire(&self) {
        self.lifetime.retire();
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Debug for TableFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Opens the table at `path`, about which the manifest states `facts`.
///
/// # Errors
/// `Corruption` when it has another length or another id, or is damaged; `Io`.
#[cold]
pub(crate) fn open_table(
    fs: &dyn Fs,
    path: &Path,
    facts: &TableFacts,
    read: &ReadOptions,
) -> Result<Table> {
    let file = fs.open(path)?;
    let len = file.len()?;
    if len != facts.len {
        let what = format!("{len} bytes, and the manifest says {}", facts.len);
        return Err(Error::corruption(path, len.min(facts.len), what));
    }
    let table = Table::open(file, read)?;
    if table.id().0 != facts.table_id {
        let what = "another table than the one that the manifest names";
        return Err(Error::corruption(path, 0, what));
    }
    debug_assert_eq!(table.len_bytes(), facts.len, "the length was compared");
    Ok(table)
}

/// The range tombstones of `table` at `path`, about which the manifest states `facts`: that it has some.
///
/// # Errors
/// `Corruption` when they are not those that the manifest states, or are damaged; `Io`.
#[cold]
pub(crate) fn read_fragments(table: &Table, facts: &TableFacts, path: &Path) -> Result<Fragments> {
    let other = || {
        let what = "other range tombstones than the manifest says";
        Error::corruption(path, 0, what)
    };
    let stated = facts.ranges.as_ref().ok_or_else(other)?;
    let block = table.named_block(range_tombstones::BLOCK_NAME)?.ok_or_else(other)?;
    let fragments = range_tombstones::decode(&block, path)?;
    let is_stated = fragments.len() as u64 == stated.fragments
        && fragments.hull().as_ref() == Some(&stated.hull)
        && fragments.iter().all(|fragment| {
            let ends = (fragment.numbers().first(), fragment.numbers().last());
            ends.0.is_some_and(|newest| *newest <= facts.newest)
                && ends.1.is_some_and(|oldest| *oldest >= facts.oldest)
        });
    if is_stated { Ok(fragments) } else { Err(other()) }
}

/// Tables in the order of their keys, none of which has a user key of another one.
#[derive(Clone, Debug)]
pub(crate) struct TableRun {
    level: u64,
    rank: u64,
    tables: Arc<[Arc<TableFile>]>,
    /// Those that have range tombstones.
    with_ranges: Arc<[Arc<TableFile>]>,
    /// Those that have entries.
    with_entries: Arc<[Arc<TableFile>]>,
}

impl TableRun {
    /// A run of `tables`, which are in order, at a level with a rank.
    ///
    /// # Panics
    /// Without tables.
    pub(crate) fn new(level: u64, rank: u64, tables: Vec<Arc<TableFile>>) -> Self {
        assert!(!tables.is_empty(), "a run has a table");
        let is_in_order =
            |one: &Arc<TableFile>, next: &Arc<TableFile>| one.facts.last() < next.facts.first();
        debug_assert!(tables.is_sorted_by(is_in_order), "the tables of a run share no key");
        let tables: Arc<[Arc<TableFile>]> = tables.into();
        let of = |has: fn(&TableFacts) -> bool| {
            if tables.iter().all(|table| has(&table.facts)) {
                return Arc::clone(&tables);
            }
            tables.iter().filter(|table| has(&table.facts)).cloned().collect()
        };
        let with_ranges = of(|facts| facts.ranges.is_some());
        let with_entries = of(|facts| facts.entries > 0);
        Self { level, rank, tables, with_ranges, with_entries }
    }

    /// The level of the run.
    pub(crate) fn level(&self) -> u64 {
        self.level
    }

    /// The age of the run in its level: a higher rank is newer.
    pub(crate) fn rank(&self) -> u64 {
        self.rank
    }

    /// The tables, in order.
    pub(crate) fn tables(&self) -> &[Arc<TableFile>] {
        &self.tables
    }

    /// The tables with range tombstones, in order.
    pub(crate) fn tables_with_ranges(&self) -> &[Arc<TableFile>] {
        &self.with_ranges
    }

    /// The only table that can have versions of `user`, or range tombstones that cover it.
    #[inline]
    pub(crate) fn table_of(&self, user: &[u8]) -> Option<&Arc<TableFile>> {
        if !self.with_ranges.is_empty() {
            let user = Boundary::at(user);
            let at = self.tables.partition_point(|table| table.facts.last() < user);
            return self.tables.get(at).filter(|table| table.facts.first() <= user);
        }
        let at = self.tables.partition_point(|table| table.facts.largest_user() < user);
        self.tables.get(at).filter(|table| table.facts.smallest_user() <= user)
    }
}

/// The entries of a run.
impl Run for TableRun {
    fn table_count(&self) -> usize {
        self.with_entries.len()
    }

    fn smallest_key(&self, table: usize) -> &[u8] {
        &self.with_entries[table].facts.smallest
    }

    fn largest_key(&self, table: usize) -> &[u8] {
        &self.with_entries[table].facts.largest
    }

    fn open_table(&self, table: usize) -> Result<Arc<Table>> {
        self.with_entries[table].table().map(Arc::clone)
    }
}
