//! Writing a sorted run of tables: a memtable, or the output of a compaction.
//!
//! All versions of a key are in one table of a run. Range tombstones are cut between the tables: where a table ends before a
//! key, the next one gets the rest of them, from that key on.
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
use crate::range_tombstones::Fragments;
use crate::steps::Step;
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
    /// The range tombstones that no finished table has.
    fragments: Fragments,
}

impl TableWriter<'_> {
    /// Writes all of `memtable`, which is not empty, and makes the tables durable. A table is ended when it has
    /// `table_bytes` bytes and the next entry has another user key. There is no table if batches have only deleted empty
    /// ranges.
    ///
    /// # Errors
    /// `Io`: no table is left, unless the disk fails to remove it. A sync that failed has poisoned the store. `Closed` when
    /// the store was dropped.
    pub(crate) fn write(self, memtable: &Memtable, table_bytes: u64) -> Result<Vec<NewTable>> {
        debug_assert!(!memtable.is_empty(), "a batch was inserted");
        let ranges = memtable.ranges().unwrap_or_default();
        let is_left_out = self.store.steps.check(Step::FlushRanges, ranges.is_empty());
        let mut run = if is_left_out { NewRun::default() } else { NewRun::with(&ranges) };
        let written = memtable.for_each(&mut |key, value| {
            if run.entries.is_multiple_of(ENTRIES_BETWEEN_LOOKS) && self.store.is_abandoned() {
                return Err(Error::Closed);
            }
            let (user, _) = internal_key::split(key).expect("a memtable has internal keys");
            if run.table_len() >= table_bytes && run.can_end_table_before(user) {
                self.end_table_before(&mut run, user)?;
            }
            self.add(&mut run, key, value).map(drop)
        });
        let ended = written.and_then(|()| self.end_last_table(&mut run));
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
        let grown = output.len().saturating_sub(before);
        run.entries += 1;
        if !run.fragments.is_empty() {
            run.note_entry(key);
        }
        Ok(grown)
    }

    /// Ends the present table, if there is one, and makes it durable. The next one begins at `user`, which is greater than all
    /// keys so far.
    ///
    /// # Errors
    /// `Io`. A sync that failed has poisoned the store.
    pub(crate) fn end_table_before(self, run: &mut NewRun, user: &[u8]) -> Result<()> {
        let here = run.fragments.split_off_before(user);
        let here = self.store.steps.run(Step::SplitRanges, || Some(here));
        self.end_table(run, &here.unwrap_or_default())
    }

    /// Ends the present table, if there is one, and makes it durable. All range tombstones that are left are in it.
    ///
    /// # Errors
    /// As [`TableWriter::end_table_before`].
    pub(crate) fn end_last_table(self, run: &mut NewRun) -> Result<()> {
        let rest = std::mem::take(&mut run.fragments);
        self.end_table(run, &rest)
    }

    fn end_table(self, run: &mut NewRun, fragments: &Fragments) -> Result<()> {
        if run.output.is_none() && !fragments.is_empty() {
            run.output = Some(self.begin(&mut run.begun)?);
        }
        if let Some(output) = run.output.take() {
            run.finished.push(output.finish(self.store, fragments)?);
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
    /// A run with these range tombstones.
    pub(crate) fn with(fragments: &Fragments) -> Self {
        let fragments = fragments.retained(|fragment| fragment.numbers().to_vec());
        Self { fragments, ..Self::default() }
    }

    /// Tells the range tombstones that an entry lies beside them.
    fn note_entry(&self, key: &[u8]) {
        let (user, trailer) = internal_key::split(key).expect("the builder took the key");
        if let Some(fragment) = self.fragments.at(user) {
            fragment.note_entry(trailer.sequence());
        }
    }

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
