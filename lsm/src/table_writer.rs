//! Writing a sorted run of tables: a memtable, or the output of a compaction.
//!
//! All versions of a key are in one table of a run.
//!
//! A run is written into a [`NewRun`], which can wait between two entries. If it is not finished, its files are removed with
//! [`TableWriter::discard`]. What is not removed is an orphan of the next opening.

mod origin;
mod output;

use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;

use durable::FileWriter;
use kv::{Error, Result};
use sstable::BuildOptions;

use crate::file_ids::FileIds;
use crate::internal_key;
use crate::memtable::Memtable;
use crate::store::Store;
pub(crate) use origin::Origin;
pub(crate) use output::NewTable;
use output::Output;

/// How many entries are written between two looks at whether the store was dropped.
const ENTRIES_BETWEEN_LOOKS: u64 = 1024;

/// Writes tables under names that nobody has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableWriter<'w> {
    pub(crate) store: &'w Store,
    pub(crate) ids: &'w FileIds,
    pub(crate) build: BuildOptions,
}

/// A run that is being written.
#[derive(Default)]
pub(crate) struct NewRun {
    finished: Vec<NewTable>,
    output: Option<Output>,
    /// The files that were created.
    begun: Vec<PathBuf>,
    entries: u64,
}

impl TableWriter<'_> {
    /// Writes all of `memtable`, which is not empty, and makes the tables durable. A table is ended when it has
    /// `table_bytes` bytes and the next entry has another user key.
    ///
    /// # Errors
    /// `Io`: no table is left, unless the disk fails to remove it. A sync that failed has poisoned the store. `Closed` when
    /// the store was dropped.
    pub(crate) fn write(self, memtable: &Memtable, table_bytes: u64) -> Result<Vec<NewTable>> {
        debug_assert!(!memtable.is_empty(), "a table has an entry");
        let mut run = NewRun::default();
        let written = memtable.for_each(&mut |key, value| {
            if run.entries.is_multiple_of(ENTRIES_BETWEEN_LOOKS) && self.store.is_abandoned() {
                return Err(Error::Closed);
            }
            let (user, _) = internal_key::split(key).expect("a memtable has internal keys");
            if run.table_len() >= table_bytes && run.can_end_table_before(user) {
                self.end_table(&mut run)?;
            }
            self.add(&mut run, key, value).map(drop)
        });
        let ended = written.and_then(|()| self.end_table(&mut run));
        if let Err(error) = ended {
            self.discard(run);
            return Err(error);
        }
        assert_eq!(run.entries, memtable.entries(), "every entry was written");
        Ok(run.into_tables())
    }

    /// Adds an entry with an internal key behind those of `run`. Returns by how many bytes, about, the table has grown.
    ///
    /// # Errors
    /// `Io`; `InvalidArgument` for a key out of order.
    pub(crate) fn add(self, run: &mut NewRun, key: &[u8], value: &[u8]) -> Result<u64> {
        if run.output.is_none() {
            run.output = Some(self.begin(&mut run.begun)?);
        }
        let Some(output) = &mut run.output else { return Ok(0) };
        let before = output.len();
        output.add(key, value, self.build.block_bytes)?;
        run.entries += 1;
        Ok(output.len().saturating_sub(before))
    }

    /// Ends the present table, if there is one, and makes it durable. The next entry begins another one.
    ///
    /// # Errors
    /// `Io`. A sync that failed has poisoned the store.
    pub(crate) fn end_table(self, run: &mut NewRun) -> Result<()> {
        if let Some(output) = run.output.take() {
            run.finished.push(output.finish(self.store)?);
        }
        debug_assert_eq!(run.finished.len(), run.begun.len(), "each table that was begun is ended");
        Ok(())
    }

    /// Removes the files of a run that no edit has named.
    pub(crate) fn discard(self, run: NewRun) {
        drop(run.output);
        self.remove(&run.begun);
    }

    /// Removes `files` after the edit that names them has failed. In a poisoned store the edit may be durable, so they stay.
    pub(crate) fn remove_unnamed(self, files: &[PathBuf]) {
        if self.store.check().is_ok() {
            self.remove(files);
        }
    }

    /// Removes `files`, which no edit has named.
    pub(crate) fn remove(self, files: &[PathBuf]) {
        if self.store.check_in_place().is_ok() {
            // What cannot be removed now is an orphan of the next opening.
            for path in files {
                drop(self.store.fs().remove(path));
            }
        }
    }

    /// Begins a table under a name that nobody has.
    fn begin(self, begun: &mut Vec<PathBuf>) -> Result<Output> {
        loop {
            self.store.check_in_place()?;
            let id = self.ids.reserve()?;
            let path = self.store.table_path(id);
            let writer = match FileWriter::create(self.store.fs(), &path) {
                // Another program has a file of that name, which stays as it is.
                Err(error) if error.io_kind() == Some(ErrorKind::AlreadyExists) => continue,
                created => {
                    begun.push(path);
                    created?
                }
            };
            return Output::begin(self.store, id, writer, self.build);
        }
    }
}

impl NewRun {
    /// How long the present table would be, about, if it ended now.
    fn table_len(&self) -> u64 {
        self.output.as_ref().map_or(0, Output::len)
    }

    /// Whether no version of `user` is in the present table.
    fn can_end_table_before(&self, user: &[u8]) -> bool {
        self.output.as_ref().is_some_and(|output| output.can_end_before(user))
    }

    /// The tables, in the order of their keys.
    ///
    /// # Panics
    /// When the last one was not ended.
    pub(crate) fn into_tables(self) -> Vec<NewTable> {
        assert!(self.output.is_none(), "the last table was ended");
        self.finished
    }
}

/// The files of `tables`.
pub(crate) fn paths_of(tables: &[NewTable]) -> Vec<PathBuf> {
    tables.iter().map(|(file, _)| file.path().into()).collect()
}

impl fmt::Debug for NewRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewRun").field("begun", &self.begun).finish_non_exhaustive()
    }
}
