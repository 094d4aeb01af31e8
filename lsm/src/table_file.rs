//! Tables of the store as readers hold them: opened at the first use, unlinked after the last one.
//!
//! A handle whose table is open keeps it open, so a look-up needs no lock and no reference count to use it. How many handles
//! may do so is limited ([`OpenTables`]). To close a table, the store puts [another handle](TableFile::closed) of the same file
//! in its place. Whoever reads through the old handle goes on, and the table is closed with it.

mod opening;
mod run;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use durable::reclaim::{FileLifetime, FileReclaimer};
use durable::sync::atomic::{AtomicBool, Ordering};
use durable::{Fs, seeded_crc32};
use kv::{Error, Result};
use sstable::{ReadOptions, Table};

use crate::boundary::Boundary;
use crate::compaction::RangeTombstone;
use crate::files::TABLE;
use crate::open_tables::{OpenTables, Place};
use crate::range_tombstones::{self, Fragments};
use crate::state::TableFacts;
pub(crate) use opening::{open_table, read_fragments};
pub(crate) use run::TableRun;

/// Gives each table its handle.
#[derive(Clone, Debug)]
pub(crate) struct TableOpener {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    read: ReadOptions,
    reclaimer: Arc<FileReclaimer>,
    open_tables: Arc<OpenTables>,
}

impl TableOpener {
    /// For the tables in the directory `dir` of `fs`, which `reclaimer` unlinks. As many of them are kept open as
    /// `open_tables` says.
    pub(crate) fn new(
        fs: Arc<dyn Fs>,
        dir: &Path,
        read: ReadOptions,
        reclaimer: Arc<FileReclaimer>,
        open_tables: OpenTables,
    ) -> Self {
        Self { fs, dir: dir.into(), read, reclaimer, open_tables: Arc::new(open_tables) }
    }

    /// How many tables are kept open.
    pub(crate) fn open_tables(&self) -> &OpenTables {
        &self.open_tables
    }

    /// The handle of table `id`, which the manifest names with `facts`. Opens nothing.
    pub(crate) fn handle(&self, id: u64, facts: TableFacts) -> Arc<TableFile> {
        debug_assert!(facts.is_sound(), "the manifest checks the facts");
        let name = TABLE.name(id);
        let path = self.dir.join(&name);
        Arc::new(TableFile {
            id,
            facts,
            path,
            fs: Arc::clone(&self.fs),
            read: self.read.clone(),
            kept: OnceLock::new(),
            is_used: AtomicBool::new(false),
            ranges: Arc::default(),
            lifetime: Arc::new(self.reclaimer.track([name])),
            open_tables: Arc::clone(&self.open_tables),
        })
    }
}

/// A handle of one table. The file ends with the last reference to the last handle.
pub(crate) struct TableFile {
    pub(crate) id: u64,
    pub(crate) facts: TableFacts,
    path: PathBuf,
    fs: Arc<dyn Fs>,
    read: ReadOptions,
    kept: OnceLock<KeptOpen>,
    /// Somebody has used the open table since [`TableFile::take_used`].
    is_used: AtomicBool,
    // Shared by all handles of the table:
    ranges: Arc<OnceLock<TableRanges>>,
    lifetime: Arc<FileLifetime>,
    open_tables: Arc<OpenTables>,
}

/// A table that is open as long as its handle.
struct KeptOpen {
    table: Arc<Table>,
    _place: Place,
}

/// The range tombstones of a table.
struct TableRanges {
    fragments: Arc<Fragments>,
    spanning: Vec<RangeTombstone<Boundary>>,
}

impl TableFile {
    /// The table, if the handle keeps it open.
    #[inline]
    pub(crate) fn kept_open(&self) -> Option<&Arc<Table>> {
        let kept = self.kept.get()?;
        // Threads share this line of memory: it is written once, not for each look-up.
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
        }
        Some(&kept.table)
    }

    /// The open table. If the handle does not keep it open, the call opens the file and compares it with the manifest. The handle
    /// keeps it open from then on, unless too many tables are open.
    ///
    /// # Errors
    /// `Corruption` when it is not the table that the manifest names, or is damaged; `Io`. The next call tries again.
    pub(crate) fn table(&self) -> Result<Arc<Table>> {
        if let Some(table) = self.kept_open() {
            return Ok(Arc::clone(table));
        }
        let opened = open_table(&*self.fs, &self.path, &self.facts, &self.read);
        let table = Arc::new(opened.inspect_err(|error| self.open_tables.failed(error))?);
        let Some(place) = self.open_tables.take_place() else { return Ok(table) };
        // Another thread may have been faster. Its table is as good.
        let kept = self.kept.get_or_init(|| KeptOpen { table, _place: place });
        self.is_used.store(true, Ordering::Relaxed);
        Ok(Arc::clone(&kept.table))
    }

    /// Whether the handle keeps the table open.
    pub(crate) fn is_kept_open(&self) -> bool {
        self.kept.get().is_some()
    }

    /// Whether somebody has used the open table since the last call.
    pub(crate) fn take_used(&self) -> bool {
        self.is_used.swap(false, Ordering::Relaxed)
    }

    /// Another handle of the same file, with the table closed.
    pub(crate) fn closed(&self) -> Arc<Self> {
        Arc::new(Self {
            id: self.id,
            facts: self.facts.clone(),
            path: self.path.clone(),
            fs: Arc::clone(&self.fs),
            read: self.read.clone(),
            kept: OnceLock::new(),
            is_used: AtomicBool::new(false),
            ranges: Arc::clone(&self.ranges),
            lifetime: Arc::clone(&self.lifetime),
            open_tables: Arc::clone(&self.open_tables),
        })
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
        let table = self.table()?;
        let fragments = Arc::new(read_fragments(&table, &self.facts, &self.path)?);
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
